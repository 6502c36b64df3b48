"""What policy allows for an attempt, rule by rule. place_call, the dry run and the explanations share it.

Every rule is looked at, in order, and the first that doesn't hold decides. Only reads; the claim comes after.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode, WhenCapped
from outbound_calls.domain.recipients import Recipient
from outbound_calls.domain.timing import OPENING_SPREAD_SECONDS, utc_text
from outbound_calls.policy.calendars import Calendar, is_open, next_closing, next_opening, wall_clock, week_of
from outbound_calls.policy.caps import allowed_from, counted
from outbound_calls.policy.number_zones import RecipientZones, recipient_zones
from outbound_calls.policy.rules import Rules

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UNREADABLE_LOOK_SECONDS = 300
"""How long an attempt waits for a policy that can't be read."""


@dataclass(frozen=True, slots=True)
class Dial:
    """The attempt may be dialled now."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The attempt must never be dialled. `reason` is `code` in words, without personal data."""

    code: ReasonCode
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The attempt may not be dialled before `until` (epoch seconds). `reason` says why, without personal data."""

    until: int
    park_reason: ParkReason
    reason: str


type Decision = Dial | Wait | Reject


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attempt that may be dialled, as far as policy looks at it. Times are epoch seconds.

    `name` is unique to the attempt. `created_at` is when the queue got its request's message, or when its redial was
    due. `calling_windows` are the request's own, in their form on the wire. `is_cancelled` is also true where its batch
    is. `waits_for` is why it was parked last.
    """

    name: str
    phone_number: str
    created_at: float
    organization: str | None = None
    purpose: str | None = None
    not_before: float | None = None
    not_after: float | None = None
    time_zone: str | None = None
    calling_windows: object = None
    is_urgent: bool = False
    is_cancelled: bool = False
    waits_for: ParkReason | None = None

    @property
    def earliest(self) -> float:
        """The first moment that the request itself allows."""
        return max(self.created_at, self.not_before or 0)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule says. `decision` is None where it holds."""

    rule: str
    detail: str
    decision: Wait | Reject | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The decision, and what led to it.

    `zones` is None where they are unknown, or no rule needs them.
    """

    decision: Decision
    results: tuple[RuleResult, ...]
    expires_at: float
    zones: RecipientZones | None


def evaluate(candidate: Candidate, rules: Rules, recipient: Recipient, now: float) -> Evaluation:
    """What policy allows for an attempt at `now`, given all that is known of its recipient."""
    case = Case.of(candidate, rules)
    results = tuple(_results(case, recipient, now))
    decision = next((result.decision for result in results if result.decision), Dial())
    return Evaluation(decision, results, case.expires_at, case.zones)


def expires_at(candidate: Candidate, rules: Rules) -> float:
    """Epoch seconds after which an attempt must not be dialled.

    `notAfter`, or else a time after the first moment that the windows, `notBefore` and the redial's delay allow.
    """
    return Case.of(candidate, rules).expires_at


def window_closes_at(candidate: Candidate, rules: Rules, now: float) -> float | None:
    """When the window that is open now closes; `now` when none is open, and None when it never closes."""
    case = Case.of(candidate, rules)
    if not case.is_zone_known:
        return now
    return None if case.calendar.is_always_open else next_closing(case.calendar, case.clocks, now)


def next_attempt_at(candidate: Candidate, rules: Rules, delay_is_over_at: float) -> float | None:
    """When a redial can be dialled at the earliest; None when that is never, or after `notAfter`."""
    case = Case.of(replace(candidate, created_at=delay_is_over_at), rules)
    opening = case.first_opening(case.candidate.earliest)
    if opening is None or opening > case.expires_at:
        return None
    return opening


