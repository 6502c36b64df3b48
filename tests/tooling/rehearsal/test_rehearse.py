"""What is rehearsed, what is refused, and what the report says. tests/stack has a whole rehearsal."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import boto3
import pytest

from calls.operations.stack import DeployedStack, Resource
from local.demo import Check
from local.simulator import MAGIC_NUMBERS
from rehearsal import cloud_tests
from rehearsal.measured import RunFigures
from rehearsal.rehearse import cases, refusal
from rehearsal.report import report
from rehearsal.steps import RehearsedStack, Stage
from tests import surroundings
from tests.aws_account.cloud import session_of
from tests.cloud.conftest import CLOUDS
from tests.tables import ROOT

OUTPUTS = {name: name for name in ("CallQueueUrl", "InvalidMessagesQueueUrl", "DeadLetterQueueUrl")}


class Queues:
    """Each has as many messages as its name says."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(self.waiting)}}


def a_stack(environment: str = "dev", url: str = "https://sandbox.example", waiting: int = 0) -> DeployedStack:
    parameters = {"Environment": environment, "AllomiaBaseUrl": url}
    stack = DeployedStack("calls", "arn", "UPDATE_COMPLETE", OUTPUTS, parameters, lambda _: Queues(waiting))
    stack.__dict__["resources"] = [Resource("FailedOutcomesQueue", "AWS::SQS::Queue", "failed")]
    return stack


@pytest.mark.parametrize(
    ("stack", "really", "why"),
    [
        (a_stack("prod"), True, "prod"),
        (a_stack(url="https://allomia.com"), False, "the real AlloMia"),
        (replace(a_stack(), status="UPDATE_IN_PROGRESS"), False, "UPDATE_IN_PROGRESS"),
        (a_stack(waiting=1), False, "isn't empty"),
        (a_stack(), False, None),
        (a_stack("staging", "https://allomia.com"), True, None),
    ],
)
def test_a_stack_that_someone_may_need_is_refused(stack: DeployedStack, really: bool, why: str | None) -> None:
    stack.__dict__.setdefault("resources", [Resource("FailedOutcomesQueue", "AWS::SQS::Queue", "failed")])
    found = refusal(stack, really)

    assert (found is None) is (why is None)
    assert (why or "") in (found or "")


def test_each_run_has_ids_of_its_own_and_dials_magic_numbers_only() -> None:
    first, second = cases("rehearsal-one-"), cases("rehearsal-two-")

    assert not {each.request_id for each in first} & {each.request_id for each in second}
    for case in first:
        assert case.request_id.startswith("rehearsal-one-")
        assert json.loads(case.body)["phoneNumber"].startswith("+1500555")
        if case.then:
            assert case.request_id in case.then
    kinds = {case.status for case in first}
    assert {"completed", "busy", "no-answer", "failed", "cancelled", "rejected", "scheduled"} <= kinds
    assert MAGIC_NUMBERS


def test_a_report_says_what_failed_and_what_was_left_out() -> None:
    some = cases("rehearsal-one-")[:2]
    calls = {some[0].request_id: {"status": "completed", "outcomeSource": "webhook", "createdAt": 10, "recordedAt": 13}}
    checks = [Check("no one is called twice", "1 of 2", False)]

    stage = Stage(a_stack(), cast("RehearsedStack", None), "", datetime(2026, 12, 1, tzinfo=UTC))
    figures = RunFigures([{"function": "PlaceCallFunction", "invocations": 3}], [{"what": "sum", "dollars": "0.01"}])
    left_out = ["alarms: the local cloud has none"]

    made = report(stage, checks, some, calls, {some[0].request_id: (2, 1)}, figures, left_out)

    assert not made.holds
    assert [row["status"] for row in made.calls] == ["completed", "none"]
    assert (made.calls[0]["seconds"], made.calls[0]["dials"]) == (3, 1)
    text = made.markdown()
    assert "**FAILED.**" in text
    assert "| no one is called twice | 1 of 2 | False |" in text
    assert "- alarms: the local cloud has none" in text
    assert "| PlaceCallFunction | 3 |" in text
    assert "| sum | 0.01 |" in text


def test_the_tests_of_the_tables_get_the_accounts_credentials_and_nothing_that_is_missing() -> None:
    session: Any = boto3.session.Session("key", "secret", "token", region_name="ca-central-1")

    variables = cloud_tests.environment(session, {"PATH": "/bin"})
    seen = surroundings.variables(variables, "/home")

    assert seen["TESTS_CLOUD"] in CLOUDS
    account = session_of(json.loads(seen["TESTS_AWS_ACCOUNT"]))
    assert account.get_credentials().get_frozen_credentials() == session.get_credentials().get_frozen_credentials()
    assert account.get_config_variable("region") == "ca-central-1"
    ignored = [each.removeprefix("--ignore=") for each in cloud_tests.command() if each.startswith("--ignore=")]
    assert len(ignored) == len(cloud_tests.ONLY_ON_LOCALHOST)
    assert [each for each in ignored if not (ROOT / each).exists()] == []


def test_make_passes_on_what_it_is_given() -> None:
    given = ["STACK=calls", "CLOUD_TESTS=1", "REALLY=1", "EXECUTION_ROLE=arn:aws:iam::1:role/r"]
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "rehearse", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "--cloud-tests --really" in done.stdout
    assert '--execution-role "$EXECUTION_ROLE"' in done.stdout
