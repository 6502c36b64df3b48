"""Place calls: claim an attempt, POST it once, settle what AlloMia answered.

The order is the promise. The claim is written before the POST, so whoever comes second (a duplicate, a redelivery, a
redrive) finds it and does not dial; and a worker that dies leaves a claim that the poller looks at.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

from outbound_calls.allomia import (
    LONGEST_EXCHANGE_SECONDS,
    Accepted,
    AllomiaClient,
    Ambiguous,
    Failed,
    KeyRefused,
    NotAccepted,
    Refused,
    Throttled,
)
from outbound_calls.contracts import (
    AttemptKey,
    CallRequest,
    InvalidInput,
    Outcome,
    Release,
    outcome_of,
    read_message,
)
from outbound_calls.ledger import Recorded
from outbound_calls.lifecycle import (
    KEY_REFUSED_BACKOFF_SECONDS,
    PLACE_WITHIN_SECONDS,
    Jitter,
    OutcomeSource,
    Status,
    parking_seconds,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from outbound_calls.allomia import PlaceAnswer
    from outbound_calls.breaker import Breaker
    from outbound_calls.callbacks import CallbackUrls
    from outbound_calls.ledger import Call, Ledger

SECONDS_TO_PLACE = LONGEST_EXCHANGE_SECONDS + 8.0
"""What must be left of an invocation before a POST: its longest exchange, and time to claim and settle."""


_random = random.SystemRandom()
"""The operating system's: execution environments that start from one snapshot would share a generator of Python's."""

CIRCUIT_OPEN = "circuit-open"
SHORT_OF_TIME = "short-of-time"
OTHER_CALL = "another-call-recorded"
"""A webhook brought another call's outcome for this attempt: AlloMia made two calls of one POST."""


class Placed(StrEnum):
    """What became of one queue message."""

    CALLING = "calling"
    ENDED = "ended"
    PARKED = "parked"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of one queue message, in words that may be logged. All of these acknowledge the message."""

    result: Placed
    key: AttemptKey | None
    reason: str = ""
    outbound_call_id: str | None = None
    outcome: Outcome | None = None
    """Set only if it was recorded here: one that a webhook brought first was counted there."""

    key_refused: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the call queue, and how much time is left for it (seconds)."""

    message_id: str
    body: str
    seconds_left: Callable[[], float]


