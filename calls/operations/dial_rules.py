"""Which rule allowed a dial: the window that was open and the caps in force, by the stored version of the policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from calls.operations.calling_policy import Policies
from outbound_calls.contracts.time_zones import time_zone, time_zone_names
from outbound_calls.contracts.vocabulary import ALWAYS, DAYS
from outbound_calls.domain.attempts import Allowance, Attempt
from outbound_calls.policy.calendars import DAY_SECONDS, Calendar
from outbound_calls.policy.rules import Cap, Policy, Rules, UnusablePolicy, read_stored, resolve

type _Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DialRule:
    """What allowed a dial, without personal data. `window_unknown` says why its window isn't known."""

    window: str | None = None
    caps: tuple[str, ...] = ()
    window_unknown: str | None = None


@dataclass(frozen=True)
class DialRules:
    """Finds the rules of dials. It reads every stored version once."""

    policies: Policies

    @cached_property
    def _versions(self) -> dict[int, Policy | None]:
        """Each version, and version 0 for no document; None for one that can't be read."""
        texts = {each.number: each.text for each in self.policies.table.policy_history()}
        return {0: Policy()} | {number: _read(text) for number, text in texts.items()}

    def of(self, attempt: Attempt) -> DialRule:
        """The rule that allowed an attempt that was dialled."""
        allowance = attempt.allowance
        if allowance is None or attempt.dispatched_at is None:
            return DialRule(window_unknown="no policy is recorded")
        version = allowance.policy_version
        if version not in self._versions:
            return DialRule(window_unknown=f"version {version} of the policy isn't kept")
        policy = self._versions[version]
        if policy is None:
            return DialRule(window_unknown=f"version {version} of the policy can't be read")
        rules = self._rules(policy, allowance, attempt)
        if rules is None:
            return DialRule(window_unknown=f"version {version} doesn't lie on the preset {allowance.preset} any more")
        window = _window(rules.calendar, allowance, attempt.dispatched_at)
        caps = tuple(map(_cap_text, rules.caps))
        if window is None:
            return DialRule(caps=caps, window_unknown="no window of this version was open then by these clocks")
        return DialRule(window, caps)

    def _rules(self, policy: Policy, allowance: Allowance, attempt: Attempt) -> Rules | None:
        """The rules that held, on the preset of then: the stack's parameter may have been another one."""
        for preset in (self.policies.default_preset, allowance.preset):
            try:
                rules = resolve(policy, preset, attempt.key.request.organization, attempt.labels.purpose)
            except UnusablePolicy:
                continue
            if rules.preset == allowance.preset:
                return rules
        return None


def _read(text: str) -> Policy | None:
    try:
        return read_stored(text)
    except UnusablePolicy:
        return None


def _window(calendar: Calendar, allowance: Allowance, at: int) -> str | None:
    """The window that was open in every zone of the recipient; several where the zones were in different ones."""
    if calendar.is_always_open:
        return ALWAYS
    # Of more than three zones the rest are only counted.
    clocks = [time_zone(name) for name in allowance.zones if name in time_zone_names()]
    found = [_open_window(calendar, datetime.fromtimestamp(at, clock)) for clock in clocks]
    return "; ".join(dict.fromkeys(filter(None, found))) if found and all(found) else None


def _open_window(calendar: Calendar, shown: datetime) -> str | None:
    second = shown.hour * 3600 + shown.minute * 60 + shown.second
    day, weekday = shown.date(), shown.weekday()
    span = next((each for each in calendar.hours(day) if each[0] <= second < each[1]), None)
    if span is None:
        return None
    exceptions = [each for each in calendar.exceptions if each.first <= day <= each.last]
    if exceptions:
        dates = ", ".join(f"{each.first} to {each.last}" for each in exceptions)
        return f"exception {dates}: {DAYS[weekday]} {_hours(span)}"
    days = [name for name, hours in zip(DAYS, calendar.week, strict=True) if span in hours]
    return f"{_days(days)} {_hours(span)}"


def _days(names: list[str]) -> str:
    """Days in short: ``mon-fri``, ``sat,sun``."""
    first = DAYS.index(names[0])
    is_row = list(DAYS[first : first + len(names)]) == names
    return f"{names[0]}-{names[-1]}" if is_row and len(names) > 2 else ",".join(names)


def _hours(span: Iterable[int]) -> str:
    return "-".join(f"{each // 3600:02}:{each % 3600 // 60:02}" for each in span)


def _cap_text(cap: Cap) -> str:
    """A cap in words: ``1 in 1 day, of the organization``."""
    if cap.per_days is not None:
        length = f"{cap.per_days} day{'s' * (cap.per_days > 1)}"
    else:
        seconds = cap.per_seconds or 0
        days = seconds // DAY_SECONDS
        length = f"{days * 24} hours" if seconds == days * DAY_SECONDS else f"{seconds} seconds"
    whose = [word for word, is_its in (("organization", cap.of_organization), ("purpose", cap.of_purpose)) if is_its]
    return f"{cap.calls} in {length}{', of the ' if whose else ''}{' and '.join(whose)}"
