"""Do what a message of the call queue asks for: place a call, dispatch a parked one, cancel, put a number on the list.

A message that breaks a rule goes to the queue of invalid messages. What the stack can't do now raises, so that the
message is delivered again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from outbound_calls.adapters.organizations import OrganizationMissing
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.dispatch import DispatchMessage, HandOnMessage
from outbound_calls.contracts.messages import (
    CallRequestMessage,
    CancelMessage,
    DoNotCallMessage,
    epoch_seconds,
    invalid_field,
    read_message,
)
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey
from outbound_calls.domain.recipients import Objection, organization_key
from outbound_calls.use_cases.decide import PolicyUnreadable
from outbound_calls.use_cases.new_attempt import Defaults, new_attempt
from outbound_calls.use_cases.placement import Placement, PlaceResult
from outbound_calls.use_cases.wait_for_line import may_have_a_line

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.fingerprints import Fingerprints
    from outbound_calls.adapters.organizations import Organizations
    from outbound_calls.adapters.queues import InvalidMessagesQueue
    from outbound_calls.use_cases.cancel import CancelRequests
    from outbound_calls.use_cases.decide import JudgeAttempts
    from outbound_calls.use_cases.dial import DialAttempts
    from outbound_calls.use_cases.wait_for_line import WaitForLine

_NOT_DIALLED = frozenset({PlaceResult.PARKED, PlaceResult.REJECTED, PlaceResult.CANCELLED, PlaceResult.REDIAL_DROPPED})
"""Not dialled: the line that was reserved for the attempt is free."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the call queue.

    `seconds_left` is what is left of the invocation. `sent_at` is when the queue got it (epoch seconds); where that
    isn't known, its age counts from now.
    """

    message_id: str
    body: str
    seconds_left: Callable[[], float]
    sent_at: float | None = None


@dataclass(eq=False, slots=True)
class PlaceCalls:
    """The use case. Parts are shared by the worker threads of a batch. `clock` is epoch seconds."""

    table: CallsTable
    organizations: Organizations
    fingerprints: Fingerprints
    invalid_messages: InvalidMessagesQueue
    judge: JudgeAttempts
    cancel: CancelRequests
    dial: DialAttempts
    lines: WaitForLine
    clock: Callable[[], float]

    def place(self, message: Message) -> Placement:
        """Do what one message asks for.

        Raises only when the table, a secret or a queue can't be reached. The message must then be delivered again.
        """
        try:
            asked = read_message(message.body)
            match asked:
                case DispatchMessage():
                    return self._dispatch(asked, message.seconds_left)
                case HandOnMessage():
                    self.lines.hand_on_free(asked.hand_on.organization, message.seconds_left)
                    return Placement(PlaceResult.HANDED_ON, None)
                case CancelMessage():
                    return self._cancel(asked)
                case DoNotCallMessage():
                    return self._do_not_call(asked)
            placement = self.dial.dial(self._new_attempt(asked, message), message.seconds_left)
            if placement.result is PlaceResult.DUPLICATE and placement.key:
                self._look_at_the_first(asked, placement.key, message.seconds_left)
            return placement
        except InvalidInput as error:
            self.invalid_messages.keep(message.message_id, message.body, error, message.sent_at)
            return Placement(PlaceResult.INVALID, None, detail=str(error))

    def _cancel(self, asked: CancelMessage) -> Placement:
        """Cancel a request at once; mark a batch at once, and have the poller cancel what is open of it.

        The mark comes first, so what the poller can't see is cancelled when it comes up.
        """
        self._defaults(asked.organization)
        organization = organization_key(asked.organization)
        if asked.cancel.batch is not None:
            self.judge.table.cancel_batch(organization, asked.cancel.batch, OutcomeSource.UPSTREAM, self.clock())
            from outbound_calls.adapters.batch_searches import BatchSearches

            BatchSearches(self.table).expect_batch(organization, asked.cancel.batch, self.clock())
            return Placement(PlaceResult.CANCELLATION, None, "batch", organization=organization)
        key = RequestKey(asked.cancel.request_id or "", organization)
        cancelled = self.cancel.cancel(key, OutcomeSource.UPSTREAM)
        number = cancelled.attempt.key.number if cancelled.attempt else 1
        return Placement(PlaceResult.CANCELLATION, AttemptKey(key, number), cancelled.result)

    def _do_not_call(self, asked: DoNotCallMessage) -> Placement:
        """Put a number on the do-not-call list: for the organization that the message names, or for all."""
        entry = asked.do_not_call
        if asked.organization is not None:
            self._defaults(asked.organization)
        until = None if entry.until is None else epoch_seconds(entry.until)
        objection = Objection(until, asked.organization, tuple(sorted(entry.purposes or ())))
        number_hash = self.judge.numbers.of(entry.phone_number)
        self.judge.table.add_objection(number_hash, objection, OutcomeSource.UPSTREAM, self.clock())
        with suppress(PolicyUnreadable):
            if objection.purposes and self.judge.policy.undefined(objection.purposes, objection.organization):
                # It is on the list anyway. But it may be misspelled, and have no effect: a person must see it.
                raise InvalidInput("doNotCall.purposes", "only purposes that the policy defines")
        return Placement(PlaceResult.DO_NOT_CALL, None, organization=organization_key(asked.organization))

    def _defaults(self, organization: str | None) -> Defaults | None:
        """An organization's defaults; None while nothing is known of it, as when the secret can't be read.

        Raises:
            InvalidInput: When the stack has no such organization.
        """
        try:
            found = self.organizations.named(organization_key(organization))
        except OrganizationMissing:
            raise invalid_field("organization") from None
        except SecretUnusable:
            return None
        return Defaults(found.assistant_id, found.phone_number_id)

    def _new_attempt(self, asked: CallRequestMessage, message: Message) -> Attempt:
        """The first attempt for a request. Defaults are filled in now, since they may change later."""
        sent_at = self.clock() if message.sent_at is None else message.sent_at
        defaults = self._defaults(asked.organization)
        attempt = new_attempt(asked, asked.request_id or message.message_id, defaults, sent_at)
        return replace(attempt, fingerprint=self._fingerprint(asked))

    def _fingerprint(self, asked: CallRequestMessage) -> str | None:
        """A request's fingerprint. While the signing secret can't be read, a request is parked without one."""
        with suppress(SecretUnusable):
            return self.fingerprints.of(asked.content())
        return None

    def _look_at_the_first(self, asked: CallRequestMessage, key: AttemptKey, seconds_left: Callable[[], float]) -> None:
        """Look at the record of a duplicate.

        Raises:
            InvalidInput: When another request was made under this one's id.
        """
        attempt = self.table.read(key)
        fingerprint = attempt and attempt.fingerprint
        if fingerprint and self.fingerprints.differs(fingerprint, asked.content()):
            raise InvalidInput("requestId", "used for another request")
        self.lines.mark_again(attempt, seconds_left)

    def _dispatch(self, asked: DispatchMessage, seconds_left: Callable[[], float]) -> Placement:
        """Try a parked attempt, unless it was tried or parked again since the message was sent."""
        key = AttemptKey(RequestKey.from_text(asked.dispatch.request_id), asked.dispatch.attempt)
        attempt = self.table.read(key)
        if attempt is None or attempt.status is not Status.SCHEDULED or attempt.times_parked != asked.times_parked:
            self.lines.mark_again(attempt, seconds_left)
            return Placement(PlaceResult.DUPLICATE, key)
        placement = self.dial.dial(attempt, seconds_left)
        waits_again = placement.code == ParkReason.CONCURRENCY_LIMIT  # its line is given back before it is parked
        if may_have_a_line(attempt) and placement.result in _NOT_DIALLED and not waits_again:
            self.lines.pass_on(attempt, placement.code, seconds_left)
        return placement
