"""What each file of a task cost, so that the files' sum is what the ledger has booked for the task."""

from __future__ import annotations

from wan_assets.ledger import Task
from wan_assets.store import StoredTask


def costs_of(task: Task | None, stored: StoredTask) -> tuple[list[int | None], int]:
    """The cost of each file in µ$, None where it is unknown, and what is still reserved for the task.

    What was booked beyond the costs that the results told, by hand or for results that failed, goes to the files whose
    cost was not told, or else to the first.
    """
    costs = [video.cost_microusd for video in stored.videos]
    if task is None:
        return costs, stored.reserved_microusd
    total = task.known_cost_microusd
    return costs if total is None else _completed(costs, total), task.reserved_microusd


def _completed(costs: list[int | None], total: int) -> list[int | None]:
    rest = total - sum(cost or 0 for cost in costs)
    open_ = [number for number, cost in enumerate(costs) if cost is None] or [0]
    share, odd = divmod(rest, len(open_))
    shares = {number: share + (place < odd) for place, number in enumerate(open_)}
    return [(cost or 0) + shares.get(number, 0) for number, cost in enumerate(costs)]
