"""What each built function loads when it starts: every further module makes each cold start longer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator import BuiltFunction
from local.sam import ROOT, build
from tests.tooling.local.environment import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer's compiled modules are for Linux")

AWS = {"boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
MODELS = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
TELEMETRY = {"aws_lambda_powertools"}
HTTP = {"anyio", "h11", "httpcore", "httpx", "idna"}

PACKAGES = {
    "PlaceCallFunction": AWS | MODELS | TELEMETRY | HTTP,
    "ReceiveWebhookFunction": AWS | MODELS | TELEMETRY,
    "PollCallsFunction": AWS | MODELS | TELEMETRY | HTTP,
    "PublishOutcomeFunction": AWS | MODELS,
    "GetCallFunction": AWS | MODELS | TELEMETRY,
    "CheckReleaseFunction": AWS | MODELS | TELEMETRY,
}
"""Third-party packages, all of them from the layer."""

TABLE = {"adapters.call_states", "adapters.calls_table"}
ALLOMIA = {"adapters.allomia", "adapters.queues", "adapters.secrets"}
CALLBACKS = {"adapters.callback_urls", "adapters.secrets"}

PARTS = {
    "PlaceCallFunction": TABLE
    | ALLOMIA
    | CALLBACKS
    | {"adapters.circuit_breaker", "policy.decision", "use_cases.place"},
    "ReceiveWebhookFunction": TABLE | CALLBACKS | {"use_cases.receive"},
    "PollCallsFunction": TABLE | ALLOMIA | {"adapters.rate_limiter", "use_cases.sweep"},
    "PublishOutcomeFunction": TABLE | {"adapters.outcome_bus", "use_cases.publish"},
    "GetCallFunction": TABLE | {"policy.decision", "use_cases.look_up"},
    "CheckReleaseFunction": set(),
}
"""The use case, and what it needs of the adapters and the policy."""

LOAD = """
import app, json, sys

print(json.dumps({name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}))
"""


def loaded(name: str) -> dict[str, str]:
    """The modules that a function has loaded once it is ready for its first event, each with its file."""
    function = BuiltFunction.load(name)
    declared = {key: value for key, value in ENVIRONMENT.items() if key in function.variables}
    done = subprocess.run(
        [ROOT / ".venv/lambda-runtime/bin/python", "-c", LOAD],
        cwd=function.code,
        env=function.environment(declared)
        | {"AWS_DEFAULT_REGION": "ca-central-1", "PYTHONPATH": os.pathsep.join(map(str, function.layers))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules: dict[str, str] = json.loads(done.stdout)
    return modules


def packages_of(layer: Path) -> set[str]:
    names = {path.name.removesuffix(".py") for path in (layer / "python").iterdir()}
    return {name for name in names if not name.endswith(".dist-info")} - {"__pycache__"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_function_loads_these_packages_and_no_other(name: str) -> None:
    layer = build() / "DependenciesLayer"

    modules = loaded(name)

    assert {module.split(".")[0] for module, file in modules.items() if file.startswith(str(layer))} == PACKAGES[name]
    parts = {module.removeprefix("outbound_calls.") for module in modules if module.startswith("outbound_calls.")}
    assert {part for part in parts if part.startswith(("adapters.", "policy.", "use_cases."))} == PARTS[name]


def test_the_layer_holds_no_package_that_no_function_loads() -> None:
    assert packages_of(build() / "DependenciesLayer") == set.union(*PACKAGES.values())


def test_every_function_of_the_template_is_known_here() -> None:
    assert (
        {path.name for path in build().iterdir() if path.name.endswith("Function")} == PACKAGES.keys() == PARTS.keys()
    )
