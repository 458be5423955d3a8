"""Progress of long work on standard error: a bar on a terminal, now and then a plain line anywhere else."""

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


class Show(Protocol):
    """Is told how far work is, and of what people should know at once."""

    def __call__(self, stage: Stage) -> None:
        """Shows how far the work is now."""

    def note(self, text: str) -> None:
        """Shows a line that stays."""

    def fail(self, row: str, error: WanAssetsError) -> None:
        """Shows why a row has no video; of many rows with the same reason the first few."""


_FIRST_S = 10.0
_MAX_S = 60.0
_FRAMES_A_SECOND = 4
_WIDEST = 100


@contextmanager
def watched(
    title: str,
    first: Stage,
    *,
    is_quiet: bool,
    leaves_trace: bool = True,
    completed: Callable[[str], str] = str,
    clock: Clock = time.monotonic,
) -> Iterator[Show]:
    """Gives the function that is told how far the work is, which begins at `first`; quiet, it shows lines that stay.

    On a terminal the last of it stays, unless it `leaves_trace` no longer than the work lasts. Reasons of failures are
    shown as `completed`.
    """
    with _standard_error() as file:
        console = console_on(file)
        if is_quiet:
            yield _Lines(title, file, clock, completed, is_quiet=True)
        elif file.isatty() and console.is_terminal and not console.is_dumb_terminal:
            screen = _Screen(title, first, console, clock, completed)
            with Live(
                get_renderable=screen.frame,
                console=console,
                refresh_per_second=_FRAMES_A_SECOND,
                transient=not leaves_trace,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield screen
        else:
            yield _Lines(title, file, clock, completed)


class _Noting:
    """What of a display stays: lines, and the first failures of each kind."""

    def __init__(self, completed: Callable[[str], str]) -> None:
        log = logging.getLogger(__name__)
        log.propagate, log.handlers[:] = False, [_Noted(self, completed)]
        self._failures, self._unknown = FailureLog(log), PendingLog(log)

    def note_of(self, stage: Stage) -> None:
        if isinstance(stage, Progress):
            self._unknown.add(stage.snapshot)

    def note(self, text: str) -> None:
        raise NotImplementedError

    def fail(self, row: str, error: WanAssetsError) -> None:
        self._failures.add(row, error)


class _Noted(logging.Handler):
    def __init__(self, noting: _Noting, completed: Callable[[str], str]) -> None:
        super().__init__()
        self._noting, self._completed = noting, completed

    def emit(self, record: logging.LogRecord) -> None:
        self._noting.note(self._completed(record.getMessage()))


class _Screen(_Noting):
    """A few lines that are drawn over and over, below those that stay."""

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
        self.note_of(stage)
        if isinstance(stage, Progress):
            self._estimate.note(stage)

    def frame(self) -> RenderableType:
        """The lines as they are now, as wide as the terminal is now."""
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


class _Lines(_Noting):
    """A line now and then, the first not before work turns out to be long; quiet, just those that stay."""

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
        self.note_of(stage)
        if isinstance(stage, Progress):
            self._estimate.note(stage)
        if not self._is_quiet and self._spacing.is_due():
            took = clock_text(self._clock() - self._began)
            self._file.write(f"[{took}] {self._title} {progress_line(stage, self._estimate.left())}\n")


@contextmanager
def _standard_error() -> Iterator[TextIO]:
    """Where standard error goes now: while a Dagster step runs, it goes to the step's own log."""
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
    """Items side by side, as many as fit into a line."""
    line = ""
    for item in items:
        if line and len(line) + 2 + len(item) > width - 1:
            yield f"{line},"
            line = item
        else:
            line = f"{line}, {item}" if line else item
    if line:
        yield line
