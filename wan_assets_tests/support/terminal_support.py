"""A terminal for tests: a real one of a given width, read to its end, and what it has shown."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patience import PATIENCE_S
from python_process import PythonProcess

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    """How a command ended: what its terminal was sent, and what went to standard output."""

    code: int
    raw: str
    stdout: str

    @property
    def lines(self) -> list[str]:
        """Every line that was ever drawn, without colours and without the blanks at its end."""
        drawn = re.split(r"[\r\n]+", _CONTROL.sub("", self.raw))
        return [line.rstrip() for line in drawn if line.strip()]


def on_terminal(*arguments: Any, columns: int, **environment: str) -> Shown:
    """Runs the command with a terminal of so many columns as its standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = PythonProcess(
        ["-m", "wan_assets", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    raw = b"".join(_read(ours))
    os.close(ours)
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    return Shown(process.returncode, raw.decode(), stdout.decode())


def _read(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until nobody holds it any more."""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            return
        if not piece:
            return
        yield piece
