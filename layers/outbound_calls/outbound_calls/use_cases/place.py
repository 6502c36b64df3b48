"""Place calls: decide, claim, post, settle. The same path for new and for parked attempts.

The order is the guarantee. Deciding only reads; then comes the claim, then the dial that recipient caps count, then the
line where concurrent calls are limited, and then the POST. A duplicate, redelivery or redrive finds the claim and exits
without dialing. If a worker dies, the poller picks up its claim. A worker that knows that it did not post gives its
claim back; one that doesn't know never posts again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.allomia import (
    MAX_EXCHANGE_SECONDS,
    Accepted,
    Ambiguous,
    Declined,
    Ended,
    KeyUnusable,
    NotAccepted,
    Throttled,
)
from outbound_calls.adapters.attempt_items import WAITS_FOR_POLICY, waits_for_setting
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.dial_marks import HASH_CHARACTERS
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
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import (
    Attempt,
    AttemptKey,
    Outcome,
    Refusal,
    RequestKey,
)
from outbound_calls.domain.lines import Lines, line_reserved_for
from outbound_calls.domain.recipients import Objection, organization_key
from outbound_calls.domain.timing import KEY_DECLINED_BACKOFF_SECONDS, MAX_DECISION_AGE_SECONDS, Jitter, backoff_seconds
from outbound_calls.policy import refusals
from outbound_calls.policy.evaluation import Reject, Wait
from outbound_calls.use_cases.decide import PolicyUnreadable
from outbound_calls.use_cases.limits import Limits, wait_for_the_table
from outbound_calls.use_cases.new_attempt import Defaults, missing_defaults, new_attempt, with_late_defaults

if TYPE_CHECKING:
    from outbound_calls.adapters.allomia import AllomiaClient, PlaceAnswer
    from outbound_calls.adapters.callback_urls import CallbackUrls
    from outbound_calls.adapters.calls_table import CallsTable, Recording
    from outbound_calls.adapters.circuit_breaker import CircuitBreakers, Permit
    from outbound_calls.adapters.dial_marks import DialMarks
    from outbound_calls.adapters.fingerprints import Fingerprints
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.adapters.organizations import Organization
    from outbound_calls.adapters.queues import InvalidMessagesQueue
    from outbound_calls.use_cases.cancel import CancelRequests
    from outbound_calls.use_cases.decide import JudgeAttempts, Judgement
    from outbound_calls.use_cases.hand_on import HandOnLines

SECONDS_TO_PLACE = MAX_EXCHANGE_SECONDS + 8.0
"""What must be left of an invocation before a claim: AlloMia's longest exchange, and time to claim and settle."""

_SECONDS_TO_POST = MAX_EXCHANGE_SECONDS + 4.0
_SECONDS_TO_GIVE_BACK = 8.0
_MAX_REPEATS = 5

OTHER_CALL = "other-call-recorded"
"""A webhook brought the outcome of a different call for this attempt: AlloMia made two calls of one POST."""

# Uses the OS's random source. Environments restored from the same SnapStart snapshot would otherwise share one seed.
_random = random.SystemRandom()


class PlaceResult(StrEnum):
    """What happened to one queue message."""

    CALLING = "calling"
    ENDED = "ended"
    PARKED = "parked"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    REDIAL_DROPPED = "redial-dropped"
    CANCELLATION = "cancellation"
    DO_NOT_CALL = "do-not-call"
    DUPLICATE = "duplicate"
    HANDED_ON = "handed-on"
    INVALID = "invalid"


_NOT_DIALLED = frozenset({PlaceResult.PARKED, PlaceResult.REJECTED, PlaceResult.CANCELLED, PlaceResult.REDIAL_DROPPED})
"""Not dialled: the line that was reserved for the attempt is free."""


_HOLDS_ALL_BACK = frozenset({ParkReason.CIRCUIT_OPEN, ParkReason.KEY_DECLINED, ParkReason.KEY_UNREADABLE})


