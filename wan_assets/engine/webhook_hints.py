"""Tasks that a webhook told of: the ledger passes it on, and they are polled now instead of in their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from wan_assets.client import RunwareClient
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.poller import Poller
from wan_assets.errors import LedgerError


def background_tasks_for(
    client: RunwareClient, session: LedgerSession, poller: Poller
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What has to run beside a run's work: nothing where the API was not asked to tell of results."""
    return (
        (partial(_poll_hinted_tasks, session, poller, client.http_config.webhook_poll_interval_s),)
        if client.has_webhook
        else ()
    )


async def _poll_hinted_tasks(session: LedgerSession, poller: Poller, every_s: float) -> None:
    """Asks until cancelled; a ledger that does not answer costs only time."""
    while True:
        await asyncio.sleep(every_s)
        if awaited := poller.awaited:
            with suppress(LedgerError):
                poller.poll_soon(await session.call(session.ledger.take_hints, awaited))
