"""Compares the list prices of tasks, as recorded when they were reserved, with their costs, by kind of request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import sqlalchemy as sa

from wan_assets.ledger.records import Task, TaskState, task_of
from wan_assets.ledger.schema import tasks
from wan_assets.models import (
    VideoRequest,
    is_price_determined,
    lowest_price_microusd,
    margin_of,
    request_kind,
    worst_price_microusd,
)

RECENT_TASKS = 20
"""How many tasks of each kind are compared: as many as the ledger remembers recent costs of."""

_TASKS_READ = 1000
_NO_PART_OF_KINDS = ("positivePrompt", "negativePrompt", "seed")
_CHARGED = (TaskState.DELIVERED, TaskState.STORED)


@dataclass(frozen=True)
class KindCosts:
    """The tasks of one kind of request that have results; money in µ$.

    `compared` of the `tasks` have a list price and a known cost: `estimated_microusd` and `cost_microusd` are the sums
    of these. The cost of `unknown` tasks is not known. The others had no list price. If the request does not
    determine the price, it is between `lowest_microusd` and `highest_microusd`. `margin` is the share by
    which a cost may differ from it.
    """

    kind: str
    is_simulated: bool
    tasks: int
    compared: int
    unknown: int
    estimated_microusd: int
    cost_microusd: int
    lowest_microusd: int
    highest_microusd: int
    margin: Decimal

    @property
    def deviation(self) -> Decimal | None:
        """The share by which the cost differs from the list price; None if there is nothing to compare."""
        if not self.estimated_microusd:
            return None
        return Decimal(self.cost_microusd - self.estimated_microusd) / self.estimated_microusd

    @property
    def has_drifted(self) -> bool:
        """Whether the cost is outside of the margin of the list price."""
        low, high = self.lowest_microusd * (1 - self.margin), self.highest_microusd * (1 + self.margin)
        return self.compared > 0 and not low <= self.cost_microusd <= high


@dataclass
class _Sums:
    """The tasks of one kind so far, with an example; `compared` are the list prices and costs of some of them."""

    example: VideoRequest
    tasks: int = 0
    unknown: int = 0
    compared: list[tuple[int, int]] = field(default_factory=list)

    def add(self, task: Task) -> None:
        self.tasks += 1
        self.unknown += task.reserved_microusd > 0
        if task.estimated_microusd is not None and not task.reserved_microusd:
            self.compared.append((task.estimated_microusd, task.cost_microusd))


def recent_kind_costs(connection: sa.Connection, margin: Decimal | None) -> list[KindCosts]:
    """Returns the latest 20 tasks of each kind, of the latest 1,000 tasks with results."""
    query = tasks.select().where(tasks.c.state.in_(_CHARGED)).order_by(tasks.c.created_at.desc()).limit(_TASKS_READ)
    found = [task_of(row) for row in connection.execute(query).mappings()]
    return kind_costs(found, margin, most=RECENT_TASKS)


def kind_costs(found: Iterable[Task], margin: Decimal | None = None, *, most: int | None = None) -> list[KindCosts]:
    """Returns tasks with results by kind, sorted by name; at most the first tasks of each kind.

    `margin` replaces the margins that the descriptions of the models state.
    """
    sums: dict[tuple[str, bool], _Sums] = {}
    requests: dict[str, VideoRequest] = {}
    for task in found:
        if task.state not in _CHARGED:
            continue
        request = _request_of(task, requests)
        of_kind = sums.setdefault((request_kind(request), task.is_simulated), _Sums(request))
        if most is None or of_kind.tasks < most:
            of_kind.add(task)
    return [_kind_costs(key, sums[key], margin) for key in sorted(sums)]


def _request_of(task: Task, known: dict[str, VideoRequest]) -> VideoRequest:
    """Returns the request of a task without its texts, which are no part of its kind; equal ones are read once."""
    record = {name: value for name, value in task.request.items() if name not in _NO_PART_OF_KINDS}
    text = json.dumps(record, sort_keys=True)
    if text not in known:
        known[text] = VideoRequest.from_record(record)
    return known[text]


def _kind_costs(key: tuple[str, bool], found: _Sums, margin: Decimal | None) -> KindCosts:
    estimated, cost = (sum(each) for each in zip((0, 0), *found.compared, strict=True))
    lowest, highest = estimated, estimated
    if not is_price_determined(found.example):
        lowest = min(lowest, lowest_price_microusd(found.example) * len(found.compared))
        highest = max(highest, worst_price_microusd(found.example) * len(found.compared))
    return KindCosts(
        *key,
        tasks=found.tasks,
        compared=len(found.compared),
        unknown=found.unknown,
        estimated_microusd=estimated,
        cost_microusd=cost,
        lowest_microusd=lowest,
        highest_microusd=highest,
        margin=margin_of(found.example, margin),
    )
