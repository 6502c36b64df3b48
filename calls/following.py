"""Follow attempts until each has its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from calls.records import Found, Records
from outbound_calls.contracts import Attempt, AttemptKey, RequestId, Wire
from outbound_calls.lifecycle import ALLOMIA_OUTCOMES, TERMINAL, Status

QUEUED = "queued"
"""What is shown of an attempt that has no record yet."""

LOOK_SECONDS = 2.0
CALLS_A_SECOND = 100
"""How many are read at the most, on average: each look at a call costs a read unit."""


class Followed(Wire):
    """How one attempt stands."""

    request_id: RequestId
    attempt: Attempt
    row: int | None = Field(None, description="of the file that asked for it")
    status: str = Field(description=f"its status, or {QUEUED} while it has no record")
    outcome_source: str | None = None
    reason: str | None = None
    ended: bool


class Following(Wire):
    """How all of them stand."""

    calls: list[Followed]
    ended: int
    all_ended: bool
    needs_a_person: bool = Field(description="true when one is rejected or unknown")


@dataclass(frozen=True, slots=True)
class Follower:
    """Looks at attempts again and again; `clock` counts seconds and never goes back."""

    records: Records
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def follow(
        self,
        keys: Mapping[AttemptKey, int | None],
        timeout: float,
        look: Callable[[Following], None] = lambda _now: None,
    ) -> Following:
        """Look until all have ended, or for `timeout` seconds; `look` is told what was seen each time.

        Each attempt comes with the row that asked for it, where there is one.

        Those that have ended are not read again: an outcome stays, and an `unknown` is for a person by then.
        """
        give_up_at = self.clock() + timeout
        seen: dict[AttemptKey, Found] = {}
        while True:
            seen |= self.records.find(key for key in keys if key not in seen or seen[key].status not in TERMINAL)
            standing = _standing(keys, seen)
            look(standing)
            if standing.all_ended or self.clock() >= give_up_at:
                return standing
            self.sleep(max(LOOK_SECONDS, (len(keys) - standing.ended) / CALLS_A_SECOND))


def _standing(keys: Mapping[AttemptKey, int | None], seen: Mapping[AttemptKey, Found]) -> Following:
    calls = [_followed(key, row, seen.get(key)) for key, row in keys.items()]
    ended = sum(call.ended for call in calls)
    return Following(
        calls=calls,
        ended=ended,
        all_ended=ended == len(calls),
        needs_a_person=any(call.ended and Status(call.status) not in ALLOMIA_OUTCOMES for call in calls),
    )


def _followed(key: AttemptKey, row: int | None, found: Found | None) -> Followed:
    if found is None:
        return Followed(request_id=key.request_id, attempt=key.attempt, row=row, status=QUEUED, ended=False)
    return Followed(
        request_id=key.request_id,
        attempt=key.attempt,
        row=row,
        status=found.status,
        outcome_source=found.outcome_source,
        reason=found.reason or found.park_reason,
        ended=found.status in TERMINAL,
    )
