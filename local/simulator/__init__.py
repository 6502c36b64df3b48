"""AlloMia on this machine, over real HTTP, well-behaved or not. Never deployed."""

from local.simulator.app import Settings, create_app
from local.simulator.calls import CallReport, Dials, SentWebhook
from local.simulator.faults import Faults
from local.simulator.handle import Simulator, SimulatorError
from local.simulator.magic_numbers import MAGIC_NUMBERS, MagicNumber

__all__ = [
    "MAGIC_NUMBERS",
    "CallReport",
    "Dials",
    "Faults",
    "MagicNumber",
    "SentWebhook",
    "Settings",
    "Simulator",
    "SimulatorError",
    "create_app",
]
