"""The Runware API, served locally: real small videos, books that can be audited, and faults on request."""

from wan_assets.simulator.app import create_app
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import FAULTS, SimulatorError, rates_in
from wan_assets.simulator.journal import Books, Charge
from wan_assets.simulator.server import LocalSimulator, serve

__all__ = [
    "FAULTS",
    "Behaviour",
    "Books",
    "Charge",
    "LocalSimulator",
    "SimulatorError",
    "create_app",
    "rates_in",
    "serve",
]
