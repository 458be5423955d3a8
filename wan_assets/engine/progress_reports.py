"""Whoever watches a run is told what it has under way: about once a second, and once more at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from wan_assets.engine.in_flight import OnProgress, RunSnapshot
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.slots import Slots
from wan_assets.engine.task_runner import TaskRunner

_BEAT_S = 1.0


async def snapshot(session: LedgerSession, work: TaskRunner, slots: Slots | None = None) -> RunSnapshot:
    """What a run has under way now."""
    room_microusd = await session.room_microusd()
    pending = session.tally.longest_pending(work.poller.unknown)
    limit = slots.describe() if slots else None
    now = replace(session.tally.now, pending=pending, at=time.time(), limit=limit)
    return replace(now, room_microusd=room_microusd, retries=work.retries)


def background_tasks_for(
    on_progress: OnProgress | None, session: LedgerSession, work: TaskRunner, slots: Slots | None = None
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What has to run beside a run's work: nothing where nobody watches."""
    return (partial(_report_progress, on_progress, session, work, slots),) if on_progress else ()


async def _report_progress(
    on_progress: OnProgress, session: LedgerSession, work: TaskRunner, slots: Slots | None
) -> None:
    """Tells until cancelled."""
    while True:
        on_progress(await snapshot(session, work, slots))
        await asyncio.sleep(_BEAT_S)
