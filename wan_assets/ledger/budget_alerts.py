"""Records alerts of budgets, and their delivery: each channel gets an alert once per period and limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from wan_assets.errors import budget_name, reset_note
from wan_assets.ledger.budget import BudgetState
from wan_assets.ledger.budget_scope import Subject
from wan_assets.ledger.clock import NOW_ISO, NOW_S, ago_iso
from wan_assets.ledger.processes import is_surely_dead
from wan_assets.ledger.schema import alert_deliveries as deliveries
from wan_assets.ledger.schema import budget_alerts as table
from wan_assets.ledger.schema import insert_into
from wan_assets.models import usd

Channel: TypeAlias = Literal["log", "events", "callable"]
"""A way to deliver an alert: the log of a run or a sensor, Dagster's events, or the function of a user."""

EXHAUSTED = 100
"""The share of an exhausted budget, in percent; it is reached too when a row does not fit any more."""

_LEASE_S = 120.0
"""The time in which a process that has taken an alert delivers it."""

_FOREIGN_S = 60.0
"""The age from which any run delivers an alert: the run that reached the share was probably killed."""

_NO_RUN = "-"
"""The run of an alert of a budget that is new, and whose share was reached before."""

_MAX_AGE_S = 7 * 24 * 3600.0
"""The age from which an alert is not delivered any more, for channels that nobody has used until then."""


@dataclass(frozen=True)
class BudgetAlert:
    """Tells that a share of a budget is spent or reserved.

    Args:
        key: Identifier that is the same whenever this alert is sent again, for services that remove duplicates.
        budget: Name of the budget and its period, such as `month 2026-11 for campaign=fall`.
        percent: The share that is reached, in percent. 100 is also reached when a row does not fit in the budget.
        limit_usd: Limit of the budget, in US dollars.
        committed_usd: Spent and reserved money together, in US dollars.
        period: Name of the period, or the id of the run. Empty for a total budget.
        resets_at: Begin of the next period, in the budget's time zone. None if there is none.
        is_simulated: Whether the money is simulated.
        has_skipped_rows: Whether a row was skipped because it did not fit.
        asset: Asset of the task that reached the share.
        run_id: Run of that task.

    Example:
        >>> from decimal import Decimal
        >>> from wan_assets import BudgetAlert
        >>> alert = BudgetAlert("a-key", "day 2026-11-30", 80, limit_usd=Decimal(25), committed_usd=Decimal("20.3"))
        >>> alert.message
        '80% of the budget of day 2026-11-30 is spent or reserved: $20.30 of $25.00, $4.70 is left'
    """

    key: str
    budget: str
    percent: int
    limit_usd: Decimal
    committed_usd: Decimal
    period: str = ""
    resets_at: datetime | None = None
    is_simulated: bool = False
    has_skipped_rows: bool = False
    asset: str = "-"
    run_id: str = "-"

    @property
    def left_usd(self) -> Decimal:
        """The amount that may still be reserved, in US dollars."""
        return max(Decimal(0), self.limit_usd - self.committed_usd)

    @property
    def message(self) -> str:
        """A sentence for people, without a full stop."""
        amounts = f"${self.committed_usd:.2f} of ${self.limit_usd:.2f}"
        left = f"${self.left_usd:.2f} is left"
        name, kind = budget_name(self.budget), " (simulated dollars)" if self.is_simulated else ""
        if self.has_skipped_rows:
            first = f"{name} is exhausted and rows are skipped: {amounts} is spent or reserved"
        else:
            first = f"{self.percent}% of {name} is spent or reserved: {amounts}"
        return f"{first}, {left}{kind}{reset_note(self.resets_at)}"


def record(
    connection: sa.Connection,
    state: BudgetState,
    percents: Iterable[int],
    subject: Subject,
    *,
    has_skipped_rows: bool = False,
) -> None:
    """Records that shares of a budget are reached, unless they were reached before in its period under its limit.

    A share that was reached before any run, because the budget is new, belongs to the first run that skips rows.
    """
    rows = [
        {
            "key": key_of(state, percent),
            "budget": state.label,
            "percent": percent,
            "limit_microusd": state.cap_microusd,
            "committed_microusd": state.committed_microusd,
            "period": state.period,
            "resets_at": state.resets_at.astimezone(UTC).isoformat() if state.resets_at else None,
            "time_zone": state.counter.time_zone,
            "is_simulated": state.is_simulated,
            "has_skipped_rows": has_skipped_rows,
            "run_id": subject.run_id,
            "asset": subject.asset,
        }
        for percent in percents
    ]
    if rows:
        new = insert_into(connection.dialect.name, table).values(created_at=NOW_ISO)
        if has_skipped_rows:
            names = ("has_skipped_rows", "run_id", "asset", "committed_microusd")
            skipped = {name: new.excluded[name] for name in names}
            new = new.on_conflict_do_update(index_elements=[table.c.key], set_=skipped, where=table.c.run_id == _NO_RUN)
        else:
            new = new.on_conflict_do_nothing(index_elements=[table.c.key])
        connection.execute(new, rows)


