"""Progress of long operations on standard error: a bar on a terminal, otherwise a line at intervals."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wan_assets.cli.display import console_on, printable
from wan_assets.cli.output_streams import open_standard
from wan_assets.engine import (
    Clock,
    Estimate,
    FailureLog,
    PendingLog,
    Progress,
    ReportSchedule,
    Stage,
    clock_text,
    progress_line,
)
from wan_assets.errors import WanAssetsError


class ProgressDisplay(Protocol):
    """Receives progress and messages of an operation."""

    def __call__(self, stage: Stage) -> None:
        """Shows the current progress."""

    def note(self, text: str) -> None:
        """Shows a message that remains visible."""

    def fail(self, row: str, error: WanAssetsError, *, is_skipped: bool = False) -> None:
        """Shows why a row failed or was skipped; of many rows with the same error only the first few."""


_FIRST_S = 10.0
_MAX_S = 60.0
_FRAMES_A_SECOND = 4
_WIDEST = 100


@contextmanager
def progress_display(
    title: str,
    first: Stage,
    *,
    is_quiet: bool,
    is_persistent: bool = True,
    completed: Callable[[str], str] = str,
    clock: Clock = time.monotonic,
) -> Iterator[ProgressDisplay]:
    """Yields a display of progress, which starts at `first`. A quiet display shows messages only.

    On a terminal the last state remains visible if `is_persistent` is true. `completed` adds options to the commands in
    error messages.
    """
    with _standard_error() as file:
        console = console_on(file)
        if is_quiet:
            yield _LineDisplay(title, file, clock, completed, is_quiet=True)
        elif file.isatty() and console.is_terminal and not console.is_dumb_terminal:
            screen = _LiveDisplay(title, first, console, clock, completed)
            with Live(
                get_renderable=screen.frame,
                console=console,
                refresh_per_second=_FRAMES_A_SECOND,
                transient=not is_persistent,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield screen
        else:
            yield _LineDisplay(title, file, clock, completed)


class _MessageLog:
    """Shows messages, and the first failures of each kind."""

    def __init__(self, completed: Callable[[str], str]) -> None:
        log = logging.getLogger(__name__)
        log.propagate, log.handlers[:] = False, [_MessageHandler(self, completed)]
        self._failures, self._unknown = FailureLog(log), PendingLog(log)

    def update_pending(self, stage: Stage) -> None:
        if isinstance(stage, Progress):
            self._unknown.add(stage.snapshot)

    def note(self, text: str) -> None:
        raise NotImplementedError

    def fail(self, row: str, error: WanAssetsError, *, is_skipped: bool = False) -> None:
        self._failures.add(row, error, is_skipped=is_skipped)


class _MessageHandler(logging.Handler):
    def __init__(self, messages: _MessageLog, completed: Callable[[str], str]) -> None:
        super().__init__()
        self._messages, self._completed = messages, completed

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.note(self._completed(record.getMessage()))


class _LiveDisplay(_MessageLog):
    """A few lines that are redrawn below the messages."""

    def __init__(
        self, title: str, first: Stage, console: Console, clock: Clock, completed: Callable[[str], str]
    ) -> None:
        super().__init__(completed)
        self._title, self._stage, self._console, self._clock = title, first, console, clock
        self._began = clock()
        self._estimate = Estimate(clock)

    def note(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)

    def __call__(self, stage: Stage) -> None:
        self._stage = stage
        self.update_pending(stage)
        if isinstance(stage, Progress):
            self._estimate.note(stage)

    def frame(self) -> RenderableType:
        """Returns the current lines at the current width of the terminal."""
        if (width := _width_of(self._console.file)) > 0:
            self._console.width = width
        stage, maximum = self._stage, min(self._console.width, _WIDEST)
        words = [*_wrapped(stage.counts(), maximum), *_wrapped(stage.money(), maximum)]
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in words]
        pending = [Text(printable(line), overflow="fold") for line in _wrapped(stage.pending(), maximum)]
        return Group(self._head(stage, maximum), *lines, *pending)

    def _head(self, stage: Stage, width: int) -> RenderableType:
        bar = ProgressBar(total=stage.total, completed=stage.ended, pulse=stage.total is None)
        of_all = "" if stage.total is None else f"/{stage.total:,}"
        took = clock_text(self._clock() - self._began)
        head = Table.grid(padding=(0, 1))
        head.width = width
        for ratio in (None, 1, None, None, None):
            head.add_column(no_wrap=True, ratio=ratio)
        head.add_row(self._title, bar, f"{stage.ended:,}{of_all}", took, self._estimate.left())
        return head


class _LineDisplay(_MessageLog):
    """Writes a line at intervals, the first after a delay; a quiet display writes messages only."""

    def __init__(
        self, title: str, file: TextIO, clock: Clock, completed: Callable[[str], str], *, is_quiet: bool = False
    ) -> None:
        super().__init__(completed)
        self._is_quiet = is_quiet
        self._title, self._file, self._clock = title, file, clock
        self._began = clock()
        self._estimate = Estimate(clock)
        self._spacing = ReportSchedule(first_s=_FIRST_S, most_s=_MAX_S, clock=clock)

    def note(self, text: str) -> None:
        self._file.write(f"{printable(text)}\n")
        self._file.flush()

    def __call__(self, stage: Stage) -> None:
        self.update_pending(stage)
        if isinstance(stage, Progress):
            self._estimate.note(stage)
        if not self._is_quiet and self._spacing.is_due():
            took = clock_text(self._clock() - self._began)
            self._file.write(f"[{took}] {self._title} {progress_line(stage, self._estimate.left())}\n")


@contextmanager
def _standard_error() -> Iterator[TextIO]:
    """Yields a duplicate of standard error, because Dagster redirects standard error while a step runs."""
    try:
        own = os.dup(sys.stderr.fileno())
    except (AttributeError, OSError):
        yield sys.stderr
        return
    with open_standard(own, sys.stderr.encoding) as file:
        yield file


def _width_of(file: IO[str]) -> int:
    with suppress(OSError):  # the terminal is gone
        return os.get_terminal_size(file.fileno()).columns
    return 0


def _wrapped(items: Sequence[str], width: int) -> Iterator[str]:
    """Joins items into lines that fit the width."""
    line = ""
    for item in items:
        if line and len(line) + 2 + len(item) > width - 1:
            yield f"{line},"
            line = item
        else:
            line = f"{line}, {item}" if line else item
    if line:
        yield line
