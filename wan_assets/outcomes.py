"""The engine as a Dagster run reads it: outcomes one by one, from a loop in a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

from wan_assets.generation import Limits, Order, Outcome, generate
from wan_assets.generation.threaded import threaded
from wan_assets.ledger import Ledger, Origin
from wan_assets.resources import RunwareResource
from wan_assets.store import VideoStore


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
) -> Iterator[Iterator[Outcome]]:
    """Gives what becomes of each order; leaving the block stops sending at once."""

    async def generated() -> AsyncGenerator[Outcome, None]:
        async with runware.connect() as client:
            source = generate(
                orders, client=client, store=store, ledger=ledger, limits=limits, origin=origin, media=media
            )
            async with aclosing(source) as found:
                async for outcome in found:
                    yield outcome

    with threaded(generated) as outcomes:
        yield outcomes
