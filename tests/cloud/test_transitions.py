"""Every write from every status: what the design allows happens, and what it does not changes nothing."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from outbound_calls.contracts import AttemptKey
from outbound_calls.ledger import Call, DueItem, Recorded
from outbound_calls.lifecycle import Status
from tests.cloud.parts import CLAIM, GRACE, NOW, Calls, an_outcome
from tests.unit.parts import CONTACT_ID, OTHER_CALL_ID, a_request

STATUSES = [
    *(None, "scheduled", "dispatching", "calling"),
    *("completed", "failed", "busy", "no-answer", "rejected", "unknown"),
]
LATER = NOW + 300


def _call(calls: Calls, key: AttemptKey) -> Call:
    """The call as the worker has it that claimed it."""
    item = calls.item(key) or {}
    return Call(
        key, Status.DISPATCHING, created_at=NOW, claim_id=CLAIM, due_at=int(item["dueAt"]) if "dueAt" in item else NOW
    )


def _due(calls: Calls, key: AttemptKey) -> DueItem:
    return DueItem(key, _call(calls, key).due_at or NOW)


def _record(status: Status) -> Callable[[Calls, AttemptKey], bool]:
    return lambda calls, key: calls.ledger.record(key, an_outcome(status), LATER).result is Recorded.STORED


# Each write: what does it, from which statuses the design allows it, and where it leads (None: it changes no status).
OPERATIONS: dict[str, tuple[Callable[[Calls, AttemptKey], bool], set[str | None], str | None]] = {
    "schedule": (
        lambda calls, key: calls.ledger.schedule(key, a_request(), LATER, LATER + 60, "HTTP 429"),
        {None},
        "scheduled",
    ),
    "claim new": (
        lambda calls, key: calls.ledger.claim_new(key, a_request(), "another-claim", LATER, GRACE) is not None,
        {None},
        "dispatching",
    ),
    "claim scheduled": (
        lambda calls, key: calls.ledger.claim_scheduled(key, "another-claim", LATER, GRACE) is not None,
        {"scheduled"},
        "dispatching",
    ),
    "park again": (
        lambda calls, key: calls.ledger.park_again(key, LATER + 60, "circuit-open"),
        {"scheduled"},
        "scheduled",
    ),
    "unclaim": (
        lambda calls, key: calls.ledger.unclaim(_call(calls, key), LATER + 60, "HTTP 429"),
        {"dispatching"},
        "scheduled",
    ),
    "settle": (
        lambda calls, key: calls.ledger.settle(_call(calls, key), OTHER_CALL_ID, CONTACT_ID) is Recorded.STORED,
        {"dispatching"},
        "calling",
    ),
    "completed": (_record(Status.COMPLETED), {"scheduled", "dispatching", "calling", "unknown"}, "completed"),
    "failed": (_record(Status.FAILED), {"scheduled", "dispatching", "calling", "unknown"}, "failed"),
    "busy": (_record(Status.BUSY), {"scheduled", "dispatching", "calling", "unknown"}, "busy"),
    "no-answer": (_record(Status.NO_ANSWER), {"scheduled", "dispatching", "calling", "unknown"}, "no-answer"),
    "rejected": (_record(Status.REJECTED), {"scheduled", "dispatching"}, "rejected"),
    "unknown": (_record(Status.UNKNOWN), {"dispatching", "calling"}, "unknown"),
    "lease": (
        lambda calls, key: calls.ledger.lease(_due(calls, key), LATER, GRACE) is not None,
        {"scheduled", "dispatching", "calling"},
        None,
    ),
    "look at": (
        lambda calls, key: calls.ledger.look_at(_call(calls, key), LATER + 1),
        {"scheduled", "dispatching", "calling"},
        None,
    ),
}


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_write_happens_exactly_where_the_design_allows_it(calls: Calls, operation: str, before: str | None) -> None:
    write, allowed, target = OPERATIONS[operation]
    key = calls.in_status(before)
    item = calls.item(key)
    assert (item or {}).get("status") == before

    written = write(calls, key)

    assert written is (before in allowed)
    if before in allowed:
        assert calls.status(key) == (target or before)
        assert calls.item(key) != item
    else:
        assert calls.item(key) == item


@pytest.mark.parametrize("before", ["completed", "rejected", "unknown"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_terminal_call_stays_out_of_the_index(calls: Calls, operation: str, before: str) -> None:
    key = calls.in_status(before)

    OPERATIONS[operation][0](calls, key)

    assert calls.due(key) == []


# DynamoDB refuses an expression with a reserved word in it, and with a name or a value that it does not use. The local
# cloud may be more lenient, so what is really sent is looked at.
_WORDS = re.compile(r"(?<![#:\w])[A-Za-z_]\w*")
_PLACEHOLDERS = re.compile(r"[#:]\w+")
_ALLOWED_WORDS = {"SET", "REMOVE", "ADD", "AND", "OR", "IN", "attribute_not_exists"}


def _check_expressions(params: dict[str, Any]) -> None:
    update, condition = params["UpdateExpression"], params["ConditionExpression"]
    used = set(_PLACEHOLDERS.findall(f"{update} {condition}"))
    given = params["ExpressionAttributeNames"].keys() | params["ExpressionAttributeValues"].keys()

    assert set(_WORDS.findall(f"{update} {condition}")) <= _ALLOWED_WORDS
    assert used == given
    # No attribute may be changed twice in one write; none of the key may be changed at all.
    changed = re.findall(r"(?:SET|,|REMOVE|ADD) (#\w+)(?= =|,| |$)", update)
    assert len(changed) == len(set(changed))
    assert not {"#requestId", "#attempt"} & set(changed)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_expression_is_one_that_dynamodb_takes(calls: Calls, operation: str) -> None:
    sent: list[dict[str, Any]] = []

    def look(params: dict[str, Any], **_: object) -> None:
        sent.append(params)

    write, allowed, _ = OPERATIONS[operation]
    key = calls.in_status(min((status for status in allowed if status), default=None))
    events = calls.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.*", look)
    try:
        assert write(calls, key)
    finally:
        events.unregister("provide-client-params.dynamodb.*", look)

    writes = [params for params in sent if "ConditionExpression" in params]
    assert len(writes) == 1
    if "UpdateExpression" in writes[0]:
        _check_expressions(writes[0])
    else:
        assert writes[0]["ConditionExpression"] == "attribute_not_exists(requestId)"
