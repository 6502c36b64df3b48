"""What the calls table asks of DynamoDB to record an outcome, and what it makes of what it finds there.

What this does to a table is tested on one in `tests/cloud`.
"""

from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import Recording, RecordResult
from outbound_calls.adapters.conditional_writes import set_and_remove
from outbound_calls.contracts.vocabulary import OutcomeSource, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, CallDetails, Outcome
from tests.unit.calls_table import (
    AND_SAME_CALL,
    BUSY,
    ENDED,
    EXPIRED,
    GONE,
    KEY,
    NEW,
    NEW_ITEM,
    NO_CALL,
    NOON,
    NOW,
    OTHER_REDIALS,
    PENDING,
    REDIALS,
    SAME_CALL,
    an_attempt,
    an_outcome,
    calls_table,
    ending,
    failed,
    made,
    move,
    noted_answered,
    of,
    parked,
    put,
    redial_dropped,
    sets_and_removes,
    update,
)
from tests.unit.dynamodb import well
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID

# Outcomes.

NO_REASON = ("reasonCode", "reason", "allomiaStatus", "isDropped")
NO_REDIAL = "attribute_not_exists(#redial)"
SAME_REDIAL = "#redial = :expectedRedial"

BUSY_VALUES = ending(
    "busy",
    "webhook",
    outboundCallId=CALL_ID,
    contactId=CONTACT_ID,
    callLogId="log",
    callDetails={
        "startedAt": "2026-04-01T11:59:00Z",
        "endedAt": "2026-04-01T11:59:09Z",
        "duration": 9,
        "endedReason": "busy",
    },
    resolvedBy="arn",
)
UNDISPROVED = "calling dispatching scheduled unknown"


def answered(ended_reason: str | None = None, call_id: str | None = None) -> Outcome:
    details = CallDetails(ended_reason=ended_reason) if ended_reason else None
    return an_outcome(Status.COMPLETED, outbound_call_id=call_id, call_details=details)


def test_an_outcome_is_stored_whole_where_no_redial_can_follow() -> None:
    with calls_table(made(Status.BUSY)) as (calls, asked):
        assert calls.record(KEY, BUSY, NOW) == Recording(RecordResult.STORED, an_attempt(Status.BUSY))
    conditions = (NO_REDIAL, SAME_CALL)
    assert asked.asked == [move(BUSY_VALUES, ENDED + NO_REASON, UNDISPROVED, *conditions, expectedCallId=CALL_ID)]


def test_an_outcome_without_a_calls_id_is_stored_for_any_call() -> None:
    with calls_table(made(Status.UNKNOWN)) as (calls, asked):
        unknown = an_outcome(Status.UNKNOWN, OutcomeSource.DEADLINE, reason_code=ReasonCode.NO_OUTCOME, reason="why")
        calls.record(KEY, unknown, NOW)
    values = ending("unknown", "deadline", reasonCode="no-outcome", reason="why")
    assert asked.asked == [move(values, (*ENDED, "isDropped"), "calling dispatching")]


def test_a_redial_follows_by_the_rules_that_the_first_write_finds() -> None:
    with calls_table(failed(redial=REDIALS), made(Status.BUSY, redialAt=NOON + 60)) as (calls, asked):
        recording = calls.record(KEY, BUSY, NOW)
    assert recording == Recording(RecordResult.STORED, an_attempt(Status.BUSY, redial_at=NOON + 60))
    values = {name: value for name, value in BUSY_VALUES.items() if name != "expiresAt"}
    values |= {"redialAt": NOON + 60, "dueAt": NOON + 60, "pollDelay": 60}
    kept = {"dueShard", "dueAt", "pollDelay", "request", "terms", "redial", "redialAt"}
    removes = [*(name for name in ENDED if name not in kept), "allomiaStatus"]
    expected = {"expectedRedial": REDIALS, "expectedCallId": CALL_ID}
    assert asked.asked[1:] == [move(values, removes, UNDISPROVED, SAME_REDIAL, SAME_CALL, **expected)]


def test_an_outcome_after_which_the_rules_want_no_redial_ends_the_attempt_for_good() -> None:
    with calls_table(failed(redial=OTHER_REDIALS), made(Status.BUSY)) as (calls, asked):
        assert calls.record(KEY, BUSY, NOW).result is RecordResult.STORED
    expected = {"expectedRedial": OTHER_REDIALS, "expectedCallId": CALL_ID}
    conditions = (SAME_REDIAL, SAME_CALL)
    assert asked.asked[1:] == [move(BUSY_VALUES, ENDED + NO_REASON, UNDISPROVED, *conditions, **expected)]


