"""Keeps the sums of all budgets, and checks them in the same transaction that reserves money.

The ledger registers each counter of which any process has a budget, so that all processes keep its sums.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from wan_assets.ledger import budget_alerts
from wan_assets.ledger.budget import ALERTS, STANDARD, Budgets, BudgetState, Counter, counting
from wan_assets.ledger.budget_period import boundary_before, minute_of, resets_at
from wan_assets.ledger.budget_scope import MODEL, Subject, is_of_row, is_of_run
from wan_assets.ledger.clock import NOW_ISO, later_iso
from wan_assets.ledger.database import lock_number
from wan_assets.ledger.records import money_kind
from wan_assets.ledger.schema import budgets as table
from wan_assets.ledger.schema import given, insert_into, ledger_info, spend, upsert_into
from wan_assets.ledger.tags_of_runs import tags_of_run
from wan_assets.ledger.task_amounts import task_amounts
from wan_assets.models import MODEL as DEFAULT_MODEL

_NO_CAP = 2**62
"""An unreachable cap in µ$."""

_BUDGETS_LOCK = 0x62756467
"""The number of an advisory lock of the database."""

_VERSION, _BOUNDARY = "budgets_version", "budgets_boundary"
_MAX_AHEAD_S = 900.0
"""How far the clocks of processes may differ so that all count in the same period."""

_STATE = sa.select(
    *(
        sa.select(ledger_info.c.value).where(ledger_info.c.name == name).scalar_subquery().label(name)
        for name in (_VERSION, _BOUNDARY)
    ),
    NOW_ISO.label("now"),
)
_COMMITTED = sa.select(spend.c.committed_microusd).where(spend.c.scope == given(spend.c.scope))
_CORRECTED = (
    spend.update()
    .where(spend.c.scope.in_(sa.bindparam("scopes", expanding=True)))
    .values(committed_microusd=spend.c.committed_microusd + sa.bindparam("microusd", type_=sa.BigInteger))
    .returning(spend.c.scope, spend.c.committed_microusd)
)
"""An UPDATE and not an upsert: with an upsert, the database would check the difference itself against the constraint on
sums.
"""


@dataclass(frozen=True)
class Registered:
    """The counters that the ledger keeps sums of, and the limits in µ$ that the ledger itself records for some, with
    the percentages at which alerts are sent.
    """

    version: str = ""
    counters: tuple[Counter, ...] = STANDARD
    limits: Mapping[Counter, int] = field(default_factory=dict)
    alert_at: Mapping[Counter, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def needs_model(self) -> bool:
        """Whether any budget counts by the model."""
        return MODEL in self._names

    @cached_property
    def needs_row_tags(self) -> bool:
        """Whether any budget counts by a column of the row."""
        return any(map(is_of_row, self._names))

    @cached_property
    def needs_run_tags(self) -> bool:
        """Whether any budget counts by a tag of the run."""
        return any(map(is_of_run, self._names))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for counter in self.counters for name, _ in counter.scope)


@dataclass(frozen=True)
class Moment:
    """The time of the ledger at which a task counts, as ISO 8601 in UTC, and what is registered then."""

    at: str
    registered: Registered

    @property
    def minute(self) -> str:
        """The minute, which determines all periods."""
        return minute_of(self.at)


class BudgetSums:
    """The budgets of one process, and the sums of all budgets of its ledger."""

    def __init__(self, budgets: Budgets) -> None:
        self._caps = budgets.caps()
        self._alerts = budgets.alerts()
        self._registered = Registered()

    def register(self, connection: sa.Connection) -> None:
        """Lets the ledger keep the sums of all budgets of this process, from the tasks that it contains already."""
        self._add(connection, [counter for counter in self._caps if counter not in STANDARD])
        self._record_reached(connection)

    def set_limit(
        self, connection: sa.Connection, counter: Counter, microusd: int | None, alert_at: Iterable[int] = ALERTS
    ) -> None:
        """Records a limit for all processes, which replaces those of their configurations; None removes it."""
        self._add(connection, [counter])
        values = {"limit_microusd": microusd, "alert_at": json.dumps(sorted(set(alert_at))), "changed_at": NOW_ISO}
        connection.execute(table.update().where(table.c.id == counter.id).values(**values))
        _raise_version(connection)
        self._record_reached(connection)

    def _record_reached(self, connection: sa.Connection) -> None:
        """Records alerts of shares that are reached already: a budget may be new, or lower than before.

        What it reads is not kept for later, because the transaction may be rolled back.
        """
        found = connection.execute(_STATE).one()
        moment = Moment(_latest(str(found[2]), str(found[1] or "")), _read(connection, ""))
        for kind in map(money_kind, (False, True)):
            for state in self._states(connection, moment.registered.counters, "", moment, kind=kind):
                budget_alerts.record(connection, state, budget_alerts.reached(state), Subject(run_id="-"))

    def now(self, connection: sa.Connection) -> Moment:
        """Returns the moment at which a task counts that is reserved now.

        It is never in an earlier period than another reservation, even if the clocks of processes differ by minutes.
        """
        lock_number(connection, _BUDGETS_LOCK, is_shared=True)
        found = connection.execute(_STATE).one()
        version, boundary, now = str(found[0] or ""), str(found[1] or ""), str(found[2])
        registered = self._registered  # another thread may read another version at the same time
        if version != registered.version:
            self._registered = registered = _read(connection, version)
        at = now if connection.dialect.name == "postgresql" else _not_before(connection, now, boundary)
        return Moment(at, registered)

    def commit(self, connection: sa.Connection, subject: Subject, moment: Moment, *, kind: str, microusd: int) -> None:
        """Adds an amount to the sums of all budgets of a task; raises `BudgetExceededError` of the tightest one that it
        does not fit in, and the caller's transaction is rolled back.
        """
        counters = list(counting(moment.registered.counters, subject))
        self._commit(connection, counters, subject, moment, kind=kind, microusd=microusd)

    def _commit(
        self,
        connection: sa.Connection,
        counters: list[Counter],
        subject: Subject,
        moment: Moment,
        *,
        kind: str,
        microusd: int,
    ) -> None:
        names = _by_sum_name(counters, subject.run_id, moment.at, kind=kind)
        caps = {name: self._cap(counter, moment.registered) for name, counter in names.items()}
        added = _added(connection, caps, microusd) if names else {}
        refused = []
        for name, cap in caps.items():
            if cap is not None and (name not in added or microusd > cap):
                before = committed_in(connection, name) - (microusd if name in added else 0)
                refused.append(self._state(name, names[name], subject.run_id, moment, cap, before))
        if refused:
            raise min(refused, key=lambda state: state.room_microusd).refusal(microusd)
        self._record_crossed(connection, names, added, subject, moment, microusd=microusd)

    def _record_crossed(
        self,
        connection: sa.Connection,
        names: Mapping[str, Counter],
        sums: Mapping[str, int],
        subject: Subject,
        moment: Moment,
        *,
        microusd: int,
    ) -> None:
        """Records alerts of shares that sums, given as they are now, have reached by the addition of an amount.

        The rows of the sums are locked until the transaction ends, so that one transaction finds that a share is
        reached. If it is rolled back, the sum is too, and another one finds it.
        """
        for name, counter in names.items():
            cap = self._cap(counter, moment.registered)
            if cap is not None and name in sums:
                state = self._state(name, counter, subject.run_id, moment, cap, sums[name])
                percents = budget_alerts.crossed(state, sums[name] - microusd)
                budget_alerts.record(connection, state, percents, subject)

    def correct(
        self, connection: sa.Connection, subject: Subject, counted_at: str, moment: Moment, *, kind: str, microusd: int
    ) -> None:
        """Adds a difference to the sums of a task without a check: the money is already spent, or is not needed."""
        counters = counting(moment.registered.counters, subject)
        names = _by_sum_name(counters, subject.run_id, counted_at, kind=kind)
        sums = _correct(connection, names, microusd)
        self._record_crossed(connection, names, sums, subject, replace(moment, at=counted_at), microusd=microusd)

    def count_again(
        self, connection: sa.Connection, subject: Subject, counted_at: str, moment: Moment, *, kind: str, microusd: int
    ) -> None:
        """Lets a reservation count in the present periods.

        Raises `BudgetExceededError` if it does not fit there, or if a budget was lowered below what is spent or
        reserved.
        """
        before, run_id = minute_of(counted_at), subject.run_id
        counters = list(counting(moment.registered.counters, subject))
        moved = [each for each in counters if each.period(run_id, before) != each.period(run_id, moment.minute)]
        _correct(connection, _by_sum_name(moved, run_id, counted_at, kind=kind), -microusd)
        self._commit(connection, moved, subject, moment, kind=kind, microusd=microusd)
        exceeded = [
            state
            for state in self._states(connection, counters, run_id, moment, kind=kind)
            if state.committed_microusd > state.cap_microusd
        ]
        if exceeded:
            raise min(exceeded, key=lambda state: state.balance_microusd).refusal(microusd)

    def states(
        self, connection: sa.Connection, run_id: str, *, kind: str, subject: Subject | None = None
    ) -> list[BudgetState]:
        """Returns each budget with its sum in the present period, and of a run; of those that a task counts in if a
        subject is given.
        """
        moment = self.now(connection)
        counters = moment.registered.counters
        some = counting(counters, subject) if subject else counters
        return list(self._states(connection, some, run_id, moment, kind=kind))

    def _states(
        self, connection: sa.Connection, counters: Iterable[Counter], run_id: str, moment: Moment, *, kind: str
    ) -> Iterator[BudgetState]:
        for name, counter in _by_sum_name(counters, run_id, moment.at, kind=kind).items():
            if (cap := self._cap(counter, moment.registered)) is not None:
                yield self._state(name, counter, run_id, moment, cap, committed_in(connection, name))

    def _state(self, name: str, counter: Counter, run_id: str, moment: Moment, cap: int, committed: int) -> BudgetState:
        return BudgetState(
            counter,
            counter.label(run_id, moment.minute),
            cap,
            committed,
            counter.period(run_id, moment.minute),
            resets_at(counter.per, counter.time_zone, moment.minute),
            self._alert_at(counter, moment.registered),
            name,
        )

    def _alert_at(self, counter: Counter, registered: Registered) -> tuple[int, ...]:
        """Returns the percentages of the limit that applies."""
        if counter in registered.limits:
            return registered.alert_at[counter]
        return tuple(sorted(self._alerts.get(counter, ALERTS)))

    def _cap(self, counter: Counter, registered: Registered) -> int | None:
        """Returns the limit of a counter: the one that the ledger records, or else that of the configuration."""
        return registered.limits.get(counter, self._caps.get(counter))

    def _add(self, connection: sa.Connection, wanted: Iterable[Counter]) -> None:
        lock_number(connection, _BUDGETS_LOCK)
        known = set(connection.scalars(sa.select(table.c.id)))
        new = [counter for counter in wanted if counter.id not in known]
        for counter in new:
            connection.execute(table.insert().values(id=counter.id, definition=counter.definition))
            if counter not in STANDARD:
                _sum_up(connection, counter)
        if new:
            _raise_version(connection)


def _not_before(connection: sa.Connection, now: str, boundary: str) -> str:
    """Returns the later of two moments: now, and the last boundary of periods that any process has passed.

    On Postgres all processes have the same clock. A clock that is far ahead does not count.
    """
    at = _latest(now, boundary)
    if boundary < boundary_before(at):
        _remember(connection, _BOUNDARY, boundary_before(at))
    return at


def _latest(now: str, boundary: str) -> str:
    return max(now, boundary) if boundary <= later_iso(now, _MAX_AHEAD_S) else now


def subject_of(connection: sa.Connection, row: Mapping[str, Any] | sa.RowMapping, registered: Registered) -> Subject:
    """Returns what budgets know about a task. Values that no budget uses are not read."""
    request = json.loads(row["request"]) if registered.needs_model else {}
    return Subject(
        row["run_id"],
        row["asset"],
        row["partition"],
        request.get("model") or DEFAULT_MODEL,
        is_retake=row["take"] > 1,
        tags=json.loads(row["tags"]) if registered.needs_row_tags else {},
        run_tags=tags_of_run(connection, row["run_id"]) if registered.needs_run_tags else {},
    )


def committed_in(connection: sa.Connection, name: str) -> int:
    """Returns the spent and reserved amount of a sum, in µ$."""
    return int(connection.execute(_COMMITTED, {"given_scope": name}).scalar() or 0)


def _by_sum_name(counters: Iterable[Counter], run_id: str, at: str, *, kind: str) -> dict[str, Counter]:
    """Returns counters by the names of their sums for a run and a moment."""
    minute = minute_of(at)
    return {f"{kind} {counter.sum_name(run_id, minute)}": counter for counter in counters}


def _correct(connection: sa.Connection, names: Collection[str], microusd: int) -> dict[str, int]:
    """Adds a difference to sums, given by their names; returns them as they are afterwards."""
    if not names:
        return {}
    found = connection.execute(_CORRECTED, {"scopes": list(names), "microusd": microusd})
    return {row.scope: int(row.committed_microusd) for row in found}


def _read(connection: sa.Connection, version: str) -> Registered:
    columns = table.c.definition, table.c.limit_microusd, table.c.alert_at
    rows = {Counter.of_definition(row[0]): row for row in connection.execute(sa.select(*columns))}
    limits = {counter: row[1] for counter, row in rows.items() if row[1] is not None}
    alert_at = {counter: tuple(json.loads(rows[counter][2])) for counter in limits}
    return Registered(version, tuple(dict.fromkeys((*STANDARD, *rows))), limits, alert_at)


def _raise_version(connection: sa.Connection) -> None:
    here = sa.select(ledger_info.c.value).where(ledger_info.c.name == _VERSION)
    _remember(connection, _VERSION, str(int(connection.execute(here).scalar() or 0) + 1))


def _remember(connection: sa.Connection, name: str, value: str) -> None:
    connection.execute(upsert_into(connection.dialect.name, ledger_info).values(name=name, value=value))


def _sum_up(connection: sa.Connection, counter: Counter) -> None:
    """Creates the sums of a new counter from all tasks."""
    sums: dict[str, int] = {}
    for amount in task_amounts(connection, [counter]):
        if amount.subject.matches(counter.scope):
            name = f"{money_kind(amount.is_simulated)} {counter.sum_name(amount.subject.run_id, amount.quarter)}"
            sums[name] = sums.get(name, 0) + amount.microusd
    rows = [{"scope": name, "committed_microusd": amount} for name, amount in sums.items()]
    if rows:
        connection.execute(upsert_into(connection.dialect.name, spend), rows)


def _added(connection: sa.Connection, caps: Mapping[str, int | None], microusd: int) -> dict[str, int]:
    """Adds to sums in one statement; returns those whose cap permits it, as they are afterwards. A new sum is created
    without a check.
    """
    known: dict[str, Any] = {}
    for number, (name, cap) in enumerate(caps.items()):
        known |= {f"scope_{number}": name, f"cap_{number}": _NO_CAP if cap is None else cap}
    sums = [{"scope": name, "committed_microusd": microusd, **known} for name in caps]
    found = connection.execute(_addition(connection.dialect.name, len(caps)), sums)
    return {row.scope: int(row.committed_microusd) for row in found}


@cache
def _addition(dialect: str, sums: int) -> ReturningInsert[tuple[str, int]]:
    new = insert_into(dialect, spend)
    after = spend.c.committed_microusd + new.excluded.committed_microusd
    fits = (
        (spend.c.scope != sa.bindparam(f"scope_{number}", type_=spend.c.scope.type))
        | (after <= sa.bindparam(f"cap_{number}", type_=sa.BigInteger))
        for number in range(sums)
    )
    change = new.on_conflict_do_update(
        index_elements=(spend.c.scope,), set_={"committed_microusd": after}, where=sa.and_(*fits)
    )
    return change.returning(spend.c.scope, spend.c.committed_microusd)
