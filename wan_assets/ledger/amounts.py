"""Defines constraints on the ledger's amounts, and upgrades older ledgers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from wan_assets.models import PLAUSIBLE_USD, VideoRequest, reservation_microusd

MAX_MICROUSD = PLAUSIBLE_USD * 1_000_000
"""The highest plausible cost of one video, in µ$."""

CONSTRAINTS: Mapping[str, Mapping[str, str]] = {
    "wan_tasks": {
        "wan_tasks_cost": f"cost_microusd BETWEEN 0 AND {MAX_MICROUSD} * number_results",
        "wan_tasks_reserved": f"reserved_microusd BETWEEN 0 AND {MAX_MICROUSD} * number_results",
    },
    "wan_spend": {"wan_spend_committed": "committed_microusd >= 0"},
    "wan_prices": {"wan_prices_cost": "cost_microusd >= 0 AND tasks >= 0"},
}
"""By table and name: conditions that every amount must meet, also one that the API states or a person records."""

_tasks = sa.table(
    "wan_tasks",
    *(sa.column(name) for name in ("task_uuid", "is_simulated", "number_results", "request", "run_id", "created_at")),
    *(sa.column(name) for name in ("cost_microusd", "reserved_microusd", "error_code", "error_message")),
)
_spend = sa.table("wan_spend", sa.column("scope"), sa.column("committed_microusd"))
_prices = sa.table("wan_prices", *(sa.column(name) for name in ("kind", "tasks", "cost_microusd", "recent")))
_overcharges = sa.table("wan_overcharges", sa.column("task_uuid"))


def constraints_of(table: str) -> list[sa.CheckConstraint]:
    """Returns the constraints of one table."""
    return [sa.CheckConstraint(rule, name=name) for name, rule in CONSTRAINTS[table].items()]


def upgrade(connection: sa.Connection) -> None:
    """Marks implausible costs as unknown, recomputes the sums if any were changed, and adds the constraints."""
    if _unknown_costs(connection) + _plausible_prices(connection) + _negative_sums(connection):
        _add_up(connection)
    for table, rules in CONSTRAINTS.items():
        there = {constraint["name"] for constraint in sa.inspect(connection).get_check_constraints(table)}
        _constrain(connection, table, {name: rule for name, rule in rules.items() if name not in there})


def _constrain(connection: sa.Connection, table: str, rules: Mapping[str, str]) -> None:
    if not rules:
        return
    # Imported here because only older ledgers need it, and each start of a command would take longer.
    migration, operations = map(import_module, ("alembic.migration", "alembic.operations"))
    context = migration.MigrationContext.configure(connection)
    with operations.Operations(context).batch_alter_table(table) as batch:
        for name, rule in rules.items():
            batch.create_check_constraint(name, rule)


def _negative_sums(connection: sa.Connection) -> int:
    negative = _spend.c.committed_microusd < 0
    return connection.execute(sa.select(sa.func.count()).select_from(_spend).where(negative)).scalar_one()


def _unknown_costs(connection: sa.Connection) -> int:
    """Marks each implausible cost as unknown, with a reservation; returns the number of such tasks."""
    maximum = MAX_MICROUSD * _tasks.c.number_results
    is_implausible = (_tasks.c.cost_microusd < 0) | (_tasks.c.cost_microusd > maximum)
    implausible = connection.execute(_tasks.select().where(is_implausible)).mappings().all()
    for row in implausible:
        message = (
            f"a cost of {row['cost_microusd']} µ$ was recorded, above the plausible ${PLAUSIBLE_USD} for one video"
        )
        change = _tasks.update().where(_tasks.c.task_uuid == row["task_uuid"])
        money = {"cost_microusd": 0, "reserved_microusd": _reservation_of(row)}
        connection.execute(change.values(**money, error_code="implausibleCost", error_message=message))
        connection.execute(_overcharges.delete().where(_overcharges.c.task_uuid == row["task_uuid"]))
    return len(implausible)


def _reservation_of(row: sa.RowMapping) -> int:
    try:
        return reservation_microusd(VideoRequest.model_validate_json(row["request"]))
    except ValidationError:
        return int(row["reserved_microusd"])


def _plausible_prices(connection: sa.Connection) -> int:
    """Removes implausible costs from the learned prices; returns the number of changed kinds."""
    changed = 0
    for row in connection.execute(_prices.select()).mappings().all():
        recent = json.loads(row["recent"])
        if plausible := [cost for cost in recent if 0 < cost <= 4 * MAX_MICROUSD]:
            learned: dict[str, Any] = {"tasks": len(plausible), "cost_microusd": sum(plausible)}
        else:
            learned = {"tasks": 0, "cost_microusd": 0}
        if len(plausible) < len(recent):
            changed += 1
            change = _prices.update().where(_prices.c.kind == row["kind"])
            connection.execute(change.values(**learned, recent=json.dumps(plausible)))
    return changed


def _add_up(connection: sa.Connection) -> None:
    """Recomputes the sums from the tasks: in total, by day and by run."""
    kind = sa.case((_tasks.c.is_simulated, "simulated "), else_="real ")
    day = sa.func.substr(_tasks.c.created_at, 1, 10)
    committed = sa.func.sum(_tasks.c.cost_microusd + _tasks.c.reserved_microusd)
    connection.execute(_spend.delete())
    for scope in (sa.literal("total"), sa.literal("day ") + day, sa.literal("run ") + _tasks.c.run_id):
        summed = sa.select((kind + scope).label("scope"), committed).select_from(_tasks).group_by(sa.text("1"))
        connection.execute(_spend.insert().from_select(["scope", "committed_microusd"], summed))
