"""Poll calls that are due: release what was parked, ask AlloMia after what it took, give up what nobody knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from outbound_calls.allomia import LONGEST_EXCHANGE_SECONDS, AllomiaClient, StatusUnavailable
from outbound_calls.contracts import AttemptKey, Outcome, Release, outcome_of
from outbound_calls.ledger import Call, DueItem, Ledger, Recorded
from outbound_calls.lifecycle import OutcomeSource, PollSchedule, Status

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


SECONDS_TO_POLL = LONGEST_EXCHANGE_SECONDS + 5.0
"""What must be left of an invocation before a lease: the longest exchange, and time to record."""


SHORT_OF_TIME = "short-of-time"


class Polled(StrEnum):
    """What became of one due attempt."""

    RECORDED = "recorded"
    RELEASED = "released"
    WAITING = "waiting"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Look:
    """What became of one due attempt, in words that may be logged."""

    result: Polled
    key: AttemptKey
    reason: str = ""
    outcome: Outcome | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class CallQueue:
    """The queue that place_call reads."""

    client: SQSClient
    queue_url: str

    def release(self, call: Call) -> None:
        """Ask for a parked attempt to be dialled now."""
        message = Release(release=call.key, times_parked=call.times_parked)
        self.client.send_message(QueueUrl=self.queue_url, MessageBody=message.model_dump_json())


@dataclass(frozen=True, slots=True)
class PollCalls:
    """The use case. Parts are shared by the worker threads of a page; `clock` is epoch seconds."""

    ledger: Ledger
    allomia: AllomiaClient
    queue: CallQueue
    schedule: PollSchedule
    clock: Callable[[], float] = time.time

    def poll(self, due: DueItem, seconds_left: Callable[[], float]) -> Look:
        """Look at one attempt. Whatever happens after the lease, the attempt comes due again until it has ended.

        Without the time for it (`seconds_left`) nothing is begun: the next sweep finds the attempt as it was.
        Raises when the table or the queue is out of reach.
        """
        if seconds_left() < SECONDS_TO_POLL:
            return Look(Polled.SKIPPED, due.key, SHORT_OF_TIME)
        now = self.clock()
        call = self.ledger.lease(due, now, self.schedule.grace)
        if call is None:
            return Look(Polled.SKIPPED, due.key)
        if call.status is Status.SCHEDULED:
            self.queue.release(call)
            return Look(Polled.RELEASED, call.key)
        return self._ask(call, now)

    def _ask(self, call: Call, now: float) -> Look:
        waiting = Look(Polled.WAITING, call.key)
        if call.outbound_call_id:
            answer = self.allomia.call_status(call.outbound_call_id)
            if isinstance(answer, StatusUnavailable):
                waiting = Look(Polled.UNAVAILABLE, call.key, answer.reason)
            elif outcome := outcome_of(answer, OutcomeSource.POLL):
                return self._record(call, outcome)
        deadline_at = self.schedule.deadline_at(call.dispatched_at or call.created_at)
        if now >= deadline_at:
            return self._give_up(call, waiting.reason)
        if (call.due_at or 0) > deadline_at:
            self.ledger.look_at(call, deadline_at)
        return waiting

    def _give_up(self, call: Call, last_word: str) -> Look:
        known = (
            f"AlloMia took the call; last poll: {last_word or 'calling'}"
            if call.outbound_call_id
            else ("AlloMia's answer to the POST was lost or never came")
        )
        outcome = Outcome(
            status=Status.UNKNOWN,
            source=OutcomeSource.DEADLINE,
            outbound_call_id=call.outbound_call_id,
            reason=f"no outcome within {self.schedule.deadline} s of the dispatch. {known}",
        )
        return self._record(call, outcome, unless_moved=call)

    def _record(self, call: Call, outcome: Outcome, unless_moved: Call | None = None) -> Look:
        record = self.ledger.record(call.key, outcome, self.clock(), unless_moved)
        if record.result is Recorded.STORED:
            return Look(Polled.RECORDED, call.key, outcome.reason or "", outcome, record.call)
        return Look(Polled.SKIPPED, call.key)
