"""What each function loads when it starts, from what was built: every module more is paid for at each cold start."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulator import BuiltFunction
from local.sam import ROOT, build
from tests.tooling.local.environment import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer's compiled modules are for Linux")

AWS = {"boto3", "botocore", "s3transfer", "certifi", "dateutil", "jmespath", "six", "urllib3"}
MODELS = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
METRICS = {"aws_lambda_powertools"}
ZONES = {"tzdata"}  # loaded once a calling window needs a time zone
HTTP = {"anyio", "h11", "httpcore", "httpx", "idna"}

PACKAGES = {
    "PlaceCallFunction": AWS | MODELS | METRICS | HTTP | {"tzdata"},
    "ReceiveWebhookFunction": AWS | MODELS | METRICS,
    "PollCallsFunction": AWS | MODELS | METRICS | HTTP,
    "PublishOutcomeFunction": AWS | MODELS | METRICS,
    "ReleaseLinesFunction": AWS | MODELS | METRICS | {"tzdata"},
    "GetCallFunction": AWS | MODELS | METRICS,
    "CheckReleaseFunction": AWS | MODELS | METRICS,
}
"""Third-party packages, all of them from the layer."""

EVERY = {"contracts.vocabulary", "contracts.wire", "runtime.clients", "runtime.settings"}
ASSEMBLED = EVERY | {"domain.attempts", "domain.timing", "domain.transitions", "runtime.assembly", "runtime.workers"}
WIRE = {"contracts.allomia", "contracts.partial_json"}
ITEMS = {"adapters.attempt_items", "adapters.call_states", "adapters.dynamodb"} | WIRE
TABLE = ITEMS | {"adapters.calls_table", "adapters.conditional_writes", "policy.redial"}
POLICY = {"adapters.policy_table", "domain.recipients"}
LINES = {
    *("adapters.due_entries", "adapters.lines_table", "adapters.waiting_attempts"),
    *("domain.lines", "use_cases.hand_on"),
}
ALLOMIA = TABLE | {
    *("adapters.allomia", "adapters.bounded_http", "adapters.organizations", "adapters.queues", "adapters.secrets"),
    *("contracts.dispatch", "domain.recipients", "runtime.telemetry"),
}

OWN = {
    "PlaceCallFunction": ASSEMBLED
    | ALLOMIA
    | POLICY
    | LINES
    | {
        "adapters.callback_urls",
        "adapters.circuit_breaker",
        "adapters.dial_marks",
        "adapters.fingerprints",
        "contracts.messages",
        "contracts.terms",
        "contracts.time_zones",
        "policy.calendars",
        "policy.caps",
        "policy.evaluation",
        "policy.number_zones",
        "policy.refusals",
        "policy.rules",
        "use_cases.cancel",
        "use_cases.decide",
        "use_cases.dial",
        "use_cases.limits",
        "use_cases.new_attempt",
        "use_cases.place",
        "use_cases.placement",
        "use_cases.wait_for_line",
    },
    "ReceiveWebhookFunction": ASSEMBLED
    | TABLE
    | {"adapters.callback_urls", "adapters.secrets", "runtime.telemetry", "use_cases.receive"},
    "PollCallsFunction": ASSEMBLED
    | ALLOMIA
    | POLICY
    | LINES
    | {
        "adapters.dial_marks",
        "adapters.rate_limiter",
        "use_cases.log_reads",
        "use_cases.not_found",
        "use_cases.polls",
        "use_cases.sweep",
    },
    "PublishOutcomeFunction": ASSEMBLED
    | ITEMS
    | {
        "adapters.outcome_bus",
        "adapters.queues",
        "contracts.dispatch",
        "contracts.events",
        "runtime.telemetry",
        "use_cases.publish",
    },
    "ReleaseLinesFunction": ASSEMBLED
    | (TABLE - WIRE - {"adapters.call_states"})
    | POLICY
    | LINES
    | {
        "adapters.queues",
        "adapters.secrets",
        "contracts.dispatch",
        "contracts.time_zones",
        "policy.calendars",
        "policy.caps",
        "policy.evaluation",
        "policy.number_zones",
        "policy.rules",
        "runtime.telemetry",
        "use_cases.decide",
        "use_cases.release_lines",
    },
    "GetCallFunction": ASSEMBLED | TABLE | {"contracts.status_api", "runtime.telemetry", "use_cases.look_up"},
    "CheckReleaseFunction": EVERY | {"runtime.telemetry"},
}
"""The modules of `outbound_calls`."""

START = """
import gc, json, sys, outbound_calls

before = sum(each["collections"] for each in gc.get_stats())
import app

print(json.dumps({
    "modules": {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()},
    "collections": sum(each["collections"] for each in gc.get_stats()) - before,
}))
"""


@dataclass(frozen=True)
class Start:
    """What a function did until it was ready for its first event."""

    modules: Mapping[str, str]
    """Those that it has loaded, each with its file."""
    collections: int
    """Of garbage, once it had loaded this project's package."""


@functools.cache
def start(name: str) -> Start:
    function = BuiltFunction.load(name)
    declared = {key: value for key, value in ENVIRONMENT.items() if key in function.variables}
    done = subprocess.run(
        [ROOT / ".venv/lambda-runtime/bin/python", "-c", START],
        cwd=function.code,
        env=function.environment(declared)
        | {
            "AWS_DEFAULT_REGION": "ca-central-1",
            "PYTHONPATH": os.pathsep.join(map(str, function.layers)),
            # What is deployed stays as it was built.
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Start(**json.loads(done.stdout))


def packages_of(layer: Path) -> set[str]:
    names = {path.name.removesuffix(".py") for path in (layer / "python").iterdir()}
    return {name for name in names if not name.endswith(".dist-info")} - {"__pycache__"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_function_loads_these_packages_and_no_other(name: str) -> None:
    layer = build() / "DependenciesLayer"

    modules = start(name).modules

    assert {module.split(".")[0] for module, file in modules.items() if file.startswith(str(layer))} == PACKAGES[name]
    names = {module.removeprefix("outbound_calls.") for module in modules if module.startswith("outbound_calls.")}
    own = {name for name in names if "." in name}
    settings = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
    assert own == OWN[name] | {f"runtime.settings.{settings}"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_start_spends_no_time_on_collecting_garbage(name: str) -> None:
    build()

    assert start(name).collections == 0


def test_the_layer_holds_no_package_that_no_function_loads() -> None:
    assert packages_of(build() / "DependenciesLayer") == set.union(*PACKAGES.values(), ZONES)


def test_every_function_of_the_template_is_known_here() -> None:
    assert {path.name for path in build().iterdir() if path.name.endswith("Function")} == PACKAGES.keys() == OWN.keys()
