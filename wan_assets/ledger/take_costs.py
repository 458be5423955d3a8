"""Sums up the cost of all takes of the rows that have an approved video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.ledger import takes
from wan_assets.ledger.decisions import DecisionValue
from wan_assets.ledger.records import OPEN_STATES
from wan_assets.ledger.schema import decisions, tasks
from wan_assets.ledger.takes import Takes

_PER_STATEMENT = 300


@dataclass(frozen=True)
class TakeCosts:
    """The approved videos of one kind of money, and the cost in µ$ of all tasks of their rows.

    `retakes` are the tasks of further takes, which are part of `tasks`. `unknown` counts ended tasks of unknown cost,
    which the amounts do not contain.
    """

    is_simulated: bool
    approved: int = 0
    rows: int = 0
    tasks: int = 0
    cost_microusd: int = 0
    retakes: int = 0
    retakes_microusd: int = 0
    unknown: int = 0

    @property
    def per_approved_microusd(self) -> int:
        """The cost of all takes divided by the approved videos; 0 without any."""
        return round(self.cost_microusd / self.approved) if self.approved else 0


def take_costs(connection: sa.Connection) -> list[TakeCosts]:
    """Returns the costs of real and of simulated money, each only if there is an approved video."""
    approved = _approved_requests(connection)
    first = takes.row_fingerprints(connection, approved)
    rows = list(dict.fromkeys(first.get(fingerprint, fingerprint) for fingerprint in approved))
    found = (_costs_of(connection, rows, simulated=simulated) for simulated in (False, True))
    return [costs for costs in found if costs.approved]


def _approved_requests(connection: sa.Connection) -> list[str]:
    """Returns the fingerprints of the requests of videos whose latest decision approves them."""
    video = (decisions.c.fingerprint, decisions.c.sha256, decisions.c.result)
    latest = sa.select(sa.func.max(decisions.c.number)).group_by(*video)
    approved = (decisions.c.number.in_(latest), decisions.c.value == DecisionValue.APPROVED)
    return list(connection.scalars(sa.select(decisions.c.fingerprint).where(*approved).distinct()))


def _costs_of(connection: sa.Connection, rows: list[str], *, simulated: bool) -> TakeCosts:
    """Returns the costs of the rows of which a stored video is approved."""
    of_rows = takes.of_rows(connection, rows, simulated=simulated)
    approved = {row: count for row, taken in of_rows.items() if (count := _approved_videos(taken))}
    prints = [take.fingerprint for row in approved for take in of_rows[row].takes]
    first, further = _sums(connection, prints, simulated=simulated)
    return TakeCosts(
        simulated,
        approved=sum(approved.values()),
        rows=len(approved),
        tasks=first.tasks + further.tasks,
        cost_microusd=first.cost_microusd + further.cost_microusd,
        retakes=further.tasks,
        retakes_microusd=further.cost_microusd,
        unknown=first.unknown + further.unknown,
    )


def _approved_videos(taken: Takes) -> int:
    return sum(decision.is_approved for take in taken.takes for decision in take.decisions)


@dataclass
class _Sum:
    tasks: int = 0
    cost_microusd: int = 0
    unknown: int = 0


def _sums(connection: sa.Connection, fingerprints: Iterable[str], *, simulated: bool) -> tuple[_Sum, _Sum]:
    """Returns the sums over the first takes, and over the further ones."""
    first, further = _Sum(), _Sum()
    is_unknown = tasks.c.state.not_in(OPEN_STATES) & (tasks.c.reserved_microusd > 0)
    is_further = (tasks.c.take > 1).label("is_further")
    unknown = sa.func.sum(sa.case((is_unknown, 1), else_=0))
    for some in chunked(dict.fromkeys(fingerprints), _PER_STATEMENT):
        query = (
            sa.select(is_further, sa.func.count(), sa.func.sum(tasks.c.cost_microusd), unknown)
            .where(tasks.c.fingerprint.in_(some), tasks.c.is_simulated == simulated)
            .group_by("is_further")
        )
        for is_further_one, count, cost, without_cost in connection.execute(query):
            total = further if is_further_one else first
            total.tasks += count
            total.cost_microusd += int(cost)
            total.unknown += int(without_cost)
    return first, further
