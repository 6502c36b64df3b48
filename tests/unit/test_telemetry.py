"""What operators are told: names that alarms can rely on, and nothing of anybody's."""

import json
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from outbound_calls.contracts import Outcome
from outbound_calls.ledger import Call
from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.settings import PublishOutcomeSettings
from outbound_calls.telemetry import Metric, Telemetry, describe, outcome_metrics
from tests.unit.parts import KEY, PHONE_NUMBER

CANARY = "Zqx canary"


def a_telemetry() -> Telemetry:
    """Made in the test itself, since a logger keeps the stream that was there when it was made.

    Under a name of its own, since Python keeps a logger under its name.
    """
    return Telemetry.of(
        PublishOutcomeSettings(
            powertools_service_name=f"service-{uuid4().hex}",
            powertools_metrics_namespace="Tests",
            outcome_bus_name="outcomes",
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


def test_a_line_names_the_attempt_and_the_facts_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.tell("message parked", KEY, reason="HTTP 429", outboundCallId=None)

    (line,) = lines(capsys)
    assert (
        line.items()
        >= {
            "level": "INFO",
            "message": "message parked",
            "service": telemetry.logger.service,
            "requestId": "visit-2031",
            "attempt": 1,
            "reason": "HTTP 429",
        }.items()
    )
    assert "outboundCallId" not in line


def test_what_was_told_of_one_attempt_is_not_told_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.tell("first", KEY, reason="HTTP 429")
    telemetry.tell("second")

    assert not lines(capsys)[1].keys() & {"requestId", "attempt", "reason"}


def test_a_fault_is_logged_as_an_error_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.tell_fault("message will be delivered again", raised(ValueError(CANARY)), messageId="m-1")

    (line,) = lines(capsys)
    assert line["level"] == "ERROR"
    assert line["messageId"] == "m-1"
    assert line["error"].startswith("ValueError at ")
    assert "Zqx" not in json.dumps(line)


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics of the one EMF line, with its dimensions checked."""
    (line,) = lines(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Tests"
    assert directive["Dimensions"] == [["service"]]
    return {metric["Name"]: (metric["Unit"], line[metric["Name"]]) for metric in directive["Metrics"]}


def test_what_is_counted_is_written_out_once(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    telemetry.count(Metric.CALLS_PLACED)
    telemetry.count(Metric.CALLS_PLACED)
    telemetry.count(Metric.CALLS_PARKED, 3)
    telemetry.flush()

    assert counted(capsys) == {"CallsPlaced": ("Count", [1, 1]), "CallsParked": ("Count", [3])}
    telemetry.flush()
    assert lines(capsys) == []


def test_the_seconds_from_dispatch_to_outcome_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()

    call = Call(KEY, Status.NO_ANSWER, created_at=900, dispatched_at=1000, recorded_at=1042)

    telemetry.count_outcome(Outcome(status=Status.NO_ANSWER, source=OutcomeSource.WEBHOOK), call)
    telemetry.flush()

    assert counted(capsys) == {
        "Outcomes": ("Count", [1]),
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
def test_what_was_never_dialled_has_no_such_time(capsys: pytest.CaptureFixture[str], call: Call | None) -> None:
    telemetry = a_telemetry()

    status = call.status if call else Status.FAILED

    telemetry.count_outcome(Outcome(status=status, source=OutcomeSource.DISPATCH), call)
    telemetry.flush()

    assert "SecondsFromDispatchToOutcome" not in counted(capsys)


def test_a_page_of_fifty_is_counted_whole(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = a_telemetry()
    for _ in range(250):
        telemetry.count(Metric.POLLS)
    telemetry.flush()

    assert sum(sum(line["Polls"]) for line in lines(capsys)) == 250