@dataclass(frozen=True, slots=True)
class InvalidMessages:
    """The queue for messages that can never become a call."""

    client: SQSClient
    queue_url: str

    def keep(self, message: Message, refusal: InvalidInput) -> None:
        """Keep a message as it came, with the field and the rule it breaks as attributes."""
        attributes = {
            "reason": f"{refusal.field}: {refusal.rule}",
            "field": refusal.field,
            "rule": refusal.rule,
            "messageId": message.message_id,
        }
        self.client.send_message(
            QueueUrl=self.queue_url,
            MessageBody=message.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


@dataclass(frozen=True, slots=True)
class PlaceCalls:
    """The use case. Parts are shared by the worker threads of a batch; `clock` is epoch seconds."""

    ledger: Ledger
    allomia: AllomiaClient
    callbacks: CallbackUrls
    rejected: InvalidMessages
    breaker: Breaker
    grace: int
    default_assistant_id: str | None = None
    default_phone_number_id: str | None = None
    clock: Callable[[], float] = time.time
    jitter: Jitter = _random.uniform
    new_claim_id: Callable[[], str] = field(default=lambda: uuid4().hex)

    def place(self, message: Message) -> Placement:
        """Do what one message asks for.

        Raises only for faults of this stack's own parts (the table, a secret or a queue out of reach); the message
        must then be delivered again.
        """
        try:
            asked = read_message(message.body)
            if isinstance(asked, Release):
                return self._dial(asked.release, None, message.seconds_left, asked.times_parked)
            # Now, so that a later deployment does not change what was asked for.
            request = asked.completed(self.default_assistant_id, self.default_phone_number_id)
            key = AttemptKey(request_id=request.request_id or message.message_id, attempt=1)
            return self._dial(key, request, message.seconds_left)
        except InvalidInput as refusal:
            self.rejected.keep(message, refusal)
            return Placement(Placed.REFUSED, None, str(refusal))

    def _dial(
        self,
        key: AttemptKey,
        request: CallRequest | None,
        seconds_left: Callable[[], float],
        times_parked: int | None = None,
    ) -> Placement:
        """Dial an attempt: a new one when there is a `request`, else the one that was parked so many times."""
        callback_url = self.callbacks.url(key)
        permit = self.breaker.admit()
        if permit is None:
            return self._put_off(key, request, times_parked, CIRCUIT_OPEN, self.breaker.seconds_left())
        with permit:
            if seconds_left() < SECONDS_TO_PLACE:
                return self._put_off(key, request, times_parked, SHORT_OF_TIME, 0.0)
            now, claim_id = self.clock(), self.new_claim_id()
            call = (
                self.ledger.claim_new(key, request, claim_id, now, self.grace)
                if request
                else self.ledger.claim_scheduled(key, claim_id, now, self.grace, times_parked)
            )
            if call is None or call.request is None:
                return Placement(Placed.DUPLICATE, key)
            if now - call.created_at > PLACE_WITHIN_SECONDS:
                return self._reject(call, f"expired: not placed within {PLACE_WITHIN_SECONDS // 3600} hours")
            answer = self._post(call.request, callback_url)
            permit.report(isinstance(answer, Accepted | Failed | Refused))
        return self._settle(call, answer)

    def _post(self, request: CallRequest, callback_url: str) -> PlaceAnswer:
        try:
            return self.allomia.place_call(request, callback_url)
        except Exception as error:  # noqa: BLE001 - whatever it was, the POST may have gone out
            return Ambiguous(type(error).__name__)

    def _settle(self, call: Call, answer: PlaceAnswer) -> Placement:
        key = call.key
        match answer:
            case Accepted(state):
                if outcome := outcome_of(state, OutcomeSource.DISPATCH):
                    return self._end(call, outcome)
                settled = self.ledger.settle(call, state.outbound_call_id, state.contact_id)
                reason = OTHER_CALL if settled is Recorded.OTHER_CALL else ""
                return Placement(Placed.CALLING, key, reason, state.outbound_call_id)
            case Failed():
                return self._end(call, Outcome(status=Status.FAILED, source=OutcomeSource.DISPATCH))
            case Refused(words):
                return self._reject(call, words)
            case Ambiguous(reason):
                return Placement(Placed.AMBIGUOUS, key, reason)
            case NotAccepted(reason):
                due_at = self.clock() + parking_seconds(call.times_parked, _patience(answer), self.jitter)
                self.ledger.unclaim(call, due_at, reason)
                return Placement(Placed.PARKED, key, reason, key_refused=isinstance(answer, KeyRefused))

    def _end(self, call: Call, outcome: Outcome) -> Placement:
        result = self.ledger.record(call.key, outcome, self.clock()).result
        reason = OTHER_CALL if result is Recorded.OTHER_CALL else outcome.status
        told = outcome if result is Recorded.STORED else None
        return Placement(Placed.ENDED, call.key, reason, outcome.outbound_call_id, told)

    def _reject(self, call: Call, reason: str) -> Placement:
        outcome = Outcome(status=Status.REJECTED, source=OutcomeSource.DISPATCH, reason=reason)
        record = self.ledger.record(call.key, outcome, self.clock())
        told = outcome if record.result is Recorded.STORED else None
        return Placement(Placed.REJECTED, call.key, reason, outcome=told)

    def _put_off(
        self, key: AttemptKey, request: CallRequest | None, times_parked: int | None, reason: str, at_least: float
    ) -> Placement:
        """Park an attempt that nobody has claimed."""
        now = self.clock()
        due_at = now + parking_seconds(0, at_least, self.jitter)
        parked = (
            self.ledger.schedule(key, request, now, due_at, reason)
            if request
            else self.ledger.park_again(key, due_at, reason, times_parked)
        )
        return Placement(Placed.PARKED if parked else Placed.DUPLICATE, key, reason if parked else "")


def _patience(answer: NotAccepted) -> float:
    """The least time to wait after this answer (seconds)."""
    match answer:
        case Throttled(retry_after=seconds):
            return seconds
        case KeyRefused():
            return KEY_REFUSED_BACKOFF_SECONDS
        case _:
            return 0.0
