"""The engine: from requests to stored videos, each paid for once. Knows nothing of Dagster."""

from wan_assets.generation.adoption import Adopted, adopt
from wan_assets.generation.engine import generate
from wan_assets.generation.recovery import Recovered, recover
from wan_assets.generation.underway import Pending, UnderWay, Watch
from wan_assets.generation.values import Limits, OnMismatch, Order, Outcome

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
