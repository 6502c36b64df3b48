"""What the calls table's writes ask of DynamoDB, whole, and what they make of the answers: all but its outcomes.

The guarantees rest on these conditions. What the writes do to a table is tested on one in `tests/cloud`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable, DueEntry, Recording, RecordResult
from outbound_calls.adapters.conditional_writes import set_and_remove
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Allowance, Attempt, AttemptKey, Outcome, Redial, Refusal
from outbound_calls.domain.timing import FAILED_TRIES
from tests.unit.calls_table import (
    AND_SAME_CALL,
    BUSY,
    DAY,
    ENDED,
    EXPIRED,
    GONE,
    KEPT_UNTIL,
    KEY,
    LATER,
    NEW,
    NEW_ITEM,
    NO_CALL,
    NOON,
    NOW,
    OTHER_REDIALS,
    PENDING,
    REDIALS,
    REQUEST,
    SAME_CALL,
    SHARDS,
    an_attempt,
    an_item,
    an_outcome,
    calls_table,
    ending,
    failed,
    key_item,
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
from tests.unit.dynamodb import fault, well
from tests.unit.parts import (
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    SETTING,
    a_request,
)

# New attempts.


def test_a_new_attempt_is_stored_whole() -> None:
    with calls_table(well(), due_shards=SHARDS) as (calls, asked):
        claimed = calls.claim(NEW, "claim", NOW, 180)
    claim = {"dispatchedAt": NOON, "claimId": "claim", "dueAt": NOON + 180, "pollDelay": 180}
    assert asked.asked == [put(NEW_ITEM | {"status": "dispatching"} | claim)]
    assert claimed is not None
    assert (claimed.status, claimed.claim_id, claimed.request) == (Status.DISPATCHING, "claim", NEW.request)


def test_what_a_new_attempt_does_not_have_is_not_stored() -> None:
    least = Attempt(KEY, 5, request=a_request())
    with calls_table(well()) as (calls, asked):
        calls.park(least, NOON, ParkReason.RATE_LIMITED)
    fields = {"requestId", "attempt", "status", "createdAt", "dueShard", "timesParked", "request", "setting"}
    assert set(asked.asked[0]["Item"]) == fields | {"dueAt", "pollDelay", "parkReason"}


def test_an_attempt_without_its_request_is_never_stored_as_a_new_one() -> None:
    with calls_table(well()) as (calls, asked), pytest.raises(ValueError, match=r"^a new attempt needs its request$"):
        calls.park(an_attempt(None), NOW, ParkReason.PAUSED)
    assert asked.asked == []


# Claim.

CLAIMED = ("parkReason", "waitsFor", "waitsSince", "expiry", "policyVersion")


@pytest.mark.parametrize(
    ("line", "with_line", "removed"),
    [(None, False, ()), ("old", False, ("line",)), (None, True, ()), ("old", True, ())],
)
def test_a_claim_replaces_or_removes_the_line_of_the_one_before(
    line: str | None, with_line: bool, removed: tuple[str, ...]
) -> None:
    with calls_table(made(Status.DISPATCHING)) as (calls, asked):
        assert calls.claim(parked(line=line), "claim", NOW, 180, with_line=with_line) == an_attempt(Status.DISPATCHING)
    claim = {"dispatchedAt": NOON, "claimId": "claim", "dueAt": NOON + 180, "pollDelay": 180}
    values = {"status": "dispatching", **claim} | ({"line": "claim"} if with_line else {})
    times = "#timesParked = :expectedTimesParked"
    assert asked.asked == [move(values, CLAIMED + removed, "scheduled", times, expectedTimesParked=4)]


def test_a_claim_stores_what_allowed_it_and_the_defaults_that_were_unknown_when_it_was_parked() -> None:
    changes: dict[str, Any] = {"allowance": Allowance(12, "canada"), "redial": Redial(2), "number_hash": "hash"}
    with calls_table(made(Status.DISPATCHING)) as (calls, asked):
        calls.claim(parked(setting="-", **changes), "claim", NOW, 180)
    sets, _ = sets_and_removes(asked.asked[0])
    request = {"phoneNumber": PHONE_NUMBER, "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
    stored = {"allowedBy": "canada 12", "redial": OTHER_REDIALS, "numberHash": "hash", "claimId": "claim"}
    assert sets.items() >= to_dynamodb(stored | {"setting": SETTING, "request": request}).items()


@pytest.mark.parametrize("attempt", [parked(), NEW], ids=["parked", "new"])
@pytest.mark.parametrize(
    ("found", "owned"),
    [
        (failed(Status.DISPATCHING, claimId="claim"), True),
        (failed(Status.DISPATCHING, claimId="another"), False),
        (failed(Status.SCHEDULED, claimId="claim"), False),
        (failed(Status.COMPLETED), False),
    ],
    ids=["its own", "another's", "parked since", "ended"],
)
def test_a_claim_that_fails_is_the_workers_own_where_it_is_found_made(
    attempt: Attempt, found: bytes, owned: bool
) -> None:
    with calls_table(found) as (calls, _):
        assert (calls.claim(attempt, "claim", 7, 180) is not None) is owned


def test_an_attempt_that_is_gone_is_not_claimed() -> None:
    with calls_table(GONE) as (calls, _):
        assert calls.claim(parked(), "claim", 7, 180) is None


# Park.

RELEASED = ("claimId", "dispatchedAt", "numberHash", "redial", "allowedBy", "soughtSince")
SETTING_OF_MINE = {"waitsFor": f"north~refused~{SETTING}"}
POLICY_OF_MINE = {"waitsFor": "north~policy", "waitsSince": 1, "policyVersion": 4}
LINE_OF_MINE = POLICY_OF_MINE | {"waitsFor": "north~line~normal"}
TIMER = {"dueAt": NOON + 1, "pollDelay": 60}


@pytest.mark.parametrize(
    ("reason", "waits", "removed"),
    [
        (ParkReason.CIRCUIT_OPEN, SETTING_OF_MINE | {"waitsSince": 1}, ("policyVersion",)),
        (ParkReason.REFUSED_BY_ALLOMIA, SETTING_OF_MINE | {"waitsSince": 5}, ("policyVersion",)),
        (ParkReason.PAUSED, POLICY_OF_MINE, ()),
        (ParkReason.CONCURRENCY_LIMIT, LINE_OF_MINE, ()),
        (ParkReason.RATE_LIMITED, {}, ("waitsFor", "waitsSince", "policyVersion")),
    ],
)
@pytest.mark.parametrize("claimed", [True, False])
def test_a_parked_attempt_waits_for_what_its_reason_says(
    reason: ParkReason, waits: dict[str, Any], removed: tuple[str, ...], claimed: bool
) -> None:
    refusal = Refusal(5, 2, "no") if reason is ParkReason.REFUSED_BY_ALLOMIA else None
    attempt = parked(expires_at=99, policy_version=4)
    if claimed:
        attempt = an_attempt(
            Status.DISPATCHING,
            request=a_request(),
            claim_id="claim",
            expires_at=99,
            policy_version=4,
        )
    with calls_table(made(Status.SCHEDULED)) as (calls, asked):
        assert calls.park(attempt, NOW, reason, refusal) is True

    values = {"status": "scheduled", **TIMER, "parkReason": reason.value, "expiry": 99, **waits}
    values |= {"refusal": {"firstAt": 5, "times": 2, "words": "no"}} if refusal else {}
    removes = (*RELEASED, *removed) if claimed else (*RELEASED, *removed, "line")
    if claimed:
        conditions = ["#claimId = :expectedClaimId"]
        conditions += ["attribute_not_exists(#cancelRequestedAt)", "attribute_not_exists(#answeredAt)", NO_CALL]
        expected = move(values, removes, "dispatching", *conditions, expectedClaimId="claim", one=1)
    else:
        conditions = ["#timesParked = :expectedTimesParked", NO_CALL]
        expected = move(values, removes, "scheduled", *conditions, expectedTimesParked=4, one=1)
    counted = ["timesParked", "failedTries"] if reason in FAILED_TRIES else ["timesParked"]
    expected["UpdateExpression"] += " ADD " + ", ".join(f"#{name} :one" for name in counted)
    expected["ExpressionAttributeNames"] |= {f"#{name}": name for name in counted}
    assert asked.asked == [expected]


def test_an_attempt_that_is_no_longer_as_it_was_read_is_not_parked() -> None:
    with calls_table(failed(Status.CALLING), GONE) as (calls, _):
        assert calls.park(parked(), NOW, ParkReason.PAUSED) is False
        assert calls.park(parked(), NOW, ParkReason.PAUSED) is False


@pytest.mark.parametrize(
    ("reason", "partition"),
    [(ParkReason.PAUSED, "north~policy"), (ParkReason.CONCURRENCY_LIMIT, "north~line~urgent")],
)
def test_a_new_attempt_may_be_parked_at_once_under_its_organization(reason: ParkReason, partition: str) -> None:
    with calls_table(well(), failed(Status.SCHEDULED), due_shards=SHARDS) as (calls, asked):
        assert calls.park(NEW, NOW, reason) is True
        assert calls.park(NEW, NOW, reason) is False
    waits = {"waitsFor": partition, "waitsSince": 5, "policyVersion": 0}
    parked_item = {"status": "scheduled", "timesParked": 1, "parkReason": reason.value} | TIMER | waits
    assert asked.asked == [put(NEW_ITEM | parked_item)] * 2


def test_one_that_was_refused_before_waits_for_its_setting_until_it_is_claimed() -> None:
    with calls_table(made(Status.SCHEDULED)) as (calls, asked):
        calls.park(parked(refusal=Refusal(5, 2, "no")), 6.1, ParkReason.RATE_LIMITED)
    change = asked.asked[0]["UpdateExpression"].partition(" ADD ")[0]
    _, removes = sets_and_removes(asked.asked[0] | {"UpdateExpression": change})
    assert removes == {*RELEASED, "line", "policyVersion"}


# What AlloMia says of a call without an outcome.


def test_what_is_known_of_a_lost_answer_is_stored_beside_the_claim_that_it_is_of() -> None:
    with calls_table(made(Status.DISPATCHING)) as (calls, asked):
        calls.note_lost_answer(an_attempt(Status.DISPATCHING, claim_id="claim"), "timeout")
    change, condition = "SET #postResult = :detail", "#status = :dispatching AND #claimId = :claim"
    assert asked.asked == [update(change, condition, detail="timeout", dispatching="dispatching", claim="claim")]


@pytest.mark.parametrize("contact", [{"contactId": CONTACT_ID}, {}])
def test_an_accepted_call_is_stored_by_the_claim_that_made_it(contact: dict[str, str]) -> None:
    with calls_table(made()) as (calls, asked):
        settled = calls.settle(an_attempt(Status.DISPATCHING, claim_id="claim"), CALL_ID, contact.get("contactId"))
    assert settled is RecordResult.STORED
    values = {"status": "calling", "outboundCallId": CALL_ID, **contact}
    conditions = ("#claimId = :expectedClaimId", SAME_CALL)
    expected = {"expectedClaimId": "claim", "expectedCallId": CALL_ID}
    assert asked.asked == [move(values, ["numberHash"], "dispatching", *conditions, **expected)]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (GONE, RecordResult.CONTRADICTS),
        (failed(Status.DISPATCHING, claimId="another"), RecordResult.CONTRADICTS),
        (failed(outboundCallId=CALL_ID), RecordResult.ALREADY_RECORDED),
        (failed(outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
    ],
)
def test_an_accepted_call_that_can_not_be_stored_is_compared_with_what_is_there(
    answer: bytes, result: RecordResult
) -> None:
    with calls_table(answer) as (calls, _):
        assert calls.settle(an_attempt(Status.DISPATCHING, claim_id="claim"), CALL_ID, CONTACT_ID) is result


@pytest.mark.parametrize(
    ("call_id", "word", "values", "more"),
    [
        (CALL_ID, "ringing", {"outboundCallId": CALL_ID, "allomiaStatus": "ringing"}, AND_SAME_CALL),
        (CALL_ID, "", {"outboundCallId": CALL_ID}, AND_SAME_CALL),
        (CALL_ID, None, {"outboundCallId": CALL_ID}, AND_SAME_CALL),
        (None, "ringing", {"allomiaStatus": "ringing"}, ""),
    ],
)
def test_a_calls_id_and_status_without_an_outcome_are_kept(
    call_id: str | None, word: str | None, values: dict[str, str], more: str
) -> None:
    with calls_table(made()) as (calls, asked):
        assert calls.note(KEY, call_id, word, NOW) == Recording(RecordResult.STORED, an_attempt())
    statuses = {"before0": "dispatching", "before1": "calling", "before2": "unknown"}
    condition = f"#status IN (:before0, :before1, :before2){more}"
    assert asked.asked == [update(set_and_remove(values), condition, **values, **statuses)]


@pytest.mark.parametrize(
    ("call_id", "stored_id", "result"),
    [
        (CALL_ID, OTHER_CALL_ID, RecordResult.OTHER_CALL),
        (CALL_ID, CALL_ID, RecordResult.ALREADY_RECORDED),
        (CALL_ID, None, RecordResult.ALREADY_RECORDED),
        (None, OTHER_CALL_ID, RecordResult.ALREADY_RECORDED),
    ],
)
def test_what_has_ended_keeps_what_it_knows(call_id: str | None, stored_id: str | None, result: RecordResult) -> None:
    with calls_table(failed(Status.BUSY, **{"outboundCallId": stored_id} if stored_id else {})) as (calls, asked):
        ended = an_attempt(Status.BUSY, outbound_call_id=stored_id)
        assert calls.note(KEY, call_id, "ringing", NOW) == Recording(result, ended)
    assert len(asked.asked) == 1


def test_nothing_is_noted_where_there_is_no_attempt() -> None:
    with calls_table(GONE) as (calls, _):
        assert calls.note(KEY, CALL_ID, None, NOW) == Recording(RecordResult.NO_SUCH_ATTEMPT, None)


@pytest.mark.parametrize("call_id", [CALL_ID, None])
def test_a_parked_attempt_whose_call_allomia_has_is_dispatching_again(call_id: str | None) -> None:
    with calls_table(failed(Status.SCHEDULED), made(Status.DISPATCHING)) as (calls, asked):
        noted = calls.note(KEY, call_id, "ringing", NOW)
    assert noted == Recording(RecordResult.STORED, an_attempt(Status.DISPATCHING))
    ids = {"outboundCallId": call_id} if call_id else {}
    values = {"status": "dispatching", **ids, "allomiaStatus": "ringing", "dispatchedAt": NOON}
    same, expected = ([SAME_CALL], {"expectedCallId": call_id}) if call_id else ([], {})
    assert asked.asked[1:] == [move(values, CLAIMED, "scheduled", *same, **expected)]


def test_a_parked_attempt_that_was_claimed_between_the_two_writes_is_noted_again() -> None:
    answers = [failed(Status.SCHEDULED), failed(Status.DISPATCHING)]
    with calls_table(*answers, *answers, made(Status.DISPATCHING)) as (calls, asked):
        noted = calls.note(KEY, CALL_ID, "ringing", NOW)
    assert noted == Recording(RecordResult.STORED, an_attempt(Status.DISPATCHING))
    first, second, *again = asked.asked
    assert again == [first, second, first]


# Cancel.


def test_a_request_without_a_record_is_cancelled_by_a_first_attempt_that_no_report_counts() -> None:
    with calls_table(well(), failed(attempt=1)) as (calls, asked):
        assert [calls.cancel_unseen(REQUEST, OutcomeSource.UPSTREAM, NOW) for _ in range(2)] == [True, False]
    values = ending("cancelled", "upstream", reasonCode="cancelled-unseen")
    del values["endedOn"]
    assert asked.asked == [put(key_item(1) | {"createdAt": NOON, "timesParked": 0} | values)] * 2


CANCELLED = an_outcome(Status.CANCELLED, OutcomeSource.UPSTREAM, reason_code=ReasonCode.CANCELLED, reason="asked")
CANCELLED_VALUES = ending("cancelled", "upstream", reasonCode="cancelled", reason="asked")


def test_a_parked_attempt_is_cancelled() -> None:
    with calls_table(made(Status.CANCELLED)) as (calls, asked):
        assert calls.cancel_scheduled(parked(), CANCELLED, NOW) is True
    assert asked.asked == [move(CANCELLED_VALUES, (*ENDED, "isDropped"), "scheduled", NO_CALL)]


def test_an_attempt_that_was_claimed_is_not_cancelled_whatever_its_redial_rules() -> None:
    with calls_table(failed(Status.DISPATCHING, redial=REDIALS)) as (calls, asked):
        assert calls.cancel_scheduled(parked(), CANCELLED, NOW) is False
    assert len(asked.asked) == 1


@pytest.mark.parametrize(
    ("marks", "source", "code", "reason"),
    [
        ({"cancelRequestedAt": 5}, OutcomeSource.UPSTREAM, ReasonCode.CANCELLED, None),
        (
            {"cancelRequestedAt": 5, "cancelRequestedBy": "operator"},
            OutcomeSource.OPERATOR,
            ReasonCode.CANCELLED,
            None,
        ),
        ({"cancelRequestedAt": 5, "answeredAt": 6}, OutcomeSource.UPSTREAM, ReasonCode.CANCELLED, None),
        (
            {"answeredAt": 6},
            OutcomeSource.WEBHOOK,
            ReasonCode.ANSWERED_MEANWHILE,
            "the person answered an earlier attempt",
        ),
    ],
)
def test_an_attempt_that_was_stopped_ends_by_what_stopped_it(
    marks: dict[str, Any], source: OutcomeSource, code: ReasonCode, reason: str | None
) -> None:
    with calls_table(well(Item=an_item(Status.DISPATCHING, **marks))) as (calls, asked):
        stop = calls.stop_of(an_attempt())
    assert stop == Outcome(Status.CANCELLED, source, reason_code=code, reason=reason)
    assert asked.asked[0]["Key"] == to_dynamodb(key_item())


@pytest.mark.parametrize("answer", [well(), well(Item=an_item())], ids=["gone", "not stopped"])
def test_an_attempt_that_was_not_stopped_goes_on(answer: bytes) -> None:
    with calls_table(answer) as (calls, _):
        assert calls.stop_of(an_attempt()) is None


def test_a_stopped_attempt_ends_by_its_claim_while_allomia_does_not_have_it() -> None:
    with calls_table(made(Status.CANCELLED), failed()) as (calls, asked):
        claimed = an_attempt(Status.DISPATCHING, claim_id="claim")
        assert [calls.stop(claimed, CANCELLED, NOW) for _ in range(2)] == [True, False]
    change = set_and_remove(CANCELLED_VALUES, (*ENDED, "dispatchedAt", "allowedBy"))
    condition = f"#status = :dispatching AND #claimId = :claim AND {NO_CALL}"
    assert asked.asked == [update(change, condition, **CANCELLED_VALUES, dispatching="dispatching", claim="claim")] * 2


def test_a_cancellation_of_an_attempt_in_progress_is_marked_once() -> None:
    with calls_table(made(), failed(Status.BUSY)) as (calls, asked):
        assert [calls.request_cancel(an_attempt(), OutcomeSource.OPERATOR, NOW) for _ in range(2)] == [True, False]
    change = (
        "SET #cancelRequestedAt = if_not_exists(#cancelRequestedAt, :now),"
        " #cancelRequestedBy = if_not_exists(#cancelRequestedBy, :source) REMOVE #redial"
    )
    values = {"now": NOON, "source": "operator", "dispatching": "dispatching", "calling": "calling"}
    assert asked.asked == [update(change, "#status IN (:dispatching, :calling)", **values)] * 2


def test_an_answer_is_marked_at_an_attempt_in_progress() -> None:
    with calls_table(made(), failed(Status.BUSY)) as (calls, asked):
        assert [calls.note_answered(an_attempt(), NOW) for _ in range(2)] == [True, False]
    assert asked.asked == [noted_answered(2)] * 2


# Redial.

NOT_MADE = fault("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])


@pytest.mark.parametrize(
    ("requested", "more"), [({}, {}), ({"requested": True}, {"cancelRequestedAt": NOON})], ids=["policy", "requested"]
)
def test_a_pending_redial_is_dropped_as_it_was_read(requested: dict[str, bool], more: dict[str, int]) -> None:
    with calls_table(made(Status.BUSY), failed(Status.BUSY)) as (calls, asked):
        pending = an_attempt(Status.BUSY, redial_at=NOON + 60)
        assert [calls.drop_redial(pending, NOW, **requested) for _ in range(2)] == [True, False]
    assert asked.asked == [redial_dropped(2, **more)] * 2


def part(asked: dict[str, Any]) -> dict[str, Any]:
    """An update as a part of a transaction."""
    return {"Update": {name: value for name, value in asked.items() if not name.startswith("ReturnValues")}}


def put_part(item: dict[str, Any]) -> dict[str, Any]:
    asked = put(item)
    return {"Put": {name: asked[name] for name in ("TableName", "Item", "ConditionExpression")}}


OUTLIVES = KEPT_UNTIL + 62 * DAY
"""The retention of the attempt before: 30 days to expire, and time for the call."""

FOLLOWING = Attempt(
    AttemptKey(REQUEST, 3), 5, request=NEW.request, labels=NEW.labels, terms=NEW.terms, fingerprint="print"
)


@pytest.mark.parametrize(
    ("reason", "due_at", "is_redial"),
    [(ParkReason.REDIAL, NOON + 60, {"isRedial": True}), (ParkReason.DIAL_AGAIN, NOON, {})],
)
@pytest.mark.parametrize(
    ("redial_at", "seen", "expected"),
    [(99, "#redialAt = :seen", {"seen": 99}), (None, "attribute_not_exists(#redialAt)", {})],
)
def test_the_next_attempt_is_made_once_and_outlived_by_the_ones_before(
    reason: ParkReason,
    due_at: int,
    is_redial: dict[str, bool],
    redial_at: int | None,
    seen: str,
    expected: dict[str, int],
) -> None:
    with calls_table(well(), NOT_MADE, due_shards=SHARDS) as (calls, asked):
        before = an_attempt(Status.BUSY, redial_at=redial_at)
        assert [calls.make_next(before, FOLLOWING, reason, NOW) for _ in range(2)] == [True, False]
    timer = {"dueAt": due_at, "pollDelay": 60, "parkReason": reason.value, "timesParked": 1}
    item = NEW_ITEM | {"attempt": 3, "status": "scheduled"} | timer | is_redial
    change = "SET #nextAttempt = :next, #expiresAt = :expiresAt REMOVE " + ", ".join(f"#{name}" for name in ENDED)
    condition = f"#status = :status AND attribute_not_exists(#nextAttempt) AND {seen}"
    assert asked.asked[0]["TransactItems"] == [
        put_part(item),
        part(update(change, condition, next=3, expiresAt=OUTLIVES, status="busy", **expected)),
        part(of(1, update("SET #expiresAt = :expiresAt", "attribute_exists(#requestId)", expiresAt=OUTLIVES))),
    ]


def test_the_record_of_a_first_attempt_is_changed_once_when_the_second_is_made() -> None:
    first = Attempt(AttemptKey(REQUEST, 1), 1, Status.BUSY)
    with calls_table(well()) as (calls, asked):
        assert calls.make_next(first, NEW, ParkReason.DIAL_AGAIN, NOW)
    assert [list(each) for each in asked.asked[0]["TransactItems"]] == [["Put"], ["Update"]]


@pytest.mark.parametrize(
    ("attempt", "seen", "expected"),
    [
        (
            an_attempt(Status.DISPATCHING, claim_id="claim"),
            "#claimId = :seenClaim",
            {"seenStatus": "dispatching", "seenClaim": "claim"},
        ),
        (parked(), "#timesParked = :seenTimes", {"seenStatus": "scheduled", "seenTimes": 4}),
    ],
    ids=["claimed", "parked"],
)
def test_a_redial_that_is_never_dialled_ends_with_the_outcome_before(
    attempt: Attempt, seen: str, expected: dict[str, Any]
) -> None:
    with calls_table(well(), NOT_MADE) as (calls, asked):
        assert [calls.drop(attempt, EXPIRED, NOW) for _ in range(2)] == [True, False]
    values = {"outcomeSource": "dispatch", "recordedAt": NOON, "expiresAt": KEPT_UNTIL, "reasonCode": "expired"}
    values |= {"reason": "too late", "status": "cancelled", "isDropped": True}
    condition = f"#status = :seenStatus AND {NO_CALL} AND {seen}"
    assert asked.asked[0]["TransactItems"] == [
        part(update(set_and_remove(values, ENDED), condition, **values, **expected)),
        part(of(1, update("REMOVE #nextAttempt", "#nextAttempt = :this", this=2))),
    ]


# The poller's timer.


@pytest.mark.parametrize(
    ("answer", "leased"),
    [
        (made(dueAt=279), an_attempt(due_at=279)),
        (failed(Status.BUSY, redialAt=99), an_attempt(Status.BUSY, redial_at=99)),
        (failed(Status.BUSY, redialAt=98), None),
        (failed(dueAt=279), None),
        (GONE, None),
    ],
    ids=["leased", "its redial is due", "its redial is due later", "leased by another", "gone"],
)
def test_a_due_attempt_is_leased_as_the_index_had_it(answer: bytes, leased: Attempt | None) -> None:
    with calls_table(answer) as (calls, asked):
        assert calls.lease(DueEntry(KEY, 99), NOW, 180) == leased
    change = "SET #dueAt = :now + #pollDelay, #pollDelay = #pollDelay + :step"
    condition = "#dueAt = :seen AND attribute_not_exists(#redialAt)"
    assert asked.asked == [update(change, condition, now=NOON, step=180, seen=99)]


@pytest.mark.parametrize(
    ("sought", "more"),
    [([], {}), ([NOON], {"soughtSince": NOON})],
)
def test_the_next_look_at_a_leased_attempt_is_brought_forward(sought: list[int], more: dict[str, int]) -> None:
    with calls_table(made(), failed()) as (calls, asked):
        assert [calls.set_due(an_attempt(due_at=99), 55, *sought) for _ in range(2)] == [True, False]
    change = "SET #dueAt = :due" + (", #soughtSince = :soughtSince" if sought else "")
    condition = "#dueAt = :seen AND attribute_not_exists(#redialAt)"
    assert asked.asked == [update(change, condition, due=55, **more, seen=99)] * 2


# Writes that the SDK sent again.


@pytest.mark.parametrize(
    ("write", "before"),
    [
        (lambda calls: calls.settle(parked(), CALL_ID, CONTACT_ID) is RecordResult.STORED, []),
        (lambda calls: calls.record(KEY, BUSY, NOW).stored, []),
        (
            lambda calls: calls.record(KEY, replace(BUSY, status=Status.COMPLETED), NOW).stored,
            [failed(Status.BUSY, **PENDING)],
        ),
        (lambda calls: calls.leave_unknown(KEY, "arn"), []),
        (lambda calls: calls.stop(parked(), CANCELLED, NOW), []),
        (lambda calls: calls.drop_redial(parked(redial_at=5), NOW), []),
    ],
    ids=["settle", "record", "replace", "leave unknown", "stop", "drop redial"],
)
def test_a_write_that_was_sent_again_is_its_own_only_where_all_of_it_is_found(
    write: Callable[[CallsTable], bool], before: list[bytes]
) -> None:
    with calls_table(*before, made()) as (calls, asked):
        assert write(calls)
    sets, removes = sets_and_removes(asked.asked[-1])
    own = an_item() | sets
    others = [{**own, name: {"S": "another"}} for name in [*list(sets)[-1:], *sorted(removes)[:1]]]
    for item, is_own in [(own, True), *((other, False) for other in others)]:
        answer = fault("ConditionalCheckFailedException", Item=item)
        with calls_table(*before, LATER, answer, tries=2) as (calls, _):
            assert write(calls) is is_own
