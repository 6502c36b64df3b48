"""Recording an outcome: the first one stays, a real one follows `unknown`, and nothing personal is left behind."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.call_states import outcome_from_state
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.contracts.allomia import read_call_state
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import AttemptKey, CallDetails, Outcome
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES
from outbound_calls.use_cases.publish import outcome_event
from tests.cloud.parts import (
    DETAILS,
    DETAILS_WIRE,
    METADATA,
    SampleAttempts,
    an_outcome,
    at_once,
    new_key,
)
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID, SETTING
from tests.world import DEADLINE_SECONDS, NOW, RETENTION_DAYS

REAL = sorted(ALLOMIA_OUTCOMES)
LATER = NOW + 151
REMOVED = {"request", "dueShard", "dueAt", "pollDelay", "claimId", "parkReason"}
NO_OUTCOME = an_outcome(Status.UNKNOWN, reason_code=ReasonCode.NO_OUTCOME, reason="no outcome within 7200 s")


def a_real_outcome(status: Status = Status.COMPLETED, **changes: Any) -> Outcome:
    fields = {"outbound_call_id": CALL_ID, "contact_id": CONTACT_ID, "call_details": DETAILS}
    return an_outcome(status, **(fields | changes))


def given_up(attempts: SampleAttempts) -> AttemptKey:
    """A call that AlloMia accepted, without an outcome at its deadline."""
    key = attempts.calling().key
    assert attempts.table.record(key, NO_OUTCOME, NOW + DEADLINE_SECONDS).stored
    return key


@pytest.mark.parametrize("status", REAL)
def test_an_outcome_is_stored_and_what_was_needed_to_dial_is_removed(attempts: SampleAttempts, status: Status) -> None:
    key = attempts.calling().key

    recording = attempts.table.record(key, a_real_outcome(status), LATER + 0.9)

    assert recording.result is RecordResult.STORED
    assert recording.attempt == attempts.read(key)
    assert attempts.item(key) == {
        "requestId": str(key.request),
        "attempt": 1,
        "status": status.value,
        "createdAt": NOW,
        "dispatchedAt": NOW,
        "timesParked": 0,
        "outcomeSource": "webhook",
        "recordedAt": LATER,
        "endedOn": "~2026-04-01",
        "setting": SETTING,
        "expiresAt": LATER + RETENTION_DAYS * 86_400,
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
        "callDetails": DETAILS_WIRE,
        "metadata": METADATA,
    }
    assert attempts.due_entries(key) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(Status.REJECTED, ReasonCode.REFUSED_BY_ALLOMIA), (Status.UNKNOWN, ReasonCode.NO_OUTCOME)],
)
def test_an_outcome_of_this_stack_says_why(attempts: SampleAttempts, status: Status, code: ReasonCode) -> None:
    key = attempts.dispatching().key

    attempts.table.record(key, an_outcome(status, reason_code=code, reason="HTTP 400: no such assistant"), LATER)

    item = attempts.existing_item(key)
    assert (item["reasonCode"], item["reason"]) == (code, "HTTP 400: no such assistant")
    assert item.keys().isdisjoint(REMOVED | {"callDetails"})


@pytest.mark.parametrize("status", sorted(Status))
def test_the_request_is_kept_only_until_the_attempt_ends(attempts: SampleAttempts, status: Status) -> None:
    item = attempts.existing_item(attempts.in_status(status))

    if status in {Status.SCHEDULED, Status.DISPATCHING, Status.CALLING}:
        assert item["request"]["customerName"] == "Ada"
        assert "expiresAt" not in item
    else:
        assert "Ada" not in str(item)
        assert item.keys().isdisjoint(REMOVED)
        assert item["expiresAt"] == item["recordedAt"] + RETENTION_DAYS * 86_400


# A second outcome.


@pytest.mark.parametrize("second", REAL)
@pytest.mark.parametrize("first", REAL)
def test_the_first_of_two_outcomes_stays(attempts: SampleAttempts, first: Status, second: Status) -> None:
    key = attempts.calling().key
    attempts.table.record(key, a_real_outcome(first), LATER)
    before = attempts.item(key)

    recording = attempts.table.record(key, a_real_outcome(second), LATER + 60)

    assert recording.result is (RecordResult.ALREADY_RECORDED if first is second else RecordResult.CONTRADICTS)
    assert recording.attempt
    assert recording.attempt.status is first
    assert attempts.item(key) == before


@pytest.mark.parametrize("status", REAL)
def test_a_real_outcome_replaces_unknown_and_its_reason(attempts: SampleAttempts, status: Status) -> None:
    key = given_up(attempts)

    assert attempts.table.record(key, a_real_outcome(status), NOW + 9000).stored

    item = attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status.value, "webhook", NOW + 9000)
    assert item["expiresAt"] == NOW + 9000 + RETENTION_DAYS * 86_400
    assert item.keys().isdisjoint({"reason", "reasonCode"})


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (Status.UNKNOWN, an_outcome(Status.UNKNOWN), RecordResult.ALREADY_RECORDED),
        (Status.REJECTED, a_real_outcome(source=OutcomeSource.POLL), RecordResult.CONTRADICTS),
        (Status.CANCELLED, a_real_outcome(source=OutcomeSource.POLL), RecordResult.CONTRADICTS),
    ],
)
def test_other_second_outcomes_change_nothing(
    attempts: SampleAttempts, first: Status, second: Outcome, result: RecordResult
) -> None:
    key = attempts.ended(first)
    before = attempts.item(key)

    assert attempts.table.record(key, second, LATER).result is result
    assert attempts.item(key) == before


@pytest.mark.parametrize("first", [Status.REJECTED, Status.CANCELLED])
@pytest.mark.parametrize("status", REAL)
def test_a_webhook_proves_a_call_that_was_said_not_to_have_been_made(
    attempts: SampleAttempts, first: Status, status: Status
) -> None:
    key = attempts.ended(first)

    recording = attempts.table.record(key, a_real_outcome(status), LATER)

    assert (recording.result, recording.stored) == (RecordResult.REPLACED, True)
    item = attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == (status.value, "webhook")
    assert item.keys().isdisjoint({"reason", "reasonCode"})


def test_an_outcome_without_an_attempt_creates_none(attempts: SampleAttempts) -> None:
    key = new_key()

    recording = attempts.table.record(key, a_real_outcome(), LATER)

    assert (recording.result, recording.attempt) == (RecordResult.NO_SUCH_ATTEMPT, None)
    assert attempts.item(key) is None


@pytest.mark.parametrize("round_", range(5))
def test_one_of_many_outcomes_at_once_is_stored(attempts: SampleAttempts, round_: int) -> None:
    key = attempts.calling().key

    results = at_once(8, lambda i: attempts.table.record(key, a_real_outcome(REAL[i % 4]), LATER).result)

    assert results.count(RecordResult.STORED) == 1
    assert set(results) <= {RecordResult.STORED, RecordResult.ALREADY_RECORDED, RecordResult.CONTRADICTS}


# An outcome before AlloMia's own answer, or after the deadline.


def test_a_webhook_may_come_before_the_answer(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()

    assert attempts.table.record(claimed.key, a_real_outcome(), LATER).stored
    before = attempts.existing_item(claimed.key)
    assert (before["outboundCallId"], before["contactId"]) == (CALL_ID, CONTACT_ID)

    assert attempts.table.settle(claimed, CALL_ID, CONTACT_ID) is RecordResult.ALREADY_RECORDED
    assert attempts.table.settle(claimed, OTHER_CALL_ID, CONTACT_ID) is RecordResult.OTHER_CALL
    assert not attempts.table.park(claimed, LATER + 60, ParkReason.RATE_LIMITED)
    assert attempts.item(claimed.key) == before


def test_an_answer_after_the_deadline_does_not_reopen_the_attempt(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()
    attempts.table.record(claimed.key, NO_OUTCOME, NOW + DEADLINE_SECONDS)

    assert attempts.table.settle(claimed, CALL_ID, CONTACT_ID) is RecordResult.CONTRADICTS

    assert attempts.status(claimed.key) == "unknown"
    assert attempts.due_entries(claimed.key) == []


# The call that an outcome names.


@pytest.mark.parametrize("status", ["calling", "completed", "unknown"])
def test_the_outcome_of_another_call_changes_nothing(attempts: SampleAttempts, status: str) -> None:
    key = given_up(attempts) if status == "unknown" else attempts.calling().key
    if status == "completed":
        attempts.table.record(key, a_real_outcome(), LATER)
    before = attempts.read(key)

    recording = attempts.table.record(key, a_real_outcome(outbound_call_id=OTHER_CALL_ID), NOW + 9000)

    assert (recording.result, recording.attempt) == (RecordResult.OTHER_CALL, before)
    assert (before.status, before.outbound_call_id) == (status, CALL_ID)
    assert attempts.read(key) == before


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DISPATCHING])
def test_where_no_call_is_known_the_outcome_names_it(attempts: SampleAttempts, status: Status) -> None:
    key = attempts.in_status(status)

    assert attempts.table.record(key, a_real_outcome(), LATER).stored

    item = attempts.existing_item(key)
    assert item["outboundCallId"] == CALL_ID
    assert item.keys().isdisjoint(REMOVED)


def test_an_outcome_that_names_no_call_keeps_the_known_one(attempts: SampleAttempts) -> None:
    item = attempts.existing_item(given_up(attempts))

    assert (item["outboundCallId"], item["contactId"]) == (CALL_ID, CONTACT_ID)


# An operator resolves an unknown attempt.


@pytest.mark.parametrize("status", REAL)
def test_an_operator_resolves_an_unknown_attempt(attempts: SampleAttempts, status: Status) -> None:
    key = given_up(attempts)

    assert attempts.table.resolve(key, status, NOW + 9000).stored

    item = attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status, "operator", NOW + 9000)
    assert item["outboundCallId"] == CALL_ID
    assert "reason" not in item


@pytest.mark.parametrize(
    ("before", "found_out", "result"),
    [
        (None, Status.COMPLETED, RecordResult.NO_SUCH_ATTEMPT),
        (Status.CALLING, Status.COMPLETED, RecordResult.CONTRADICTS),
        (Status.COMPLETED, Status.FAILED, RecordResult.CONTRADICTS),
        (Status.COMPLETED, Status.COMPLETED, RecordResult.ALREADY_RECORDED),
    ],
)
def test_an_operator_resolves_no_other_attempt(
    attempts: SampleAttempts, before: Status | None, found_out: Status, result: RecordResult
) -> None:
    key = attempts.in_status(before)
    item = attempts.item(key)

    assert attempts.table.resolve(key, found_out, LATER).result is result
    assert attempts.item(key) == item


def test_a_webhook_does_not_replace_what_an_operator_found_out(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)
    attempts.table.resolve(key, Status.COMPLETED, NOW + 9000)

    assert attempts.table.record(key, a_real_outcome(Status.BUSY), NOW + 9001).result is RecordResult.CONTRADICTS
    assert attempts.status(key) == "completed"


# Details as AlloMia sends them, through the table and out again.


def event_of(attempts: SampleAttempts, key: AttemptKey) -> OutcomeEvent:
    """The event for the item as it is in the table."""
    return outcome_event(attempt_from_item(attempts.existing_item(key)))


@pytest.mark.parametrize(
    ("duration", "stored", "published"),
    [
        ("150", Decimal(150), "150"),
        ("150.0", Decimal(150), "150"),
        ("0", Decimal(0), "0"),
        ("150.5", Decimal("150.5"), "150.5"),
        ("0.1", Decimal("0.1"), "0.1"),
        ("0.30000000000000004", Decimal("0.3"), "0.3"),
        ("1e-200", Decimal(0), "0"),
        ("1000000000", Decimal(10**9), "1000000000"),
        ("1" + "0" * 50, None, "null"),
        ("1e300", None, "null"),
        ("-1", None, "null"),
    ],
)
def test_a_duration_is_stored_and_published_or_left_out(
    attempts: SampleAttempts, duration: str, stored: Decimal | None, published: str
) -> None:
    state = read_call_state(
        f'{{"outboundCallId": "{CALL_ID}", "status": "completed", "callDetails": {{"duration": {duration}}}}}'
    )
    outcome = outcome_from_state(state, OutcomeSource.WEBHOOK)
    assert outcome
    key = attempts.calling().key

    attempts.table.record(key, outcome, LATER)

    assert attempts.existing_item(key)["callDetails"].get("duration") == stored
    assert f'"duration":{published},' in event_of(attempts, key).model_dump_json()


@pytest.mark.parametrize("reason", ["", "customer-ended-call", "Ünïcode 👋\n", "x" * 1000])
def test_an_ended_reason_is_published_unchanged(attempts: SampleAttempts, reason: str) -> None:
    key = attempts.calling().key

    attempts.table.record(key, a_real_outcome(call_details=CallDetails(ended_reason=reason)), LATER)

    details = event_of(attempts, key).call_details
    assert details
    assert details.ended_reason == reason


def test_an_outcome_without_details_stores_and_publishes_none(attempts: SampleAttempts) -> None:
    key = attempts.calling().key

    attempts.table.record(key, a_real_outcome(call_details=None), LATER)

    assert "callDetails" not in attempts.existing_item(key)
    assert event_of(attempts, key).call_details is None


def test_metadata_may_have_any_names(attempts: SampleAttempts) -> None:
    metadata = {"status": "a", "requestId": "b", "#x": ":y", "é 👋": "", "size": "c"}
    calling = attempts.calling()
    attempts.put_item(attempts.existing_item(calling.key) | {"metadata": metadata})

    attempts.table.record(calling.key, a_real_outcome(), LATER)

    assert event_of(attempts, calling.key).metadata == metadata


def test_an_attempt_read_from_the_table_is_the_one_that_was_recorded(attempts: SampleAttempts) -> None:
    calling = attempts.calling()

    recording = attempts.table.record(calling.key, a_real_outcome(), LATER)

    assert recording.attempt == replace(
        calling,
        status=Status.COMPLETED,
        request=None,
        due_at=None,
        claim_id=None,
        call_details=DETAILS,
        outcome_source=OutcomeSource.WEBHOOK,
        recorded_at=LATER,
    )


def test_an_attempt_without_an_outcome_has_no_event(attempts: SampleAttempts) -> None:
    with pytest.raises(ValueError, match="no outcome"):
        outcome_event(attempts.calling())
