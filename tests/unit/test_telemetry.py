"""What operators are told: names that alarms can rely on, and nothing of anybody's."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.contracts import Outcome
from outbound_calls.ledger import Call
from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.settings import PublishOutcomeSettings
from outbound_calls.telemetry import Metric, Telemetry, describe, outcome_metrics, seconds_to_outcome
from tests.unit.parts import KEY, PHONE_NUMBER

CANARY = "Zqx canary"


def a_telemetry() -> Telemetry:
    return Telemetry.of(
        PublishOutcomeSettings(
            powertools_service_name="calls-dev", powertools_metrics_namespace="Tests", outcome_bus_name="outcomes"
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


def test_of_an_aws_fault_the_error_code_is_told() -> None:
    error = ClientError({"Error": {"Code": "ThrottlingException", "Message": CANARY}}, "UpdateItem")

    said = describe(raised(error))

    assert said.startswith("ClientError ThrottlingException at test_telemetry.py:")
    assert "Zqx" not in said


def test_neither_the_cause_nor_a_note_of_an_exception_is_told() -> None:
    error = RuntimeError(CANARY)
    error.__cause__ = ValueError(CANARY)
    error.add_note(CANARY)

    assert "Zqx" not in describe(raised(error))


def test_an_exception_that_was_never_raised_is_described_as_well() -> None:
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
        (Status.REJECTED, OutcomeSource.DISPATCH, ("OutcomeRejected", "OutcomeByDispatch")),
        (Status.UNKNOWN, OutcomeSource.DEADLINE, ("OutcomeUnknown", "OutcomeByDeadline")),
    ],
)
def test_an_outcome_is_counted_by_status_and_by_source(
    status: Status, source: OutcomeSource, names: tuple[str, str]
) -> None:
    assert outcome_metrics(Outcome(status=status, source=source)) == names


def test_a_line_names_the_attempt_the_facts_that_there_are_and_what_they_count_as(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = a_telemetry()
    telemetry.tell(
        "message parked", Metric.CALLS_PARKED, Metric.KEY_REFUSED, key=KEY, reason="HTTP 401", outboundCallId=None
    )

    (line,) = lines(capsys)
    assert counted(line) == {"CallsParked": ("Count", [1]), "AllomiaKeyRefused": ("Count", [1])}
    told_at = datetime.fromisoformat(line.pop("timestamp"))
    assert told_at.utcoffset() == timedelta(0)
    assert abs(told_at.timestamp() * 1000 - line.pop("_aws")["Timestamp"]) < 1000
    assert line == {
        "level": "INFO",
        "message": "message parked",
        "service": "calls-dev",
        "requestId": "visit-2031",
        "attempt": 1,
        "reason": "HTTP 401",
        "CallsParked": [1],
        "AllomiaKeyRefused": [1],
    }


def test_what_was_told_of_one_attempt_is_not_told_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.tell("first", Metric.CALLS_PARKED, key=KEY, reason="HTTP 429")
    telemetry.tell("second", Metric.CALLS_PLACED)

    assert lines(capsys)[1].keys() == {"timestamp", "level", "message", "service", "_aws", "CallsPlaced"}


def test_a_fault_is_told_as_an_error_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    error = raised(ValueError(CANARY))
    telemetry.tell_fault("message will be delivered again", error, Metric.FAILED_MESSAGES, messageId="m-1")

    (line,) = lines(capsys)
    assert counted(line) == {"FailedMessages": ("Count", [1])}
    assert line["level"] == "ERROR"
    assert line["messageId"] == "m-1"
    assert line["error"].startswith("ValueError at ")
    assert "Zqx" not in json.dumps(line)


def test_what_counts_as_nothing_is_a_line_without_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    a_telemetry().tell_fault("call not read", raised(ValueError(CANARY)))

    (line,) = lines(capsys)
    assert line.keys() == {"timestamp", "level", "message", "service", "error"}


def test_the_seconds_from_dispatch_to_outcome_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(status=Status.NO_ANSWER, source=OutcomeSource.WEBHOOK)
    call = Call(KEY, Status.NO_ANSWER, created_at=900, dispatched_at=1000, recorded_at=1042)

    a_telemetry().tell("webhook: recorded", key=KEY, recorded=outcome, call=call)

    (line,) = lines(capsys)
    assert counted(line) == {
        "OutcomeNoAnswer": ("Count", [1]),
        "OutcomeByWebhook": ("Count", [1]),
        "SecondsFromDispatchToOutcome": ("Seconds", [42]),
    }


@pytest.mark.parametrize(
    "call",
    [
        None,
        Call(KEY, Status.UNKNOWN, created_at=900),
        Call(KEY, Status.REJECTED, created_at=900, dispatched_at=1000, recorded_at=1001),
    ],
)
def test_what_was_never_dialled_has_no_such_time(call: Call | None) -> None:
    outcome = Outcome(status=call.status if call else Status.FAILED, source=OutcomeSource.DISPATCH)

    assert seconds_to_outcome(outcome, call) is None