@pytest.mark.parametrize(
    ("outcome", "found", "redial_at"),
    [
        (BUSY, {}, NOON + 60),
        (BUSY, {"notAfter": NOON + 60}, NOON + 60),
        (BUSY, {"notAfter": NOON + 59}, None),
        (BUSY, {"cancelRequestedAt": 5}, None),
        (BUSY, {"answeredAt": 5}, None),
        (an_outcome(Status.FAILED), {}, None),
        (answered("voicemail", CALL_ID), {"outboundCallId": CALL_ID}, NOON + 90),
        (answered("hung-up"), {}, None),
        (answered(), {}, None),
    ],
)
def test_the_next_attempt_is_due_as_the_rules_say_unless_it_is_too_late_or_stopped(
    outcome: Outcome, found: dict[str, Any], redial_at: int | None
) -> None:
    with calls_table(failed(redial=REDIALS, **found), made(outcome.status)) as (calls, asked):
        calls.record(KEY, outcome, NOW)
    sets, _ = sets_and_removes(asked.asked[1])
    assert sets.get("redialAt") == (None if redial_at is None else {"N": str(redial_at)})


def test_rules_that_change_between_the_writes_are_looked_at_again() -> None:
    answers = [failed(redial=REDIALS), failed(redial=OTHER_REDIALS), failed(), made(Status.BUSY)]
    with calls_table(*answers) as (calls, asked):
        assert calls.record(KEY, BUSY, NOW).result is RecordResult.STORED
    rules = [each["ExpressionAttributeValues"].get(":expectedRedial") for each in asked.asked]
    assert rules == [None, {"S": REDIALS}, {"S": OTHER_REDIALS}, None]
    assert asked.asked[3] == asked.asked[0]


