"""What each write of the calls table asks of DynamoDB, whole, and what it makes of the answer.

The guarantees rest on these conditions. What the writes do to a table is tested on one in `tests/cloud`.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable, DueEntry, Recording, RecordResult
from outbound_calls.adapters.conditional_writes import set_and_remove
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Priority, ReasonCode, Status
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    Labels,
    Outcome,
    Redial,
    Refusal,
    RequestKey,
    Terms,
)
from outbound_calls.domain.timing import FAILED_TRIES
from tests.unit.dynamodb import calls_table, fault, update_of, well
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

DAY = 86_400
NOON = 20_544 * DAY + DAY // 2
"""2026-04-01, 12:00 UTC."""

NOW = NOON + 0.9
KEPT_UNTIL = NOON + 90 * DAY
SHARDS = 7

REQUEST = RequestKey("visit-2031", "north")
KEY = AttemptKey(REQUEST, 2)

ENDED = (
    *("dueShard", "dueAt", "pollDelay", "request", "claimId", "numberHash", "parkReason", "postResult", "refusal"),
    *("waitsFor", "waitsSince", "terms", "expiry", "policyVersion", "redial", "redialAt", "soughtSince"),
)
"""What is removed once an attempt has ended for good."""

NO_REASON = ("reasonCode", "reason", "allomiaStatus", "isDropped")
RELEASED = ("claimId", "dispatchedAt", "numberHash", "redial", "allowedBy", "soughtSince")
CLAIMED = ("parkReason", "waitsFor", "waitsSince", "expiry", "policyVersion")

NO_CALL = "attribute_not_exists(#outboundCallId)"
SAME_CALL = "(attribute_not_exists(#outboundCallId) OR #outboundCallId = :expectedCallId)"
NO_REDIAL = "attribute_not_exists(#redial)"
SAME_REDIAL = "#redial = :expectedRedial"

REDIALS = '{"max":3,"on":{"busy":[60]},"reasons":{"voicemail":[90]}}'
OTHER_REDIALS = '{"max":2}'


def key_item(number: int = 2) -> dict[str, Any]:
    return {"requestId": "north~visit-2031", "attempt": number}


def an_attempt(status: Status | None = Status.CALLING, **more: Any) -> Attempt:
    return Attempt(KEY, 1, status, **more)


def parked(**more: Any) -> Attempt:
    return an_attempt(Status.SCHEDULED, **{"request": a_request(), "setting": SETTING, "times_parked": 4} | more)


def an_item(status: Status = Status.CALLING, **more: Any) -> dict[str, Any]:
    return to_dynamodb({**key_item(), "status": status, "createdAt": 1, "timesParked": 0, **more})


def made(status: Status = Status.CALLING, **more: Any) -> bytes:
    """The answer of an update that was made: the item as it is now."""
    return well(Attributes=an_item(status, **more))


def failed(status: Status = Status.CALLING, **more: Any) -> bytes:
    """The answer of a write whose condition failed: the item as it was found."""
    return fault("ConditionalCheckFailedException", Item=an_item(status, **more))


GONE = fault("ConditionalCheckFailedException")
LATER = fault("InternalServerError", "500 Internal Server Error")
CANCELED = fault("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])


def update(change: str, condition: str, **values: Any) -> dict[str, Any]:
    """An update of an attempt as it is asked for."""
    names = re.findall(r"#(\w+)", f"{change} {condition}")
    return update_of(to_dynamodb(key_item()), change, names, condition, **to_dynamodb(values))


def move(
    values: dict[str, Any], removes: Iterable[str], before: str, *conditions: str, **expected: Any
) -> dict[str, Any]:
    """An update that moves an attempt from one of these statuses."""
    statuses = {f"before{place}": status for place, status in enumerate(before.split())}
    condition = " AND ".join([f"#status IN ({', '.join(f':{name}' for name in statuses)})", *conditions])
    return update(set_and_remove(values, tuple(removes)), condition, **values | statuses | expected)


def of(number: int, asked: dict[str, Any]) -> dict[str, Any]:
    """The same update, but of another attempt of the request."""
    return asked | {"Key": to_dynamodb(key_item(number))}


def ending(status: str, source: str, **more: Any) -> dict[str, Any]:
    """What is stored of an outcome."""
    times = {"recordedAt": NOON, "endedOn": "north~2026-04-01", "expiresAt": KEPT_UNTIL}
    return {"status": status, "outcomeSource": source, **times, **more}


def sets_and_removes(asked: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """What an update sets, by attribute, and what it removes."""
    sets, _, removes = asked["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    values = asked["ExpressionAttributeValues"]
    pairs = (each.split(" = ") for each in sets.split(", "))
    return {name[1:]: values[place] for name, place in pairs}, {name[1:] for name in removes.split(", ") if name}


# New attempts.

NEW = Attempt(
    KEY,
    5,
    request=a_request(customer_name="Ada", dynamic_variables={"day": "Monday"}),
    labels=Labels({"chart": "9"}, "recalls", "reminder"),
    terms=Terms(101, 102, "America/Toronto", priority=Priority.URGENT),
    fingerprint="print",
)
NEW_ITEM = {
    "requestId": "north~visit-2031",
    "attempt": 2,
    "createdAt": 5,
    "dueShard": zlib.crc32(b"north~visit-2031") % SHARDS,
    "timesParked": 0,
    "request": {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": "Ada",
        "dynamicVariables": {"day": "Monday"},
    },
    "setting": SETTING,
    "metadata": {"chart": "9"},
    "batch": "recalls",
    "purpose": "reminder",
    "notBefore": 101,
    "notAfter": 102,
    "terms": {"timeZone": "America/Toronto", "priority": "urgent"},
    "fingerprint": "print",
}


def put(item: dict[str, Any]) -> dict[str, Any]:
    """The creation of an item as it is asked for."""
    return {
        "TableName": "calls",
        "Item": to_dynamodb(item),
        "ConditionExpression": "attribute_not_exists(requestId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


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


NOTED = " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"


@pytest.mark.parametrize(
    ("call_id", "word", "values", "more"),
    [
        (CALL_ID, "ringing", {"outboundCallId": CALL_ID, "allomiaStatus": "ringing"}, NOTED),
        (CALL_ID, "", {"outboundCallId": CALL_ID}, NOTED),
        (CALL_ID, None, {"outboundCallId": CALL_ID}, NOTED),
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


# Outcomes.

BUSY = Outcome(
    Status.BUSY,
    OutcomeSource.WEBHOOK,
    CALL_ID,
    CONTACT_ID,
    CallDetails("2026-04-01T11:59:00Z", "2026-04-01T11:59:09Z", 9, "busy"),
    call_log_id="log",
    resolved_by="arn",
)
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


def an_outcome(status: Status, source: OutcomeSource = OutcomeSource.WEBHOOK, **more: Any) -> Outcome:
    return Outcome(status, source, **more)


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
        (BUSY, failed(Status.BUSY, redial=REDIALS), RecordResult.ALREADY_RECORDED),
        (BUSY, failed(Status.BUSY, outboundCallId=CALL_ID), RecordResult.ALREADY_RECORDED),
        (BUSY, failed(Status.FAILED), RecordResult.CONTRADICTS),
        (BUSY, failed(Status.BUSY, outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
        (BUSY, failed(redial=REDIALS, outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
        (BUSY, failed(Status.SCHEDULED), RecordResult.CONTRADICTS),
        (an_outcome(Status.BUSY), failed(Status.BUSY, outboundCallId=OTHER_CALL_ID), RecordResult.ALREADY_RECORDED),
        (an_outcome(Status.BUSY, OutcomeSource.POLL), failed(Status.REJECTED), RecordResult.CONTRADICTS),
        (answered(call_id=CALL_ID), failed(Status.BUSY, outboundCallId=OTHER_CALL_ID), RecordResult.OTHER_CALL),
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
def test_a_webhook_replaces_what_says_that_no_one_was_called(disproved: Status) -> None:
    with calls_table(failed(disproved), made(Status.BUSY)) as (calls, asked):
        recording = calls.record(KEY, BUSY, NOW)
    assert (recording.result, recording.stored) == (RecordResult.REPLACED, True)
    conditions = (NO_REDIAL, SAME_CALL)
    expected = move(BUSY_VALUES, ENDED + NO_REASON, "cancelled rejected", *conditions, expectedCallId=CALL_ID)
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

PENDING = {"redial": REDIALS, "redialAt": NOON + 60}


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
    condition = "#redialAt = :seenRedialAt" + (NOTED if call_id else "")
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


def cancelled_meanwhile(number: int) -> dict[str, Any]:
    values = ending("cancelled", "webhook", **MEANWHILE)
    return of(number, move(values, (*ENDED, "isDropped"), "scheduled", NO_CALL))


def redial_dropped(number: int, **more: Any) -> dict[str, Any]:
    removes = [name for name in ENDED if name not in {"claimId", "postResult"}]
    values = {"expiresAt": KEPT_UNTIL} | more
    return of(number, update(set_and_remove(values, removes), "#redialAt = :seen", **values, seen=NOON + 60))


def noted_answered(number: int) -> dict[str, Any]:
    change = "SET #answeredAt = if_not_exists(#answeredAt, :now) REMOVE #redial"
    condition = "#status IN (:dispatching, :calling)"
    return of(number, update(change, condition, now=NOON, dispatching="dispatching", calling="calling"))


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

EXPIRED = an_outcome(Status.REJECTED, OutcomeSource.DISPATCH, reason_code=ReasonCode.EXPIRED, reason="too late")
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


@pytest.mark.parametrize("by", ["arn", None])
def test_that_no_one_will_find_out_is_noted_where_nothing_is_known(by: str | None) -> None:
    with calls_table(made(Status.UNKNOWN), failed(Status.COMPLETED)) as (calls, asked):
        assert [calls.leave_unknown(KEY, by) for _ in range(2)] == [True, False]
    values = {"outcomeSource": "operator"} | ({"resolvedBy": by} if by else {})
    assert asked.asked == [update(set_and_remove(values), "#status = :unknown", **values, unknown="unknown")] * 2


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
    with calls_table(well(), CANCELED, due_shards=SHARDS) as (calls, asked):
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
    with calls_table(well(), CANCELED) as (calls, asked):
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
