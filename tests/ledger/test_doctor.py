"""Each check of the doctor, well and ill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from calls.doctor import Check, Doctor, Verdict
from calls.stack import Aws, Deployed
from tests.ledger.parts import NOW, Calls, create_calls_table
from tests.ledger.world import Surroundings

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
            "RejectedQueueUrl": surroundings.new_queue(),
            "DeadLetterQueueUrl": surroundings.new_queue(),
            "WebhookUrl": "https://hooks.example/webhooks/allomia",
            "PollerArn": "arn:aws:states:ca-central-1:123456789012:stateMachine:poller",
        }
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

    def examined(self, what: str, now: float = NOW) -> dict[str, Check]:
        """The checks that one examination makes, by their names."""
        aws = Aws(self.surroundings.cloud.endpoint_url)
        stack = Deployed("patient", "arn:patient", self.status, self.outputs, self.parameters, aws)
        doctor = Doctor(stack, lambda: now, httpx.MockTransport(self.answer))
        checks: Iterator[Check] = getattr(doctor, what)()
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
