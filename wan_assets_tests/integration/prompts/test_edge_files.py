"""A table has no file uploaded but the one beside it that was checked."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path, PurePath

import pandas as pd
import pytest
from bent_api import SUBMIT, UPLOAD, bent
from engine_support import errors_of

from wan_assets.engine import VideoJob
from wan_assets.errors import PromptTableError
from wan_assets.prompts import PromptTable
from wan_assets.prompts.local_files import MAX_BYTES, LocalFileError, content_in_folder, reference_to, verified_content

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SECRET = b"\x89PNG\r\n\x1a\n" + b"what is nobody's business" * 20


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def folder_with_picture(folder: Path) -> tuple[Path, PromptTable]:
    """A table beside a folder of pictures, checked; and a secret outside of it."""
    written(folder / "secret" / "kite.png", SECRET)
    written(folder / "table" / "pictures" / "kite.png", PNG)
    row = {"prompt_id": "a", "positive_prompt": "Kite", "inputs.frame_images": "pictures/kite.png"}
    table = written(folder / "table" / "prompts.jsonl", json.dumps(row).encode())
    return folder / "table" / "pictures" / "kite.png", PromptTable.load(table)


def _link(picture: Path, target: str | Path) -> None:
    picture.unlink()
    picture.symlink_to(target)


def _swap_folder(picture: Path) -> None:
    picture.parent.rename(picture.parent.with_name("before"))
    picture.parent.symlink_to(picture.parents[2] / "secret")


def _fifo(picture: Path) -> None:
    picture.unlink()
    os.mkfifo(picture)


def _folder(picture: Path) -> None:
    picture.unlink()
    picture.mkdir()


def _huge(picture: Path) -> None:
    with picture.open("r+b") as file:
        file.truncate(MAX_BYTES * 100)


SWAPS: dict[str, Callable[[Path], object]] = {
    "a link to another file": lambda picture: _link(picture, picture.parents[2] / "secret" / "kite.png"),
    "a link to a file of the system": lambda picture: _link(picture, "/etc/hostname"),
    "a link to an endless device": lambda picture: _link(picture, "/dev/zero"),
    "a link to nothing": lambda picture: _link(picture, "nothing.png"),
    "a folder that is a link": _swap_folder,
    "a FIFO": _fifo,
    "a folder": _folder,
    "a huge file": _huge,
    "another picture": lambda picture: picture.write_bytes(SECRET),
    "one more byte": lambda picture: picture.write_bytes(PNG + b"0"),
    "nothing": Path.unlink,
}


@pytest.mark.parametrize("swap", SWAPS)
def test_nothing_but_the_file_that_was_checked_is_uploaded(tmp_path: Path, swap: str) -> None:
    picture, table = folder_with_picture(tmp_path)
    assert not table.problems
    SWAPS[swap](picture)

    with bent(tmp_path) as made:
        (outcome,) = made.run([VideoJob(request) for request in table.requests], media=table.media)

        assert not made.calls(UPLOAD)
        assert not made.calls(SUBMIT)
        assert made.ledger().totals().simulated.reserved_microusd == 0
    assert errors_of([outcome]) == ["RequestRejectedError"]
    assert outcome.error
    assert str(picture) in str(outcome.error)


def test_the_file_that_was_checked_is_uploaded_byte_for_byte(tmp_path: Path) -> None:
    _, table = folder_with_picture(tmp_path)

    with bent(tmp_path) as made:
        made.run([VideoJob(request) for request in table.requests], media=table.media)
        (upload,) = made.calls(UPLOAD)

    head, _, content = upload.tasks[0]["media"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == PNG


@pytest.mark.parametrize("kind", ["a link out", "a folder that is a link out", "a device", "a FIFO", "a huge file"])
@pytest.mark.parametrize("column", ["inputs.frame_images", "inputs.audio"])
def test_a_table_takes_no_file_from_elsewhere_and_waits_for_none(tmp_path: Path, kind: str, column: str) -> None:
    picture, _ = folder_with_picture(tmp_path)
    folder = tmp_path / "table"
    (folder / "out.png").symlink_to(tmp_path / "secret" / "kite.png")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.png")
    _huge(picture)
    names = {"a link out": "out.png", "a folder that is a link out": "out/kite.png", "a device": "zero.png"}
    name = {**names, "a FIFO": "fifo.png", "a huge file": "pictures/kite.png"}[kind]
    rows = pd.DataFrame(
        [{"positive_prompt": "Kite", "resolution": "480p" if "audio" in column else None, column: name}]
    )
    table = PromptTable.load(rows, base_dir=folder)

    assert not table.media
    assert column in {problem.column for problem in table.problems}


def test_a_file_is_opened_part_by_part_and_through_no_link(tmp_path: Path) -> None:
    written(tmp_path / "in" / "deep" / "a.png", PNG)
    written(tmp_path / "out" / "a.png", SECRET)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out" / "a.png")

    assert content_in_folder(tmp_path / "in", PurePath("deep/a.png")) == PNG
    for place in ("link/a.png", "link.png", "deep/none.png", "deep"):
        with pytest.raises(LocalFileError):
            content_in_folder(tmp_path / "in", PurePath(place))
    with pytest.raises(LocalFileError, match="has changed"):
        verified_content(tmp_path / "in" / "deep" / "a.png", reference_to(SECRET))


@pytest.mark.parametrize("name", ["{folder}/tables", "{folder}/tables/*.txt"])
def test_no_link_leads_out_of_a_folder_of_tables(tmp_path: Path, name: str) -> None:
    written(tmp_path / "elsewhere.txt", b"A secret")
    written(tmp_path / "tables" / "a.txt", b"A kite")
    (tmp_path / "tables" / "b.txt").symlink_to("a.txt")
    inside = PromptTable.load(name.format(folder=tmp_path))
    (tmp_path / "tables" / "c.txt").symlink_to(tmp_path / "elsewhere.txt")

    assert len(inside) + len(inside.problems) == 2
    with pytest.raises(PromptTableError, match="is a link to a file outside"):
        PromptTable.load(name.format(folder=tmp_path))
