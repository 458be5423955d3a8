"""The engine: from requests to stored videos, each paid for once. Knows nothing of Dagster."""

from wan_assets.engine.adoption import Adopted, adopt
from wan_assets.engine.engine import generate
from wan_assets.engine.in_flight import Pending, UnderWay, Watch
from wan_assets.engine.jobs import Limits, OnMismatch, Order, Outcome
from wan_assets.engine.recovery import Recovered, recover

__all__ = [
    "Adopted",
    "Limits",
    "OnMismatch",
    "Order",
    "Outcome",
    "Pending",
    "Recovered",
    "UnderWay",
    "Watch",
    "adopt",
    "generate",
    "recover",
]
