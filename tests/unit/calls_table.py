"""A calls table that DynamoDB answers as a test says, and what each of its writes looks like as it is asked for."""

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.conditional_writes import set_and_remove
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, Priority, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, CallDetails, Labels, Outcome, RequestKey, Terms
from tests.unit.dynamodb import Asked, dynamodb, fault, update_of, well
from tests.unit.parts import ASSISTANT_ID, CALL_ID, CONTACT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, SETTING, a_request

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


NO_CALL = "attribute_not_exists(#outboundCallId)"
AND_SAME_CALL = " AND (attribute_not_exists(#outboundCallId) OR #outboundCallId = :outboundCallId)"
SAME_CALL = "(attribute_not_exists(#outboundCallId) OR #outboundCallId = :expectedCallId)"

REDIALS = '{"max":3,"on":{"busy":[60]},"reasons":{"voicemail":[90]}}'
OTHER_REDIALS = '{"max":2}'


@contextmanager
def calls_table(*answers: bytes, due_shards: int = 1, tries: int = 1) -> Iterator[tuple[CallsTable, Asked]]:
    """A calls table whose requests get these answers. It keeps what has ended for 90 days."""
    with dynamodb(*answers, tries=tries) as (client, asked):
        yield CallsTable(client, "calls", 90, due_shards), asked


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


def an_outcome(status: Status, source: OutcomeSource = OutcomeSource.WEBHOOK, **more: Any) -> Outcome:
    return Outcome(status, source, **more)


BUSY = Outcome(
    Status.BUSY,
    OutcomeSource.WEBHOOK,
    CALL_ID,
    CONTACT_ID,
    CallDetails("2026-04-01T11:59:00Z", "2026-04-01T11:59:09Z", 9, "busy"),
    call_log_id="log",
    resolved_by="arn",
)
EXPIRED = an_outcome(Status.REJECTED, OutcomeSource.DISPATCH, reason_code=ReasonCode.EXPIRED, reason="too late")

PENDING = {"redial": REDIALS, "redialAt": NOON + 60}


def redial_dropped(number: int, **more: Any) -> dict[str, Any]:
    removes = [name for name in ENDED if name not in {"claimId", "postResult"}]
    values = {"expiresAt": KEPT_UNTIL} | more
    return of(number, update(set_and_remove(values, removes), "#redialAt = :seen", **values, seen=NOON + 60))


def noted_answered(number: int) -> dict[str, Any]:
    change = "SET #answeredAt = if_not_exists(#answeredAt, :now) REMOVE #redial"
    condition = "#status IN (:dispatching, :calling)"
    return of(number, update(change, condition, now=NOON, dispatching="dispatching", calling="calling"))
