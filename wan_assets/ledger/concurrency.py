"""Stores the concurrency limit of an account, and what each run needs of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from wan_assets.ledger.clock import NOW_S
from wan_assets.ledger.records import TaskState, money_kind
from wan_assets.ledger.schema import concurrency, tasks, upsert_into, waiting_runs

_LEASE_S = 10.0
"""A run writes its needs about once a second. A run that has not written for this time has ended."""

_MAX_CHARACTERS = 256
_KEPT_S = 90 * 24 * 3600.0
"""A limit that has not changed for this time is deleted, because each simulator has a new address."""


@dataclass(frozen=True)
class LearnedLimit:
    """The limit that a run has learned.

    `ceiling` is the number of tasks in flight when the API refused another one, `refused_ago_s` seconds ago. Both are
    None if the API has refused nothing.
    """

    limit: int
    ceiling: int | None = None
    refused_ago_s: float | None = None


@dataclass(frozen=True)
class RunNeeds:
    """The needs of one run: tasks at the API, rows that wait or have waited, and seconds since a task last made
    progress.
    """

    owner: str
    in_flight: int
    waiting: int
    moved_ago_s: float
    has_waited: bool = False


@dataclass(frozen=True)
class SharedLimit:
    """The limit if another run has changed it, and the needs of the other runs."""

    learned: LearnedLimit | None
    others: tuple[RunNeeds, ...]


_MOVED_AGO_S = (NOW_S - waiting_runs.c.moved_at).label("moved_ago_s")
_REFUSED_AGO_S = (NOW_S - concurrency.c.refused_at).label("refused_ago_s")


def exchange(
    connection: sa.Connection, account: str, needs: RunNeeds, learned: LearnedLimit | None, *, simulated: bool
) -> SharedLimit:
    """Writes the needs of a run and what it has learned since the last exchange; returns what the other runs wrote.

    A run that never had waiting rows writes nothing: its tasks at the API are in the ledger.
    """
    if needs.waiting or needs.has_waited:
        _write_needs(connection, account, needs)
    if learned is not None:
        _write_learned(connection, account, needs.owner, learned)
    here = (concurrency.c.account == account, concurrency.c.changed_by != needs.owner)
    row = connection.execute(sa.select(concurrency, _REFUSED_AGO_S).where(*here)).mappings().first()
    return SharedLimit(
        _learned_of(row) if row else None, _others(connection, account, needs.owner, simulated=simulated)
    )


def leave(connection: sa.Connection, account: str, owner: str, learned: LearnedLimit | None) -> None:
    """Writes what a run has learned, and deletes its needs and those of killed runs."""
    if learned is not None:
        _write_learned(connection, account, owner, learned)
    is_over = (waiting_runs.c.owner == owner) | (waiting_runs.c.lease_until < NOW_S)
    connection.execute(waiting_runs.delete().where(is_over))


def _write_needs(connection: sa.Connection, account: str, needs: RunNeeds) -> None:
    reported: dict[str, Any] = {"account": account, "waiting": needs.waiting, "moved_at": NOW_S - needs.moved_ago_s}
    reported["lease_until"] = NOW_S + _LEASE_S
    connection.execute(upsert_into(connection.dialect.name, waiting_runs).values(owner=needs.owner, **reported))


def _write_learned(connection: sa.Connection, account: str, owner: str, learned: LearnedLimit) -> None:
    connection.execute(concurrency.delete().where(concurrency.c.changed_at < NOW_S - _KEPT_S))
    refused_at = None if learned.refused_ago_s is None else NOW_S - learned.refused_ago_s
    reported: dict[str, Any] = {"task_limit": learned.limit, "ceiling": learned.ceiling, "refused_at": refused_at}
    reported |= {"changed_at": NOW_S, "changed_by": owner}
    connection.execute(upsert_into(connection.dialect.name, concurrency).values(account=account, **reported))


def _learned_of(row: sa.RowMapping) -> LearnedLimit:
    ago_s = row["refused_ago_s"]
    return LearnedLimit(row["task_limit"], row["ceiling"], None if ago_s is None else max(0.0, ago_s))


def _others(connection: sa.Connection, account: str, owner: str, *, simulated: bool) -> tuple[RunNeeds, ...]:
    """Returns all other live runs that have tasks at the API or wait to submit some."""
    here = (waiting_runs.c.account == account, waiting_runs.c.owner != owner, waiting_runs.c.lease_until >= NOW_S)
    reported = connection.execute(sa.select(waiting_runs, _MOVED_AGO_S).where(*here)).mappings()
    runs = {row["owner"]: RunNeeds(row["owner"], 0, row["waiting"], max(0.0, row["moved_ago_s"])) for row in reported}
    at_api = (tasks.c.state == TaskState.SUBMITTED, tasks.c.is_simulated == simulated, tasks.c.lease_until >= NOW_S)
    counted = sa.select(tasks.c.owner, sa.func.count()).where(*at_api, tasks.c.owner != owner).group_by(tasks.c.owner)
    for other, in_flight in connection.execute(counted):
        runs[other] = replace(runs.get(other, RunNeeds(other, 0, 0, math.inf)), in_flight=in_flight)
    return tuple(runs[other] for other in sorted(runs))


def account_of(base_url: str, *, simulated: bool) -> str:
    """Returns the ledger's name for an account: its kind of money and its address, without credentials and query."""
    parts = urlsplit(base_url)
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{money_kind(simulated)} {host}{parts.path.rstrip('/')}"[:_MAX_CHARACTERS]
