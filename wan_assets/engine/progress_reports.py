"""Whoever watches a run is told what it has under way: about once a second, and once more at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from wan_assets.engine.in_flight import UnderWay, Watch
from wan_assets.engine.ledger_session import Desk
from wan_assets.engine.slots import Slots
from wan_assets.engine.task_runner import Work

_BEAT_S = 1.0


async def under_way(desk: Desk, work: Work, slots: Slots | None = None) -> UnderWay:
    """What a run has under way now."""
    room_microusd = await desk.room_microusd()
    pending = desk.tally.longest_pending(work.poller.unknown)
    limit = slots.describe() if slots else None
    now = replace(desk.tally.now, pending=pending, at=time.time(), limit=limit)
    return replace(now, room_microusd=room_microusd, trouble=work.trouble)


def attendants_for(
    watch: Watch | None, desk: Desk, work: Work, slots: Slots | None = None
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What has to run beside a run's work: nothing where nobody watches."""
    return (partial(_tell, watch, desk, work, slots),) if watch else ()


async def _tell(watch: Watch, desk: Desk, work: Work, slots: Slots | None) -> None:
    """Tells until cancelled."""
    while True:
        watch(await under_way(desk, work, slots))
        await asyncio.sleep(_BEAT_S)
