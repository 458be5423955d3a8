"""The engine as a Dagster run reads it: outcomes one by one, from a loop in a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TypeAlias

from wan_assets.engine import Following, Limits, Order, Outcome, Progress, UnderWay, Watcher, generate, threaded
from wan_assets.ledger import Ledger, Origin
from wan_assets.orchestration.resources import RunwareResource
from wan_assets.store import VideoStore

Told: TypeAlias = Outcome | UnderWay


@contextmanager
def outcomes_of(
    orders: Sequence[Order],
    *,
    runware: RunwareResource,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits,
    origin: Origin,
    media: Mapping[str, Path],
    watch: Watcher,
) -> Iterator[Iterator[Outcome]]:
    """Gives what becomes of each order; leaving the block stops sending at once.

    `watch` is told, in the thread that reads, of each outcome that was read to its end, and of what is under way.
    """

    async def generated(tell: Callable[[Told], None]) -> AsyncGenerator[Told, None]:
        async with runware.connect() as client:
            source = generate(
                orders,
                client=client,
                store=store,
                ledger=ledger,
                limits=limits,
                origin=origin,
                media=media,
                watch=tell,
            )
            async with aclosing(source) as found:
                async for outcome in found:
                    yield outcome

    with threaded(generated) as told:
        yield _followed(told, Following(Progress(len(orders)), watch))


def _followed(told: Iterator[Told], following: Following) -> Iterator[Outcome]:
    for one in told:
        if isinstance(one, Outcome):
            yield one
        following.tell(one)
