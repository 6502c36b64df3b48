"""Each check of the doctor, on a healthy and on a faulty stack."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from calls.operations.doctor import Check, Doctor, Verdict
from calls.operations.proxies import proxied
from calls.operations.stack import DeployedStack, Resource
from local.cloud import LocalCloud
from local.simulator import ScriptedAllomia, organization_id
from outbound_calls.contracts.time_zones import TIME_ZONE_DATA_BUILT, TIME_ZONE_DATA_VERSION
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Allowance, AttemptKey, Refusal, RequestKey
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID, SocketServer, http_answer
from tests.unit.test_allomia_wire import says
from tests.world import NOW, CloudResources, create_calls_table, create_policy_table

PARAMETERS = {
    "Environment": "local",
    "WebhookGraceSeconds": "180",
    "CallDeadlineSeconds": "7200",
    "RetentionDays": "90",
    "DueShards": "4",
    "DefaultAssistantId": "a",
    "DefaultPhoneNumberId": "b",
    "AllomiaBaseUrl": "https://allomia.example",
    "CallingPolicy": "canada",
}


class DescribedStack:
    """A stack that is described and not deployed: its table and queues are real, and its internet is scripted."""

    def __init__(self, cloud: LocalCloud, resources: CloudResources) -> None:
        dynamodb = cloud.client("dynamodb")
        self.cloud: Any = cloud
        self.resources = resources
        self.attempts = SampleAttempts.over(dynamodb, create_calls_table(dynamodb))
        self.parameters = PARAMETERS | {"AllomiaApiKeySecretArn": resources.key_arn}
        self.outputs = {
            "CallsTableName": self.attempts.table.name,
            "PolicyTableName": create_policy_table(dynamodb),
            "CallQueueUrl": resources.new_queue(),
            "InvalidMessagesQueueUrl": resources.new_queue(),
            "DeadLetterQueueUrl": resources.new_queue(),
            "WebhookUrl": "https://hooks.example/webhooks/allomia",
            "PollerArn": "arn:aws:states:ca-central-1:123456789012:stateMachine:poller",
        }
        self.name = "described"
        self.hash_secret_arn = ""
        self.status = "CREATE_COMPLETE"
        self.knows_its_keys = True
        self.answers: dict[str, httpx.Response | Exception] = {
            "allomia.example": httpx.Response(404, json={"error": "Outbound call not found"}),
            "hooks.example": httpx.Response(403),
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[request.url.host]
        if self.knows_its_keys and "not-a-key" in request.headers.get("Authorization", ""):
            return httpx.Response(401, json={"error": "Unauthorized"})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def doctor(self, now: float) -> Doctor:
        stack = DeployedStack(self.name, "arn:described", self.status, self.outputs, self.parameters, self.cloud.client)
        if self.hash_secret_arn:
            # What CloudFormation would say, kept as the stack keeps it.
            parts = [Resource("NumberHashSecret", "AWS::SecretsManager::Secret", self.hash_secret_arn)]
            stack.__dict__["resources"] = parts
        return Doctor(stack, lambda: now, httpx.MockTransport(self.answer))

    def checks(self, name: str, now: float = NOW) -> dict[str, Check]:
        """The checks of one method of the doctor, by their names."""
        checks: Iterator[Check] = getattr(self.doctor(now), name)()
        return {check.name: check for check in checks}

    def verdicts(self, name: str, now: float = NOW) -> dict[str, Verdict]:
        return verdicts(self.checks(name, now))


def verdicts(checks: dict[str, Check]) -> dict[str, Verdict]:
    assert all(check.advice for check in checks.values() if check.verdict in {Verdict.FAILED, Verdict.WARNING})
    return {name: check.verdict for name, check in checks.items()}


@pytest.fixture
def stack(cloud: LocalCloud, resources: CloudResources) -> DescribedStack:
    return DescribedStack(cloud, resources)


# The calling policy.


def set_policy(stack: DescribedStack, document: dict[str, Any]) -> None:
    policies = stack.doctor(NOW).stack.policies
    policies.set(*replace(policies, clock=lambda: NOW).propose(json.dumps(document).encode()), "alice")


@pytest.fixture
def hashing(stack: DescribedStack) -> None:
    """The stack has a key for the hashes of numbers."""
    stack.hash_secret_arn = stack.resources.new_secret("a key")


@pytest.mark.usefixtures("hashing")
def test_a_stack_without_a_document_has_the_policy_of_its_preset(stack: DescribedStack) -> None:
    checks = stack.checks("policy")

    assert verdicts(checks) == {"calling policy": Verdict.OK}
    assert "canada" in checks["calling policy"].found


@pytest.mark.usefixtures("hashing")
def test_a_pause_is_reported(stack: DescribedStack) -> None:
    set_policy(stack, {"organizations": {"north": {"paused": True}}})

    checks = stack.checks("policy")

    assert verdicts(checks) == {"calling policy": Verdict.OK, "paused": Verdict.WARNING}
    assert checks["paused"].found == "organization north"


@pytest.mark.usefixtures("hashing")
@pytest.mark.parametrize(("days", "verdict"), [(60, Verdict.OK), (59, Verdict.FAILED), (-1, Verdict.FAILED)])
def test_holidays_that_run_out_are_reported_in_time(stack: DescribedStack, days: int, verdict: Verdict) -> None:
    set_policy(stack, {"holidays": {"country": "CA"}})
    last = datetime(2031, 12, 31, 12, tzinfo=UTC)

    assert stack.verdicts("policy", (last - timedelta(days=days)).timestamp())["holidays"] is verdict


@pytest.mark.usefixtures("hashing")
def test_a_policy_that_can_not_be_read_is_reported(stack: DescribedStack) -> None:
    table = stack.doctor(NOW).stack.policy_table
    table.set_policy('{"newField": 1}', "a later version", NOW, 0)

    assert stack.verdicts("policy") == {"calling policy": Verdict.FAILED}


def test_a_key_of_the_hashes_that_can_not_be_read_is_reported(stack: DescribedStack) -> None:
    stack.hash_secret_arn = "no-such-secret"

    assert stack.verdicts("policy") == {"calling policy": Verdict.OK, "number hashes": Verdict.FAILED}


@pytest.mark.parametrize(("days", "verdict"), [(180, Verdict.OK), (181, Verdict.FAILED)])
def test_old_time_zone_data_is_reported(stack: DescribedStack, days: int, verdict: Verdict) -> None:
    assert TIME_ZONE_DATA_BUILT
    built = datetime.fromisoformat(TIME_ZONE_DATA_BUILT).replace(tzinfo=UTC)

    assert stack.verdicts("time_zones", (built + timedelta(days=days)).timestamp()) == {"time zones": verdict}


@pytest.mark.parametrize(
    ("used", "after_days", "verdict", "words"),
    [
        (TIME_ZONE_DATA_VERSION, 10, Verdict.OK, f"{TIME_ZONE_DATA_VERSION} (the stack's last dial), 10 days old"),
        # Older than this command's: built before it, and within its year.
        (f"{TIME_ZONE_DATA_VERSION[:4]}a", 180, Verdict.WARNING, "a (the stack's last dial)"),
        (f"{TIME_ZONE_DATA_VERSION[:4]}a", 181, Verdict.FAILED, "a (the stack's last dial)"),
        ("2020a", 0, Verdict.FAILED, "2020a (the stack's last dial)"),
        ("9999a", 0, Verdict.WARNING, "9999a (the stack's last dial)"),
    ],
)
def test_the_time_zone_data_is_that_of_the_stack_where_a_dial_names_it(
    stack: DescribedStack, used: str, after_days: int, verdict: Verdict, words: str
) -> None:
    # Given a stack that decides by this data, and a dial of its organization north
    set_policy(stack, {"organizations": {"north": {"paused": False}}})
    assert TIME_ZONE_DATA_BUILT
    now = int(datetime.fromisoformat(TIME_ZONE_DATA_BUILT).replace(tzinfo=UTC).timestamp()) + after_days * 86_400
    allowance = Allowance(1, "canada", ("America/Toronto",), "number", used)
    attempt = new_attempt(AttemptKey(RequestKey("visit-1", "north"), 1), now - 60)
    assert stack.attempts.claim(replace(attempt, allowance=allowance), now=now - 50)
    assert stack.attempts.table.record(attempt.key, an_outcome(Status.COMPLETED), now - 40).stored

    check = stack.checks("time_zones", now)["time zones"]

    assert check.verdict is verdict
    assert words in check.found


# Deployment, parameters, key and webhook.


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("UPDATE_COMPLETE", Verdict.OK),
        ("UPDATE_IN_PROGRESS", Verdict.WARNING),
        ("UPDATE_ROLLBACK_COMPLETE", Verdict.FAILED),
        ("ROLLBACK_FAILED", Verdict.FAILED),
    ],
)
def test_a_failed_deployment_is_reported(stack: DescribedStack, status: str, verdict: Verdict) -> None:
    stack.status = status

    assert stack.verdicts("deployment") == {"deployment": verdict}


@pytest.mark.parametrize(
    ("environment", "rollout", "warned"),
    [("prod", "AtOnce", True), ("staging", "AtOnce", True), ("prod", "Gradual", False), ("dev", "AtOnce", False)],
)
def test_a_stack_whose_releases_are_not_gradual_is_a_warning(
    stack: DescribedStack, environment: str, rollout: str, warned: bool
) -> None:
    stack.parameters |= {"Environment": environment, "Rollout": rollout}

    assert stack.verdicts("deployment").get("releases") is (Verdict.WARNING if warned else None)


@pytest.mark.parametrize(("deadline", "verdict"), [("181", Verdict.OK), ("180", Verdict.FAILED), ("5", Verdict.FAILED)])
def test_a_deadline_before_the_first_poll_is_reported(stack: DescribedStack, deadline: str, verdict: Verdict) -> None:
    stack.parameters |= {"CallDeadlineSeconds": deadline}

    assert stack.checks("parameters")["parameters"].verdict is verdict


def test_missing_defaults_are_a_warning(stack: DescribedStack) -> None:
    stack.parameters |= {"DefaultAssistantId": ""}

    assert stack.verdicts("parameters")["defaults"] is Verdict.WARNING


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(404, json={"error": "Outbound call not found"}), Verdict.OK),
        (httpx.Response(404), Verdict.FAILED),
        (httpx.Response(404, text="<html>"), Verdict.FAILED),
        (httpx.Response(404, json={"message": "Not Found"}), Verdict.FAILED),
        (httpx.Response(401), Verdict.FAILED),
        (httpx.Response(403), Verdict.FAILED),
        (httpx.Response(500), Verdict.FAILED),
        (httpx.Response(200, text="<html>"), Verdict.FAILED),
        (httpx.ConnectError("no"), Verdict.FAILED),
    ],
)
def test_the_key_is_tried_on_allomia(
    stack: DescribedStack, answer: httpx.Response | Exception, verdict: Verdict
) -> None:
    stack.answers["allomia.example"] = answer

    assert stack.verdicts("key") == {"AlloMia key": Verdict.OK, "AlloMia": verdict, "AlloMia's refusal": Verdict.OK}


def test_a_site_that_accepts_any_key_is_not_allomia(stack: DescribedStack) -> None:
    stack.knows_its_keys = False

    assert stack.verdicts("key") == {
        "AlloMia key": Verdict.OK,
        "AlloMia": Verdict.OK,
        "AlloMia's refusal": Verdict.FAILED,
    }


def test_the_command_asks_over_the_proxy_that_the_environment_names(
    stack: DescribedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.parameters |= {"AllomiaBaseUrl": "http://allomia.example"}
    doctor = replace(stack.doctor(NOW), transport=None)
    not_found = http_answer('{"error": "Outbound call not found"}', "404 Not Found")
    with SocketServer(says(not_found)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        checks = {check.name: check for check in doctor.key()}

        assert checks["AlloMia"].verdict is Verdict.OK
        assert proxy.requests[0].path.startswith("http://allomia.example/api/outbound/")
        assert proxied("http://localhost/") is None
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    assert {check.found for check in doctor.key() if check.verdict is Verdict.FAILED} == {
        "only HTTP proxies are supported"
    }


def test_a_secret_without_a_key_is_reported_without_its_content(stack: DescribedStack) -> None:
    stack.parameters |= {"AllomiaApiKeySecretArn": stack.resources.new_secret('{"key": "hush"}')}

    checks = stack.checks("key")

    assert verdicts(checks) == {"AlloMia key": Verdict.FAILED}
    assert "hush" not in checks["AlloMia key"].model_dump_json()


def test_the_key_of_each_organization_is_tried(stack: DescribedStack) -> None:
    content = {"default": {"apiKey": "k"}, "north": {"apiKey": "hush hush"}, "So uth": {"apiKey": "k"}}
    text = json.dumps({"organizations": content})
    stack.parameters |= {"AllomiaApiKeySecretArn": stack.resources.new_secret(text)}

    found = [(check.name, check.verdict) for check in stack.doctor(NOW).key()]

    assert found == [
        ("AlloMia key", Verdict.FAILED),  # a name breaks the rule
        ("AlloMia key", Verdict.OK),
        ("AlloMia", Verdict.OK),
        ("AlloMia key of north", Verdict.FAILED),
        ("AlloMia's refusal", Verdict.OK),
    ]


@pytest.mark.parametrize(("organization", "verdict"), [("south", Verdict.FAILED), ("north", Verdict.OK)])
def test_a_key_of_another_organization_is_reported(stack: DescribedStack, organization: str, verdict: Verdict) -> None:
    """For an unknown call every valid key gets 404. The call log tells whose key it is."""
    allomia = ScriptedAllomia(organization_keys=(f"{organization}=k",))
    text = json.dumps({"organizations": {"north": {"apiKey": "k", "organizationId": organization_id("north")}}})
    stack.parameters |= {"AllomiaApiKeySecretArn": stack.resources.new_secret(text)}

    checks = {check.name: check.verdict for check in replace(stack.doctor(NOW), transport=allomia).key()}

    assert checks == {
        "AlloMia key of north": Verdict.OK,
        "AlloMia of north": Verdict.OK,
        "AlloMia organization of north": verdict,
        "AlloMia's refusal": Verdict.OK,
    }


def test_a_secret_that_cannot_be_read_is_reported_with_the_reason(stack: DescribedStack) -> None:
    stack.parameters |= {"AllomiaApiKeySecretArn": "no-such-secret"}

    checks = stack.checks("key")

    assert verdicts(checks) == {"AlloMia key": Verdict.FAILED}
    assert checks["AlloMia key"].found == "the secret can't be read: ResourceNotFoundException"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(403), Verdict.OK),
        (httpx.Response(200), Verdict.FAILED),
        (httpx.Response(404), Verdict.FAILED),
        (httpx.Response(500), Verdict.FAILED),
        (httpx.ConnectTimeout("no"), Verdict.FAILED),
    ],
)
def test_the_webhook_must_answer_an_invalid_signature_with_403(
    stack: DescribedStack, answer: httpx.Response | Exception, verdict: Verdict
) -> None:
    stack.answers["hooks.example"] = answer

    assert stack.verdicts("webhook") == {"webhook": verdict}


# The poller.


def test_an_overdue_call_is_reported(stack: DescribedStack) -> None:
    stack.attempts.scheduled(due_at=NOW + 60)

    assert stack.verdicts("overdue", NOW + 360) == {"overdue calls": Verdict.OK}
    assert stack.verdicts("overdue", NOW + 361) == {"overdue calls": Verdict.FAILED}


def test_what_allomia_refuses_is_reported_by_setting_with_its_words(stack: DescribedStack) -> None:
    assert stack.verdicts("refused") == {"refused by AlloMia": Verdict.OK}

    for number in range(4):
        stack.attempts.refused(Refusal(NOW + number, 1, f"credit {number}"))
    stack.attempts.refused(Refusal(NOW, 1, "no such assistant"), assistant_id="99999999-2222-4333-8444-555555555555")

    checks = list(stack.doctor(NOW).refused())
    assert {check.verdict for check in checks} == {Verdict.FAILED}
    assert [check.found for check in checks] == [
        f"4 wait, with assistant {ASSISTANT_ID[:8]}…, number {PHONE_NUMBER_ID[:8]}…: credit 3; credit 2; credit 1",
        f"1 wait, with assistant 99999999…, number {PHONE_NUMBER_ID[:8]}…: no such assistant",
    ]


def test_unknown_outcomes_of_the_last_week_are_reported(stack: DescribedStack) -> None:
    for status in (Status.COMPLETED, Status.UNKNOWN, Status.UNKNOWN):
        stack.attempts.ended(status)

    def check(now: float) -> Check:
        return stack.checks("unknown_outcomes", now)["unknown outcomes"]

    assert (check(NOW + 3600).verdict, check(NOW + 3600).found) == (Verdict.FAILED, "2 in the last 7 days")
    assert check(NOW + 8 * 86_400).verdict is Verdict.OK


def test_what_a_person_left_unknown_needs_no_one_any_more(stack: DescribedStack) -> None:
    assert stack.attempts.table.leave_unknown(stack.attempts.ended(Status.UNKNOWN), "alice")

    assert stack.checks("unknown_outcomes", NOW + 3600)["unknown outcomes"].verdict is Verdict.OK


def test_unknown_outcomes_of_every_organization_are_reported(stack: DescribedStack) -> None:
    set_policy(stack, {"organizations": {"north": {"paused": False}}})
    attempt = new_attempt(AttemptKey(RequestKey("visit-1", "north"), 1))
    assert stack.attempts.claim(attempt)
    assert stack.attempts.table.record(attempt.key, an_outcome(Status.UNKNOWN), NOW + 60).stored

    assert stack.checks("unknown_outcomes", NOW + 3600)["unknown outcomes"].found == "1 in the last 7 days"


def test_missing_metrics_of_sweeps_fail_unless_the_stack_is_local(stack: DescribedStack) -> None:
    assert stack.verdicts("sweeps") == {"sweeps": Verdict.SKIPPED}

    stack.parameters |= {"Environment": "prod"}
    assert stack.verdicts("sweeps") == {"sweeps": Verdict.FAILED}


def test_failed_sweeps_of_the_last_ten_minutes_are_a_warning(stack: DescribedStack) -> None:
    def count(name: str, times: int, at: float) -> None:
        dimensions = [{"Name": "StateMachineArn", "Value": stack.outputs["PollerArn"]}]
        data = [{"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": times}]
        stack.cloud.client("cloudwatch").put_metric_data(Namespace="AWS/States", MetricData=data)

    # The emulator drops data older than two weeks.
    now = time.time()
    count("ExecutionsSucceeded", 9, now - 120)
    assert stack.verdicts("sweeps", now) == {"sweeps": Verdict.OK}

    count("ExecutionsFailed", 1, now - 60)
    assert stack.verdicts("sweeps", now) == {"sweeps": Verdict.WARNING}
    assert stack.verdicts("sweeps", now + 3600) == {"sweeps": Verdict.SKIPPED}


# Parts that CloudFormation creates.

PARTS: dict[str, Any] = {
    "AlarmTopic": {"Type": "AWS::SNS::Topic"},
    "FailedOutcomesQueue": {"Type": "AWS::SQS::Queue"},
    "SomeAlarm": {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": "something is wrong",
            "Namespace": "Doctor",
            "MetricName": "Wrong",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    },
    "Queue": {"Type": "AWS::SQS::Queue"},
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    },
    "Function": {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": "def handler(event, context): pass"},
        },
    },
    "Source": {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {"EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "FunctionName": {"Ref": "Function"}},
    },
    "EveryHour": {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "ScheduleExpression": "rate(1 hour)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}},
        },
    },
}


@pytest.fixture
def created(stack: DescribedStack) -> DescribedStack:
    """The stack with the parts that no output names."""
    cloudformation = stack.cloud.client("cloudformation")
    stack.name = f"described-{uuid4().hex[:8]}"
    template = json.dumps({"Resources": PARTS})
    cloudformation.create_stack(StackName=stack.name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    deadline = time.monotonic() + 30
    while (found := cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0])["StackStatus"] != (
        "CREATE_COMPLETE"
    ):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return stack


def test_disabled_parts_and_alarms_are_reported(created: DescribedStack) -> None:
    # Given a healthy stack
    client = created.cloud.client
    described = client("cloudformation").describe_stack_resources(StackName=created.name)["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described}
    set_alarm = client("cloudwatch").set_alarm_state
    set_alarm(AlarmName=ids["SomeAlarm"], StateValue="OK", StateReason="test")
    assert created.verdicts("event_sources") == {"Source": Verdict.OK}
    assert created.verdicts("schedule") == {"schedule": Verdict.OK}
    assert created.checks("alarms")["alarms"].found == "1 alarms, all OK"

    # When parts are disabled, and an alarm goes off
    client("lambda").update_event_source_mapping(UUID=ids["Source"], Enabled=False)
    schedule = client("scheduler").get_schedule(Name=ids["EveryHour"].rpartition("|")[2])
    kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    client("scheduler").update_schedule(**{name: schedule[name] for name in kept}, State="DISABLED")
    set_alarm(AlarmName=ids["SomeAlarm"], StateValue="ALARM", StateReason="test")

    # Then each is reported, with what to do
    assert created.verdicts("event_sources") == {"Source": Verdict.FAILED}
    assert created.verdicts("schedule") == {"schedule": Verdict.FAILED}
    (in_alarm,) = created.checks("alarms").values()
    assert (in_alarm.verdict, in_alarm.advice) == (Verdict.FAILED, "something is wrong")


def test_alarms_without_data_are_not_called_ok(created: DescribedStack) -> None:
    check = created.checks("alarms")["alarms"]

    assert (check.verdict, check.found) == (Verdict.OK, "1 alarms, 0 OK, 1 without data")


def test_messages_that_wait_for_a_person_are_reported(created: DescribedStack) -> None:
    names = ("dead letters", "invalid messages", "failed outcomes")
    assert created.verdicts("queues") == dict.fromkeys(names, Verdict.OK)

    for url in (created.outputs["DeadLetterQueueUrl"], created.outputs["InvalidMessagesQueueUrl"]):
        created.resources.sqs.send_message(QueueUrl=url, MessageBody="waits")

    assert created.verdicts("queues") == dict.fromkeys(names[:2], Verdict.FAILED) | {names[2]: Verdict.OK}


def test_alarms_without_subscribers_are_a_warning(created: DescribedStack) -> None:
    assert created.verdicts("subscriptions") == {"alarm subscribers": Verdict.WARNING}


def test_a_check_that_can_not_be_made_hides_no_other(created: DescribedStack) -> None:
    # As in a stack of another version
    del created.outputs["InvalidMessagesQueueUrl"]

    diagnosis = created.doctor(NOW).examine()

    found = verdicts({check.name: check for check in diagnosis.checks})
    assert not diagnosis.healthy
    assert found["queues"] is Verdict.FAILED
    assert (found["alarms"], found["alarm subscribers"]) == (Verdict.OK, Verdict.WARNING)
