"""Logs and metrics: names that alarms rely on, and no personal data."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.secrets import SecretUnreadable
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Outcome, RequestKey
from outbound_calls.runtime.settings.publish_outcome import PublishOutcomeSettings
from outbound_calls.runtime.telemetry import (
    Metric,
    Telemetry,
    deferral_metric,
    describe,
    ending_metrics,
    needs_a_person,
    outcome_metrics,
    request_names,
    seconds_to_outcome,
)
from tests.unit.parts import KEY, PHONE_NUMBER

CANARY = "Zqx canary"


def a_telemetry(service: str = "calls-dev") -> Telemetry:
    return Telemetry.of(
        PublishOutcomeSettings(
            powertools_service_name=service,
            powertools_metrics_namespace="Tests",
            outcome_bus_name="outcomes",
            failed_outcomes_queue_url="https://sqs.ca-central-1.amazonaws.com/123456789012/failed-outcomes",
        )
    )


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_an_exception_is_described_by_its_type_and_place_and_never_by_its_text() -> None:
    said = describe(raised(ValueError(f"{CANARY} {PHONE_NUMBER}")))

    assert said.startswith("ValueError at test_telemetry.py:")
    assert "Zqx" not in said
    assert PHONE_NUMBER not in said


def test_an_aws_fault_is_described_by_its_error_code() -> None:
    error = ClientError({"Error": {"Code": "ThrottlingException", "Message": CANARY}}, "UpdateItem")

    said = describe(raised(error))

    assert said.startswith("ClientError ThrottlingException at test_telemetry.py:")
    assert "Zqx" not in said


def test_a_secret_that_cannot_be_read_is_described_by_what_secrets_manager_answered() -> None:
    said = describe(raised(SecretUnreadable("AccessDeniedException")))

    assert said.startswith("SecretUnreadable AccessDeniedException at test_telemetry.py:")


def test_neither_the_cause_nor_a_note_of_an_exception_is_logged() -> None:
    error = RuntimeError(CANARY)
    error.__cause__ = ValueError(CANARY)
    error.add_note(CANARY)

    assert "Zqx" not in describe(raised(error))


def test_an_exception_that_was_never_raised_is_described_too() -> None:
    assert describe(KeyError(CANARY)) == "KeyError at "


def counted(line: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a line, with their dimensions checked."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Tests"
    assert directive["Dimensions"] == [["service"]]
    assert line["service"] == "calls-dev"
    return {metric["Name"]: (metric["Unit"], line[metric["Name"]]) for metric in directive["Metrics"]}


@pytest.mark.parametrize(
    ("status", "source", "names"),
    [
        (Status.COMPLETED, OutcomeSource.WEBHOOK, ("OutcomeCompleted", "OutcomeByWebhook")),
        (Status.FAILED, OutcomeSource.DISPATCH, ("OutcomeFailed", "OutcomeByDispatch")),
        (Status.BUSY, OutcomeSource.POLL, ("OutcomeBusy", "OutcomeByPoll")),
        (Status.NO_ANSWER, OutcomeSource.WEBHOOK, ("OutcomeNoAnswer", "OutcomeByWebhook")),
        # These need a person. Their status is counted when they are published.
        (Status.REJECTED, OutcomeSource.DISPATCH, ("OutcomeByDispatch",)),
        (Status.UNKNOWN, OutcomeSource.DEADLINE, ("OutcomeByDeadline",)),
    ],
)
def test_an_outcome_that_is_recorded_is_counted_by_status_and_by_source(
    status: Status, source: OutcomeSource, names: tuple[str, ...]
) -> None:
    assert outcome_metrics(Outcome(status=status, source=source)) == names


@pytest.mark.parametrize(
    ("code", "names", "for_a_person"),
    [
        (ReasonCode.REFUSED_BY_ALLOMIA, ("RejectedRefusedByAllomia", "RequestsToCorrect"), True),
        (ReasonCode.NO_CALLING_WINDOW, ("RejectedNoCallingWindow", "RequestsToCorrect"), True),
        (ReasonCode.UNKNOWN_PURPOSE, ("RejectedUnknownPurpose", "RequestsToCorrect"), True),
        (ReasonCode.EXPIRED, ("RejectedExpired",), True),
        (ReasonCode.DO_NOT_CALL, ("RejectedDoNotCall",), False),
        (ReasonCode.RECIPIENT_CAP, ("RejectedRecipientCap",), False),
        # A record of a version that had no code, or has others
        (None, ("RequestsToCorrect",), True),
    ],
)
def test_a_rejected_request_counts_by_its_reason_and_only_once(
    code: ReasonCode | None, names: tuple[str, ...], for_a_person: bool
) -> None:
    assert needs_a_person(Status.REJECTED, code, OutcomeSource.POLICY) is for_a_person
    assert not needs_a_person(Status.REJECTED, code, OutcomeSource.OPERATOR)
    assert ending_metrics(Status.REJECTED, code) == ("OutcomeRejected", *names)
    # What needs a person is counted when it is published, the rest when it is recorded
    outcome = Outcome(Status.REJECTED, OutcomeSource.POLICY, reason_code=code)
    recorded = () if for_a_person else ("OutcomeRejected", *names)
    assert outcome_metrics(outcome) == (*recorded, "OutcomeByPolicy")


def test_an_attempt_that_waits_by_policy_counts_by_its_reason() -> None:
    assert deferral_metric(ParkReason.OUTSIDE_CALLING_WINDOW) == "DeferredOutsideCallingWindow"


def test_a_line_has_the_attempt_its_fields_and_its_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = a_telemetry()
    telemetry.log(
        "attempt parked", Metric.CALLS_PARKED, Metric.KEY_DECLINED, key=KEY, code="key-declined", outboundCallId=None
    )

    (line,) = lines(capsys)
    assert counted(line) == {"CallsParked": ("Count", [1]), "AllomiaKeyDeclined": ("Count", [1])}
    del line["_aws"]
    assert line == {
        "level": "INFO",
        "message": "attempt parked",
        "service": "calls-dev",
        "requestId": "visit-2031",
        "attempt": 1,
        "code": "key-declined",
        "CallsParked": [1],
        "AllomiaKeyDeclined": [1],
    }


def test_a_line_has_nothing_of_the_line_before(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.log("first", Metric.CALLS_PARKED, key=KEY, reason="HTTP 429")
    telemetry.log("second", Metric.CALLS_PLACED)

    assert lines(capsys)[1].keys() == {"level", "message", "service", "_aws", "CallsPlaced"}


def test_a_fault_is_logged_as_an_error_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    error = raised(ValueError(CANARY))
    telemetry.log_fault("message failed", error, Metric.FAILED_MESSAGES, messageId="m-1")

    (line,) = lines(capsys)
    assert counted(line) == {"FailedMessages": ("Count", [1])}
    assert line["level"] == "ERROR"
    assert line["messageId"] == "m-1"
    assert line["error"].startswith("ValueError at ")
    assert "Zqx" not in json.dumps(line)


def test_an_event_that_is_not_counted_is_a_plain_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    # Powertools keeps one logger per service, which writes to the standard output of its first use.
    a_telemetry("calls-of-this-test").log_fault("request not read", raised(ValueError(CANARY)))

    (line,) = lines(capsys)
    assert line.keys() == {"timestamp", "level", "message", "service", "error"}


def test_the_seconds_from_dispatch_to_outcome_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(status=Status.NO_ANSWER, source=OutcomeSource.WEBHOOK)
    attempt = Attempt(KEY, 900, Status.NO_ANSWER, dispatched_at=1000, recorded_at=1042)

    a_telemetry().log("outcome recorded", key=KEY, outcome=outcome, attempt=attempt)

    (line,) = lines(capsys)
    assert counted(line) == {
        "OutcomeNoAnswer": ("Count", [1]),
        "OutcomeByWebhook": ("Count", [1]),
        "DispatchToOutcomeSeconds": ("Seconds", [42]),
    }


@pytest.mark.parametrize(
    "attempt",
    [
        None,
        Attempt(KEY, 900, Status.UNKNOWN),
        Attempt(KEY, 900, Status.REJECTED, dispatched_at=1000, recorded_at=1001),
    ],
)
def test_an_attempt_that_was_never_dialled_has_no_such_time(attempt: Attempt | None) -> None:
    outcome = Outcome(
        status=Status.UNKNOWN if attempt and attempt.status is Status.UNKNOWN else Status.REJECTED,
        source=OutcomeSource.DISPATCH,
    )

    assert seconds_to_outcome(outcome, attempt) is None


# Organizations.


@pytest.mark.parametrize("counted", [(), (Metric.CALLS_PLACED,)])
def test_a_line_names_its_organization_and_no_metric_has_it_as_a_dimension(
    counted: tuple[Metric, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = a_telemetry(f"organizations-{len(counted)}")

    telemetry.log("call placed", *counted, key=AttemptKey(RequestKey("visit-1", "north"), 1))
    telemetry.log("waiting attempts kept", *counted, organization="north")
    telemetry.log("call placed", *counted, key=KEY)

    of_request, of_keeper, of_default = lines(capsys)
    assert (of_request["organization"], of_request["requestId"]) == ("north", "visit-1")
    assert of_keeper["organization"] == "north"
    assert "organization" not in of_default
    if counted:
        (directive,) = of_request["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["service"]]


@pytest.mark.parametrize(
    ("text", "organization", "request_id"),
    [
        ("visit-1", "", "visit-1"),
        ("north~visit-1", "north", "visit-1"),
        ("north~~keeper", "north", "keeper"),
        ("north~~batch~december", "north~~batch", "december"),
        ("", "", ""),
    ],
)
def test_a_key_that_may_be_broken_is_named_in_parts(text: str, organization: str, request_id: str) -> None:
    assert request_names(text) == {"organization": organization, "requestId": request_id}
