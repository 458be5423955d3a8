"""Runs the engine's event loop in a thread and yields its outcomes synchronously."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
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


@contextmanager
def outcomes_of(
    jobs: Sequence[VideoJob],
    *,
    runware: RunwareResource,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits,
    origin: Origin,
    media: Mapping[str, Path],
    on_progress: ProgressCallback,
) -> Iterator[Iterator[Outcome]]:
    """Yields the outcome of each job; leaving the block stops submissions at once.

    `on_progress` is called in the reading thread, with the progress after each outcome and while tasks are in flight.
    """

    async def generated(report: Callable[[Update], None]) -> AsyncGenerator[Update, None]:
        async with runware.connect() as client:
            source = generate(
                jobs,
                client=client,
                store=store,
                ledger=ledger,
                limits=limits,
                origin=origin,
                media=media,
                on_progress=report,
            )
            async with aclosing(source) as found:
                async for outcome in found:
                    yield outcome

    with iterate_in_thread(generated) as reported:
        yield _followed(reported, ProgressTracker(Progress(len(jobs)), on_progress))


def _followed(reported: Iterator[Update], following: ProgressTracker) -> Iterator[Outcome]:
    for one in reported:
        if isinstance(one, Outcome):
            yield one
        following.update(one)