@dataclass(frozen=True, slots=True)
class Placement:
    """What happened to one queue message, in words that may be logged. Every result acknowledges the message."""

    result: PlaceResult
    key: AttemptKey | None
    code: str = ""
    """A park reason, a reason code, what a cancellation changed, or `OTHER_CALL`."""

    detail: str = ""
    outbound_call_id: str | None = None
    outcome: Outcome | None = None
    """Set only if it was recorded here: one that a webhook brought first was counted there."""

    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document; empty where it is no word."""

    organization: str | None = None
    """Of a message that is about no single request."""


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
    allomia: AllomiaClient
    callbacks: CallbackUrls
    fingerprints: Fingerprints
    invalid_messages: InvalidMessagesQueue
    judge: JudgeAttempts
    marks: DialMarks
    cancel: CancelRequests
    circuit_breakers: CircuitBreakers
    lines_table: LinesTable
    hand_on: HandOnLines
    grace_seconds: int
    deadline_seconds: int
    clock: Callable[[], float]
    jitter: Jitter = _random.uniform
    new_claim_id: Callable[[], str] = field(default=lambda: uuid4().hex)

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
                    return self._hand_on_free_lines(asked, message.seconds_left)
                case CancelMessage():
                    return self._cancel(asked)
                case DoNotCallMessage():
                    return self._do_not_call(asked)
            placement = self._dial(self._new_attempt(asked, message), message.seconds_left)
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
            found = self.allomia.organizations.named(organization_key(organization))
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
        self._mark_again(attempt, seconds_left)

    def _dispatch(self, asked: DispatchMessage, seconds_left: Callable[[], float]) -> Placement:
        """Try a parked attempt, unless it was tried or parked again since the message was sent."""
        key = AttemptKey(RequestKey.from_text(asked.dispatch.request_id), asked.dispatch.attempt)
        attempt = self.table.read(key)
        if attempt is None or attempt.status is not Status.SCHEDULED or attempt.times_parked != asked.times_parked:
            self._mark_again(attempt, seconds_left)
            return Placement(PlaceResult.DUPLICATE, key)
        placement = self._dial(attempt, seconds_left)
        waits_again = placement.code == ParkReason.CONCURRENCY_LIMIT  # its line is given back before it is parked
        if _may_have_a_line(attempt) and placement.result in _NOT_DIALLED and not waits_again:
            self._pass_on(attempt, placement, seconds_left)
        return placement

    def _dial(self, attempt: Attempt, seconds_left: Callable[[], float]) -> Placement:
        # What may fail or take long is read before the claim, and before the decision, which must not grow old.
        organization = self.allomia.organization_named(attempt.key.request.organization)
        decided_at = self.clock()
        judgement = self.judge.judge(attempt, decided_at)
        attempt = replace(attempt, expires_at=judgement.expires_at, policy_version=judgement.version)
        match judgement.decision:
            case Reject() as rejected:
                return self._reject(attempt, rejected, judgement)
            case Wait() as wait:
                return self._park(attempt, wait.until, wait.park_reason, wait.reason)
        if not isinstance(organization, KeyUnusable):
            attempt = with_late_defaults(attempt, organization)
            organization = missing_defaults(attempt) or organization
        if isinstance(organization, KeyUnusable):
            return self._park_for(attempt, organization.reason, organization.detail, _min_wait_seconds(organization))
        limits = Limits(
            self.judge, self.table, self.lines_table, judgement, decided_at, self.deadline_seconds, self.clock
        )
        reserved = line_reserved_for(attempt.key) if _may_have_a_line(attempt) else None
        if (no_line := limits.look(attempt)) is not None:
            return self._park_until(attempt, no_line, seconds_left, reserved)
        callback_url = self.callbacks.url(attempt.key)
        breaker = self.circuit_breakers.of(waits_for_setting(attempt))
        permit = breaker.acquire()
        if permit is None:
            # One that AlloMia refuses still waits for that.
            reason = ParkReason.REFUSED_BY_ALLOMIA if attempt.refusal else ParkReason.CIRCUIT_OPEN
            return self._park_for(attempt, reason, at_least=breaker.seconds_left())
        with permit:
            if seconds_left() < SECONDS_TO_PLACE:
                return self._park_for(attempt, ParkReason.SHORT_OF_TIME)
            claimed = self._claim(_allowed(attempt, judgement, organization), limits, seconds_left)
            if claimed is None:
                return _duplicate(attempt)
            if (short := self._mark(organization, claimed) or limits.take(claimed)) is not None:
                return self._insist(lambda: self._park_until(claimed, short, seconds_left, reserved))
            if not self._may_post(claimed, limits, seconds_left):
                limits.give_back()
                return self._insist(lambda: self._park(claimed, self.clock(), ParkReason.SHORT_OF_TIME))
            answer = self._post(organization, claimed, callback_url)
            _report(permit, attempt, answer)
        if isinstance(answer, NotAccepted | Declined):
            limits.give_back()
        return self._insist(lambda: self._settle(claimed, answer))

    def _may_post(self, claimed: Attempt, limits: Limits, seconds_left: Callable[[], float]) -> bool:
        """Whether the decision is young enough and still holds: a window may have closed, or the request expired."""
        now = self.clock()
        return (
            now - limits.decided_at < MAX_DECISION_AGE_SECONDS
            and seconds_left() >= _SECONDS_TO_POST
            and self.judge.still_allows(limits.judgement, claimed, now)
        )

    def _claim(self, attempt: Attempt, limits: Limits, seconds_left: Callable[[], float]) -> Attempt | None:
        """Claim an attempt. A claim that isn't answered is repeated, and given back in the end: it isn't posted."""
        claim_id, with_line = self.new_claim_id(), limits.max_concurrent_calls is not None
        for _ in range(_MAX_REPEATS):
            try:
                claimed = self.table.claim(attempt, claim_id, self.clock(), self.grace_seconds, with_line=with_line)
                return claimed and replace(
                    claimed, expires_at=attempt.expires_at, policy_version=attempt.policy_version
                )
            except WriteUnanswered:
                if seconds_left() < _SECONDS_TO_GIVE_BACK:
                    break
        maybe_claimed = replace(attempt, status=Status.DISPATCHING, claim_id=claim_id)
        given_back = self._insist(lambda: self._park(maybe_claimed, self.clock(), ParkReason.SHORT_OF_TIME))
        if given_back.result is PlaceResult.DUPLICATE:
            # DynamoDB may still make the claim. A parked attempt lets it fail.
            self._insist(lambda: self.table.park(attempt, self.clock(), ParkReason.SHORT_OF_TIME))
        raise WriteUnanswered("claim")

    def _mark(self, organization: Organization, claimed: Attempt) -> Wait | None:
        """Remember who dials the number now, where the call may have to be found in AlloMia's call log.

        Returns what to wait for if that fails: a call that isn't remembered could be taken for another one's.
        """
        if organization.organization_id is None or claimed.number_hash is None or claimed.dispatched_at is None:
            return None
        try:
            self.marks.mark_dial(
                organization.organization_id, claimed.number_hash, str(claimed.key), claimed.dispatched_at
            )
        except (BotoCoreError, ClientError) as error:
            return wait_for_the_table(self.clock(), error)
        return None

    def _insist[T](self, write: Callable[[], T]) -> T:
        """Repeat a write that isn't answered. The invocation's end ends this, too; the message is then redelivered."""
        for _ in range(_MAX_REPEATS - 1):
            with suppress(WriteUnanswered):
                return write()
        return write()

    def _post(self, organization: Organization, claimed: Attempt, callback_url: str) -> PlaceAnswer:
        if claimed.request is None:
            raise ValueError("a claimed attempt has its request")
        try:
            return self.allomia.place_call(organization, claimed.request, callback_url)
        except Exception as error:  # noqa: BLE001 - whatever it is, the POST may have been sent
            return Ambiguous(type(error).__name__)

    def _settle(self, attempt: Attempt, answer: PlaceAnswer) -> Placement:
        match answer:
            case Accepted(outbound_call_id, contact_id, None, word):
                settled = self.table.settle(attempt, outbound_call_id, contact_id)
                code = OTHER_CALL if settled is RecordResult.OTHER_CALL else ""
                if word:
                    self.table.note(attempt.key, outbound_call_id, word, self.clock())
                return Placement(
                    PlaceResult.CALLING, attempt.key, code, outbound_call_id=outbound_call_id, allomia_status=word
                )
            case Accepted(outcome=Outcome() as outcome):
                return self._end(attempt, outcome)
            case Ended(outcome):
                return self._end(attempt, outcome)
            case Declined(reason):
                return self._refused(attempt, reason)
            case NotAccepted(reason, detail):
                return self._park_for(attempt, reason, detail, _min_wait_seconds(answer))
            case Ambiguous(detail):
                with suppress(WriteUnanswered):
                    self.table.note_lost_answer(attempt, detail)
                return Placement(PlaceResult.AMBIGUOUS, attempt.key, detail=detail)
        raise AssertionError(answer)

    def _refused(self, attempt: Attempt, words: str) -> Placement:
        """Park an attempt that AlloMia refuses, or reject it once it is known that the request itself is wrong."""
        now = self.clock()
        refusal = refusals.again(attempt.refusal, now, words)
        if refusals.may_be_final(refusal):
            since = refusal.first_at - refusals.CLOCKS_APART_SECONDS
            others = self.table.accepted_since(attempt, since, now, refusals.MOST_ACCEPTED)
            refused = self.table.count_refused(attempt, refusals.MOST_REFUSED) + 1
            if others is not None and refusals.is_final(others, refused):
                outcome = _rejected(OutcomeSource.DISPATCH, ReasonCode.REFUSED_BY_ALLOMIA, words)
                if attempt.is_redial:
                    return self._drop(attempt, outcome)
                return _rejection(attempt, outcome, self.table.record(attempt.key, outcome, now))
        due_at = refusals.retry_at(refusal, now)
        return self._park(attempt, due_at, ParkReason.REFUSED_BY_ALLOMIA, words, refusal)

    def _end(self, attempt: Attempt, outcome: Outcome) -> Placement:
        recording = self.table.record(attempt.key, outcome, self.clock())
        return Placement(
            PlaceResult.ENDED,
            attempt.key,
            OTHER_CALL if recording.result is RecordResult.OTHER_CALL else "",
            outbound_call_id=outcome.outbound_call_id,
            outcome=outcome if recording.stored else None,
        )

    def _reject(self, attempt: Attempt, decision: Reject, judgement: Judgement) -> Placement:
        outcome = _rejected(OutcomeSource.POLICY, decision.code, decision.reason)
        if decision.code is ReasonCode.CANCELLED:
            source = judgement.batch_cancelled_by or OutcomeSource.UPSTREAM
            outcome = replace(outcome, status=Status.CANCELLED, source=source)
        if attempt.is_redial:
            return self._drop(attempt, outcome)
        recording = self.table.reject(attempt, outcome, self.clock())
        return _rejection(attempt, outcome, recording) if recording.stored else _duplicate(attempt)

    def _drop(self, attempt: Attempt, outcome: Outcome) -> Placement:
        """End a redial that is never dialled. The request ends with the outcome before: the person was called."""
        if not self.table.drop(attempt, outcome, self.clock()):
            return _duplicate(attempt)
        return Placement(PlaceResult.REDIAL_DROPPED, attempt.key, outcome.reason_code or "", outcome.reason or "")

    def _park_for(self, attempt: Attempt, reason: ParkReason, detail: str = "", at_least: float = 0.0) -> Placement:
        """Park an attempt for its backoff, which grows with the tries that AlloMia didn't accept."""
        failed_tries = attempt.failed_tries if attempt.status is Status.DISPATCHING else 0
        return self._park(attempt, self.clock() + backoff_seconds(failed_tries, at_least, self.jitter), reason, detail)

    def _park_until(
        self, attempt: Attempt, wait: Wait, seconds_left: Callable[[], float], reserved: str | None
    ) -> Placement:
        """Park an attempt, claimed or not, for what it waits for. If that is a line, mark that it waits.

        `reserved`: the line that may be reserved for it. If it waits for another one, that is given back first: once it
        is parked, it may have the next.
        """
        if reserved and wait.park_reason is ParkReason.CONCURRENCY_LIMIT:
            # If it fails, the reservation ends by itself.
            with suppress(BotoCoreError, ClientError):
                self.lines_table.give_back_lines(attempt.key.request.organization, [reserved])
        placement = self._park(attempt, wait.until, wait.park_reason, wait.reason)
        if wait.park_reason is not ParkReason.CONCURRENCY_LIMIT:
            return placement
        if placement.result is PlaceResult.PARKED:
            self._mark_waiting(attempt, seconds_left)
        elif attempt.status is not None:
            # An earlier try may have parked it, without an answer.
            self._mark_again(self.table.read(attempt.key), seconds_left)
        return placement

    def _park(
        self, attempt: Attempt, due_at: float, reason: ParkReason, detail: str = "", refusal: Refusal | None = None
    ) -> Placement:
        """Park an attempt, claimed or not, until `due_at`, and so that it is looked at when it expires."""
        if attempt.expires_at is not None:
            due_at = min(due_at, max(attempt.expires_at + 1, self.clock()))
        if reason in WAITS_FOR_POLICY or reason is ParkReason.CONCURRENCY_LIMIT:
            for_line = reason is ParkReason.CONCURRENCY_LIMIT
            self.hand_on.waiting.expect_waiting(attempt.key.request.organization, self.clock(), for_line=for_line)
        if self.table.park(attempt, due_at, reason, refusal):
            return Placement(PlaceResult.PARKED, attempt.key, reason, detail)
        if attempt.status is Status.DISPATCHING and (outcome := self.table.stop_of(attempt)):
            return self._stop(attempt, outcome, detail)
        return _duplicate(attempt)

    def _stop(self, attempt: Attempt, outcome: Outcome, detail: str) -> Placement:
        """End a claimed attempt that isn't to be parked, as it was stopped meanwhile."""
        if attempt.is_redial and outcome.reason_code is ReasonCode.CANCELLED:
            return self._drop(attempt, outcome)
        if not self.table.stop(attempt, outcome, self.clock()):
            return _duplicate(attempt)
        return Placement(PlaceResult.CANCELLED, attempt.key, outcome.reason_code or "", detail)

    # Lines.

    def _mark_again(self, attempt: Attempt | None, seconds_left: Callable[[], float]) -> None:
        """Mark an attempt that waits for a line: the worker that parked it may have ended before it did."""
        if attempt and attempt.status is Status.SCHEDULED and attempt.park_reason is ParkReason.CONCURRENCY_LIMIT:
            self._mark_waiting(attempt, seconds_left)

    def _mark_waiting(self, attempt: Attempt, seconds_left: Callable[[], float]) -> None:
        """Mark that an attempt waits for a line, after it was parked. If one is free by then, hand it on at once.

        Raises when a table or the queue can't be reached. The message is delivered again, and marks it again.
        """
        organization = attempt.key.request.organization
        lines = self.lines_table.mark_waiting(organization, attempt.terms.priority, self.clock())
        self._hand_on(organization, lines, seconds_left, attempt)

    def _pass_on(self, attempt: Attempt, placement: Placement, seconds_left: Callable[[], float]) -> None:
        """Hand on the line that is reserved for an attempt which isn't dialled now.

        Where no other one could be dialled either, it is only given back: the keeper hands it on.
        """
        organization = attempt.key.request.organization
        reserved = line_reserved_for(attempt.key)
        # If it fails, the reservation ends by itself.
        with suppress(BotoCoreError, ClientError):
            lines = self.lines_table.give_back_lines(organization, [reserved])
            if placement.code not in _HOLDS_ALL_BACK:
                self._hand_on(organization, lines, seconds_left)

    def _hand_on_free_lines(self, asked: HandOnMessage, seconds_left: Callable[[], float]) -> Placement:
        """Hand on the free lines of an organization."""
        organization = asked.hand_on.organization
        self._hand_on(organization, self.lines_table.read_lines(organization), seconds_left)
        return Placement(PlaceResult.HANDED_ON, None)

    def _hand_on(
        self,
        organization: str | None,
        lines: Lines,
        seconds_left: Callable[[], float],
        parked: Attempt | None = None,
    ) -> None:
        if (rules := self.judge.rules_of(organization)) is not None:
            self.hand_on.hand_on(organization, rules, lines, seconds_left, parked)


