"""Enforces budgets in the same transaction that reserves money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from wan_assets.errors import BudgetExceededError, budget_name
from wan_assets.ledger.schema import given, insert_into, spend

_NO_CAP = 2**62
"""An unreachable cap in µ$."""

RETAKES = "retakes"
"""The scope of all further takes."""

_COMMITTED = sa.select(spend.c.committed_microusd).where(spend.c.scope == given(spend.c.scope))

_CORRECTED = (
    spend.update()
    .where(spend.c.scope.in_(sa.bindparam("scopes", expanding=True)))
    .values(committed_microusd=spend.c.committed_microusd + sa.bindparam("microusd", type_=sa.BigInteger))
)
"""An UPDATE and not an upsert: with an upsert, the database would check the difference itself against the constraint on
sums.
"""


@dataclass(frozen=True)
class Budget:
    """Caps in µ$ on spent and reserved money together; None means no cap. A day is a UTC day.

    `retakes_microusd` caps the further takes of rows, which count under the other caps too.

    While the real prices of a kind of request are unknown, its list price plus `price_margin`, a share of it, is
    reserved; by default the share that the description of its model states.
    """

    per_run_microusd: int | None = None
    per_day_microusd: int | None = None
    total_microusd: int | None = None
    price_margin: Decimal | None = None
    retakes_microusd: int | None = None

    @property
    def has_caps(self) -> bool:
        """Whether any cap is set."""
        return any(cap is not None for _, cap in self.caps("", ""))

    def caps(self, run_id: str, day: str, *, is_retake: bool = False) -> Iterator[tuple[str, int | None]]:
        """Yields each scope that a task of a run and day counts in, with its cap."""
        if is_retake:
            yield RETAKES, self.retakes_microusd
        yield "total", self.total_microusd
        yield f"day {day}", self.per_day_microusd
        yield f"run {run_id}", self.per_run_microusd


@dataclass(frozen=True)
class CapRoom:
    """One cap with the spent and reserved amount of its scope, in µ$."""

    scope: str
    cap_microusd: int
    committed_microusd: int

    @property
    def is_of_retakes(self) -> bool:
        """Whether the cap applies to further takes only."""
        return self.scope == RETAKES

    @property
    def room_microusd(self) -> int:
        """The amount that may still be reserved."""
        return max(0, self.cap_microusd - self.committed_microusd)


@dataclass(frozen=True)
class Shortfall:
    """The rows that one cap refused, and the amount in µ$ that the cap lacks for all of them."""

    scope: str
    rows: int
    shortfall_microusd: int

    def __str__(self) -> str:
        """Returns a sentence for people."""
        rows, them = ("row was", "it") if self.rows == 1 else ("rows were", "them")
        missing = f"${self.shortfall_microusd / 1e6:.4f}"
        return f"{self.rows} {rows} not submitted: {budget_name(self.scope)} lacks {missing} for {them}"


def shortfalls_of(errors: Iterable[Exception]) -> list[Shortfall]:
    """Returns a shortfall for each cap that refused a row, computed from the money left at its last refusal."""
    refused: dict[str, list[BudgetExceededError]] = {}
    for error in errors:
        if isinstance(error, BudgetExceededError):
            refused.setdefault(error.scope, []).append(error)
    return [_shortfall(scope, those) for scope, those in refused.items()]


def _shortfall(scope: str, refused: list[BudgetExceededError]) -> Shortfall:
    requested = sum(error.requested_microusd for error in refused)
    return Shortfall(scope, len(refused), requested - (refused[-1].cap_microusd - refused[-1].committed_microusd))


def commit(
    connection: sa.Connection,
    budget: Budget,
    *,
    kind: str,
    run_id: str,
    day: str,
    microusd: int,
    is_retake: bool = False,
) -> None:
    """Adds an amount to every scope of a task; raises `BudgetExceededError`, and the caller's transaction is rolled
    back.
    """
    caps = dict(budget.caps(run_id, day, is_retake=is_retake))
    added = _added(connection, {f"{kind} {name}": cap for name, cap in caps.items()}, microusd)
    for name, cap in caps.items():
        if cap is not None and (f"{kind} {name}" not in added or microusd > cap):
            before = committed_in(connection, f"{kind} {name}") - (microusd if f"{kind} {name}" in added else 0)
            raise BudgetExceededError(name, cap, before, microusd)


def correct(
    connection: sa.Connection, *, kind: str, run_id: str, day: str, microusd: int, is_retake: bool = False
) -> None:
    """Adds a difference to every scope of a task without a check: the money is already spent, or is not needed."""
    scopes = [f"{kind} {name}" for name, _ in Budget().caps(run_id, day, is_retake=is_retake)]
    connection.execute(_CORRECTED, {"scopes": scopes, "microusd": microusd})


def committed_in(connection: sa.Connection, scope: str) -> int:
    """Returns the spent and reserved amount of a scope, in µ$."""
    return int(connection.execute(_COMMITTED, {"given_scope": scope}).scalar() or 0)


def room(connection: sa.Connection, budget: Budget, *, kind: str, run_id: str, day: str) -> int | None:
    """Returns the amount in µ$ that the tightest cap still permits; None if there is no cap."""
    found = rooms(connection, budget, kind=kind, run_id=run_id, day=day)
    return min((cap.room_microusd for cap in found), default=None)


def rooms(
    connection: sa.Connection, budget: Budget, *, kind: str, run_id: str, day: str, is_retake: bool = False
) -> list[CapRoom]:
    """Returns each cap of a budget with the committed amount of its scope."""
    caps = [(name, cap) for name, cap in budget.caps(run_id, day, is_retake=is_retake) if cap is not None]
    return [CapRoom(name, cap, committed_in(connection, f"{kind} {name}")) for name, cap in caps]


def _added(connection: sa.Connection, caps: Mapping[str, int | None], microusd: int) -> set[str]:
    """Adds to scopes in one statement; returns the scopes whose cap permits it. A new scope is created without a
    check.
    """
    known: dict[str, Any] = {}
    for number, (scope, cap) in enumerate(caps.items()):
        known |= {f"scope_{number}": scope, f"cap_{number}": _NO_CAP if cap is None else cap}
    sums = [{"scope": scope, "committed_microusd": microusd, **known} for scope in caps]
    return set(connection.scalars(_addition(connection.dialect.name, len(caps)), sums))


@cache
def _addition(dialect: str, scopes: int) -> ReturningInsert[tuple[str]]:
    new = insert_into(dialect, spend)
    after = spend.c.committed_microusd + new.excluded.committed_microusd
    fits = (
        (spend.c.scope != sa.bindparam(f"scope_{number}", type_=spend.c.scope.type))
        | (after <= sa.bindparam(f"cap_{number}", type_=sa.BigInteger))
        for number in range(scopes)
    )
    change = new.on_conflict_do_update(
        index_elements=(spend.c.scope,), set_={"committed_microusd": after}, where=sa.and_(*fits)
    )
    return change.returning(spend.c.scope)
