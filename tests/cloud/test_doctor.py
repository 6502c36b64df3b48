"""Each check of the doctor, well and ill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from calls.doctor import Check, Doctor, Verdict
from calls.stack import Aws, Deployed
from tests.cloud.parts import NOW, Calls, create_calls_table
from tests.cloud.world import Surroundings

PARAMETERS = {
    "Environment": "local",
    "WebhookGraceSeconds": "180",
    "CallDeadlineSeconds": "7200",
    "RetentionDays": "90",
    "DueShards": "4",
    "DefaultAssistantId": "a",
    "DefaultPhoneNumberId": "b",
    "AllomiaBaseUrl": "https://allomia.example",
}


class Patient:
    """A stack that is described and not deployed: over a table and queues of its own, and a made-up internet."""

    def __init__(self, surroundings: Surroundings) -> None:
        dynamodb = surroundings.cloud.client("dynamodb")
        self.surroundings = surroundings
        self.calls = Calls.over(dynamodb, create_calls_table(dynamodb))
        self.parameters = PARAMETERS | {"AllomiaApiKeySecretArn": surroundings.key_arn}
        self.outputs = {
            "CallsTableName": self.calls.table,
            "CallQueueUrl": surroundings.new_queue(),
            "InvalidMessagesQueueUrl": surroundings.new_queue(),
            "DeadLetterQueueUrl": surroundings.new_queue(),
            "WebhookUrl": "https://hooks.example/webhooks/allomia",
            "PollerArn": "arn:aws:states:ca-central-1:123456789012:stateMachine:poller",
        }
        self.name = "patient"
        self.status = "CREATE_COMPLETE"
        self.answers: dict[str, httpx.Response | Exception] = {
            "allomia.example": httpx.Response(404, json={"error": "Outbound call not found"}),
            "hooks.example": httpx.Response(403),
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[request.url.host]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def doctor(self, now: float) -> Doctor:
        aws = Aws(self.surroundings.cloud.endpoint_url)
        stack = Deployed(self.name, "arn:patient", self.status, self.outputs, self.parameters, aws)
        return Doctor(stack, lambda: now, httpx.MockTransport(self.answer))

    def examined(self, what: str, now: float = NOW) -> dict[str, Check]:
        """The checks that one examination makes, by their names."""
        checks: Iterator[Check] = getattr(self.doctor(now), what)()
        return {check.name: check for check in checks}


@pytest.fixture
def patient(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Patient:
    for name, value in surroundings.cloud.environment().items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    return Patient(surroundings)


def verdicts(checks: dict[str, Check]) -> dict[str, Verdict]:
    assert all(check.advice for check in checks.values() if check.verdict in {Verdict.FAILED, Verdict.WARNING})
    return {name: check.verdict for name, check in checks.items()}


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("UPDATE_COMPLETE", Verdict.OK),
        ("UPDATE_IN_PROGRESS", Verdict.WARNING),
        ("UPDATE_ROLLBACK_COMPLETE", Verdict.FAILED),
        ("ROLLBACK_FAILED", Verdict.FAILED),
    ],
)
def test_the_deployment_is_told_by_its_status(patient: Patient, status: str, verdict: Verdict) -> None:
    patient.status = status

    assert verdicts(patient.examined("deployment")) == {"deployment": verdict}


@pytest.mark.parametrize(("deadline", "verdict"), [("181", Verdict.OK), ("180", Verdict.FAILED), ("5", Verdict.FAILED)])
def test_a_deadline_before_the_first_poll_is_a_mistake(patient: Patient, deadline: str, verdict: Verdict) -> None:
    patient.parameters |= {"CallDeadlineSeconds": deadline}

    assert patient.examined("parameters")["parameters"].verdict is verdict


def test_a_stack_without_defaults_is_pointed_out(patient: Patient) -> None:
    patient.parameters |= {"DefaultAssistantId": ""}

    assert verdicts(patient.examined("parameters"))["defaults"] is Verdict.WARNING


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(404), Verdict.OK),
        (httpx.Response(401), Verdict.FAILED),
        (httpx.Response(403), Verdict.FAILED),
        (httpx.Response(500), Verdict.FAILED),
        (httpx.Response(200, text="<html>"), Verdict.FAILED),
        (httpx.ConnectError("no"), Verdict.FAILED),
    ],
)
def test_the_key_is_shown_to_allomia(patient: Patient, answer: httpx.Response | Exception, verdict: Verdict) -> None:
    patient.answers["allomia.example"] = answer

    assert verdicts(patient.examined("key")) == {"AlloMia key": Verdict.OK, "AlloMia": verdict}


def test_a_secret_without_a_key_is_told_without_what_it_holds(patient: Patient) -> None:
    patient.parameters |= {"AllomiaApiKeySecretArn": patient.surroundings.new_secret('{"key": "hush"}')}

    checks = patient.examined("key")

    assert verdicts(checks) == {"AlloMia key": Verdict.FAILED}
    assert "hush" not in checks["AlloMia key"].model_dump_json()


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
def test_the_webhook_must_refuse_what_nobody_signed(
    patient: Patient, answer: httpx.Response | Exception, verdict: Verdict
) -> None:
    patient.answers["hooks.example"] = answer

    assert verdicts(patient.examined("webhook")) == {"webhook": verdict}


def test_a_call_that_no_sweep_looks_at_is_found(patient: Patient) -> None:
    patient.calls.scheduled(due_at=NOW + 60)

    assert verdicts(patient.examined("overdue", NOW + 360)) == {"due calls": Verdict.OK}
    assert verdicts(patient.examined("overdue", NOW + 361)) == {"due calls": Verdict.FAILED}


def test_without_metrics_a_local_stack_is_skipped_and_a_real_one_fails(patient: Patient) -> None:
    assert verdicts(patient.examined("sweeps")) == {"sweeps": Verdict.SKIPPED}

    patient.parameters |= {"Environment": "prod"}
    assert verdicts(patient.examined("sweeps")) == {"sweeps": Verdict.FAILED}


def test_sweeps_are_told_by_the_metrics_of_the_last_ten_minutes(patient: Patient) -> None:
    def happened(name: str, times: int, now: float) -> None:
        metrics.put_metric_data(
            Namespace="AWS/States",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "StateMachineArn", "Value": patient.outputs["PollerArn"]}],
                    "Timestamp": now,
                    "Value": times,
                }
            ],
        )

    # The emulator drops what is older than two weeks.
    now = time.time()
    metrics: Any = Aws(patient.surroundings.cloud.endpoint_url).client("cloudwatch")
    happened("ExecutionsSucceeded", 9, now - 120)
    assert verdicts(patient.examined("sweeps", now)) == {"sweeps": Verdict.OK}

    happened("ExecutionsFailed", 1, now - 60)
    assert verdicts(patient.examined("sweeps", now)) == {"sweeps": Verdict.WARNING}
    assert verdicts(patient.examined("sweeps", now + 3600)) == {"sweeps": Verdict.SKIPPED}


# Parts that CloudFormation made.

PARTS: dict[str, Any] = {
    "AlarmTopic": {"Type": "AWS::SNS::Topic"},
    "FailedOutcomesQueue": {"Type": "AWS::SQS::Queue"},
    "RingsAlarm": {
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
def made(patient: Patient) -> Patient:
    """The patient with the parts that no output names."""
    cloudformation = patient.surroundings.cloud.client("cloudformation")
    patient.name = f"patient-{uuid4().hex[:8]}"
    cloudformation.create_stack(
        StackName=patient.name, TemplateBody=json.dumps({"Resources": PARTS}), Capabilities=["CAPABILITY_IAM"]
    )
    deadline = time.monotonic() + 30
    while (status := cloudformation.describe_stacks(StackName=patient.name)["Stacks"][0])["StackStatus"] != (
        "CREATE_COMPLETE"
    ):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return patient


def test_what_is_disabled_or_rings_is_found(made: Patient) -> None:
    # Given that all is in order
    aws = Aws(made.surroundings.cloud.endpoint_url)
    described = aws.client("cloudformation").describe_stack_resources(StackName=made.name)["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described}
    assert verdicts(made.examined("event_sources")) == {"Source": Verdict.OK}
    assert verdicts(made.examined("schedule")) == {"schedule": Verdict.OK}
    assert verdicts(made.examined("alarms")) == {"alarms": Verdict.OK}

    # When parts are disabled, and an alarm goes off
    aws.client("lambda").update_event_source_mapping(UUID=ids["Source"], Enabled=False)
    scheduler = aws.client("scheduler")
    schedule = scheduler.get_schedule(Name=ids["EveryHour"].rpartition("|")[2])
    kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    scheduler.update_schedule(**{name: schedule[name] for name in kept}, State="DISABLED")
    aws.client("cloudwatch").set_alarm_state(AlarmName=ids["RingsAlarm"], StateValue="ALARM", StateReason="test")

    # Then each is found, with what to do
    assert verdicts(made.examined("event_sources")) == {"Source": Verdict.FAILED}
    assert verdicts(made.examined("schedule")) == {"schedule": Verdict.FAILED}
    (ringing,) = made.examined("alarms").values()
    assert (ringing.verdict, ringing.advice) == (Verdict.FAILED, "something is wrong")


def test_messages_that_wait_for_a_person_are_found(made: Patient) -> None:
    names = ("dead letters", "rejected messages", "failed outcomes")
    assert verdicts(made.examined("queues")) == dict.fromkeys(names, Verdict.OK)

    for url in (made.outputs["DeadLetterQueueUrl"], made.outputs["InvalidMessagesQueueUrl"]):
        made.surroundings.sqs.send_message(QueueUrl=url, MessageBody="waits")

    assert verdicts(made.examined("queues")) == dict.fromkeys(names[:2], Verdict.FAILED) | {names[2]: Verdict.OK}


def test_an_alarm_that_nobody_hears_is_pointed_out(made: Patient) -> None:
    assert verdicts(made.examined("subscriptions")) == {"who hears the alarms": Verdict.WARNING}


def test_a_stack_of_another_version_is_told_and_hides_nothing_else(made: Patient) -> None:
    del made.outputs["InvalidMessagesQueueUrl"]

    diagnosis = made.doctor(NOW).examine()

    found = verdicts({check.name: check for check in diagnosis.checks})
    assert not diagnosis.in_order
    assert found["queues"] is Verdict.FAILED
    assert (found["alarms"], found["who hears the alarms"]) == (Verdict.OK, Verdict.WARNING)
