"""Decide whether an attempt may be dialled now: read the policy and what is remembered of its recipient, and evaluate.

place_call, the dry run and the explanations share it. It only reads. It fails closed: without a policy that can be
read, no one is dialled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.policy_table import Remembered
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.time_zones import TIME_ZONE_DATA_VERSION
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Priority, ReasonCode
from outbound_calls.domain.attempts import Allowance, Attempt, AttemptKey, Redial
from outbound_calls.domain.timing import utc_text
from outbound_calls.policy.evaluation import (
    UNREADABLE_LOOK_SECONDS,
    Candidate,
    Decision,
    Dial,
    Evaluation,
    Reject,
    Wait,
    evaluate,
)
from outbound_calls.policy.rules import Policy, Rules, UnusablePolicy, defined_purposes, read_stored, redial_of, resolve

if TYPE_CHECKING:
    from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable

CACHE_SECONDS = 5.0
"""How long a policy that was read is used. With the greatest age of a decision, a change is in force in 10 seconds."""

_FEW_ZONES = 3


_FAULT_LOOK_SECONDS = 60
"""How long an attempt waits where a service didn't answer, which another document doesn't heal."""


class PolicyUnreadable(Exception):
    """The policy can't be read. Names the fault, and nothing of the content. `wait_seconds`: when to look again."""

    def __init__(self, fault: str, wait_seconds: int) -> None:
        super().__init__(fault)
        self.wait_seconds = wait_seconds


@dataclass(eq=False, slots=True)
class CurrentPolicy:
    """The policy in force, read at most once in 5 seconds. Shared by threads, and read by one of them at a time.

    `preset` is what the document is based on where it names none. `clock` counts seconds and never goes back.
    """

    table: PolicyTable
    preset: str
    clock: Callable[[], float]
    _version: int = 0
    _known: tuple[str, Mapping[str, int]] | None = None
    _policy: Policy = field(default_factory=Policy)
    _rules: dict[tuple[str | None, str | None], Rules] = field(default_factory=dict)
    _fault: tuple[str, int] | None = None
    _read_at: float = -inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rules(self, organization: str | None, purpose: str | None) -> tuple[Rules, int]:
        """The rules for the requests of an organization and a purpose, and the policy's version (0: no document).

        Raises:
            PolicyUnreadable: When the document can't be read now.
        """
        with self._lock:
            self._refresh()
            key = (organization, purpose)
            if key not in self._rules:
                try:
                    self._rules[key] = resolve(self._policy, self.preset, organization, purpose)
                except UnusablePolicy as error:
                    raise PolicyUnreadable(str(error), UNREADABLE_LOOK_SECONDS) from None
            return self._rules[key], self._version

    def undefined(self, purposes: Iterable[str], organization: str | None) -> list[str]:
        """Those that the policy defines neither for this organization nor, if it is None, for any.

        Raises:
            PolicyUnreadable: When the document can't be read now.
        """
        with self._lock:
            self._refresh()
            return sorted({*purposes} - defined_purposes(self._policy, organization))

    def _refresh(self) -> None:
        now = self.clock()
        if not 0 <= now - self._read_at < CACHE_SECONDS:
            self._read_at = now
            self._read()
        if self._fault:
            raise PolicyUnreadable(*self._fault)

    def _read(self) -> None:
        try:
            stored = self.table.policy()
            known = (stored.text, stored.limited_since) if stored else None
            if known != self._known:
                self._policy = read_stored(*known) if known else Policy()
                self._rules.clear()
                self._known = known
            self._version, self._fault = stored.number if stored else 0, None
        except UnusablePolicy as error:
            self._fault = str(error), UNREADABLE_LOOK_SECONDS
        except (BotoCoreError, ClientError, LookupError, ValueError, TypeError) as error:
            self._fault = f"the policy table can't be read: {type(error).__name__}", _FAULT_LOOK_SECONDS


@dataclass(frozen=True, slots=True)
class Judgement:
    """What policy says for an attempt now, and what it knew. `rules` is None where the policy couldn't be read."""

    decision: Decision
    version: int = 0
    rules: Rules | None = None
    evaluation: Evaluation | None = None
    number_hash: str = ""
    remembered: Remembered = field(default_factory=Remembered)
    batch_cancelled_by: OutcomeSource | None = None

    @property
    def max_concurrent_calls(self) -> int | None:
        """How many calls may be in progress at once; None for as many as it takes."""
        return self.rules.max_concurrent_calls if self.rules else None

    @property
    def expires_at(self) -> int | None:
        """Epoch seconds after which the attempt must not be dialled; None where that isn't known."""
        return None if self.evaluation is None else int(self.evaluation.expires_at)

    @property
    def allowance(self) -> Allowance | None:
        """What allows the dial, in short."""
        if self.rules is None or self.evaluation is None:
            return None
        allowance = Allowance(self.version, self.rules.preset)
        if (zones := self.evaluation.zones) is None:
            return allowance
        more = len(zones.names) - _FEW_ZONES
        names = (*zones.names[:_FEW_ZONES], *([f"+{more}"] if more > 0 else []))
        return replace(allowance, zones=names, zone_source=zones.source.value, zone_data=TIME_ZONE_DATA_VERSION)

    def redial(self, attempt: Attempt) -> Redial | None:
        """The redial rules that apply to an attempt; None where no other attempt may follow."""
        if self.rules is None:
            return None
        asked, rules = attempt.terms.redial, self.rules
        redial = rules.redial if asked is None else redial_of(asked, rules.max_attempts_ceiling)
        return redial if attempt.key.number < redial.max_attempts else None


