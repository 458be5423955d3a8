"""The ledger: every task and every dollar, written before it is spent. The only place that imports SQLAlchemy."""

from wan_assets.ledger.budget import Budget, Shortfall, shortfalls_of
from wan_assets.ledger.concurrency import LearnedLimit, RunNeeds, SharedLimit
from wan_assets.ledger.heartbeat import heartbeat, renewed
from wan_assets.ledger.learned_prices import PriceSeen
from wan_assets.ledger.lease import Instant, Lease
from wan_assets.ledger.ledger import Ledger
from wan_assets.ledger.records import Claim, Origin, Task, TaskState, money_of
from wan_assets.ledger.run_account import RunAccount
from wan_assets.ledger.spend_lines import DayBooked, Overcharge, SpendLine, Totals

__all__ = [
    "Budget",
    "Claim",
    "DayBooked",
    "Instant",
    "LearnedLimit",
    "Lease",
    "Ledger",
    "Origin",
    "Overcharge",
    "PriceSeen",
    "RunAccount",
    "RunNeeds",
    "SharedLimit",
    "Shortfall",
    "SpendLine",
    "Task",
    "TaskState",
    "Totals",
    "heartbeat",
    "money_of",
    "renewed",
    "shortfalls_of",
]
