"""Every write from every status: what the state machine allows happens, and anything else changes nothing."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import DueEntry, RecordResult
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Outcome
from tests.cloud.parts import CLAIM, OTHER_CLAIM, SampleAttempts, an_outcome, new_attempt
from tests.unit.parts import CONTACT_ID, OTHER_CALL_ID
from tests.world import GRACE_SECONDS, NOW

STATUSES = [None, *Status]
SCHEDULED, DISPATCHING, CALLING, UNKNOWN = Status.SCHEDULED, Status.DISPATCHING, Status.CALLING, Status.UNKNOWN
NOT_ENDED = frozenset({SCHEDULED, DISPATCHING, CALLING})
NO_CALL = frozenset({UNKNOWN, Status.REJECTED, Status.CANCELLED})
"""What gives way to an outcome that a webhook brings: it proves a call."""

LATER = NOW + 300
PENDING_UNTIL = NOW + 600


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


def cancel_unseen(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.cancel_unseen(key.request, OutcomeSource.UPSTREAM, LATER)


def cancel_scheduled(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.cancel_scheduled(seen(attempts, key, SCHEDULED), an_outcome(Status.CANCELLED), LATER)


def request_cancel(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.request_cancel(seen(attempts, key, CALLING), OutcomeSource.OPERATOR, LATER)


def note_answered(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.note_answered(seen(attempts, key, CALLING), LATER)


def stop(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.stop(seen(attempts, key, DISPATCHING), an_outcome(Status.CANCELLED), LATER)


def drop_redial(attempts: SampleAttempts, key: AttemptKey) -> bool:
    return attempts.table.drop_redial(replace(seen(attempts, key, Status.BUSY), redial_at=PENDING_UNTIL), LATER)


def make_next(attempts: SampleAttempts, key: AttemptKey) -> bool:
    before = replace(seen(attempts, key, Status.BUSY), redial_at=PENDING_UNTIL)
    following = new_attempt(replace(key, number=2))
    return attempts.table.make_next(before, following, ParkReason.REDIAL, LATER)


def dial_again(status: Status) -> Write:
    return lambda attempts, key: attempts.table.make_next(
        seen(attempts, key, status), new_attempt(replace(key, number=2)), ParkReason.DIAL_AGAIN, LATER
    )


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
    "cancel unseen": operation(cancel_unseen, None, to=Status.CANCELLED),
    "cancel scheduled": operation(cancel_scheduled, SCHEDULED, to=Status.CANCELLED),
    "request cancel": operation(request_cancel, DISPATCHING, CALLING),
    "note answered": operation(note_answered, DISPATCHING, CALLING),
    "drop redial": operation(drop_redial),
    "make next": operation(make_next),
    "dial again": operation(dial_again(UNKNOWN), UNKNOWN),
}
WHILE_A_REDIAL_IS_PENDING = {"completed", "drop redial", "make next"}
"""What may then be written. A webhook that says that the person answered replaces the outcome."""


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


@pytest.mark.parametrize("name", OPERATIONS)
def test_while_a_redial_is_pending_only_an_answer_its_end_and_the_next_attempt_are_written(
    attempts: SampleAttempts, name: str
) -> None:
    key = attempts.redial_pending(PENDING_UNTIL)
    item = attempts.existing_item(key)
    assert (item["status"], item["redialAt"], item["dueAt"]) == ("busy", PENDING_UNTIL, PENDING_UNTIL)

    written = OPERATIONS[name].write(attempts, key)

    # A poller that looks at it gets it, and leaves it as it is.
    assert written is (name in WHILE_A_REDIAL_IS_PENDING | {"lease"})
    assert (attempts.item(key) != item) is (name in WHILE_A_REDIAL_IS_PENDING)
    assert bool(attempts.due_entries(key)) is (name not in WHILE_A_REDIAL_IS_PENDING)


def test_a_cancelled_claim_ends_where_allomia_has_no_call(attempts: SampleAttempts) -> None:
    for status, ends in [(DISPATCHING, True), (CALLING, False)]:
        key = attempts.in_status(status)

        assert request_cancel(attempts, key)
        assert attempts.table.stop_of(attempts.read(key)) == Outcome(
            Status.CANCELLED, OutcomeSource.OPERATOR, reason_code=ReasonCode.CANCELLED
        )
        assert stop(attempts, key) is ends
        assert attempts.status(key) == (Status.CANCELLED if ends else status)


# DynamoDB declines an expression with a reserved word, or with a name or a value that it doesn't use. The local cloud
# may be more lenient, so the test looks at what is sent.
_WORDS = re.compile(r"(?<![#:\w])[A-Za-z_]\w*")
_PLACEHOLDERS = re.compile(r"[#:]\w+")
_ALLOWED_WORDS = {"SET", "REMOVE", "ADD", "AND", "OR", "IN", "attribute_not_exists", "if_not_exists"}


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
    may_be = min((each for each in operation.allowed - {Status.REJECTED, Status.CANCELLED} if each), default=None)
    key = attempts.in_status(may_be) if operation.allowed else attempts.redial_pending(PENDING_UNTIL)
    events = attempts.table.client.meta.events
    events.register("provide-client-params.dynamodb.*", collect)
    try:
        assert operation.write(attempts, key)
    finally:
        events.unregister("provide-client-params.dynamodb.*", collect)

    writes = [write for params in sent for write in writes_in(params)]
    assert writes
    for write in writes:
        if "UpdateExpression" in write:
            check_expressions(write)
        else:
            assert write["ConditionExpression"] == "attribute_not_exists(requestId)"


def writes_in(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditional writes of a request: one, or those of a transaction."""
    if "TransactItems" in params:
        return [write for part in params["TransactItems"] for write in part.values()]
    return [params] if "ConditionExpression" in params else []


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
