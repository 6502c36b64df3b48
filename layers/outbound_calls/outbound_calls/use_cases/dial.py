"""Dial an attempt: decide, claim, post, settle. The same path for new and for parked attempts.

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
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, Outcome, Refusal
from outbound_calls.domain.lines import line_reserved_for
from outbound_calls.domain.timing import KEY_DECLINED_BACKOFF_SECONDS, MAX_DECISION_AGE_SECONDS, Jitter, backoff_seconds
from outbound_calls.policy import refusals
from outbound_calls.policy.evaluation import Reject, Wait
from outbound_calls.use_cases.limits import Limits, wait_for_the_table
from outbound_calls.use_cases.new_attempt import missing_defaults, with_late_defaults
from outbound_calls.use_cases.placement import OTHER_CALL, Placement, PlaceResult
from outbound_calls.use_cases.wait_for_line import may_have_a_line

if TYPE_CHECKING:
    from outbound_calls.adapters.allomia import AllomiaClient, PlaceAnswer
    from outbound_calls.adapters.callback_urls import CallbackUrls
    from outbound_calls.adapters.calls_table import CallsTable, Recording
    from outbound_calls.adapters.circuit_breaker import CircuitBreakers, Permit
    from outbound_calls.adapters.dial_marks import DialMarks
    from outbound_calls.adapters.organizations import Organization
    from outbound_calls.use_cases.decide import JudgeAttempts, Judgement
    from outbound_calls.use_cases.hand_on import HandOnLines
    from outbound_calls.use_cases.wait_for_line import WaitForLine

SECONDS_TO_PLACE = MAX_EXCHANGE_SECONDS + 8.0
"""What must be left of an invocation before a claim: AlloMia's longest exchange, and time to claim and settle."""

_SECONDS_TO_POST = MAX_EXCHANGE_SECONDS + 4.0
_SECONDS_TO_GIVE_BACK = 8.0
_MAX_REPEATS = 5

# Uses the OS's random source. Environments restored from the same SnapStart snapshot would otherwise share one seed.
_random = random.SystemRandom()


@dataclass(eq=False, slots=True)
class DialAttempts:
    """The use case. Parts are shared by the worker threads of a batch. `clock` is epoch seconds."""

    table: CallsTable
    allomia: AllomiaClient
    callbacks: CallbackUrls
    judge: JudgeAttempts
    marks: DialMarks
    circuit_breakers: CircuitBreakers
    hand_on: HandOnLines
    lines: WaitForLine
    grace_seconds: int
    deadline_seconds: int
    clock: Callable[[], float]
    jitter: Jitter = _random.uniform
    new_claim_id: Callable[[], str] = field(default=lambda: uuid4().hex)

    def dial(self, attempt: Attempt, seconds_left: Callable[[], float]) -> Placement:
        """Dial an attempt, new or parked, if policy and limits allow it now; else park it or end it.

        Raises when a table, a secret or a queue can't be reached.
        """
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
            self.judge, self.table, self.hand_on.lines_table, judgement, decided_at, self.deadline_seconds, self.clock
        )
        reserved = line_reserved_for(attempt.key) if may_have_a_line(attempt) else None
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
                self.hand_on.lines_table.give_back_lines(attempt.key.request.organization, [reserved])
        placement = self._park(attempt, wait.until, wait.park_reason, wait.reason)
        if wait.park_reason is not ParkReason.CONCURRENCY_LIMIT:
            return placement
        if placement.result is PlaceResult.PARKED:
            self.lines.mark(attempt, seconds_left)
        elif attempt.status is not None:
            # An earlier try may have parked it, without an answer.
            self.lines.mark_again(self.table.read(attempt.key), seconds_left)
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


def _allowed(attempt: Attempt, judgement: Judgement, organization: Organization) -> Attempt:
    """An attempt with what its record is to say of the decision to dial it."""
    number_hash = judgement.number_hash[:HASH_CHARACTERS] if organization.organization_id else None
    return replace(attempt, allowance=judgement.allowance, redial=judgement.redial(attempt), number_hash=number_hash)


def _report(permit: Permit, attempt: Attempt, answer: PlaceAnswer) -> None:
    """Report AlloMia's answer to the breaker. Retries of refused calls alone keep it open, but don't open it."""
    if isinstance(answer, Declined) and attempt.refusal and not permit.probe:
        return
    permit.report(isinstance(answer, Accepted | Ended))


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
