"""The ledger's tables, and statements that each database defines in its own dialect."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wan_assets.ledger import amounts

metadata = sa.MetaData()

tasks = sa.Table(
    "wan_tasks",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("former_fingerprint", sa.String(64)),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("is_simulated", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("number_results", sa.Integer, nullable=False),
    sa.Column("reserved_microusd", sa.BigInteger, nullable=False),
    sa.Column("cost_microusd", sa.BigInteger, nullable=False, default=0),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("results", sa.Text, nullable=False, default="[]"),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("prompt_id", sa.Text, nullable=False, default="-"),
    sa.Column("purchase", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("submitted_at", sa.String(32)),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Float),
    sa.Column("submitted_by", sa.String(64)),
    sa.Column("settled_by", sa.String(64)),
    sa.Column("take", sa.Integer, nullable=False, default=1, server_default="1"),
    sa.Column("approval", sa.Text),
    sa.Column("tags", sa.Text, nullable=False, default="{}", server_default="{}"),
    sa.Column("counted_at", sa.String(32)),
    sa.Column("estimated_microusd", sa.BigInteger),
    sa.Index("wan_tasks_fingerprint", "fingerprint", "is_simulated", "attempt"),
    sa.Index("wan_tasks_state", "state"),
    sa.Index("wan_tasks_owner", "owner"),
    *amounts.constraints_of("wan_tasks"),
)

spend = sa.Table(
    "wan_spend",
    metadata,
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("committed_microusd", sa.BigInteger, nullable=False),
    *amounts.constraints_of("wan_spend"),
)

budgets = sa.Table(
    "wan_budgets",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("limit_microusd", sa.BigInteger),
    sa.Column("alert_at", sa.Text),
    sa.Column("changed_at", sa.String(32)),
)

budget_alerts = sa.Table(
    "wan_budget_alerts",
    metadata,
    sa.Column("key", sa.String(224), primary_key=True),
    sa.Column("budget", sa.Text, nullable=False),
    sa.Column("percent", sa.Integer, nullable=False),
    sa.Column("limit_microusd", sa.BigInteger, nullable=False),
    sa.Column("committed_microusd", sa.BigInteger, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("resets_at", sa.String(32)),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("is_simulated", sa.Boolean, nullable=False),
    sa.Column("has_skipped_rows", sa.Boolean, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
)

alert_deliveries = sa.Table(
    "wan_alert_deliveries",
    metadata,
    sa.Column("key", sa.String(224), primary_key=True),
    sa.Column("channel", sa.String(16), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False),
    sa.Column("delivered_at", sa.String(32)),
)

run_tags = sa.Table(
    "wan_run_tags",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("tags", sa.Text, nullable=False),
)

prices = sa.Table(
    "wan_prices",
    metadata,
    sa.Column("kind", sa.String(128), primary_key=True),
    sa.Column("tasks", sa.Integer, nullable=False),
    sa.Column("cost_microusd", sa.BigInteger, nullable=False),
    sa.Column("recent", sa.Text, nullable=False),
    *amounts.constraints_of("wan_prices"),
)

overcharges = sa.Table(
    "wan_overcharges",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("reserved_microusd", sa.BigInteger, nullable=False),
    sa.Column("excess_microusd", sa.BigInteger, nullable=False),
)

unreported = sa.Table("wan_untold", metadata, sa.Column("task_uuid", sa.String(36), primary_key=True))

hints = sa.Table(
    "wan_wakes",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("woken_at", sa.Float, nullable=False),
)

runs = sa.Table(
    "wan_runs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
)

media = sa.Table(
    "wan_media",
    metadata,
    sa.Column("reference", sa.String(80), primary_key=True),
    sa.Column("base_url", sa.String(200), primary_key=True),
    sa.Column("media_uuid", sa.String(64), nullable=False),
    sa.Column("used_at", sa.Float, nullable=False),
)

concurrency = sa.Table(
    "wan_concurrency",
    metadata,
    sa.Column("account", sa.String(256), primary_key=True),
    sa.Column("task_limit", sa.Integer, nullable=False),
    sa.Column("ceiling", sa.Integer),
    sa.Column("refused_at", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
)

waiting_runs = sa.Table(
    "wan_waiting_runs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("account", sa.String(256), nullable=False),
    sa.Column("waiting", sa.Integer, nullable=False),
    sa.Column("moved_at", sa.Double, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False),
)

partitions = sa.Table(
    "wan_partitions",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("rows", sa.Text, nullable=False),
)

video_checks = sa.Table(
    "wan_video_checks",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("check_name", sa.String(128), primary_key=True),
    sa.Column("passed", sa.Boolean),
    sa.Column("score", sa.Double),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("is_error", sa.Boolean, nullable=False),
)

decisions = sa.Table(
    "wan_decisions",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("result", sa.Integer, nullable=False),
    sa.Column("value", sa.String(16), nullable=False),
    sa.Column("rating", sa.Integer),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("reviewer", sa.String(128), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("decided_at", sa.String(32), nullable=False),
    sa.Column("key", sa.String(64), unique=True),
    sa.Index("wan_decisions_video", "fingerprint", "sha256", "result", "number"),
)

takes = sa.Table(
    "wan_takes",
    metadata,
    sa.Column("row_fingerprint", sa.String(64), primary_key=True),
    sa.Column("is_simulated", sa.Boolean, primary_key=True),
    sa.Column("take", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Index("wan_takes_fingerprint", "fingerprint"),
)

ledger_info = sa.Table(
    "wan_ledger",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


def given(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """Returns a parameter for a column, named `given_` and the column's name.

    Statements that each row needs are built once: building one takes several times as long as executing it.
    """
    return sa.bindparam(f"given_{column.name}", type_=column.type)


def insert_into(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT with a conflict clause, which each database defines in its own dialect."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def upsert_into(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT that replaces the row with the same primary key."""
    new = insert_into(dialect, table)
    replaced = {column.name: new.excluded[column.name] for column in table.c if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)
