"""Thousands of attempts in a table, written as copies of two that the stack's own writes made."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.cloud.parts import an_outcome, new_attempt
from tests.world import NOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cloud.parts import SampleAttempts

_AT_A_TIME = 25  # of one BatchWriteItem


def write_many(attempts: SampleAttempts, ended: int, waiting: int) -> None:
    """Write so many attempts that ended in the last hour, of which one in a hundred is unknown, and so many that wait.

    Besides those that they are copies of.
    """
    last = attempts.claim(new_attempt(AttemptKey(RequestKey("ended"), 1)))
    lost = attempts.claim(new_attempt(AttemptKey(RequestKey("lost"), 1)))
    parked = new_attempt(AttemptKey(RequestKey("waits"), 1))
    assert last
    assert lost
    assert attempts.table.record(last.key, an_outcome(Status.COMPLETED), NOW).stored
    assert attempts.table.record(lost.key, an_outcome(Status.UNKNOWN), NOW).stored
    assert attempts.table.park(parked, NOW + 60, ParkReason.PAUSED)
    done, unknown, waits = (attempts.existing_item(each.key) for each in (last, lost, parked))
    _put(
        attempts,
        (
            (unknown if number % 100 == 0 else done)
            | {"requestId": f"ended-{number}", "recordedAt": NOW - 3600 * number // ended}
            for number in range(ended)
        ),
    )
    _put(
        attempts,
        (
            waits
            | {"requestId": f"waits-{number}", "dueShard": number % attempts.table.due_shards, "dueAt": NOW + number}
            for number in range(waiting)
        ),
    )


def _put(attempts: SampleAttempts, items: Iterable[dict[str, Any]]) -> None:
    client, name = attempts.table.client, attempts.table.name
    for chunk in batched(items, _AT_A_TIME, strict=False):
        writes: Any = {name: [{"PutRequest": {"Item": to_dynamodb(each)}} for each in chunk]}
        while writes:
            writes = client.batch_write_item(RequestItems=writes).get("UnprocessedItems")
