"""AlloMia on this machine, healthy or not: over HTTP (`Simulator`) or in the same process (`ScriptedAllomia`)."""

from local.simulator.app import Settings, create_app
from local.simulator.behaviours import ANSWERS, STATUS_ANSWERS, Answer, Means, PostAnswer, fails, returns
from local.simulator.call_log import organization_id
from local.simulator.calls import Dials, SentWebhook, ShownCall, call_id
from local.simulator.faults import Faults
from local.simulator.handle import Simulator, SimulatorError
from local.simulator.magic_numbers import MAGIC_NUMBERS, MagicNumber
from local.simulator.transport import ScriptedAllomia, Webhook, play

__all__ = [
    "ANSWERS",
    "MAGIC_NUMBERS",
    "STATUS_ANSWERS",
    "Answer",
    "Dials",
    "Faults",
    "MagicNumber",
    "Means",
    "PostAnswer",
    "ScriptedAllomia",
    "SentWebhook",
    "Settings",
    "ShownCall",
    "Simulator",
    "SimulatorError",
    "Webhook",
    "call_id",
    "create_app",
    "fails",
    "organization_id",
    "play",
    "returns",
]
