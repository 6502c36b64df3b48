"""Every write from every status: what the state machine allows happens, and anything else changes nothing."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import DueEntry, RecordResult
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey
from tests.cloud.parts import CLAIM, OTHER_CLAIM, SampleAttempts, an_outcome, new_attempt
from tests.unit.parts import CONTACT_ID, OTHER_CALL_ID
from tests.world import GRACE_SECONDS, NOW

STATUSES = [None, *Status]
SCHEDULED, DISPATCHING, CALLING, UNKNOWN = Status.SCHEDULED, Status.DISPATCHING, Status.CALLING, Status.UNKNOWN
NOT_ENDED = frozenset({SCHEDULED, DISPATCHING, CALLING})
NO_CALL = frozenset({UNKNOWN, Status.REJECTED, Status.CANCELLED})
"""What gives way to an outcome that a webhook brings: it proves a call."""

LATER = NOW + 300


def seen(attempts: SampleAttempts, key: AttemptKey, status: Status) -> Attempt:
    """The attempt as the writer read it: in `status`, and otherwise as it is now, so that only the status decides."""
    item = attempts.item(key) or {}
    return Attempt(
        key,
        NOW,
        status=status,
        times_parked=int(item.get("timesParked", 0)),
        claim_id=CLAIM,
        due_at=int(item.get("dueAt", NOW)),
    )


type Write = Callable[[SampleAttempts, AttemptKey], bool]


@dataclass(frozen=True)
class Operation:
    """A write, the statuses from which the state machine allows it, and the one that it leads to (None: the same)."""

    write: Write
    allowed: frozenset[Status | None]
    target: Status | None


def claim_new(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.claim(new_attempt(key), OTHER_CLAIM, LATER) is not None


def claim_parked(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.claim(seen(attempts, key, SCHEDULED), OTHER_CLAIM, LATER) is not None


def park_new(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.park(new_attempt(key), LATER + 60, ParkReason.RATE_LIMITED)


def park(seen_as: Status) -> Write:
    return lambda attempts, key: attempts.table.park(
        seen(attempts, key, seen_as), LATER + 60, ParkReason.ALLOMIA_UNREACHABLE
    )


def settle(attempts: SampleAttempts, key: AttemptKey) -> bool:
    result = attempts.table.settle(seen(attempts, key, DISPATCHING), OTHER_CALL_ID, CONTACT_ID)
    return result is RecordResult.STORED


def record(status: Status, source: OutcomeSource | None = None) -> Write:
    changes = {"source": source} if source else {}
    return lambda attempts, key: attempts.table.record(key, an_outcome(status, **changes), LATER).stored


def reject_new(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.reject(new_attempt(key), an_outcome(Status.REJECTED), LATER).stored


def reject_parked(status: Status) -> Write:
    return lambda attempts, key: attempts.table.reject(seen(attempts, key, SCHEDULED), an_outcome(status), LATER).stored


def give_up(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.give_up(seen(attempts, key, CALLING), an_outcome(UNKNOWN), LATER).stored


def resolve(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.resolve(key, Status.BUSY, LATER).stored


def lease(attempts: SampleAttempts, key: AttemptKey) -> bool:
    due_at = seen(attempts, key, SCHEDULED).due_at or 0
    return attempts.table.lease(DueEntry(key, due_at), LATER, GRACE_SECONDS) is not None


def set_due(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.set_due(seen(attempts, key, SCHEDULED), LATER + 1)


def operation(write: Write, *allowed: Status | None, to: Status | None = None) -> Operation:
    return Operation(write, frozenset(allowed), to)


OPERATIONS = {
    "claim new": operation(claim_new, None, to=DISPATCHING),
    "claim parked": operation(claim_parked, SCHEDULED, to=DISPATCHING),
    "park new": operation(park_new, None, to=SCHEDULED),
    "park again": operation(park(SCHEDULED), SCHEDULED, to=SCHEDULED),
    "release claim": operation(park(DISPATCHING), DISPATCHING, to=SCHEDULED),
    "settle": operation(settle, DISPATCHING, to=CALLING),
    "completed": operation(record(Status.COMPLETED), *NOT_ENDED, *NO_CALL, to=Status.COMPLETED),
    "failed": operation(record(Status.FAILED), *NOT_ENDED, *NO_CALL, to=Status.FAILED),
    "busy": operation(record(Status.BUSY), *NOT_ENDED, *NO_CALL, to=Status.BUSY),
    "no-answer": operation(record(Status.NO_ANSWER), *NOT_ENDED, *NO_CALL, to=Status.NO_ANSWER),
    "polled": operation(record(Status.BUSY, OutcomeSource.POLL), *NOT_ENDED, UNKNOWN, to=Status.BUSY),
    "rejected": operation(record(Status.REJECTED), SCHEDULED, DISPATCHING, to=Status.REJECTED),
    "unknown": operation(record(UNKNOWN), DISPATCHING, CALLING, to=UNKNOWN),
    "reject new": operation(reject_new, None, to=Status.REJECTED),
    "reject parked": operation(reject_parked(Status.REJECTED), SCHEDULED, to=Status.REJECTED),
    "cancel parked": operation(reject_parked(Status.CANCELLED), SCHEDULED, to=Status.CANCELLED),
    "give up": operation(give_up, DISPATCHING, CALLING, to=UNKNOWN),
    "resolve": operation(resolve, UNKNOWN, to=Status.BUSY),
    "lease": operation(lease, *NOT_ENDED),
    "set due": operation(set_due, *NOT_ENDED),
}


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_write_happens_exactly_where_the_state_machine_allows_it(
    attempts: SampleAttempts, name: str, before: Status | None
) -> None:
    operation = OPERATIONS[name]
    key = attempts.in_status(before)
    item = attempts.item(key)
    assert attempts.status(key) == before

    written = operation.write(attempts, key)

    assert written is (before in operation.allowed)
    if written:
        assert attempts.status(key) == (operation.target or before)
        assert attempts.item(key) != item
    else:
        assert attempts.item(key) == item
    # An attempt is in the index until it ends, and never after.
    assert bool(attempts.due_entries(key)) is (attempts.status(key) in NOT_ENDED)


# DynamoDB declines an expression with a reserved word, or with a name or a value that it doesn't use. The local cloud
# may be more lenient, so the test looks at what is sent.
_WORDS = re.compile(r"(?<![#:\w])[A-Za-z_]\w*")
_PLACEHOLDERS = re.compile(r"[#:]\w+")
_ALLOWED_WORDS = {"SET", "REMOVE", "ADD", "AND", "OR", "IN", "attribute_not_exists"}


def check_expressions(params: dict[str, Any]) -> None:
    update, condition = params["UpdateExpression"], params["ConditionExpression"]
    used = set(_PLACEHOLDERS.findall(f"{update} {condition}"))
    given = params["ExpressionAttributeNames"].keys() | params["ExpressionAttributeValues"].keys()

    assert set(_WORDS.findall(f"{update} {condition}")) <= _ALLOWED_WORDS
    assert used == given
    # One write may change each attribute once, and none of the key.
    changed = re.findall(r"(?:SET|,|REMOVE|ADD) (#\w+)(?= =|,| |$)", update)
    assert len(changed) == len(set(changed))
    assert not {"#requestId", "#attempt"} & set(changed)


@pytest.mark.parametrize("name", OPERATIONS)
def test_dynamodb_accepts_every_expression(attempts: SampleAttempts, name: str) -> None:
    sent: list[dict[str, Any]] = []

    def collect(params: dict[str, Any], **_: object) -> None:
        sent.append(params)

    operation = OPERATIONS[name]
    key = attempts.in_status(
        min((status for status in operation.allowed - {Status.REJECTED, Status.CANCELLED} if status), default=None)
    )
    events = attempts.table.client.meta.events
    events.register("provide-client-params.dynamodb.*", collect)
    try:
        assert operation.write(attempts, key)
    finally:
        events.unregister("provide-client-params.dynamodb.*", collect)

    (write,) = [params for params in sent if "ConditionExpression" in params]
    if "UpdateExpression" in write:
        check_expressions(write)
    else:
        assert write["ConditionExpression"] == "attribute_not_exists(requestId)"


def test_a_rejected_new_attempt_keeps_nothing_of_its_request(attempts: SampleAttempts) -> None:
    new = new_attempt()
    outcome = replace(an_outcome(Status.REJECTED), reason="not dialled within 24 hours")

    recording = attempts.table.reject(new, outcome, LATER)

    item = attempts.existing_item(new.key)
    assert recording.attempt == attempts.read(new.key)
    assert (item["status"], item["reason"], item["recordedAt"]) == ("rejected", outcome.reason, LATER)
    assert item["metadata"] == new.labels.metadata
    assert "Ada" not in str(item)
    assert item.keys().isdisjoint({"request", "dueShard", "dueAt", "outboundCallId"})
