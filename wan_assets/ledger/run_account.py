"""Sums up one run: the tasks that it submitted, the costs that it settled, and its open tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.ledger.kind_costs import KindCosts, kind_costs
from wan_assets.ledger.records import OPEN_STATES, Task, TaskState, task_of
from wan_assets.ledger.schema import tasks

_AT_ONCE = 500


@dataclass(frozen=True)
class RunAccount:
    """One run in the ledger; money in µ$.

    `submitted` counts the tasks that the run submitted. `stored` counts the stored tasks that it settled. A cost is
    counted by the run that settled it, so that the sum over all runs equals the ledger's total.

    The open tasks are those of the run's rows, submitted by any run. `in_flight` tasks are at the API. The results of
    `to_be_stored` tasks are known, but their videos are not in the store. `unconfirmed` tasks are reserved and may have
    reached the API. The API does not know `lost` tasks. `reserved_microusd` is the reservation of these and of the
    run's tasks of unknown cost.
    """

    submitted: int = 0
    in_flight: int = 0
    to_be_stored: int = 0
    unconfirmed: int = 0
    lost: int = 0
    stored: int = 0
    cost_microusd: int = 0
    reserved_microusd: int = 0
    unknown_costs: int = 0
    is_simulated: bool | None = None
    """None if the run has no task."""

    open_tasks: tuple[Task, ...] = ()
    kinds: tuple[KindCosts, ...] = ()
    """The list prices and costs of the tasks that the run settled, by kind of request."""


def run_account(connection: sa.Connection, run_id: str, fingerprints: Collection[str]) -> RunAccount:
    """Returns the account of a run over requests, given by their fingerprints."""
    of_run = (tasks.c.run_id == run_id, tasks.c.submitted_by == run_id, tasks.c.settled_by == run_id)
    mine = [task_of(row) for row in connection.execute(tasks.select().where(sa.or_(*of_run))).mappings()]
    settled = set(connection.scalars(sa.select(tasks.c.task_uuid).where(tasks.c.settled_by == run_id)))
    by_run = tasks.c.submitted_by == run_id
    still_open = {task.task_uuid: task for task in mine if task.state in OPEN_STATES}
    still_open |= {task.task_uuid: task for task in _open_of(connection, fingerprints)}
    unknown = [task for task in mine if task.is_cost_unknown]
    states = [task.state for task in still_open.values()]
    return RunAccount(
        submitted=connection.execute(sa.select(sa.func.count()).select_from(tasks).where(by_run)).scalar_one(),
        in_flight=states.count(TaskState.SUBMITTED),
        to_be_stored=states.count(TaskState.DELIVERED),
        unconfirmed=states.count(TaskState.RESERVED),
        lost=states.count(TaskState.LOST),
        stored=sum(task.state is TaskState.STORED and task.task_uuid in settled for task in mine),
        cost_microusd=sum(task.cost_microusd for task in mine if task.task_uuid in settled),
        reserved_microusd=sum(task.reserved_microusd for task in (*still_open.values(), *unknown)),
        unknown_costs=len(unknown),
        is_simulated=all(task.is_simulated for task in mine) if mine else None,
        open_tasks=tuple(still_open.values()),
        kinds=tuple(kind_costs(task for task in mine if task.task_uuid in settled)),
    )


def _open_of(connection: sa.Connection, fingerprints: Collection[str]) -> Iterator[Task]:
    for some in chunked(fingerprints, _AT_ONCE):
        here = (tasks.c.fingerprint.in_(some), tasks.c.state.in_(OPEN_STATES))
        yield from map(task_of, connection.execute(tasks.select().where(*here)).mappings())
