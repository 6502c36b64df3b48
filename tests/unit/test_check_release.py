"""A new version is checked before it gets traffic: which one, with which event, and which answers pass."""

import io
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from outbound_calls.contracts.wire import check_request_key
from releases import CheckReleases, Verdict, Version, complaint, nothing_to_do

CONTENT = json.dumps(
    {
        "version": 0.0,
        "Resources": [
            {
                "place-call": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {"Name": "place-call", "Alias": "live", "CurrentVersion": "6", "TargetVersion": "7"},
                }
            }
        ],
        "Hooks": [{"BeforeAllowTraffic": "check-release"}],
    }
)
STORED = {"revisionType": "String", "string": {"sha256": "abc"}}


class CodeDeploy:
    """Knows one deployment, and keeps what is reported to it."""

    def __init__(self, revision: dict[str, Any]) -> None:
        self.revision = revision
        self.asked: list[tuple[str, object]] = []
        self.reported: list[dict[str, str]] = []

    def get_deployment(self, deploymentId: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert deploymentId == "d-1"
        return {"deploymentInfo": {"applicationName": "the-application", "revision": STORED}}

    def get_application_revision(self, applicationName: str, revision: object) -> dict[str, Any]:  # noqa: N803
        self.asked.append((applicationName, revision))
        return {"revision": self.revision}

    def put_lifecycle_event_hook_execution_status(self, **status: str) -> None:
        self.reported.append(status)


class Functions:
    """Gives every invocation the same answer."""

    def __init__(self, answer: object, error: str | None = None) -> None:
        self.answer = {"Payload": io.BytesIO(json.dumps(answer).encode())} | ({"FunctionError": error} if error else {})
        self.invoked: list[dict[str, Any]] = []

    def invoke(self, **how: Any) -> dict[str, Any]:
        self.invoked.append(how)
        return self.answer


def checks(functions: Functions, codedeploy: CodeDeploy) -> CheckReleases:
    return CheckReleases(cast("Any", functions), cast("Any", codedeploy))


@pytest.mark.parametrize("kind", ["string", "appSpecContent"])
def test_the_version_is_the_target_of_the_deployment(kind: str) -> None:
    codedeploy = CodeDeploy({"revisionType": "String", kind: {"content": CONTENT}})

    assert checks(Functions(None), codedeploy).version("d-1") == Version("place-call", "7")
    assert codedeploy.asked == [("the-application", STORED)]


@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_the_version_is_found_whatever_the_casing_of_the_keys(spelled: Callable[[str], str]) -> None:
    content = json.loads(CONTENT, object_pairs_hook=lambda pairs: {spelled(name): value for name, value in pairs})
    codedeploy = CodeDeploy({"revisionType": "String", "string": {"content": json.dumps(content)}})

    assert checks(Functions(None), codedeploy).version("d-1") == Version("place-call", "7")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Expecting value"),
        ("version: 0.0", "Expecting value"),
        ('{"Resources": []}', "not enough values"),
        ('{"Resources": [{}, {}]}', "too many values"),
    ],
)
def test_a_deployment_without_a_version_raises(content: str, problem: str) -> None:
    codedeploy = CodeDeploy({"revisionType": "String", "string": {"content": content}})

    with pytest.raises(ValueError, match=problem):
        checks(Functions(None), codedeploy).version("d-1")


def test_that_version_is_invoked_with_an_empty_event() -> None:
    functions = Functions({"batchItemFailures": []})

    assert checks(functions, CodeDeploy({})).complaint(Version("place-call", "7")) is None
    ((how),) = functions.invoked
    assert (how["FunctionName"], how["Qualifier"]) == ("place-call", "7")
    asked = json.loads(how["Payload"])
    assert asked | {"pathParameters": {}} == nothing_to_do() | {"pathParameters": {}}
    assert (asked["Records"], asked["items"]) == ([], [])


def test_no_request_can_have_the_id_that_is_asked_for() -> None:
    first, second = (nothing_to_do()["pathParameters"]["requestId"] for _ in range(2))

    check_request_key(first)
    assert first != second


def test_a_failing_version_fails_the_check_without_its_error_text() -> None:
    functions = Functions({"errorType": "ValidationError", "errorMessage": "+15005550100"}, "Unhandled")

    found = checks(functions, CodeDeploy({})).complaint(Version("place-call", "7"))

    assert found == "the function fails"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"batchItemFailures": []},
        {"polled": 0, "outcome": 0, "failed": 0},
        {"statusCode": 403, "body": "{}"},
        {"statusCode": 404},
    ],
)
def test_an_answer_to_an_empty_event_passes(answer: object) -> None:
    assert complaint(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "1"}]},
        {"polled": 1, "failed": 0},
        {"polled": 0, "failed": 1},
        {"statusCode": 200},
        {"statusCode": 302},
        {"statusCode": 500},
        {"statusCode": "403"},
        {},
        [],
        "done",
        True,
    ],
)
def test_any_other_answer_fails(answer: object) -> None:
    assert complaint(answer)


def test_the_verdict_is_reported_as_codedeploys_status() -> None:
    codedeploy = CodeDeploy({})

    checks(Functions(None), codedeploy).report("d-1", "hook-1", Verdict.FAILED)

    assert codedeploy.reported == [
        {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": "Failed"},
    ]
