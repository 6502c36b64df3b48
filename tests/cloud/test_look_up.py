"""The report of a request holds everything that the table knows of its attempts, and nothing personal."""

from __future__ import annotations

from typing import Any

import pytest

from outbound_calls.contracts.status_api import RequestReport
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey, Terms
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.get_call import GetCallSettings
from outbound_calls.use_cases.look_up import LookUpRequests, attempt_report
from tests.cloud.parts import (
    DETAILS,
    DETAILS_WIRE,
    METADATA,
    FaultyNetwork,
    SampleAttempts,
    an_outcome,
    consistent_reads,
    new_attempt,
    new_key,
)
from tests.unit.parts import ASSISTANT_ID, CALL_ID, CONTACT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, a_request
from tests.world import DEADLINE_SECONDS, NOW, CloudResources

CANARY = "Zqx"
CREATED = "2026-04-01T14:30:00Z"
FINAL = TERMINAL - {Status.UNKNOWN}
NOT_A_KEY = {
    "empty": "",
    "a dot": ".",
    "two dots": "..",
    "two dots of an organization": "north~..",
    "a space": "visit 7",
    "a slash": "visit/7",
    "a newline at its end": "visit-7\n",
    "a NUL": "visit-7\x00",
    "another alphabet": "v\u0456sit-7",
    "half a character": "visit-\ud800",
    "an expression": ":requestId OR requestId <> :requestId",
    "a canary": f"{CANARY}!{PHONE_NUMBER}",
    "two organizations": "north~south~visit-7",
    "an organization alone": "north~",
    "no organization": "~visit-7",
    "an organization in capitals": "North~visit-7",
    "one character too many": "v" * 129,
    "longer than a key may be": "v" * 3000,
}


@pytest.fixture
def look_up(resources: CloudResources) -> LookUpRequests:
    settings = GetCallSettings.from_environment(resources.environment())
    return Assembly(lambda service, *_: resources.cloud.client(service)).look_up_requests(settings)


@pytest.fixture
def faulty_look_up(resources: CloudResources, network: FaultyNetwork) -> LookUpRequests:
    """The same over a network that counts operations."""
    settings = GetCallSettings.from_environment(resources.environment())
    return Assembly(lambda service, *_: network.client(service)).look_up_requests(settings)


def report_of(look_up: LookUpRequests, key: AttemptKey) -> RequestReport:
    report = look_up.look_up(str(key.request))
    assert report is not None
    return report


def only_attempt(look_up: LookUpRequests, key: AttemptKey) -> dict[str, Any]:
    """The only attempt of a report, on the wire."""
    (attempt,) = report_of(look_up, key).wire()["attempts"]
    return dict(attempt)


# Keys.