def _allowed(attempt: Attempt, judgement: Judgement, organization: Organization) -> Attempt:
    """An attempt with what its record is to say of the decision to dial it."""
    number_hash = judgement.number_hash[:HASH_CHARACTERS] if organization.organization_id else None
    return replace(attempt, allowance=judgement.allowance, redial=judgement.redial(attempt), number_hash=number_hash)


def _report(permit: Permit, attempt: Attempt, answer: PlaceAnswer) -> None:
    """Report AlloMia's answer to the breaker. Retries of refused calls alone keep it open, but don't open it."""
    if isinstance(answer, Declined) and attempt.refusal and not permit.probe:
        return
    permit.report(isinstance(answer, Accepted | Ended))


def _may_have_a_line(attempt: Attempt) -> bool:
    """Whether a line may be reserved for a parked attempt."""
    return attempt.park_reason is ParkReason.CONCURRENCY_LIMIT


def _duplicate(attempt: Attempt) -> Placement:
    return Placement(PlaceResult.DUPLICATE, attempt.key)


def _rejected(source: OutcomeSource, code: ReasonCode, reason: str) -> Outcome:
    return Outcome(Status.REJECTED, source, reason_code=code, reason=reason)


def _rejection(attempt: Attempt, outcome: Outcome, recording: Recording) -> Placement:
    return Placement(
        PlaceResult.CANCELLED if outcome.status is Status.CANCELLED else PlaceResult.REJECTED,
        attempt.key,
        outcome.reason_code or "",
        outcome.reason or "",
        outcome=outcome if recording.stored else None,
    )


def _min_wait_seconds(answer: NotAccepted) -> float:
    match answer:
        case Throttled(retry_after=seconds):
            return seconds
        case KeyUnusable():
            return KEY_DECLINED_BACKOFF_SECONDS
        case _:
            return 0.0
