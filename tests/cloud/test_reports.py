"""A request's report says all that the table knows of its attempts, and nothing personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from outbound_calls.contracts import AttemptKey, InvalidInput
from outbound_calls.lifecycle import TERMINAL, OutcomeSource, Status
from outbound_calls.reports import CallReport, Reports
from tests.cloud.parts import CLAIM, DETAILS, GRACE, METADATA, NOW, Calls, Network, an_outcome
from tests.unit.parts import ASSISTANT_ID, CALL_ID, CONTACT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, a_request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CANARY = "Zqx"
ASKED = "2026-04-01T14:30:00Z"
FINAL = TERMINAL - {Status.UNKNOWN}
BAD_IDS = {
    "nothing": "",
    "a dot": ".",
    "two dots": "..",
    "a space": "visit 7",
    "a slash": "visit/7",
    "a newline at its end": "visit-7\n",
    "a NUL": "visit-7\x00",
    "another alphabet": "v\u0456sit-7",
    "half a character": "visit-\ud800",
    "an expression": ":requestId OR requestId <> :requestId",
    "a canary": f"{CANARY}!{PHONE_NUMBER}",
    "a character too many": "v" * 129,
    "more than a key may hold": "v" * 3000,
}


def report_of(calls: Calls, key: AttemptKey) -> CallReport:
    report = Reports(calls.dynamodb, calls.table).of(key.request_id)
    assert report is not None
    return report


def told(calls: Calls, key: AttemptKey) -> dict[str, Any]:
    """The only attempt of a report, as it goes out."""
    (attempt,) = report_of(calls, key).wire()["attempts"]
    return dict(attempt)


def test_a_request_that_nobody_made_has_no_report(calls: Calls) -> None:
    assert Reports(calls.dynamodb, calls.table).of("never-asked") is None


@pytest.mark.parametrize("request_id", BAD_IDS.values(), ids=BAD_IDS)
def test_what_can_be_no_requests_id_is_refused_before_the_table_is_asked(
    calls: Calls, network: Network, request_id: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Reports(network.client("dynamodb"), calls.table).of(request_id)

    rule = "requestId: 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"
    assert str(caught.value) == rule
    assert network.operations == []


@pytest.mark.parametrize("request_id", ["a", "...", "-._", "A" * 128, "__proto__", "None"])
def test_an_odd_id_is_an_id(calls: Calls, request_id: str) -> None:
    assert Reports(calls.dynamodb, calls.table).of(request_id) is None


def test_a_finished_call_is_told_with_all_that_is_known_of_it(calls: Calls) -> None:
    key = calls.calling().key
    calls.ledger.record(key, an_outcome(Status.COMPLETED, outbound_call_id=CALL_ID, call_details=DETAILS), NOW + 151)

    assert report_of(calls, key).wire() == {
        "requestId": key.request_id,
        "status": "completed",
        "final": True,
        "metadata": METADATA,
        "attempts": [
            {
                "attempt": 1,
                "status": "completed",
                "final": True,
                "createdAt": ASKED,
                "dispatchedAt": ASKED,
                "timesParked": 0,
                "outboundCallId": CALL_ID,
                "contactId": CONTACT_ID,
                "callDetails": {
                    "startedAt": "2026-04-01T14:30:00Z",
                    "endedAt": "2026-04-01T14:32:30Z",
                    "duration": 150,
                    "endedReason": "customer-ended-call",
                },
                "outcomeSource": "webhook",
                "recordedAt": "2026-04-01T14:32:31Z",
            }
        ],
    }


def test_what_waits_says_until_when_and_why(calls: Calls) -> None:
    common = {"attempt": 1, "final": False, "createdAt": ASKED}
    dispatched = {"dispatchedAt": ASKED, "dueAt": "2026-04-01T14:33:00Z", "timesParked": 0}

    assert told(calls, calls.scheduled()) == common | {
        "status": "scheduled",
        "dueAt": "2026-04-01T14:31:00Z",
        "timesParked": 1,
        "parkReason": "HTTP 429",
    }
    assert told(calls, calls.dispatching().key) == common | dispatched | {"status": "dispatching"}
    assert told(calls, calls.calling().key) == common | dispatched | {
        "status": "calling",
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
    }


def test_once_it_is_dialled_why_it_was_parked_is_told_no_more_and_how_often_is(calls: Calls) -> None:
    key = calls.scheduled()
    assert calls.ledger.park_again(key, NOW + 120, "HTTP 503", times_parked=1)
    assert told(calls, key).items() >= {"timesParked": 2, "parkReason": "HTTP 503"}.items()
    assert calls.ledger.claim_scheduled(key, CLAIM, NOW + 120, GRACE)

    attempt = told(calls, key)

    assert attempt.items() >= {"timesParked": 2, "createdAt": ASKED, "dispatchedAt": "2026-04-01T14:32:00Z"}.items()
    assert "parkReason" not in attempt


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_says_by_whom_and_when(calls: Calls, status: Status) -> None:
    outcome = an_outcome(status)

    attempt = told(calls, calls.ended(status))

    assert attempt == {
        "attempt": 1,
        "status": status,
        "final": status in FINAL,
        "createdAt": ASKED,
        "dispatchedAt": ASKED,
        "timesParked": 0,
        "outcomeSource": outcome.source,
        "recordedAt": "2026-04-01T14:33:20Z",
    }


@pytest.mark.parametrize("status", sorted(Status))
def test_the_status_of_a_request_is_that_of_its_attempt(calls: Calls, status: Status) -> None:
    report = report_of(calls, calls.in_status(status))

    assert (report.status, report.final) == (status, status in FINAL)
    assert [attempt.status for attempt in report.attempts] == [status]
    # And every report can be read back from what goes out
    assert CallReport.model_validate(report.wire()) == report


def test_unknown_says_why_until_the_real_outcome_comes(calls: Calls) -> None:
    key = calls.dispatching().key
    calls.ledger.record(key, an_outcome(Status.UNKNOWN, reason="no outcome before the deadline"), NOW + 7200)
    before = told(calls, key)

    calls.ledger.record(key, an_outcome(Status.BUSY, outbound_call_id=CALL_ID), NOW + 9000)

    after = told(calls, key)
    assert (before["status"], before["final"], before["outcomeSource"]) == ("unknown", False, "deadline")
    assert before["reason"] == "no outcome before the deadline"
    assert (after["status"], after["final"], after["outcomeSource"]) == ("busy", True, "webhook")
    assert after["recordedAt"] == "2026-04-01T17:00:00Z"
    assert after["outboundCallId"] == CALL_ID
    assert "reason" not in after


def test_a_request_that_was_rejected_says_why(calls: Calls) -> None:
    key = calls.dispatching().key
    calls.ledger.record(key, an_outcome(Status.REJECTED, reason="HTTP 422: no such assistant"), NOW + 1)

    assert told(calls, key)["reason"] == "HTTP 422: no such assistant"


def test_attempts_are_told_in_their_order_and_the_last_one_speaks_for_the_request(calls: Calls) -> None:
    # Given attempts whose numbers sort otherwise as text, written in no order
    first = calls.ended(Status.NO_ANSWER)
    for number, status in ((10, Status.CALLING), (2, Status.BUSY), (9, Status.UNKNOWN)):
        item = calls.there(calls.in_status(status))
        calls.put_raw(item | {"requestId": first.request_id, "attempt": number, "metadata": {"attempt": str(number)}})

    report = report_of(calls, first)

    assert [attempt.attempt for attempt in report.attempts] == [1, 2, 9, 10]
    assert [attempt.status for attempt in report.attempts] == ["no-answer", "busy", "unknown", "calling"]
    assert (report.status, report.final, report.metadata) == (Status.CALLING, False, {"attempt": "10"})


def test_all_attempts_are_told_however_many_pages_they_fill(calls: Calls, network: Network) -> None:
    # Given four unfinished attempts of which each is more than a third of the megabyte that one answer may hold
    first = calls.scheduled()
    item = calls.there(first) | {"request": {"dynamicVariables": "x" * 380_000}}
    for number in range(1, 5):
        calls.put_raw(item | {"attempt": number})

    report = Reports(network.client("dynamodb"), calls.table).of(first.request_id)

    assert report is not None
    assert [attempt.attempt for attempt in report.attempts] == [1, 2, 3, 4]
    assert network.operations.count("Query") > 1


def test_a_request_without_metadata_has_none(calls: Calls) -> None:
    key = calls.new_key()
    assert calls.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE)

    assert report_of(calls, key).wire()["metadata"] == {}


def test_what_was_written_before_is_told(calls: Calls) -> None:
    key = calls.calling().key
    consistent: list[bool] = []
    client: DynamoDBClient = calls.dynamodb
    client.meta.events.register_first(
        "provide-client-params.dynamodb.Query",
        lambda params, **_: consistent.append(params.get("ConsistentRead", False)),
        "what-is-asked",
    )
    try:
        report_of(calls, key)
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.Query", unique_id="what-is-asked")

    # The local cloud is always consistent; that DynamoDB is asked to be is what counts.
    assert consistent == [True]


@pytest.mark.parametrize("status", sorted(Status))
def test_nothing_personal_is_told_or_even_asked_of_the_table(calls: Calls, status: Status) -> None:
    # Given a call whose request is full of what nobody should see, and whose record still holds it
    request = a_request(
        assistant_id=ASSISTANT_ID,
        phone_number_id=PHONE_NUMBER_ID,
        customer_name=f"{CANARY} Lovelace",
        dynamic_variables={f"{CANARY}-illness": f"{CANARY}-itis"},
        metadata=METADATA,
    )
    key = calls.in_status(status)
    calls.put_raw(calls.there(key) | {"request": request.order(), "claimId": f"{CANARY}-claim"})
    answers: list[bytes] = []
    client: DynamoDBClient = calls.dynamodb
    client.meta.events.register_first(
        "before-parse.dynamodb.Query", lambda response_dict, **_: answers.append(response_dict["body"]), "what-came"
    )
    try:
        report = report_of(calls, key)
    finally:
        client.meta.events.unregister("before-parse.dynamodb.Query", unique_id="what-came")

    # Then neither the report nor what the table answered holds any of it
    assert len(answers) == 1
    for said in (report.model_dump_json(), answers[0].decode()):
        for personal in (CANARY, PHONE_NUMBER[1:], ASSISTANT_ID, PHONE_NUMBER_ID):
            assert personal not in said


@pytest.mark.parametrize("source", OutcomeSource)
def test_every_source_of_an_outcome_is_told(calls: Calls, source: OutcomeSource) -> None:
    key = calls.dispatching().key
    calls.ledger.record(key, an_outcome(Status.FAILED, source=source), NOW + 60)

    assert told(calls, key)["outcomeSource"] == source