@pytest.mark.parametrize("text", NOT_A_KEY.values(), ids=NOT_A_KEY)
def test_a_text_that_is_not_a_request_key_is_invalid_and_the_table_is_not_read(
    faulty_look_up: LookUpRequests, network: FaultyNetwork, text: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        faulty_look_up.look_up(text)

    rule = "requestId: 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"
    assert str(caught.value) == rule
    assert network.operations == []


@pytest.mark.parametrize("text", ["a", "...", "-._", "A" * 128, "__proto__", "None", "north~a", "0~0"])
def test_a_request_without_a_record_has_no_report(look_up: LookUpRequests, text: str) -> None:
    assert look_up.look_up(text) is None


def test_an_organization_is_named_apart_from_the_request_id(attempts: SampleAttempts, look_up: LookUpRequests) -> None:
    key = AttemptKey(RequestKey(new_key().request.request_id, "north"), 1)
    assert attempts.claim(new_attempt(key))

    report = report_of(look_up, key)

    assert (report.organization, report.request_id) == ("north", key.request.request_id)
    assert look_up.look_up(key.request.request_id) is None


# Reports.


def test_the_report_of_a_finished_call_is_complete(attempts: SampleAttempts, look_up: LookUpRequests) -> None:
    key = attempts.calling().key
    outcome = an_outcome(Status.COMPLETED, outbound_call_id=CALL_ID, call_details=DETAILS)
    attempts.table.record(key, outcome, NOW + 151)

    assert report_of(look_up, key).wire() == {
        "requestId": key.request.request_id,
        "status": "completed",
        "final": True,
        "metadata": METADATA,
        "attempts": [
            {
                "attempt": 1,
                "status": "completed",
                "final": True,
                "dialled": "yes",
                "createdAt": CREATED,
                "dispatchedAt": CREATED,
                "timesParked": 0,
                "outboundCallId": CALL_ID,
                "contactId": CONTACT_ID,
                "callDetails": DETAILS_WIRE,
                "outcomeSource": "webhook",
                "recordedAt": "2026-04-01T14:32:31Z",
            }
        ],
    }


def test_the_report_of_a_parked_request_says_why_and_until_when_it_waits(
    attempts: SampleAttempts, look_up: LookUpRequests
) -> None:
    terms = Terms(not_after=NOW + 86_400)
    new = Attempt(new_key(), NOW, request=a_request(), labels=Labels(METADATA, "monday", "reminder"), terms=terms)
    assert attempts.table.park(new, NOW + 60, ParkReason.RATE_LIMITED)

    assert report_of(look_up, new.key).wire() == {
        "requestId": new.key.request.request_id,
        "status": "scheduled",
        "final": False,
        "parkReason": "rate-limited",
        "nextAttemptAt": "2026-04-01T14:31:00Z",
        "notAfter": "2026-04-02T14:30:00Z",
        "batch": "monday",
        "purpose": "reminder",
        "metadata": METADATA,
        "attempts": [
            {
                "attempt": 1,
                "status": "scheduled",
                "final": False,
                "dialled": "no",
                "createdAt": CREATED,
                "dueAt": "2026-04-01T14:31:00Z",
                "timesParked": 1,
                "parkReason": "rate-limited",
            }
        ],
    }


def test_the_report_of_a_dispatched_attempt_says_when_it_is_polled(
    attempts: SampleAttempts, look_up: LookUpRequests
) -> None:
    common = {
        "attempt": 1,
        "final": False,
        "createdAt": CREATED,
        "dispatchedAt": CREATED,
        "dueAt": "2026-04-01T14:33:00Z",
        "timesParked": 0,
    }
    ids = {"outboundCallId": CALL_ID, "contactId": CONTACT_ID}

    assert only_attempt(look_up, attempts.dispatching().key) == common | {"status": "dispatching", "dialled": "maybe"}
    assert only_attempt(look_up, attempts.calling().key) == common | ids | {"status": "calling", "dialled": "yes"}


def test_a_claimed_attempt_no_longer_says_why_it_was_parked(attempts: SampleAttempts, look_up: LookUpRequests) -> None:
    parked = attempts.scheduled()
    assert attempts.table.park(parked, NOW + 120, ParkReason.CIRCUIT_OPEN)
    assert attempts.claim(attempts.read(parked.key), now=NOW + 120)

    attempt = only_attempt(look_up, parked.key)

    assert attempt.items() >= {"timesParked": 2, "createdAt": CREATED, "dispatchedAt": "2026-04-01T14:32:00Z"}.items()
    assert "parkReason" not in attempt


@pytest.mark.parametrize("status", sorted(Status))
def test_the_status_of_a_request_is_that_of_its_attempt(
    attempts: SampleAttempts, look_up: LookUpRequests, status: Status
) -> None:
    report = report_of(look_up, attempts.in_status(status))

    assert (report.status, report.final) == (status, status in FINAL)
    (attempt,) = report.attempts
    assert (attempt.status, attempt.final) == (status, status in FINAL)
    if status in TERMINAL:
        assert attempt.outcome_source == an_outcome(status).source
        assert (attempt.recorded_at, attempt.due_at) == ("2026-04-01T14:33:20Z", None)
    # Every report can be read back from the wire.
    assert RequestReport.model_validate(report.wire()) == report


@pytest.mark.parametrize(
    ("status", "code", "dialled"),
    [
        (Status.REJECTED, ReasonCode.REFUSED_BY_ALLOMIA, Dialled.NO),
        (Status.UNKNOWN, ReasonCode.NO_OUTCOME, Dialled.MAYBE),
    ],
)
def test_a_rejected_or_unknown_attempt_says_why(
    attempts: SampleAttempts, look_up: LookUpRequests, status: Status, code: ReasonCode, dialled: Dialled
) -> None:
    key = attempts.dispatching().key
    attempts.table.record(key, an_outcome(status, reason_code=code, reason="the reason in words"), NOW + 1)

    reported = {"reasonCode": code, "reason": "the reason in words", "dialled": dialled}
    assert only_attempt(look_up, key).items() >= reported.items()


def test_allomias_own_word_is_read_and_is_no_part_of_the_wire(
    attempts: SampleAttempts, look_up: LookUpRequests
) -> None:
    key = attempts.calling().key
    before = look_up.look_up(str(key.request))

    attempts.table.note(key, CALL_ID, "voicemail", NOW)

    report = look_up.look_up(str(key.request))
    assert report
    assert before
    assert report.attempts[0].allomia_status == "voicemail"
    assert report.wire() == before.wire()


def test_a_real_outcome_replaces_unknown_in_the_report(attempts: SampleAttempts, look_up: LookUpRequests) -> None:
    key = attempts.dispatching().key
    no_outcome = an_outcome(Status.UNKNOWN, reason_code=ReasonCode.NO_OUTCOME, reason="no outcome")
    attempts.table.record(key, no_outcome, NOW + DEADLINE_SECONDS)

    attempts.table.record(key, an_outcome(Status.BUSY, outbound_call_id=CALL_ID), NOW + 9000)

    attempt = only_attempt(look_up, key)
    assert (attempt["status"], attempt["final"], attempt["outcomeSource"]) == ("busy", True, "webhook")
    assert (attempt["recordedAt"], attempt["outboundCallId"]) == ("2026-04-01T17:00:00Z", CALL_ID)
    assert attempt.keys().isdisjoint({"reason", "reasonCode"})


@pytest.mark.parametrize("source", OutcomeSource)
def test_a_report_names_every_source_of_an_outcome(
    attempts: SampleAttempts, look_up: LookUpRequests, source: OutcomeSource
) -> None:
    key = attempts.dispatching().key
    attempts.table.record(key, an_outcome(Status.FAILED, source=source), NOW + 60)

    assert only_attempt(look_up, key)["outcomeSource"] == source


def test_attempts_are_reported_in_order_and_the_last_one_decides(
    attempts: SampleAttempts, look_up: LookUpRequests
) -> None:
    # Given attempts, written in no order, whose numbers sort differently as text
    key = attempts.ended(Status.NO_ANSWER)
    for number, status in ((10, Status.CALLING), (2, Status.BUSY), (9, Status.UNKNOWN)):
        item = attempts.existing_item(attempts.in_status(status))
        own = {"requestId": str(key.request), "attempt": number, "metadata": {"attempt": str(number)}}
        attempts.put_item(item | own)

    report = report_of(look_up, key)

    assert [attempt.attempt for attempt in report.attempts] == [1, 2, 9, 10]
    assert [attempt.status for attempt in report.attempts] == ["no-answer", "busy", "unknown", "calling"]
    assert (report.status, report.final, report.metadata) == (Status.CALLING, False, {"attempt": "10"})


def test_a_report_may_take_several_pages_of_the_table(
    attempts: SampleAttempts, faulty_look_up: LookUpRequests, network: FaultyNetwork
) -> None:
    # Given four attempts, each more than a third of the megabyte that one answer may hold
    key = attempts.scheduled().key
    item = attempts.existing_item(key) | {"request": {"dynamicVariables": "x" * 380_000}}
    for number in range(1, 5):
        attempts.put_item(item | {"attempt": number})

    report = report_of(faulty_look_up, key)

    assert [attempt.attempt for attempt in report.attempts] == [1, 2, 3, 4]
    assert network.operations.count("Query") > 1


def test_an_attempt_without_a_record_has_no_report() -> None:
    with pytest.raises(ValueError, match="no record"):
        attempt_report(new_attempt())


# How the table is read.


def test_a_report_is_read_consistently(attempts: SampleAttempts, look_up: LookUpRequests) -> None:
    with consistent_reads(look_up.table.client, "Query") as consistent:
        report_of(look_up, attempts.calling().key)

    assert consistent == [True]


@pytest.mark.parametrize("status", sorted(Status))
def test_nothing_personal_is_reported_or_even_read(
    attempts: SampleAttempts, look_up: LookUpRequests, status: Status
) -> None:
    # Given an attempt whose item holds everything that a report must not show
    key = attempts.in_status(status)
    request = {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": f"{CANARY} Lovelace",
        "dynamicVariables": {f"{CANARY}-illness": f"{CANARY}-itis"},
    }
    attempts.put_item(attempts.existing_item(key) | {"request": request, "claimId": "a-claim"})
    answers: list[bytes] = []
    events = look_up.table.client.meta.events
    events.register_first(
        "before-parse.dynamodb.Query", lambda response_dict, **_: answers.append(response_dict["body"]), "answers"
    )
    try:
        report = report_of(look_up, key)
    finally:
        events.unregister("before-parse.dynamodb.Query", unique_id="answers")

    # Then neither the report nor the table's answer holds any of it
    (answer,) = answers
    assert "a-claim" not in report.model_dump_json()
    for text in (report.model_dump_json(), answer.decode()):
        for private in (CANARY, PHONE_NUMBER[1:], ASSISTANT_ID, PHONE_NUMBER_ID):
            assert private not in text
