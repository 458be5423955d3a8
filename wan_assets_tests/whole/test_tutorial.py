"""The tutorial, executed as a reader would: every command in a shell, its output compared with the page."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cli_support import clean
from dagster_server import DAGSTER_YAML, DagsterServer
from patience import PATIENCE_S
from ports import free_port

import wan_assets

PAGE = Path(wan_assets.__file__).parents[1] / "docs" / "tutorial.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDED = ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED")
_SERVERS = ("wan-assets simulator", "dagster dev")
_PORTS = ("8300", "3000")
_MASKS = {
    r"\x1b\[[0-9;]*m": "",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "UUID",
    r"\d{4}-\d\d-\d\d(?![\w-])": "DAY",
}
"""Parts of the output that differ from run to run, and their replacements."""


@dataclass(frozen=True)
class Edit:
    """A file that the reader writes, or whose rows the reader adds or changes."""

    verb: str
    file: str
    text: str

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        match self.verb:
            case "Write":
                path.write_text(self.text)
            case "Add":
                path.write_text(path.read_text() + self.text)
            case "change" | "Change":
                first = self.text.split(",")[0] + ","
                rows = path.read_text().splitlines(keepends=True)
                assert sum(row.startswith(first) for row in rows) == 1
                path.write_text("".join(self.text if row.startswith(first) else row for row in rows))
            case _:
                raise AssertionError(f"unknown instruction: {self.verb}")


@dataclass(frozen=True)
class Command:
    """A command and the lines of output that the page shows."""

    line: str
    shown: tuple[str, ...]

    @property
    def is_server(self) -> bool:
        return self.line.startswith(_SERVERS)

    def matches(self, output: str) -> bool:
        return bool(re.fullmatch(_pattern(self.shown), "".join(f"{line}\n" for line in _lines(output))))


def _lines(text: str) -> list[str]:
    """Lines without blanks at their ends, masked; empty ones do not count."""
    for pattern, mask in _MASKS.items():
        text = re.sub(pattern, mask, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _pattern(shown: Iterable[str]) -> str:
    """A line of a lone `…` matches any number of lines, and `…` within a line any text."""
    return "".join(r"(?:.*\n)*?" if line == "…" else f"{_escaped(line)}\n" for line in _lines("\n".join(shown)))


def _escaped(line: str) -> str:
    return re.escape(line).replace("…", ".*")


def _commands(block: str) -> Iterator[Command]:
    for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, *shown = text.splitlines()
        yield Command(line, tuple(shown))


def steps(page: str) -> Iterator[Edit | Command]:
    """What the reader does, in order."""
    for found in _BLOCK.finditer(page):
        language, block = found.groups()
        if language == "console":
            yield from _commands(block)
        elif language in ("text", "python"):
            before = page[: found.start()].rstrip().rpartition("\n\n")[2]
            verb, file = re.findall(r"\b([Ww]rite|[Aa]dd|[Cc]hange)\b[^`]*`([\w.]+)`", before)[-1]
            yield Edit(verb, file, block)


@dataclass
class Shell:
    """A shell that keeps its variables and its last exit status from command to command."""

    folder: Path
    process: subprocess.Popen[str]
    ports: dict[str, str]
    number: Iterator[int] = field(default_factory=itertools.count)

    def run(self, command: Command) -> str:
        """The output of a command; of a server the output so far, as soon as it is as shown."""
        log = self.folder.parent / f"{next(self.number)}.log"
        line = command.line
        for shown, port in self.ports.items():
            line = line.replace(shown, port)
        self._write(f"{line} > {shlex.quote(str(log))} 2>&1" if command.is_server else self._logged(line, log))
        until = time.monotonic() + PATIENCE_S
        done = log.with_suffix(".done")
        while time.monotonic() < until:
            output = self._shown(log)
            if command.matches(output) if command.is_server else done.exists():
                return self._shown(log)
            assert self.process.poll() is None
            time.sleep(0.1)  # only time lets another process go on
        return self._shown(log)

    def _logged(self, line: str, log: Path) -> str:
        return f"{{ {line}\n}} > {shlex.quote(str(log))} 2>&1; s=$?; touch {log.with_suffix('.done')}; (exit $s)"

    def _write(self, text: str) -> None:
        assert self.process.stdin
        is_server = not text.startswith("{")
        self.process.stdin.write(f"{text} &\n" if is_server else f"{text}\n")
        self.process.stdin.flush()

    def _shown(self, log: Path) -> str:
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        for shown, port in self.ports.items():
            text = text.replace(f":{port}", f":{shown}")
        return text


@contextmanager
def shell(folder: Path, ports: dict[str, str], **environment: str) -> Iterator[Shell]:
    """A shell in a folder; with the block it ends, and all that it started."""
    process = subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=clean(**environment),
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Shell(folder, process, ports)
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)


def commands_in(folder: Path) -> Path:
    """A folder of the two commands of the page, run by the interpreter of the tests."""
    folder.mkdir()
    for name, module in {"wan-assets": "wan_assets", "dagster": "dagster"}.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        path.chmod(0o755)
    return folder


def backfill(base_url: str) -> None:
    """The numbered steps of the page, which a reader does in the UI."""
    with httpx.Client(base_url=base_url, trust_env=False, timeout=60) as http:
        dagster = DagsterServer(http, "definitions.py")
        assert dagster.ended(dagster.launch("videos_prompts")) == "SUCCESS"
        launched = dagster.backfill("videos")
        dagster.wait("the end of the backfill", lambda: dagster.backfill_status(launched) in ENDED)
        assert dagster.backfill_status(launched) == "COMPLETED_SUCCESS"
        stats = dagster.partitions("videos")
        assert (stats["numMaterialized"], stats["numFailed"]) == (5, 0)


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is beside the package in the repository only")
def test_each_command_of_the_tutorial_does_what_the_page_shows(tmp_path: Path) -> None:
    folder, ports = tmp_path / "tutorial", {shown: str(free_port()) for shown in _PORTS}
    folder.mkdir()
    path = f"{commands_in(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    plain = {"PATH": path, "COLUMNS": "80", "PYTHONPATH": str(PAGE.parents[1]), "NO_PROXY": "127.0.0.1"}
    executed = 0

    with shell(folder, ports, **plain) as terminal:
        for step in steps(PAGE.read_text(encoding="utf-8")):
            if isinstance(step, Edit):
                step.apply(folder)
                continue
            if step.line.startswith("dagster dev"):
                (folder / "dagster_home" / "dagster.yaml").write_text(DAGSTER_YAML)
            output = terminal.run(step)
            assert step.matches(output), f"$ {step.line}\n{output}\n\nshown:\n" + "\n".join(step.shown)
            executed += 1
            if step.line.startswith("dagster dev"):
                backfill(f"http://127.0.0.1:{ports['3000']}")

    assert executed >= 20
    assert len(list(folder.rglob("*.mp4"))) >= 5


def test_a_statement_of_the_page_that_is_wrong_is_found() -> None:
    (command,) = _commands("$ wan-assets ledger\n…\nspent $1.00, … reserved\n")

    assert command.matches("a table\n\nspent $1.00, nothing reserved  \n")
    assert not command.matches("a table\nspent $1.01, nothing reserved\n")
    assert not command.matches("spent $1.00, nothing reserved\nand more\n")