@dataclass(eq=False, slots=True)
class JudgeAttempts:
    """The use case."""

    policy: CurrentPolicy
    table: PolicyTable
    numbers: NumberHashes

    def judge(self, attempt: Attempt, now: float) -> Judgement:
        """What policy says for an attempt that has its request, at `now` (epoch seconds)."""
        organization, batch = attempt.key.request.organization, attempt.labels.batch
        try:
            rules, version = self.policy.rules(organization, attempt.labels.purpose)
            number_hash = self.numbers.of(_number(attempt))
            remembered = self.table.remembered(number_hash)
            cancelled = self.table.batch_cancelled_by(organization, batch) if batch else None
        except PolicyUnreadable as error:
            return _unreadable(attempt, now, str(error), error.wait_seconds)
        except (BotoCoreError, ClientError, SecretUnusable, LookupError, ValueError, TypeError) as error:
            fault = f"what policy remembers can't be read: {type(error).__name__}"
            return _unreadable(attempt, now, fault, _FAULT_LOOK_SECONDS)
        judgement = Judgement(Dial(), version, rules, None, number_hash, remembered, cancelled)
        return self.again(judgement, attempt, remembered, now)

    def rules_of(self, organization: str | None) -> Rules | None:
        """The rules for an organization's requests without a purpose; None where the policy can't be read."""
        try:
            return self.policy.rules(organization, None)[0]
        except PolicyUnreadable:
            return None

    def again(self, judgement: Judgement, attempt: Attempt, remembered: Remembered, now: float) -> Judgement:
        """The same judgement by what is remembered of the recipient now."""
        if judgement.rules is None:
            return judgement
        candidate = candidate_of(attempt, is_cancelled=judgement.batch_cancelled_by is not None)
        evaluation = evaluate(candidate, judgement.rules, remembered.recipient(attempt_name(attempt.key)), now)
        decision = _of_a_refused_one(evaluation.decision, attempt)
        return replace(judgement, decision=decision, evaluation=evaluation, remembered=remembered)

    def still_allows(self, judgement: Judgement, attempt: Attempt, now: float) -> bool:
        """Whether a dial that was allowed still is at `now`, by what was known when it was decided."""
        return isinstance(self.again(judgement, attempt, judgement.remembered, now).decision, Dial)


def attempt_name(key: AttemptKey) -> str:
    """Names an attempt among the dials to a number, and spreads what waits for an opening."""
    return str(key)


def candidate_of(attempt: Attempt, *, is_cancelled: bool = False) -> Candidate:
    """An attempt as policy looks at it. `is_cancelled`: whether its batch is."""
    terms = attempt.terms
    return Candidate(
        name=attempt_name(attempt.key),
        phone_number=_number(attempt),
        created_at=attempt.created_at,
        organization=attempt.key.request.organization,
        purpose=attempt.labels.purpose,
        not_before=terms.not_before,
        not_after=terms.not_after,
        time_zone=terms.time_zone,
        calling_windows=terms.calling_windows,
        is_urgent=terms.priority is Priority.URGENT,
        is_cancelled=is_cancelled,
        waits_for=attempt.park_reason,
    )


def _number(attempt: Attempt) -> str:
    if attempt.request is None:
        raise ValueError("an attempt is judged with its request")
    return attempt.request.phone_number


def _unreadable(attempt: Attempt, now: float, fault: str, wait_seconds: int) -> Judgement:
    """Wait for a policy that can be read. A request's own `notAfter` holds without one."""
    not_after = attempt.terms.not_after
    if not_after is not None and now > not_after:
        return Judgement(
            _of_a_refused_one(Reject(ReasonCode.EXPIRED, f"not dialled by {utc_text(not_after)}"), attempt)
        )
    look = int(now) + wait_seconds
    until = look if not_after is None else min(look, not_after + 1)
    return Judgement(Wait(until, ParkReason.POLICY_UNREADABLE, fault))


def _of_a_refused_one(decision: Decision, attempt: Attempt) -> Decision:
    """What AlloMia still refused when it expired is rejected with AlloMia's words."""
    if isinstance(decision, Reject) and decision.code is ReasonCode.EXPIRED and attempt.refusal:
        return Reject(ReasonCode.REFUSED_BY_ALLOMIA, f"{attempt.refusal.words}; still refused when it expired")
    return decision
