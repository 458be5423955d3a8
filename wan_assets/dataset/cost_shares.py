"""The cost of each file of a task, computed so that the sum equals the cost that the ledger has recorded."""

from __future__ import annotations

from wan_assets.ledger import Task
from wan_assets.store import StoredTask


def costs_of(task: Task | None, stored: StoredTask) -> tuple[list[int | None], int]:
    """Returns the cost of each file in µ$, None if it is unknown, and the amount still reserved for the task.

    The ledger may have recorded more than the results reported, for failed results or by a manual correction. The
    difference is assigned to the files without a reported cost, or to the first file if all costs were reported.
    """
    costs = [video.cost_microusd for video in stored.videos]
    if task is None:
        return costs, stored.reserved_microusd
    total = task.known_cost_microusd
    return costs if total is None else _completed(costs, total), task.reserved_microusd


def _completed(costs: list[int | None], total: int) -> list[int | None]:
    rest = total - sum(cost or 0 for cost in costs)
    unreported = [number for number, cost in enumerate(costs) if cost is None] or [0]
    share, odd = divmod(rest, len(unreported))
    shares = {number: share + (place < odd) for place, number in enumerate(unreported)}
    return [(cost or 0) + shares.get(number, 0) for number, cost in enumerate(costs)]
