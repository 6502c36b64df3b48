"""The calls in progress of an organization that were claimed while it had no limit, so that they have no line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.calls_table import TooMany
from outbound_calls.contracts.vocabulary import Status

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.domain.attempts import Attempt, AttemptKey

_IN_PROGRESS = {Status.DISPATCHING, Status.CALLING}
_READ = ("requestId", "attempt", "status", "createdAt", "timesParked", "dispatchedAt", "claimId", "line")
_READ_AT_ONCE, _DUE_AT_ONCE = 100, 1000


@dataclass(eq=False, slots=True)
class UnlimitedCalls:
    """Such calls, as the calls table holds them."""

    table: CallsTable

    def in_progress(self, organization: str | None, *, whatever_it_takes: bool) -> Iterator[Attempt]:
        """Those of an organization, as far as the index of what is due shows them.

        Raises:
            TooMany: When a shard of the index has more than a thousand entries. Not if `whatever_it_takes`.
        """
        names = {f"#{name}": name for name in _READ}
        projection: dict[str, Any] = {
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
            "ConsistentRead": True,
        }
        for keys in batched(self._due(organization, whatever_it_takes), _READ_AT_ONCE, strict=False):
            for attempt in map(attempt_from_item, self.table.read_many(keys, projection)):
                if attempt.status in _IN_PROGRESS and attempt.claim_id and attempt.line is None:
                    yield attempt

    def _due(self, organization: str | None, whatever_it_takes: bool) -> Iterator[AttemptKey]:
        for shard in range(self.table.due_shards):
            last = None
            while True:
                entries, last = self.table.due_page(shard, _DUE_AT_ONCE, last)
                yield from (each.key for each in entries if each.key.request.organization == organization)
                if last is None:
                    break
                if not whatever_it_takes:
                    raise TooMany

    def hold_line(self, attempt: Attempt) -> bool:
        """Note that an attempt's claim has a line now, which whatever ends or parks it then gives back.

        False when it has ended, or was parked, meanwhile.
        """
        change, condition = "SET #line = :held", "#claimId = :held"
        written, _ = self.table.update(attempt.key, change, condition, {"held": attempt.claim_id})
        return written