@pytest.mark.parametrize(
    ("outcome", "found", "result"),
    [
        (BUSY, GONE, RecordResult.NO_SUCH_ATTEMPT),
        (BUSY, failed(Status.BUSY, **PENDING), RecordResult.ALREADY_RECORDED),
        (BUSY, failed(Status.BUSY, outboundCallId=CALL_ID), RecordResult.ALREADY_RECORDED),
        (BUSY, failed(Status.FAILED), RecordResult.CONTRADICTS),
        (BUSY, failed(Status.BUSY, outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
        (BUSY, failed(redial=REDIALS, outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
        (BUSY, failed(Status.SCHEDULED), RecordResult.CONTRADICTS),
        (an_outcome(Status.BUSY), failed(Status.BUSY, outboundCallId=OTHER_CALL_ID), RecordResult.ALREADY_RECORDED),
        (an_outcome(Status.BUSY, OutcomeSource.POLL), failed(Status.REJECTED), RecordResult.CONTRADICTS),
        (
            answered(call_id=CALL_ID),
            failed(Status.BUSY, outboundCallId=OTHER_CALL_ID, **PENDING),
            RecordResult.OTHER_CALL,
        ),
        (answered(), failed(Status.BUSY), RecordResult.CONTRADICTS),
    ],
)
def test_an_outcome_that_is_not_stored_is_compared_with_what_is_there(
    outcome: Outcome, found: bytes, result: RecordResult
) -> None:
    with calls_table(found) as (calls, asked):
        recording = calls.record(KEY, outcome, NOW)
    assert (recording.result, recording.stored) == (result, False)
    assert (recording.attempt is None) is (found == GONE)
    assert len(asked.asked) == 1


def test_any_call_is_the_attempts_where_the_outcome_names_none() -> None:
    with calls_table(failed(redial=REDIALS, outboundCallId=OTHER_CALL_ID), made(Status.BUSY)) as (calls, _):
        assert calls.record(KEY, an_outcome(Status.BUSY), NOW).stored


# What a webhook proves wrong.


@pytest.mark.parametrize("disproved", [Status.REJECTED, Status.CANCELLED])
@pytest.mark.parametrize("status", [Status.BUSY, Status.COMPLETED])
def test_a_webhook_replaces_what_says_that_no_one_was_called(status: Status, disproved: Status) -> None:
    with calls_table(failed(disproved), made(status)) as (calls, asked):
        recording = calls.record(KEY, replace(BUSY, status=status), NOW)
    assert (recording.result, recording.stored) == (RecordResult.REPLACED, True)
    values = BUSY_VALUES | {"status": status.value}
    conditions = (NO_REDIAL, SAME_CALL)
    expected = move(values, ENDED + NO_REASON, "cancelled rejected", *conditions, expectedCallId=CALL_ID)
    assert asked.asked[1:] == [expected]


def test_what_changes_before_a_webhook_can_replace_it_is_reported_as_found() -> None:
    with calls_table(failed(Status.REJECTED), failed(Status.BUSY)) as (calls, asked):
        found = Recording(RecordResult.ALREADY_RECORDED, an_attempt(Status.BUSY))
        assert calls.record(KEY, BUSY, NOW) == found
    assert len(asked.asked) == 2


def test_a_webhook_that_says_that_no_one_was_called_is_recorded_once() -> None:
    with calls_table(made(Status.CANCELLED)) as (calls, asked):
        assert calls.record(KEY, an_outcome(Status.CANCELLED), NOW).result is RecordResult.STORED
    assert len(asked.asked) == 1


# The person answered after all.


@pytest.mark.parametrize("call_id", [CALL_ID, None])
@pytest.mark.parametrize(
    ("status", "reason"), [(Status.BUSY, "voicemail"), (Status.COMPLETED, "hung-up"), (Status.COMPLETED, None)]
)
def test_an_answer_replaces_an_outcome_whose_redial_is_pending(
    status: Status, reason: str | None, call_id: str | None
) -> None:
    with calls_table(failed(status, **PENDING), made(Status.COMPLETED)) as (calls, asked):
        recording = calls.record(KEY, answered(reason, call_id), NOW)
    assert recording == Recording(RecordResult.REPLACED, an_attempt(Status.COMPLETED))
    ids = {"outboundCallId": call_id} if call_id else {}
    details = {"callDetails": {"endedReason": reason}} if reason else {}
    values = ending("completed", "webhook", **ids, **details)
    condition = "#redialAt = :seenRedialAt" + (AND_SAME_CALL if call_id else "")
    assert asked.asked[1:] == [update(set_and_remove(values, ENDED), condition, **values, seenRedialAt=NOON + 60)]


def test_the_same_voicemail_again_leaves_its_redial_pending() -> None:
    with calls_table(failed(Status.COMPLETED, **PENDING)) as (calls, asked):
        assert calls.record(KEY, answered("voicemail"), NOW).result is RecordResult.ALREADY_RECORDED
    assert len(asked.asked) == 1


def test_a_voicemail_whose_redial_is_now_pending_is_just_stored() -> None:
    with calls_table(failed(redial=REDIALS), made(Status.COMPLETED, **PENDING)) as (calls, asked):
        assert calls.record(KEY, answered("voicemail"), NOW).result is RecordResult.STORED
    assert len(asked.asked) == 2


@pytest.mark.parametrize("pending", [{"redial": REDIALS}, {"redialAt": NOON + 60}])
def test_an_outcome_without_a_pending_redial_by_rules_is_not_replaced(pending: dict[str, Any]) -> None:
    with calls_table(failed(Status.BUSY, **pending)) as (calls, asked):
        assert calls.record(KEY, answered(), NOW).result is RecordResult.CONTRADICTS
    assert len(asked.asked) == 1


def test_a_redial_that_was_made_before_an_answer_could_replace_it_is_looked_at_again() -> None:
    with calls_table(failed(Status.BUSY, **PENDING), failed(Status.BUSY), failed(Status.BUSY)) as (calls, asked):
        recording = calls.record(KEY, answered("hung-up", CALL_ID), NOW)
    assert recording == Recording(RecordResult.CONTRADICTS, an_attempt(Status.BUSY))
    first, _, again = asked.asked
    assert again == first


FOLLOWED = failed(Status.BUSY, nextAttempt=3)
MEANWHILE = {"reasonCode": "answered-meanwhile", "reason": "the person answered attempt 2"}


def cancelled_meanwhile(number: int, source: str = "webhook") -> dict[str, Any]:
    values = ending("cancelled", source, **MEANWHILE)
    return of(number, move(values, (*ENDED, "isDropped"), "scheduled", NO_CALL))


@pytest.mark.parametrize(
    ("answers", "asked_for", "cancelled"),
    [
        ([made(Status.CANCELLED, attempt=3)], [cancelled_meanwhile(3)], True),
        ([GONE], [cancelled_meanwhile(3)], False),
        ([failed(Status.CANCELLED, attempt=3, reasonCode="answered-meanwhile")], [cancelled_meanwhile(3)], True),
        ([failed(Status.CANCELLED, attempt=3, reasonCode="cancelled")], [cancelled_meanwhile(3)], False),
        (
            [failed(Status.BUSY, attempt=3, **PENDING), made(Status.BUSY, attempt=3)],
            [cancelled_meanwhile(3), redial_dropped(3)],
            True,
        ),
        (
            [failed(Status.BUSY, attempt=3, **PENDING), failed(Status.BUSY, attempt=3), failed(Status.BUSY, attempt=3)],
            [cancelled_meanwhile(3), redial_dropped(3), cancelled_meanwhile(3)],
            False,
        ),
        (
            [failed(Status.DISPATCHING, attempt=3), made(Status.DISPATCHING, attempt=3)],
            [cancelled_meanwhile(3), noted_answered(3)],
            False,
        ),
        (
            [failed(Status.CALLING, attempt=3), made(Status.CALLING, attempt=3)],
            [cancelled_meanwhile(3), noted_answered(3)],
            False,
        ),
        (
            [failed(Status.CALLING, attempt=3), failed(Status.BUSY, attempt=3), made(Status.CANCELLED, attempt=3)],
            [cancelled_meanwhile(3), noted_answered(3), cancelled_meanwhile(3)],
            True,
        ),
        (
            [failed(Status.BUSY, attempt=3, nextAttempt=4), made(Status.CANCELLED, attempt=4)],
            [cancelled_meanwhile(3), cancelled_meanwhile(4)],
            True,
        ),
    ],
)
def test_an_answer_stops_the_attempt_that_was_made_after_it(
    answers: list[bytes], asked_for: list[dict[str, Any]], cancelled: bool
) -> None:
    with calls_table(FOLLOWED, *answers) as (calls, asked):
        recording = calls.record(KEY, answered(), NOW)
    result = RecordResult.NEXT_CANCELLED if cancelled else RecordResult.CONTRADICTS
    assert recording == Recording(result, an_attempt(Status.BUSY, next_attempt=3))
    assert recording.stored is False
    assert asked.asked[1:] == asked_for


def test_an_answer_that_is_stored_also_stops_the_attempt_after_it() -> None:
    with calls_table(made(Status.COMPLETED, nextAttempt=3), made(Status.CANCELLED, attempt=3)) as (calls, asked):
        recording = calls.record(KEY, answered(), NOW)
    assert recording == Recording(RecordResult.STORED, an_attempt(Status.COMPLETED, next_attempt=3))
    assert asked.asked[1:] == [cancelled_meanwhile(3)]


# Outcomes without a call.

EXPIRED_VALUES = ending("rejected", "dispatch", reasonCode="expired", reason="too late")


def test_a_new_attempt_that_is_rejected_is_stored_without_what_is_of_no_use() -> None:
    with calls_table(well(), failed(Status.SCHEDULED)) as (calls, asked):
        first, second = (calls.reject(NEW, EXPIRED, NOW) for _ in range(2))
    item = {name: value for name, value in NEW_ITEM.items() if name not in {"dueShard", "request", "terms"}}
    assert asked.asked == [put(item | EXPIRED_VALUES)] * 2
    assert (first.result, second.result) == (RecordResult.STORED, RecordResult.CONTRADICTS)
    assert first.attempt == second.attempt
    assert first.attempt is not None
    assert (first.attempt.key, first.attempt.reason_code) == (KEY, ReasonCode.EXPIRED)


def test_a_parked_attempt_is_rejected_as_it_was_read() -> None:
    with calls_table(made(Status.REJECTED)) as (calls, asked):
        assert calls.reject(parked(), EXPIRED, NOW) == Recording(RecordResult.STORED, an_attempt(Status.REJECTED))
    conditions = ("#timesParked = :expectedTimesParked", NO_CALL)
    assert asked.asked == [move(EXPIRED_VALUES, (*ENDED, "isDropped"), "scheduled", *conditions, expectedTimesParked=4)]


def test_an_attempt_that_is_not_parked_is_never_rejected() -> None:
    with (
        calls_table(made()) as (calls, asked),
        pytest.raises(ValueError, match=r"^no such transition to rejected$"),
    ):
        calls.reject(an_attempt(Status.COMPLETED), EXPIRED, NOW)
    assert asked.asked == []


EVERY_STATUS = "calling cancelled dispatching rejected scheduled unknown"


@pytest.mark.parametrize(
    ("attempt", "call_id", "conditions", "expected"),
    [
        (
            an_attempt(claim_id="claim", due_at=99),
            CALL_ID,
            ["#claimId = :expectedClaimId", "#dueAt = :expectedDueAt", NO_REDIAL, SAME_CALL],
            {"expectedClaimId": "claim", "expectedDueAt": 99, "expectedCallId": CALL_ID},
        ),
        (an_attempt(due_at=99), None, ["#dueAt = :expectedDueAt", NO_REDIAL], {"expectedDueAt": 99}),
    ],
)
def test_a_concluded_outcome_is_stored_where_the_attempt_is_as_it_was_leased(
    attempt: Attempt, call_id: str | None, conditions: list[str], expected: dict[str, Any]
) -> None:
    with calls_table(made(Status.FAILED)) as (calls, asked):
        outcome = an_outcome(Status.FAILED, OutcomeSource.POLL, outbound_call_id=call_id)
        assert calls.give_up(attempt, outcome, NOW) == Recording(RecordResult.STORED, an_attempt(Status.FAILED))
    values = ending("failed", "poll", **{"outboundCallId": call_id} if call_id else {})
    assert asked.asked == [move(values, ENDED + NO_REASON, EVERY_STATUS, *conditions, **expected)]


def test_an_end_that_no_redial_may_follow_is_tried_again_once_where_rules_are_found() -> None:
    with calls_table(failed(redial=REDIALS)) as (calls, asked):
        unknown = an_outcome(Status.UNKNOWN, OutcomeSource.DEADLINE)
        assert calls.give_up(an_attempt(due_at=99), unknown, NOW).result is RecordResult.CONTRADICTS
    values = ending("unknown", "deadline")
    condition = "#dueAt = :expectedDueAt"
    again = move(values, ENDED + NO_REASON, "calling dispatching", condition, expectedDueAt=99)
    assert asked.asked == [again] * 2


@pytest.mark.parametrize("by", ["arn", None])
def test_what_a_person_found_out_is_stored_where_nothing_is_known(by: str | None) -> None:
    with calls_table(made(Status.COMPLETED)) as (calls, asked):
        assert calls.resolve(KEY, Status.COMPLETED, NOW, *[by] if by else []).stored
    values = ending("completed", "operator", **{"resolvedBy": by} if by else {})
    assert asked.asked == [move(values, ENDED + NO_REASON, "unknown", NO_REDIAL)]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.BUSY])
def test_what_waits_to_be_dialled_again_is_cancelled_where_a_person_finds_out_that_the_call_was_answered(
    status: Status,
) -> None:
    with calls_table(made(status, nextAttempt=3), made(Status.CANCELLED, attempt=3)) as (calls, asked):
        assert calls.resolve(KEY, status, NOW).attempt == an_attempt(status, next_attempt=3)
    assert asked.asked[1:] == ([cancelled_meanwhile(3, "operator")] if status is Status.COMPLETED else [])


def test_what_follows_stays_where_a_person_finds_out_too_late() -> None:
    with calls_table(failed(Status.COMPLETED, nextAttempt=3)) as (calls, asked):
        assert calls.resolve(KEY, Status.COMPLETED, NOW).result is RecordResult.ALREADY_RECORDED
    assert len(asked.asked) == 1


@pytest.mark.parametrize("by", ["arn", None])
def test_that_no_one_will_find_out_is_noted_where_nothing_is_known(by: str | None) -> None:
    with calls_table(made(Status.UNKNOWN), failed(Status.COMPLETED)) as (calls, asked):
        assert [calls.leave_unknown(KEY, by) for _ in range(2)] == [True, False]
    values = {"outcomeSource": "operator"} | ({"resolvedBy": by} if by else {})
    assert asked.asked == [update(set_and_remove(values), "#status = :unknown", **values, unknown="unknown")] * 2
