"""From the policy document to the rules that hold for one request.

A document lies on a preset, and its parts for an organization and a purpose lie on it, field by field: what a part
doesn't say is inherited. Caps add up instead, and a pause anywhere is a pause.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from outbound_calls.contracts.policy import (
    CallingPolicy,
    OrganizationPolicy,
    Preset,
    PurposePolicy,
    RedialRules,
    StoredPolicy,
    WhenCapped,
    read_policy,
)
from outbound_calls.policy.calendars import Calendar, exceptional, week_of

DEFAULT_ORGANIZATION = "default"

_PRESETS = Path(__file__).with_name("presets")


def organization_name(organization: str | None) -> str:
    """An organization's name in the policy: absent means the default one."""
    return organization or DEFAULT_ORGANIZATION


class UnusablePolicy(Exception):
    """The rules can't be made, so no one may be dialled."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `calls` dials to one number: on some calendar days, or within some seconds.

    It counts the dials of the level that states it: all of the stack's, or only those of the request's organization,
    or of its purpose, or of both.
    """

    calls: int
    per_days: int | None = None
    per_seconds: int | None = None
    of_organization: bool = False
    of_purpose: bool = False


@dataclass(frozen=True, slots=True)
class Redial:
    """After which outcomes another attempt follows: the delays in seconds, of which the last repeats."""

    max_attempts: int = 1
    after_status: dict[str, tuple[int, ...]] = field(default_factory=dict)
    after_ended_reason: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What policy says for the requests of one organization and purpose. No field's default allows more than another.

    `purpose_known` is false for a purpose that the policy doesn't define. The rules are then those without it.
    """

    preset: str
    calendar: Calendar
    expire_after_seconds: int
    time_zone: str | None = None
    holidays_until: date | None = None
    redial: Redial = field(default_factory=Redial)
    max_attempts_ceiling: int = 1
    caps: tuple[Cap, ...] = ()
    when_capped: WhenCapped = WhenCapped.WAIT
    max_concurrent_calls: int | None = None
    paused: bool = False
    purpose_known: bool = True


@cache
def read_preset(name: str) -> CallingPolicy:
    """The document of a preset.

    Raises:
        UnusablePolicy: When there is no such preset.
    """
    if name not in set(Preset):
        raise UnusablePolicy(f"no preset has this name; the presets are {', '.join(Preset)}")
    return read_policy((_PRESETS / f"{name}.json").read_bytes())


def resolve(
    policy: StoredPolicy | None, default_preset: str, organization: str | None = None, purpose: str | None = None
) -> Rules:
    """The rules for the requests of an organization (None for the default one) and a purpose.

    `policy` is None where no document was ever stored: the rules are then those of `default_preset`.

    Raises:
        UnusablePolicy: When there is no such preset, or it leaves a rule open.
    """
    policy = policy or StoredPolicy()
    own = (policy.organizations or {}).get(organization_name(organization), OrganizationPolicy())
    purposes = own.purposes if own.purposes is not None else policy.purposes or {}
    for_purpose = purposes.get(purpose, PurposePolicy()) if purpose else PurposePolicy()
    levels = _Levels(policy, own, for_purpose, policy.based_on or default_preset)
    holidays = levels.first("holidays")
    stored = (policy.holiday_dates or {})[holidays.name] if holidays else None
    calendar = Calendar(
        week_of(levels.required("calling_windows")),
        frozenset(map(date.fromisoformat, stored.dates)) if stored else frozenset(),
        tuple(map(exceptional, levels.first("exceptions") or ())),
    )
    ceiling: int = levels.required("max_attempts_ceiling")
    return Rules(
        preset=levels.preset,
        calendar=calendar,
        expire_after_seconds=levels.required("expire_after_seconds"),
        time_zone=levels.first("time_zone"),
        holidays_until=date.fromisoformat(stored.until) if stored else None,
        redial=redial_of(levels.first("redial"), ceiling),
        max_attempts_ceiling=ceiling,
        caps=tuple(_caps(levels, purpose_of_organization=own.purposes is not None)),
        when_capped=WhenCapped(levels.required("when_capped")),
        max_concurrent_calls=levels.first("max_concurrent_calls"),
        paused=any(part.paused for part in levels.parts),
        purpose_known=purpose is None or purpose in purposes,
    )


def redial_of(rules: RedialRules | None, ceiling: int) -> Redial:
    """The redial rules of a document or a request, within the policy's `maxAttemptsCeiling`; none where absent."""
    if rules is None:
        return Redial()
    return Redial(
        min(rules.max_attempts, ceiling),
        {status: tuple(delays) for status, delays in (rules.on or {}).items()},
        {reason: tuple(delays) for reason, delays in (rules.on_ended_reasons or {}).items()},
    )


class _Levels:
    """The parts of the document that bear on a request, the narrowest first, each followed by the preset it names."""

    def __init__(self, stack: CallingPolicy, own: OrganizationPolicy, purpose: PurposePolicy, preset: str) -> None:
        self.purpose, self.own = _on_preset(purpose, purpose.based_on), _on_preset(own, own.based_on)
        self.stack = _on_preset(stack, preset)
        self.parts = (*self.purpose, *self.own, *self.stack)
        self.preset = purpose.based_on or own.based_on or preset

    def first(self, name: str) -> Any:
        """What the narrowest part that has a field says; None where none has it."""
        return next((value for part in self.parts if (value := getattr(part, name, None)) is not None), None)

    def required(self, name: str) -> Any:
        """The same for a field that every preset has."""
        value = self.first(name)
        if value is None:
            raise UnusablePolicy(f"the preset {self.preset} has no {name}")
        return value


def _on_preset(part: PurposePolicy, preset: str | None) -> tuple[PurposePolicy, ...]:
    return (part, read_preset(preset)) if preset else (part,)


def _caps(levels: _Levels, *, purpose_of_organization: bool) -> Iterator[Cap]:
    """The caps of every level. A level's own replace those of the preset it names."""
    for parts, of_organization, of_purpose in (
        (levels.stack, False, False),
        (levels.own, True, False),
        (levels.purpose, purpose_of_organization, True),
    ):
        stated = next((part.recipient_caps for part in parts if part.recipient_caps), [])
        for cap in stated:
            yield Cap(cap.calls, cap.per_days, cap.per_seconds, of_organization, of_purpose)
