"""Polls tasks early when a webhook has reported them; the ledger passes on these hints."""

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
    """Returns the background tasks for webhook hints; none if the API does not use a webhook."""
    return (
        (partial(_poll_hinted_tasks, session, poller, client.http_config.webhook_poll_interval_s),)
        if client.has_webhook
        else ()
    )


async def _poll_hinted_tasks(session: LedgerSession, poller: Poller, every_s: float) -> None:
    """Reads hints until cancelled. If the ledger does not answer, only time is lost."""
    while True:
        await asyncio.sleep(every_s)
        if awaited := poller.awaited:
            with suppress(LedgerError):
                poller.poll_soon(await session.call(session.ledger.take_hints, awaited))