@dataclass(frozen=True, slots=True)
class Case:
    """An attempt with its rules: the calendar that applies to it, and the clocks to read it by."""

    candidate: Candidate
    rules: Rules
    calendar: Calendar
    needs_zone: bool
    zones: RecipientZones | None
    clocks: tuple[ZoneInfo, ...]
    first_moment: float | None = None
    """The first moment at which the windows and the request itself allow a dial."""

    @classmethod
    def of(cls, candidate: Candidate, rules: Rules) -> Case:
        """The case of an attempt. Zones are looked up only if a rule needs them."""
        calendar = rules.calendar
        if candidate.calling_windows is not None:
            calendar = replace(calendar, narrowed_to=week_of(candidate.calling_windows))
        needs_zone = rules.read_clocks or not calendar.is_always_open
        zones = recipient_zones(candidate.phone_number, candidate.time_zone, rules.time_zone) if needs_zone else None
        clocks = tuple(map(time_zone, zones.names)) if zones else ()
        case = cls(candidate, rules, calendar, needs_zone, zones, clocks)
        return replace(case, first_moment=case.first_opening(candidate.earliest))

    @property
    def is_zone_known(self) -> bool:
        """Whether what the recipient's clocks show is known, or doesn't matter."""
        return bool(self.clocks) or not self.needs_zone

    @property
    def expires_at(self) -> float:
        """See `expires_at`."""
        if self.candidate.not_after is not None:
            return self.candidate.not_after
        first = self.candidate.earliest if self.first_moment is None else self.first_moment
        return first + self.rules.expire_after_seconds

    def first_opening(self, at: float) -> float | None:
        """The first instant from `at` on at which a window is open; None if there is none."""
        return next_opening(self.calendar, self.clocks, at) if self.is_zone_known else None

    def is_open(self, at: float) -> bool:
        """Whether a window is open."""
        return self.is_zone_known and is_open(self.calendar, self.clocks, at)

    @property
    def expired_at(self) -> int:
        """The first whole second after the expiry."""
        return int(self.expires_at) + 1

    def wait(self, recipient: Recipient, now: float, park_reason: ParkReason, words: str) -> Wait:
        """Wait for the first instant that every rule about time allows, or for the expiry if none does before it."""
        until = self.earliest_dial(recipient, now)
        if until is None:
            return Wait(self.expired_at, park_reason, f"waiting until it expires: {words}")
        # Rounded up: a part of a second early, it would have to wait again.
        wake = math.ceil(until + self._spread_seconds(until))
        return Wait(wake, park_reason, f"waiting until {self.clock_text(until)}: {words}")

    def _spread_seconds(self, opening: float) -> int:
        """The attempt's place in the first minutes after an opening; 0 where nothing opens then.

        In the first half of what is left until the closing or the expiry, if that is less.
        """
        if self.candidate.is_urgent or self.is_open(opening - 1):
            return 0
        closing = next_closing(self.calendar, self.clocks, opening) or self.expires_at
        seconds = min(OPENING_SPREAD_SECONDS, (closing - opening) / 2, (self.expires_at - opening) / 2)
        digest = hashlib.sha256(self.candidate.name.encode()).digest()
        return int.from_bytes(digest[:4]) % max(1, int(seconds))

    def clock_text(self, at: float) -> str:
        """An instant as the recipient's clocks show it: ``Fri 2026-11-27 09:00 (America/Toronto)``."""
        if not self.zones:
            return utc_text(int(at))
        others = len(self.zones.names) - 1
        also = f" and {others} other possible zone{'s' * (others > 1)}" if others else ""
        return f"{wall_clock(self.clocks[0], at):%a %Y-%m-%d %H:%M} ({self.zones.names[0]}{also})"

    def capped_until(self, recipient: Recipient, at: float) -> float:
        """The first instant from `at` on at which every cap allows another dial."""
        asked = self.candidate
        return max(
            (
                allowed_from(cap, counted(cap, recipient.dials, asked.organization, asked.purpose), self.clocks, at)
                for cap in self.rules.caps
            ),
            default=at,
        )

    def earliest_dial(self, recipient: Recipient, now: float) -> float | None:
        """The first instant from `now` on that every rule about time allows; None if it expires before."""
        at: float | None = max(now, self.candidate.not_before or 0)
        while at is not None and at <= self.expires_at:
            opening = self.first_opening(at)
            allowed = None if opening is None else self.capped_until(recipient, opening)
            if allowed == at:
                return at
            at = allowed
        return None


def _results(case: Case, recipient: Recipient, now: float) -> Iterator[RuleResult]:
    """Every rule in its order. Without a window there is no time to judge."""
    yield _expiry(case, now)
    yield _cancelled(case)
    yield _paused(case)
    yield _purpose(case)
    if case.first_moment is None:
        yield _no_calling_window(case)
    else:
        yield _not_before(case, recipient, now)
        yield _calling_window(case, recipient, now)
    yield _do_not_call(case, recipient, now)
    yield _recipient_caps(case, recipient, now)


