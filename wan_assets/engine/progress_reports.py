"""Reports snapshots of a run to its observer, about once a second."""

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

_INTERVAL_S = 1.0


async def snapshot(session: LedgerSession, task_runner: TaskRunner, slots: Slots | None = None) -> RunSnapshot:
    """Returns the current snapshot of a run."""
    room_microusd = await session.room_microusd()
    pending = session.tally.longest_pending(task_runner.poller.unknown)
    limit = slots.describe() if slots else None
    now = replace(session.tally.now, pending=pending, at=time.time(), limit=limit)
    return replace(now, room_microusd=room_microusd, retries=task_runner.retries)


def background_tasks_for(
    on_progress: OnProgress | None, session: LedgerSession, task_runner: TaskRunner, slots: Slots | None = None
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """Returns the background tasks for progress reports; none without an observer."""
    return (partial(_report_progress, on_progress, session, task_runner, slots),) if on_progress else ()


async def _report_progress(
    on_progress: OnProgress, session: LedgerSession, task_runner: TaskRunner, slots: Slots | None
) -> None:
    """Reports snapshots until cancelled."""
    while True:
        on_progress(await snapshot(session, task_runner, slots))
        await asyncio.sleep(_INTERVAL_S)
