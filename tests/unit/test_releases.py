"""A new version is tried before it gets any work: which one, with what, and what counts as an answer."""

import io
import json
from typing import Any, cast

import pytest

from outbound_calls.releases import NOTHING_TO_DO, CheckReleases, Verdict, Version, complaint

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
    """Knows one deployment, and remembers what it was told."""

    def __init__(self, revision: dict[str, Any]) -> None:
        self.revision = revision
        self.asked: list[tuple[str, object]] = []
        self.told: list[dict[str, str]] = []

    def get_deployment(self, deploymentId: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert deploymentId == "d-1"
        return {"deploymentInfo": {"applicationName": "the-application", "revision": STORED}}

    def get_application_revision(self, applicationName: str, revision: object) -> dict[str, Any]:  # noqa: N803
        self.asked.append((applicationName, revision))
        return {"revision": self.revision}

    def put_lifecycle_event_hook_execution_status(self, **said: str) -> None:
        self.told.append(said)


class Functions:
    """Answers every invocation alike."""

    def __init__(self, answer: object, error: str | None = None) -> None:
        self.answer = {"Payload": io.BytesIO(json.dumps(answer).encode())} | ({"FunctionError": error} if error else {})
        self.invoked: list[dict[str, Any]] = []

    def invoke(self, **how: Any) -> dict[str, Any]:
        self.invoked.append(how)
        return self.answer


def checks(functions: Functions, codedeploy: CodeDeploy) -> CheckReleases:
    return CheckReleases(cast("Any", functions), cast("Any", codedeploy))


@pytest.mark.parametrize("kind", ["string", "appSpecContent"])
def test_the_version_is_the_one_that_the_deployment_would_give_work_to(kind: str) -> None:
    codedeploy = CodeDeploy({"revisionType": "String", kind: {"content": CONTENT}})

    assert checks(Functions(None), codedeploy).version("d-1") == Version("place-call", "7")
    assert codedeploy.asked == [("the-application", STORED)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Expecting value"),
        ("version: 0.0", "Expecting value"),
        ('{"Resources": []}', "not enough values"),
        ('{"Resources": [{}, {}]}', "too many values"),
    ],
)
def test_a_deployment_that_names_no_version_cannot_be_tried(content: str, problem: str) -> None:
    codedeploy = CodeDeploy({"revisionType": "String", "string": {"content": content}})

    with pytest.raises(ValueError, match=problem):
        checks(Functions(None), codedeploy).version("d-1")


def test_that_very_version_is_asked_for_nothing() -> None:
    functions = Functions({"batchItemFailures": []})

    assert checks(functions, CodeDeploy({})).complaint(Version("place-call", "7")) is None
    ((how),) = functions.invoked
    assert (how["FunctionName"], how["Qualifier"]) == ("place-call", "7")
    assert json.loads(how["Payload"]) == NOTHING_TO_DO


def test_a_version_that_does_not_start_is_complained_of_without_its_words() -> None:
    functions = Functions({"errorType": "ValidationError", "errorMessage": "+15005550100"}, "Unhandled")

    found = checks(functions, CodeDeploy({})).complaint(Version("place-call", "7"))

    assert found == "it does not start, or fails"


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
def test_who_did_nothing_may_go_on(answer: object) -> None:
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
def test_who_did_something_or_failed_may_not(answer: object) -> None:
    assert complaint(answer)


def test_the_verdict_is_in_codedeploys_words() -> None:
    codedeploy = CodeDeploy({})

    checks(Functions(None), codedeploy).report("d-1", "hook-1", Verdict.FAILED)

    assert codedeploy.told == [
        {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": "Failed"},
    ]