def crossed(state: BudgetState, before_microusd: int) -> list[int]:
    """Returns the shares that are reached now, and that were not at an earlier amount."""
    cap, now = state.cap_microusd, state.committed_microusd
    return [each for each in sorted(set(state.alert_at)) if before_microusd * 100 < each * cap <= now * 100]


def reached(state: BudgetState) -> list[int]:
    """Returns the highest share that is reached; none without any spent or reserved money. Lower ones tell less."""
    return crossed(state, -1)[-1:] if state.committed_microusd else []


def key_of(state: BudgetState, percent: int) -> str:
    """Returns the identifier of an alert. A new limit has new alerts, so that a raised budget is reported again."""
    return f"{state.sum_name} {state.cap_microusd} {percent}"


def all_alerts(connection: sa.Connection) -> list[BudgetAlert]:
    """Returns every alert, oldest first."""
    return [_alert_of(row) for row in connection.execute(_in_order(table.select())).mappings()]


def recorded_keys(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Returns those of some keys under which an alert is recorded."""
    return set(connection.scalars(sa.select(table.c.key).where(table.c.key.in_(keys))))


def take(connection: sa.Connection, channel: Channel, owner: str, run_id: str = "") -> list[BudgetAlert]:
    """Returns the alerts that an owner has to deliver, oldest first; of two processes, one gets an alert.

    An alert that its owner has not delivered within its lease, or whose owner is dead, is given to another one. With a
    `run_id`, the alerts of that run are returned, and those that are so old that their own run was probably killed.
    """
    found = list(connection.execute(_outstanding(connection, channel, run_id)).mappings())
    return [_alert_of(row) for row in found if _is_free(row) and _is_claimed(connection, row, channel, owner)]


def mark_delivered(connection: sa.Connection, channel: Channel, keys: Collection[str]) -> None:
    """Records that alerts were delivered; they are not returned again."""
    here = (deliveries.c.channel == channel, deliveries.c.key.in_(keys), deliveries.c.delivered_at.is_(None))
    connection.execute(deliveries.update().where(*here).values(delivered_at=NOW_ISO))


def release(connection: sa.Connection, channel: Channel, keys: Collection[str], owner: str) -> None:
    """Lets anybody deliver alerts at once that an owner could not deliver."""
    here = (deliveries.c.channel == channel, deliveries.c.key.in_(keys), deliveries.c.delivered_at.is_(None))
    connection.execute(deliveries.delete().where(*here, deliveries.c.owner == owner))


def _outstanding(connection: sa.Connection, channel: Channel, run_id: str) -> sa.Select[Any]:
    of_channel = sa.and_(deliveries.c.key == table.c.key, deliveries.c.channel == channel)
    is_late = (deliveries.c.claimed_until < NOW_S).label("is_late")
    query = sa.select(table, deliveries.c.owner, is_late).join_from(table, deliveries, of_channel, isouter=True)
    query = query.where(deliveries.c.delivered_at.is_(None), table.c.created_at >= ago_iso(connection, _MAX_AGE_S))
    if run_id:
        is_foreign = table.c.created_at < ago_iso(connection, _FOREIGN_S)
        query = query.where(table.c.run_id.in_((run_id, _NO_RUN)) | is_foreign)
    return _in_order(query)


def _in_order(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.order_by(table.c.created_at, table.c.percent, table.c.key)


def _is_free(row: sa.RowMapping) -> bool:
    return row["owner"] is None or bool(row["is_late"]) or is_surely_dead(row["owner"])


def _is_claimed(connection: sa.Connection, row: sa.RowMapping, channel: Channel, owner: str) -> bool:
    """Claims an alert, unless another process has claimed it since it was read."""
    new = insert_into(connection.dialect.name, deliveries).values(
        key=row["key"], channel=channel, owner=owner, claimed_until=NOW_S + _LEASE_S
    )
    claim = new.on_conflict_do_update(
        index_elements=[deliveries.c.key, deliveries.c.channel],
        set_={"owner": new.excluded.owner, "claimed_until": new.excluded.claimed_until},
        where=sa.and_(deliveries.c.delivered_at.is_(None), deliveries.c.owner == (row["owner"] or "")),
    )
    return connection.execute(claim.returning(deliveries.c.key)).first() is not None


def _alert_of(row: sa.RowMapping) -> BudgetAlert:
    resets_at = datetime.fromisoformat(row["resets_at"]) if row["resets_at"] else None
    return BudgetAlert(
        key=row["key"],
        budget=row["budget"],
        percent=row["percent"],
        limit_usd=usd(row["limit_microusd"]),
        committed_usd=usd(row["committed_microusd"]),
        period=row["period"],
        resets_at=resets_at.astimezone(ZoneInfo(row["time_zone"])) if resets_at else None,
        is_simulated=row["is_simulated"],
        has_skipped_rows=row["has_skipped_rows"],
        asset=row["asset"],
        run_id=row["run_id"],
    )


def exhausted(connection: sa.Connection, states: Sequence[BudgetState]) -> list[BudgetState]:
    """Returns the budgets that are exhausted, or that have refused a row in their period."""
    known = recorded_keys(connection, [key_of(state, EXHAUSTED) for state in states])
    return [state for state in states if not state.room_microusd or key_of(state, EXHAUSTED) in known]