def _rejected(rule: str, code: ReasonCode, words: str) -> RuleResult:
    return RuleResult(rule, words, Reject(code, words))


def _expiry(case: Case, now: float) -> RuleResult:
    until = utc_text(int(case.expires_at))
    if now <= case.expires_at:
        return RuleResult("expiry", f"expires at {until}")
    waited = f"; it waited for {case.candidate.waits_for}" if case.candidate.waits_for else ""
    return _rejected("expiry", ReasonCode.EXPIRED, f"not dialled by {until}{waited}")


def _cancelled(case: Case) -> RuleResult:
    if not case.candidate.is_cancelled:
        return RuleResult("cancelled", "not cancelled")
    return _rejected("cancelled", ReasonCode.CANCELLED, "cancelled before it was dialled")


def _paused(case: Case) -> RuleResult:
    if not case.rules.paused:
        return RuleResult("paused", "not paused")
    words = "calls are paused"
    return RuleResult("paused", words, Wait(case.expired_at, ParkReason.PAUSED, f"waiting to be resumed: {words}"))


def _purpose(case: Case) -> RuleResult:
    if case.rules.purpose_known:
        return RuleResult("purpose", "defined in the policy" if case.candidate.purpose else "none")
    return _rejected("purpose", ReasonCode.UNKNOWN_PURPOSE, "the policy doesn't define this purpose")


def _no_calling_window(case: Case) -> RuleResult:
    if not case.is_zone_known:
        words = "the recipient's time zone isn't known: send timeZone"
    elif case.candidate.time_zone:
        words = f"no calling window ever opens, policy {case.rules.preset}"
    else:
        words = f"no calling window opens in all possible time zones, policy {case.rules.preset}: send timeZone"
    return _rejected("calling-window", ReasonCode.NO_CALLING_WINDOW, words)


def _not_before(case: Case, recipient: Recipient, now: float) -> RuleResult:
    not_before = case.candidate.not_before
    if not_before is None or now >= not_before:
        return RuleResult("not-before", "none" if not_before is None else "has passed")
    words = f"notBefore is {utc_text(int(not_before))}"
    return RuleResult("not-before", words, case.wait(recipient, now, ParkReason.NOT_BEFORE, words))


def _calling_window(case: Case, recipient: Recipient, now: float) -> RuleResult:
    if not case.is_open(now):
        words = f"outside calling hours, policy {case.rules.preset}"
        return RuleResult("calling-window", words, case.wait(recipient, now, ParkReason.OUTSIDE_CALLING_WINDOW, words))
    last = case.rules.holidays_until
    if last and any(wall_clock(clock, now).date() > last for clock in case.clocks):
        words = f"the policy knows holidays until {last} only: set it again"
        look = min(int(now) + UNREADABLE_LOOK_SECONDS, case.expired_at)
        return RuleResult("calling-window", words, Wait(look, ParkReason.POLICY_UNREADABLE, words))
    return RuleResult("calling-window", f"open at {case.clock_text(now)}, policy {case.rules.preset}")


def _do_not_call(case: Case, recipient: Recipient, now: float) -> RuleResult:
    asked = case.candidate
    if not any(objection.holds(asked.organization, asked.purpose, now) for objection in recipient.objections):
        return RuleResult("do-not-call", "not on the list")
    return _rejected("do-not-call", ReasonCode.DO_NOT_CALL, "the number is on the do-not-call list")


def _recipient_caps(case: Case, recipient: Recipient, now: float) -> RuleResult:
    if case.capped_until(recipient, now) == now:
        return RuleResult("recipient-cap", f"below {len(case.rules.caps)} caps" if case.rules.caps else "none")
    words = "the number was dialled as often as a cap allows"
    if case.rules.when_capped is WhenCapped.REJECT:
        return _rejected("recipient-cap", ReasonCode.RECIPIENT_CAP, words)
    return RuleResult("recipient-cap", words, case.wait(recipient, now, ParkReason.RECIPIENT_CAP, words))
