"""The ledger: every task and every dollar, written before it is spent. The only place that imports SQLAlchemy."""

from wan_assets.ledger.book import Ledger
from wan_assets.ledger.budget import Budget, Shortfall, shortfalls_of
from wan_assets.ledger.concurrency import LearnedLimit, RunNeeds, SharedLimit
from wan_assets.ledger.entries import Claim, Origin, Task, TaskState, money_of
from wan_assets.ledger.heartbeat import heartbeat, renewed
from wan_assets.ledger.lease import Instant, Lease
from wan_assets.ledger.prices import PriceSeen
from wan_assets.ledger.report import DayBooked, Overcharge, SpendLine, Totals
from wan_assets.ledger.run_account import RunAccount

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
