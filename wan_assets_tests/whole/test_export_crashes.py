"""Exports that are killed on the way: the next one finishes them."""

from __future__ import annotations

import os

import pytest
from export_support import ROWS, SMALL, Shelf
from folders import SUPPORT
from python_process import run_python

from wan_assets.export import FORMATS

_DIES = """
import os, sys
from pathlib import Path
from export_support import Shelf, table_of
from export_support import ROWS, SMALL

folder, format_, moves = sys.argv[1:]
shelf, done = Shelf(Path(folder)), []

def die(event, _):
    if event == "os.rename":
        done.append(event)
        if len(done) > int(moves):
            os._exit(9)

sys.addaudithook(die)
shelf.export(table_of(*ROWS[2:]), format_, **SMALL)
"""


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("moves", [1, 4])
def test_an_export_that_died_is_finished_by_the_next_and_leaves_nothing_behind(tmp_path, format_, moves):
    shelf, out = Shelf(tmp_path), tmp_path / "out"
    shelf.export(shelf.buy(*ROWS[:4]), format_, **SMALL)
    wanted = shelf.export(shelf.buy(*ROWS[2:]), format_, root=tmp_path / "wanted", **SMALL)

    command = ["-c", _DIES, tmp_path, format_, str(moves)]
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    dead = run_python(command, env={**os.environ, "PYTHONPATH": path})
    left = list(out.glob(".partial*"))
    exported = shelf.export(shelf.buy(*ROWS[2:]), format_, **SMALL)

    assert dead.returncode == 9
    assert left
    assert exported.version == wanted.version
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (out, tmp_path / "wanted")
    ]
    assert contents[0] == contents[1]
