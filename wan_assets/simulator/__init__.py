"""The Runware API, served locally: it renders small real videos, records every charge, and can inject faults."""

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import FAULTS, SimulatorError, parse_rates
from wan_assets.simulator.journal import Journal
from wan_assets.simulator.server import LocalSimulator, serve

__all__ = [
    "FAULTS",
    "Behaviour",
    "Journal",
    "LocalSimulator",
    "SimulatorError",
    "parse_rates",
    "serve",
]
