"""check_release, under Lambda's own emulator, tries versions of the deployed functions.

The local cloud has no CodeDeploy, so one that knows a single deployment stands in front of it here.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from local.emulator import Emulator, Invocation
from local.environment import LocalEnvironment
from tests.unit.parts import HttpRequest, SocketServer, http_answer

FUNCTIONS = (
    "PlaceCallFunction",
    "ReceiveWebhookFunction",
    "PollCallsFunction",
    "PublishOutcomeFunction",
    "GetCallFunction",
)
HOOK = {"DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "the-execution"}


@dataclass
class CodeDeploy:
    """A deployment of one version, and everything else as the local cloud has it."""

    cloud_url: str
    function: str
    version: str
    verdicts: list[str] = field(default_factory=list)

    def behave(self, connection: socket.socket, request: HttpRequest) -> bool:
        service, _, action = request.headers.get("x-amz-target", "").partition(".")
        connection.sendall(self._answer(action, json.loads(request.body)) if service else self._from_cloud(request))
        return True

    def _answer(self, action: str, asked: dict[str, str]) -> bytes:
        revision = {"revisionType": "String", "string": {"sha256": "abc"}}
        match action:
            case "GetDeployment":
                assert asked["deploymentId"] == HOOK["DeploymentId"]
                answer = {"deploymentInfo": {"applicationName": "releases", "revision": revision}}
            case "GetApplicationRevision":
                properties = {"Name": self.function, "Alias": "live", "CurrentVersion": "1"}
                resource = {"Type": "AWS::Lambda::Function", "Properties": properties | {"TargetVersion": self.version}}
                content = json.dumps({"version": 0.0, "Resources": [{self.function: resource}]})
                answer = {"revision": {"revisionType": "String", "string": {"content": content}}}
            case "PutLifecycleEventHookExecutionStatus":
                assert asked["lifecycleEventHookExecutionId"] == HOOK["LifecycleEventHookExecutionId"]
                self.verdicts.append(asked["status"])
                answer = {}
            case _:
                raise AssertionError(action)
        return http_answer(json.dumps(answer), Content_Type="application/x-amz-json-1.1")

    def _from_cloud(self, request: HttpRequest) -> bytes:
        answer = httpx.request(
            request.method,
            self.cloud_url + request.path,
            headers=dict(request.headers),
            content=request.body,
            trust_env=False,
            timeout=60,
        )
        told = {name.replace("-", "_"): value for name, value in answer.headers.items() if name.startswith("x-amz-")}
        return http_answer(answer.content, f"{answer.status_code} OK", **told)


def check(world: LocalEnvironment, function: str, version: str) -> tuple[list[str], Invocation]:
    """The verdicts on a version that CodeDeploy gets, and the result of the check."""
    codedeploy = CodeDeploy(world.cloud.endpoint_url, function, version)
    with SocketServer(codedeploy.behave) as front:
        environment = {"AWS_ENDPOINT_URL": front.url, "POWERTOOLS_SERVICE_NAME": world.stack.name}
        with Emulator("CheckReleaseFunction", environment) as emulator:
            invocation = emulator.invoke(HOOK)
    assert invocation.error is None
    return codedeploy.verdicts, invocation


def live_version(world: LocalEnvironment, function: str) -> str:
    return world.cloud.client("lambda").get_alias(FunctionName=function, Name="live")["FunctionVersion"]


@contextmanager
def version_told_otherwise(world: LocalEnvironment, function: str, variables: dict[str, str | None]) -> Iterator[str]:
    """A version of a function that lacks some of its settings, or has others."""
    functions = world.cloud.client("lambda")
    told = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    changed = {name: value for name, value in (told | variables).items() if value is not None}
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": changed})
    try:
        yield functions.publish_version(FunctionName=function)["Version"]
    finally:
        functions.update_function_configuration(FunctionName=function, Environment={"Variables": told})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_live_version_passes_and_places_no_call(world: LocalEnvironment, name: str) -> None:
    function = world.stack.resources[name]
    calls, dials = world.calls().keys(), world.dials().keys()

    verdicts, invocation = check(world, function, live_version(world, function))

    assert (verdicts, invocation.answer) == (["Succeeded"], None)
    assert [each for each in world.calls() if "release-check" in each] == []
    assert (calls, dials) <= (world.calls().keys(), world.dials().keys())
    (line,) = (json.loads(line) for line in invocation.log if "release checked" in line)
    assert line["function"] == function
    assert "complaint" not in line


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("PlaceCallFunction", "CALLS_TABLE_NAME"),
        ("ReceiveWebhookFunction", "RETENTION_DAYS"),
        ("PollCallsFunction", "ALLOMIA_BASE_URL"),
        ("PublishOutcomeFunction", "OUTCOME_BUS_NAME"),
        ("GetCallFunction", "CALLS_TABLE_NAME"),
    ],
)
def test_a_version_that_does_not_start_is_held_back(world: LocalEnvironment, name: str, setting: str) -> None:
    function = world.stack.resources[name]
    with version_told_otherwise(world, function, {setting: None}) as version:
        verdicts, invocation = check(world, function, version)

    assert verdicts == ["Failed"]
    (line,) = (json.loads(line) for line in invocation.log if "release checked" in line)
    assert line["complaint"] == "the function fails"


def test_a_version_that_cannot_read_its_secret_is_held_back(world: LocalEnvironment) -> None:
    function = world.stack.resources["ReceiveWebhookFunction"]
    elsewhere = {"SIGNING_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:nobodys-AbC123"}
    with version_told_otherwise(world, function, {**elsewhere}) as version:
        verdicts, invocation = check(world, function, version)

    assert verdicts == ["Failed"]
    assert any("answers 500" in line for line in invocation.log)


def test_a_version_that_is_not_there_is_held_back(world: LocalEnvironment) -> None:
    verdicts, invocation = check(world, world.stack.resources["PlaceCallFunction"], "4711")

    assert verdicts == ["Failed"]
    assert any("release not checked" in line for line in invocation.log)
