"""Records every task and every amount in a database before money is spent.

This package and `prompts.database` are the only ones that import SQLAlchemy.
"""

from wan_assets.ledger.approvals import Approval
from wan_assets.ledger.budget import (
    BudgetLimit,
    Budgets,
    BudgetState,
    Counter,
    Dollars,
    DollarsOrNone,
    SkippedRows,
    budgets_in,
    budgets_of,
    skipped_rows_of,
)
from wan_assets.ledger.budget_alerts import BudgetAlert, Channel
from wan_assets.ledger.budget_period import Per, boundary_before, zone_named
from wan_assets.ledger.budget_scope import TAKES, Subject, conditions_in, is_of_row
from wan_assets.ledger.chargeback import Chargeback, month_span
from wan_assets.ledger.concurrency import LearnedLimit, RunNeeds, SharedLimit, account_of
from wan_assets.ledger.database_urls import DatabaseUrlError, is_file, secrets_of, url_of
from wan_assets.ledger.decisions import (
    MAX_LABELS,
    MAX_NOTE,
    Decision,
    DecisionValue,
    NewDecision,
    Source,
    VideoKey,
    reviewer_name,
)
from wan_assets.ledger.estimates import RecentDurations
from wan_assets.ledger.forecast import Forecast, Forecasts, MonthForecast
from wan_assets.ledger.groupings import GROUPINGS, WITHOUT_VALUE, Grouping, tag_named
from wan_assets.ledger.heartbeat import heartbeat, renewed
from wan_assets.ledger.kind_costs import RECENT_TASKS, KindCosts
from wan_assets.ledger.learned_prices import RecentPrices
from wan_assets.ledger.lease import Instant, Lease
from wan_assets.ledger.ledger import Ledger
from wan_assets.ledger.open_partitions import OpenPartitions
from wan_assets.ledger.partition_records import PartitionRecord, PartitionRow
from wan_assets.ledger.processes import is_surely_dead, new_owner
from wan_assets.ledger.records import OPEN_STATES, Claim, Origin, Task, TaskState, money_kind
from wan_assets.ledger.run_account import RunAccount
from wan_assets.ledger.spend_lines import DayOfTasks, Overcharge, SpendLine, Totals
from wan_assets.ledger.take_costs import TakeCosts
from wan_assets.ledger.takes import Take, Takes
from wan_assets.ledger.video_checks import CheckRecord

__all__ = [
    "GROUPINGS",
    "MAX_LABELS",
    "MAX_NOTE",
    "OPEN_STATES",
    "RECENT_TASKS",
    "TAKES",
    "WITHOUT_VALUE",
    "Approval",
    "BudgetAlert",
    "BudgetLimit",
    "BudgetState",
    "Budgets",
    "Channel",
    "Chargeback",
    "CheckRecord",
    "Claim",
    "Counter",
    "DatabaseUrlError",
    "DayOfTasks",
    "Decision",
    "DecisionValue",
    "Dollars",
    "DollarsOrNone",
    "Forecast",
    "Forecasts",
    "Grouping",
    "Instant",
    "KindCosts",
    "LearnedLimit",
    "Lease",
    "Ledger",
    "MonthForecast",
    "NewDecision",
    "OpenPartitions",
    "Origin",
    "Overcharge",
    "PartitionRecord",
    "PartitionRow",
    "Per",
    "RecentDurations",
    "RecentPrices",
    "RunAccount",
    "RunNeeds",
    "SharedLimit",
    "SkippedRows",
    "Source",
    "SpendLine",
    "Subject",
    "Take",
    "TakeCosts",
    "Takes",
    "Task",
    "TaskState",
    "Totals",
    "VideoKey",
    "account_of",
    "boundary_before",
    "budgets_in",
    "budgets_of",
    "conditions_in",
    "heartbeat",
    "is_file",
    "is_of_row",
    "is_surely_dead",
    "money_kind",
    "month_span",
    "new_owner",
    "renewed",
    "reviewer_name",
    "secrets_of",
    "skipped_rows_of",
    "tag_named",
    "url_of",
    "zone_named",
]
