"""The Runware API, served locally: it renders small real videos, records every charge, and can inject faults."""

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import FAULTS, SimulatorError, rates_in
from wan_assets.simulator.journal import Journal
from wan_assets.simulator.server import LocalSimulator, serve

__all__ = [
    "FAULTS",
    "Behaviour",
    "Journal",
    "LocalSimulator",
    "SimulatorError",
    "rates_in",
    "serve",
]
