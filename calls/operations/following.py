"""Follow attempts until each has its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from calls.operations.records import FoundAttempt, Records
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.transitions import TERMINAL

QUEUED = "queued"
"""Shown for an attempt that has no record yet."""

MIN_INTERVAL_SECONDS = 2.0
READS_PER_SECOND = 100
"""At most, on average. Each read of an attempt costs a read unit."""


class FollowedAttempt(WireModel):
    """The state of one attempt."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    row: int | None = Field(None, description="the row of the file that asked for it")
    status: str = Field(description=f"its status, or {QUEUED} while it has no record")
    ended: bool
    dialled: Dialled = Field(Dialled.NO, description="whether the phone rang")
    park_reason: ParkReason | None = None
    outcome_source: OutcomeSource | None = None
    reason_code: ReasonCode | None = None
    reason: str | None = None


class Following(WireModel):
    """The state of all of them."""

    calls: list[FollowedAttempt]
    ended: int
    all_ended: bool
    needs_a_person: bool = Field(description="true when one is rejected or unknown")


@dataclass(frozen=True, slots=True)
class Follower:
    """Reads attempts repeatedly. `clock` counts seconds and never goes back."""

    records: Records
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def follow(
        self,
        rows: Mapping[AttemptKey, int | None],
        timeout_seconds: float,
        on_read: Callable[[Following], None] = lambda _following: None,
    ) -> Following:
        """Read until all have ended, or until the timeout. `on_read` gets the state after each read.

        Each attempt comes with the row that asked for it, where there is one. An attempt that has ended isn't read
        again: an outcome stays, and `unknown` needs a person.
        """
        stop_at = self.clock() + timeout_seconds
        seen: dict[AttemptKey, FoundAttempt] = {}
        while True:
            seen |= self.records.find(key for key in rows if key not in seen or seen[key].status not in TERMINAL)
            following = _following(rows, seen)
            on_read(following)
            if following.all_ended or self.clock() >= stop_at:
                return following
            self.sleep(max(MIN_INTERVAL_SECONDS, (len(rows) - following.ended) / READS_PER_SECOND))


def _following(rows: Mapping[AttemptKey, int | None], seen: Mapping[AttemptKey, FoundAttempt]) -> Following:
    calls = [_followed(key, row, seen.get(key)) for key, row in rows.items()]
    ended = sum(call.ended for call in calls)
    return Following(
        calls=calls,
        ended=ended,
        all_ended=ended == len(calls),
        needs_a_person=any(call.status in {Status.REJECTED, Status.UNKNOWN} for call in calls),
    )


def _followed(key: AttemptKey, row: int | None, found: FoundAttempt | None) -> FollowedAttempt:
    followed = FollowedAttempt(
        organization=key.request.organization,
        request_id=key.request.request_id,
        attempt=key.number,
        row=row,
        status=QUEUED,
        ended=False,
    )
    if found is None:
        return followed
    return followed.model_copy(
        update={
            "status": found.status.value,
            "ended": found.status in TERMINAL,
            "dialled": found.dialled,
            "park_reason": found.park_reason,
            "outcome_source": found.outcome_source,
            "reason_code": found.reason_code,
            "reason": found.reason,
        }
    )
