"""Recording an outcome: the first one stays, a real one follows `unknown`, and nothing personal is left behind."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from outbound_calls.contracts import CallDetails, Outcome, read_call_state
from outbound_calls.ledger import Recorded
from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.reports import outcome_event
from tests.cloud.parts import DETAILS, GRACE, METADATA, NOW, RETENTION_DAYS, Calls, an_outcome, at_once
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID

REAL = [Status.COMPLETED, Status.FAILED, Status.BUSY, Status.NO_ANSWER]
LATER = NOW + 151


def a_real_outcome(status: Status = Status.COMPLETED, **changes: Any) -> Outcome:
    fields = {"outbound_call_id": CALL_ID, "contact_id": CONTACT_ID, "call_details": DETAILS}
    return an_outcome(status, **(fields | changes))


@pytest.mark.parametrize("status", REAL)
def test_an_outcome_is_stored_whole_and_the_work_is_taken_away(calls: Calls, status: Status) -> None:
    key = calls.calling().key

    record = calls.ledger.record(key, a_real_outcome(status), LATER + 0.9)

    assert record.result is Recorded.STORED
    assert calls.item(key) == {
        "requestId": key.request_id,
        "attempt": 1,
        "status": status.value,
        "createdAt": NOW,
        "dispatchedAt": NOW,
        "timesParked": 0,
        "outcomeSource": "webhook",
        "recordedAt": LATER,
        "expiresAt": LATER + RETENTION_DAYS * 86_400,
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
        "callDetails": {
            "startedAt": "2026-04-01T14:30:00Z",
            "endedAt": "2026-04-01T14:32:30Z",
            "duration": 150,
            "endedReason": "customer-ended-call",
        },
        "metadata": METADATA,
    }
    assert calls.due(key) == []


def test_a_record_tells_how_the_call_stands_now(calls: Calls) -> None:
    call = calls.ledger.record(calls.calling().key, a_real_outcome(), LATER).call

    assert call
    assert (call.status, call.dispatched_at, call.recorded_at) == (Status.COMPLETED, NOW, LATER)


@pytest.mark.parametrize("status", [Status.REJECTED, Status.UNKNOWN])
def test_an_outcome_of_ours_says_why(calls: Calls, status: Status) -> None:
    call = calls.dispatching()

    calls.ledger.record(call.key, an_outcome(status, reason="HTTP 400: no such assistant"), LATER)

    item = calls.there(call.key)
    assert item["reason"] == "HTTP 400: no such assistant"
    assert item.keys().isdisjoint({"request", "dueShard", "dueAt", "claimId", "pollDelay", "callDetails"})


@pytest.mark.parametrize("status", sorted(Status))
def test_the_request_is_kept_only_while_there_is_something_to_do_with_it(calls: Calls, status: Status) -> None:
    item = calls.there(calls.in_status(status))

    if status in {Status.SCHEDULED, Status.DISPATCHING, Status.CALLING}:
        assert item["request"]["customerName"] == "Ada"
        assert "expiresAt" not in item
    else:
        assert "Ada" not in str(item)
        assert item.keys().isdisjoint({"request", "dueShard", "dueAt"})
        assert item["expiresAt"] == item["recordedAt"] + RETENTION_DAYS * 86_400


def test_a_parked_call_that_ends_leaves_no_reason_for_parking(calls: Calls) -> None:
    key = calls.scheduled()

    calls.ledger.record(key, a_real_outcome(), LATER)

    assert calls.there(key).keys().isdisjoint({"parkReason", "request", "dueAt"})


# What comes second.


@pytest.mark.parametrize("second", REAL)
@pytest.mark.parametrize("first", REAL)
def test_of_two_outcomes_the_first_stays(calls: Calls, first: Status, second: Status) -> None:
    key = calls.calling().key
    calls.ledger.record(key, a_real_outcome(first), LATER)
    before = calls.item(key)

    record = calls.ledger.record(key, a_real_outcome(second), LATER + 60)

    assert record.result is (Recorded.ALREADY_THERE if first is second else Recorded.CONTRADICTS)
    assert record.call
    assert record.call.status is first
    assert calls.item(key) == before


@pytest.mark.parametrize("status", REAL)
def test_a_real_outcome_follows_unknown_and_takes_its_reason_away(calls: Calls, status: Status) -> None:
    call = calls.calling()
    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN, reason="no outcome within 7200 s"), NOW + 7200)

    record = calls.ledger.record(call.key, a_real_outcome(status), NOW + 9000)

    assert record.result is Recorded.STORED
    item = calls.there(call.key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status.value, "webhook", NOW + 9000)
    assert item["expiresAt"] == NOW + 9000 + RETENTION_DAYS * 86_400
    assert "reason" not in item


def test_unknown_does_not_follow_unknown(calls: Calls) -> None:
    key = calls.ended(Status.UNKNOWN)
    before = calls.item(key)

    assert calls.ledger.record(key, an_outcome(Status.UNKNOWN), LATER).result is Recorded.ALREADY_THERE
    assert calls.item(key) == before


def test_a_webhook_after_a_rejection_changes_nothing_and_is_told(calls: Calls) -> None:
    key = calls.ended(Status.REJECTED)

    assert calls.ledger.record(key, a_real_outcome(), LATER).result is Recorded.CONTRADICTS
    assert calls.status(key) == "rejected"


def test_a_webhook_for_an_attempt_that_does_not_exist_makes_none(calls: Calls) -> None:
    key = calls.new_key()

    record = calls.ledger.record(key, a_real_outcome(), LATER)

    assert (record.result, record.call) == (Recorded.NO_SUCH_ATTEMPT, None)
    assert calls.item(key) is None


@pytest.mark.parametrize("round_", range(5))
def test_of_outcomes_that_come_at_once_one_is_stored(calls: Calls, round_: int) -> None:
    key = calls.calling().key

    results = at_once(8, lambda i: calls.ledger.record(key, a_real_outcome(REAL[i % 4]), LATER).result)

    assert results.count(Recorded.STORED) == 1
    assert set(results) <= {Recorded.STORED, Recorded.ALREADY_THERE, Recorded.CONTRADICTS}


# A webhook that is faster than AlloMia's own answer.


def test_a_webhook_may_come_before_the_answer(calls: Calls) -> None:
    call = calls.dispatching()

    assert calls.ledger.record(call.key, a_real_outcome(), LATER).result is Recorded.STORED
    before = calls.there(call.key)
    assert (before["outboundCallId"], before["contactId"]) == (CALL_ID, CONTACT_ID)

    assert calls.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.ALREADY_THERE
    assert calls.ledger.settle(call, OTHER_CALL_ID, CONTACT_ID) is Recorded.OTHER_CALL
    assert not calls.ledger.unclaim(call, LATER + 60, "HTTP 429")
    assert calls.item(call.key) == before


def test_an_answer_that_comes_after_the_deadline_does_not_revive_the_call(calls: Calls) -> None:
    call = calls.dispatching()
    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7200)

    assert calls.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.CONTRADICTS

    assert calls.status(call.key) == "unknown"
    assert calls.due(call.key) == []


# An outcome that names another call.


@pytest.mark.parametrize("status", ["calling", "completed"])
def test_the_outcome_of_another_call_changes_nothing(calls: Calls, status: str) -> None:
    call = calls.calling()
    if status == "completed":
        calls.ledger.record(call.key, a_real_outcome(), LATER)
    before = calls.item(call.key)

    record = calls.ledger.record(call.key, a_real_outcome(outbound_call_id=OTHER_CALL_ID), LATER)

    assert record.result is Recorded.OTHER_CALL
    assert record.call is not None
    assert (record.call.status, record.call.outbound_call_id) == (status, CALL_ID)
    assert calls.item(call.key) == before


def test_the_outcome_of_another_call_does_not_follow_unknown(calls: Calls) -> None:
    call = calls.calling()
    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7200)

    record = calls.ledger.record(call.key, a_real_outcome(outbound_call_id=OTHER_CALL_ID), LATER)

    assert record.result is Recorded.OTHER_CALL
    assert calls.status(call.key) == "unknown"


@pytest.mark.parametrize("bring", [Calls.dispatching, lambda calls: calls.ledger.lease(*_due(calls), GRACE)])
def test_where_no_call_is_known_yet_the_outcome_names_it(calls: Calls, bring: Callable[[Calls], Any]) -> None:
    key = bring(calls).key

    assert calls.ledger.record(key, a_real_outcome(), LATER).result is Recorded.STORED
    assert calls.there(key)["outboundCallId"] == CALL_ID


def _due(calls: Calls) -> tuple[Any, float]:
    (due,) = calls.due(calls.scheduled())
    return due, NOW + 60


def test_an_outcome_that_names_no_call_leaves_the_known_one(calls: Calls) -> None:
    key = calls.calling().key

    calls.ledger.record(key, an_outcome(Status.UNKNOWN), LATER)

    item = calls.there(key)
    assert (item["outboundCallId"], item["contactId"]) == (CALL_ID, CONTACT_ID)


# What a person found out.


@pytest.mark.parametrize("status", REAL)
def test_a_person_resolves_what_nobody_knew(calls: Calls, status: Status) -> None:
    call = calls.calling()
    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN, reason="no outcome within 7200 s"), NOW + 7200)

    record = calls.ledger.resolve(call.key, status, NOW + 9000)

    assert record.result is Recorded.STORED
    item = calls.there(call.key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status, "operator", NOW + 9000)
    assert item["outboundCallId"] == CALL_ID
    assert "reason" not in item


@pytest.mark.parametrize("before", [Status.SCHEDULED, Status.DISPATCHING, Status.CALLING, Status.REJECTED])
def test_a_person_resolves_nothing_but_unknown(calls: Calls, before: Status) -> None:
    key = calls.in_status(before)
    found = calls.there(key)

    assert calls.ledger.resolve(key, Status.COMPLETED, LATER).result is Recorded.CONTRADICTS
    assert calls.there(key) == found


def test_a_person_who_comes_after_the_real_outcome_changes_nothing(calls: Calls) -> None:
    key = calls.ended(Status.COMPLETED)

    assert calls.ledger.resolve(key, Status.FAILED, LATER).result is Recorded.CONTRADICTS
    assert calls.ledger.resolve(key, Status.COMPLETED, LATER).result is Recorded.ALREADY_THERE
    assert calls.there(key)["outcomeSource"] == "webhook"


def test_what_a_person_found_out_stays_when_a_webhook_comes_after_it(calls: Calls) -> None:
    key = calls.ended(Status.UNKNOWN)
    calls.ledger.resolve(key, Status.COMPLETED, NOW + 9000)

    assert calls.ledger.record(key, a_real_outcome(Status.BUSY), NOW + 9001).result is Recorded.CONTRADICTS
    assert calls.status(key) == "completed"


def test_nobody_resolves_an_attempt_that_was_never_made(calls: Calls) -> None:
    assert calls.ledger.resolve(calls.new_key(), Status.COMPLETED, LATER).result is Recorded.NO_SUCH_ATTEMPT


# Details as AlloMia sends them, through the table and out again.


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
def test_a_duration_goes_through_the_table_or_is_left_out(
    calls: Calls, duration: str, stored: Decimal | None, published: str
) -> None:
    state = read_call_state(
        f'{{"outboundCallId": "{CALL_ID}", "status": "completed", "callDetails": {{"duration": {duration}}}}}'
    )
    key = calls.calling().key

    calls.ledger.record(key, a_real_outcome(call_details=state.call_details), LATER)

    assert calls.there(key)["callDetails"].get("duration") == stored
    assert f'"duration":{published},' in event_of(calls, key).model_dump_json()


@pytest.mark.parametrize("reason", ["", "customer-ended-call", "Ünïcode 👋\n", "x" * 10_000])
def test_a_reason_goes_through_the_table_as_it_came(calls: Calls, reason: str) -> None:
    key = calls.calling().key

    calls.ledger.record(key, a_real_outcome(call_details=CallDetails(ended_reason=reason)), LATER)

    details = event_of(calls, key).call_details
    assert details
    assert details.ended_reason == reason


def test_without_details_there_are_none(calls: Calls) -> None:
    key = calls.calling().key

    calls.ledger.record(key, a_real_outcome(call_details=None), LATER)

    assert "callDetails" not in calls.there(key)
    assert event_of(calls, key).call_details is None


def test_metadata_named_like_anything_comes_back(calls: Calls) -> None:
    metadata = {"status": "a", "requestId": "b", "#x": ":y", "é 👋": "", "size": "c"}
    key = calls.new_key()
    item = calls.there(calls.in_status("completed"))
    calls.put_raw(item | key.wire() | {"metadata": metadata})

    assert event_of(calls, key).metadata == metadata


def event_of(calls: Calls, key: Any) -> Any:
    """The event for the item as it is in the table."""
    image = calls.dynamodb.get_item(
        TableName=calls.table, Key={"requestId": {"S": key.request_id}, "attempt": {"N": str(key.attempt)}}
    )["Item"]
    return outcome_event(image)


def test_the_event_tells_what_the_table_holds(calls: Calls) -> None:
    key = calls.calling().key
    calls.ledger.record(key, a_real_outcome(), LATER)

    event = event_of(calls, key)

    assert event.wire() == {
        "version": "1",
        "requestId": key.request_id,
        "attempt": 1,
        "final": True,
        "status": "completed",
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
        "callDetails": DETAILS.wire(),
        "outcomeSource": OutcomeSource.WEBHOOK.value,
        "recordedAt": "2026-04-01T14:32:31Z",
        "metadata": METADATA,
    }
