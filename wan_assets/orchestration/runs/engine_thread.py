"""Runs the engine, in a thread for synchronous callers, or in the event loop of the caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from wan_assets.engine import (
    Limits,
    Outcome,
    Progress,
    ProgressCallback,
    ProgressTracker,
    RunSnapshot,
    VideoJob,
    generate,
    iterate_in_thread,
)
from wan_assets.ledger import Ledger, Origin
from wan_assets.orchestration.resources import RunwareResource
from wan_assets.store import VideoStore

Update: TypeAlias = Outcome | RunSnapshot


@dataclass(frozen=True)
class EngineRun:
    """The jobs of one run of the engine, and everything that it uses."""

    jobs: Sequence[VideoJob]
    runware: RunwareResource
    store: VideoStore
    ledger: Ledger
    limits: Limits
    origin: Origin
    media: Mapping[str, Path]

    @contextmanager
    def outcomes(self, on_progress: ProgressCallback) -> Iterator[Iterator[Outcome]]:
        """Yields an iterator over the outcome of each job; leaving the block stops submissions at once.

        `on_progress` is called in the reading thread, with the progress after each outcome and while tasks are in
        flight.
        """
        with iterate_in_thread(self.updates) as reported:
            yield _followed(reported, ProgressTracker(Progress(len(self.jobs)), on_progress))

    async def outcomes_here(self, on_progress: ProgressCallback) -> AsyncGenerator[Outcome, None]:
        """Yields the outcome of each job in the running event loop."""
        following = ProgressTracker(Progress(len(self.jobs)), on_progress)
        async with aclosing(self.updates(following.update)) as found:
            async for one in found:
                if isinstance(one, Outcome):
                    yield one
                following.update(one)

    async def updates(self, report: Callable[[Update], None]) -> AsyncGenerator[Update, None]:
        """Yields each outcome, and passes the progress in between to `report`."""
        async with self.runware.connect() as client:
            source = generate(
                self.jobs,
                client=client,
                store=self.store,
                ledger=self.ledger,
                limits=self.limits,
                origin=self.origin,
                media=self.media,
                on_progress=report,
            )
            async with aclosing(source) as found:
                async for outcome in found:
                    yield outcome


def _followed(reported: Iterator[Update], following: ProgressTracker) -> Iterator[Outcome]:
    for one in reported:
        if isinstance(one, Outcome):
            yield one
        following.update(one)
