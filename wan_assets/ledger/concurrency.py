"""The concurrency limit of an account, as its runs have learned it, and what each run needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wan_assets.ledger.entries import TaskState
from wan_assets.ledger.moments import NOW_S
from wan_assets.ledger.schema import concurrency, inserted, tasks, waiting_runs

_LEASE_S = 10.0
"""A run tells its needs about once a second; one that does not for so long has ended."""

_KEPT_S = 90 * 24 * 3600.0
"""A limit that no run has changed for so long is deleted: simulators have a new address each time."""


@dataclass(frozen=True)
class LearnedLimit:
    """The limit that a run has learned.

    `ceiling` is the number of tasks that were in flight when the API refused another one, `refused_ago_s` seconds ago;
    both are None where it has refused nothing.
    """

    limit: int
    ceiling: int | None = None
    refused_ago_s: float | None = None


@dataclass(frozen=True)
class RunNeeds:
    """One run's share in the limit: tasks at the API, rows that wait, and seconds since a task of it came on."""

    owner: str
    in_flight: int
    waiting: int
    moved_ago_s: float


@dataclass(frozen=True)
class SharedLimit:
    """What a run is told: the limit if another run has changed it, and the needs of the other runs."""

    learned: LearnedLimit | None
    others: tuple[RunNeeds, ...]


def exchange(
    connection: sa.Connection, account: str, needs: RunNeeds, learned: LearnedLimit | None, *, simulated: bool
) -> SharedLimit:
    """Writes what a run needs, and what it has learned since the last time; returns what the other runs wrote."""
    now = float(connection.execute(sa.select(NOW_S)).scalar_one())
    _tell(connection, account, needs, now)
    if learned is not None:
        _learn(connection, account, needs.owner, learned, now)
    here = (concurrency.c.account == account, concurrency.c.changed_by != needs.owner)
    row = connection.execute(concurrency.select().where(*here)).mappings().first()
    return SharedLimit(
        _learned_of(row, now) if row else None, _others(connection, account, needs.owner, now, simulated=simulated)
    )


def leave(connection: sa.Connection, owner: str) -> None:
    """Deletes the needs of a run that has ended."""
    connection.execute(waiting_runs.delete().where(waiting_runs.c.owner == owner))


def _tell(connection: sa.Connection, account: str, needs: RunNeeds, now: float) -> None:
    told: dict[str, Any] = {"account": account, "waiting": needs.waiting, "moved_at": now - needs.moved_ago_s}
    told["lease_until"] = now + _LEASE_S
    new = inserted(connection.dialect.name, waiting_runs).values(owner=needs.owner, **told)
    connection.execute(new.on_conflict_do_update(index_elements=(waiting_runs.c.owner,), set_=told))


def _learn(connection: sa.Connection, account: str, owner: str, learned: LearnedLimit, now: float) -> None:
    connection.execute(concurrency.delete().where(concurrency.c.changed_at < now - _KEPT_S))
    refused_at = None if learned.refused_ago_s is None else now - learned.refused_ago_s
    told: dict[str, Any] = {"task_limit": learned.limit, "ceiling": learned.ceiling, "refused_at": refused_at}
    told |= {"changed_at": now, "changed_by": owner}
    new = inserted(connection.dialect.name, concurrency).values(account=account, **told)
    connection.execute(new.on_conflict_do_update(index_elements=(concurrency.c.account,), set_=told))


def _learned_of(row: sa.RowMapping, now: float) -> LearnedLimit:
    refused_at = row["refused_at"]
    return LearnedLimit(row["task_limit"], row["ceiling"], None if refused_at is None else max(0.0, now - refused_at))


def _others(
    connection: sa.Connection, account: str, owner: str, now: float, *, simulated: bool
) -> tuple[RunNeeds, ...]:
    """All other living runs that hold tasks at the API or wait to."""
    connection.execute(waiting_runs.delete().where(waiting_runs.c.lease_until < now))
    here = (waiting_runs.c.account == account, waiting_runs.c.owner != owner)
    told = {row["owner"]: row for row in connection.execute(waiting_runs.select().where(*here)).mappings()}
    at_api = (tasks.c.state == TaskState.SUBMITTED, tasks.c.is_simulated == simulated, tasks.c.lease_until >= now)
    counted = sa.select(tasks.c.owner, sa.func.count()).where(*at_api, tasks.c.owner != owner).group_by(tasks.c.owner)
    in_flight: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
    return tuple(
        RunNeeds(
            other,
            in_flight.get(other, 0),
            told[other]["waiting"] if other in told else 0,
            max(0.0, now - told[other]["moved_at"]) if other in told else float("inf"),
        )
        for other in sorted(told.keys() | in_flight.keys())
    )
