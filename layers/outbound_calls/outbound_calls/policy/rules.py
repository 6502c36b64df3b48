"""From the stored policy document to the rules that apply to one request.

A document is based on a preset, and its parts for an organization and a purpose override it, field by field: what a
part doesn't say is inherited. Caps add up instead, and a pause anywhere is a pause.

The contract (`contracts.policy`) checks what a person writes and says what is wrong. Here a document is read again,
without its models, which a function would have to build at each cold start. What it doesn't expect makes no rules.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from outbound_calls.contracts.time_zones import time_zone_names
from outbound_calls.contracts.vocabulary import Preset, WhenCapped
from outbound_calls.domain.attempts import Redial
from outbound_calls.domain.recipients import organization_name
from outbound_calls.policy.calendars import NEVER, Calendar, Exceptional, week_of

type Part = Mapping[str, Any]
"""What a part of the document says, by the fields' names on the wire: values that are read, none of them null."""

EVERY = "*"
"""Stands for the organizations that a document doesn't name."""

_NAME = re.compile(r"[a-z0-9-]{1,32}")
_PRESETS = Path(__file__).with_name("presets")


class UnusablePolicy(Exception):
    """The policy can't be read, so no one may be dialled."""


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
class Rules:
    """What policy says for the requests of one organization and purpose.

    `purpose_known` is false for a purpose that the policy doesn't define. The rules are then those without it.
    """

    preset: str
    calendar: Calendar
    expire_after_seconds: int
    time_zone: str | None
    holidays_until: date | None
    redial: Redial
    max_attempts_ceiling: int
    caps: tuple[Cap, ...]
    when_capped: WhenCapped
    max_concurrent_calls: int | None
    limited_since: int
    """Since when there is such a limit, where there was none before (epoch seconds; 0: from the beginning)."""

    paused: bool
    purpose_known: bool

    @property
    def read_clocks(self) -> bool:
        """Whether a rule depends on what the recipient's clocks show."""
        knows_dates = self.holidays_until is not None
        return knows_dates or not self.calendar.is_always_open or any(cap.per_days for cap in self.caps)


@dataclass(frozen=True, slots=True)
class Policy:
    """A stored document that was read. An empty one says nothing, so that all is the preset's."""

    says: Part = field(default_factory=dict)
    limited_since: Mapping[str, int] = field(default_factory=dict)
    """As `limited_since` has it."""


def read_stored(text: str, limited_since: Mapping[str, int] | None = None) -> Policy:
    """Read the document that the stack keeps, and what is kept with it.

    Raises:
        UnusablePolicy: When it isn't one that the contract allows.
    """
    try:
        says = _read(_json(text), _DOCUMENT_FIELDS)
        for part in (says, *says.get("purposes", {}).values(), *_parts_of_organizations(says)):
            _holidays(part.get("holidays"), says)
    except (LookupError, TypeError, ValueError, RecursionError):
        raise UnusablePolicy("the policy can't be read") from None
    return Policy(says, limited_since or {})


def limited_since(before: Policy | None, after: Policy, now: int) -> dict[str, int]:
    """Since when a policy limits the calls at once of each organization, by its name; `EVERY` stands for the others.

    `before` is the policy that it replaces; None where that can't be read. From there it is `now` only where that one
    had no limit: the calls in progress then are to be counted.
    """
    names = {EVERY, *after.says.get("organizations", {})}
    if before is not None:
        names |= {*before.says.get("organizations", {}), *before.limited_since}
    since = {}
    for name in names:
        if _limit(after, name) is None:
            continue
        was_limited = before is not None and _limit(before, name) is not None
        since[name] = _limited_since(before, name) if before and was_limited else now
    return since


def _limit(policy: Policy, name: str) -> int | None:
    """`maxConcurrentCalls` of an organization by its name. No preset has it."""
    own: Part = policy.says.get("organizations", {}).get(name, {})
    limit: int | None = own.get("maxConcurrentCalls", policy.says.get("maxConcurrentCalls"))
    return limit


def _limited_since(policy: Policy, name: str) -> int:
    since = policy.limited_since
    return since.get(name, since.get(EVERY, 0))


@cache
def preset_document(name: str) -> dict[str, Any]:
    """The document of a preset, in its form on the wire.

    Raises:
        UnusablePolicy: When there is no such preset.
    """
    if name not in set(Preset):
        raise UnusablePolicy(f"no preset has this name; the presets are {', '.join(Preset)}")
    return _json((_PRESETS / f"{name}.json").read_text())


def resolve(policy: Policy, default_preset: str, organization: str | None = None, purpose: str | None = None) -> Rules:
    """The rules for the requests of an organization (None for the default one) and a purpose.

    Raises:
        UnusablePolicy: When there is no such preset.
    """
    document = policy.says
    own: Part = document.get("organizations", {}).get(organization_name(organization), {})
    purposes: Mapping[str, Part] = (own if "purposes" in own else document).get("purposes", {})
    for_purpose = purposes.get(purpose or "", {})
    stack = _on_preset(document, default_preset)
    levels = [*_on_preset(for_purpose), *_on_preset(own), *stack]
    said: dict[str, Any] = {}
    for part in reversed(levels):
        said.update(part)
    known_until, holidays = _holidays(said.get("holidays"), document)
    ceiling = said["maxAttemptsCeiling"]
    return Rules(
        preset=said.get("basedOn", default_preset),
        calendar=Calendar(said["callingWindows"], holidays, said.get("exceptions", ())),
        expire_after_seconds=said["expireAfterSeconds"],
        time_zone=said.get("timeZone"),
        holidays_until=known_until,
        redial=_limited(said.get("redial", Redial()), ceiling),
        max_attempts_ceiling=ceiling,
        caps=(
            *_caps_of(stack),
            *_caps_of(_on_preset(own), of_organization=True),
            *_caps_of(_on_preset(for_purpose), of_organization="purposes" in own, of_purpose=True),
        ),
        when_capped=said["whenCapped"],
        max_concurrent_calls=said.get("maxConcurrentCalls"),
        limited_since=_limited_since(policy, organization_name(organization)),
        paused=any(part.get("paused") for part in levels),
        purpose_known=purpose is None or purpose in purposes,
    )


def defined_purposes(policy: Policy, organization: str | None) -> frozenset[str]:
    """The purposes that a policy defines for an organization by its name; None: for any of them."""
    organizations = policy.says.get("organizations", {})
    own: Part = organizations.get(organization, {})
    parts: list[Part] = [own if "purposes" in own else policy.says]
    if organization is None:
        parts += organizations.values()
    return frozenset(name for part in parts for name in part.get("purposes", {}))


def redial_of(asked: Mapping[str, Any], ceiling: int) -> Redial:
    """The redial rules that a request asks for, in their form on the wire, within the policy's `maxAttemptsCeiling`."""
    return _limited(_redial(asked), ceiling)


def _limited(redial: Redial, ceiling: int) -> Redial:
    return replace(redial, max_attempts=min(redial.max_attempts, ceiling))


def _on_preset(part: Part, default: str | None = None) -> list[Part]:
    """A part and the preset it is based on, the narrower first."""
    preset = part.get("basedOn", default)
    return [part, _preset(preset)] if preset else [part]


@cache
def _preset(name: str) -> Part:
    return _read(preset_document(name), _FIELDS)


def _caps_of(parts: list[Part], **whose: bool) -> list[Cap]:
    """The caps of a level. Its own replace those of the preset it names."""
    stated: list[Cap] = next((part["recipientCaps"] for part in parts if "recipientCaps" in part), [])
    return [replace(cap, **whose) for cap in stated]


def _parts_of_organizations(document: Part) -> Iterator[Part]:
    for own in document.get("organizations", {}).values():
        yield own
        yield from own.get("purposes", {}).values()


def _holidays(calendar: str | None, document: Part) -> tuple[date | None, frozenset[date]]:
    """The last date for which a calendar's holidays are known, and the holidays."""
    known: tuple[date | None, frozenset[date]] = (None, frozenset())
    return known if calendar is None else document["holidayDates"][calendar]


# How each field is read. Any exception of these makes the policy unusable.


def _json(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    _must(isinstance(document, dict))
    return document


def _read(part: Any, fields: Mapping[str, Callable[[Any], Any]]) -> Part:
    if not part.keys() <= fields.keys():
        raise UnusablePolicy("the policy can't be read: it has an unknown field")
    return {name: _read_field(name, fields[name], value) for name, value in part.items() if value is not None}


def _read_field(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UnusablePolicy(f"the policy can't be read: see {name}") from None


def _named(value: Any, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Part]:
    """Parts by the names of their purposes or organizations."""
    _must(all(map(_NAME.fullmatch, value)))
    return {name: _read(part, fields) for name, part in value.items()}


def _must(hold: bool) -> None:
    if not hold:
        raise ValueError


def _only(value: Any, *names: str) -> dict[str, Any]:
    """An object's fields that aren't null, if it has no others than these."""
    _must(value.keys() <= set(names))
    return {name: each for name, each in value.items() if each is not None}


def _count(value: Any) -> int:
    _must(type(value) is int and value >= 1)
    return int(value)


def _flag(value: Any) -> bool:
    _must(isinstance(value, bool))
    return bool(value)


def _array(value: Any) -> list[Any]:
    _must(isinstance(value, list))
    return list(value)


def _list(value: Any) -> list[Any]:
    _must(value != [])
    return _array(value)


def _text(value: Any) -> str:
    _must(isinstance(value, str) and value != "")
    return str(value)


def _date(text: str) -> date:
    day = date.fromisoformat(text)
    _must(day.isoformat() == text)
    return day


def _zone(name: Any) -> str:
    _must(name in time_zone_names())
    return str(name)


def _calendar_name(value: Any) -> str:
    fields = _only(value, "country", "subdivision")
    return "-".join((fields["country"], *([fields["subdivision"]] if "subdivision" in fields else [])))


def _holiday_dates(value: Any) -> tuple[date, frozenset[date]]:
    fields = _only(value, "until", "dates")
    return _date(fields["until"]), frozenset(map(_date, _array(fields["dates"])))


def _exceptions(value: Any) -> tuple[Exceptional, ...]:
    return tuple(map(_exceptional, _list(value)))


def _exceptional(value: Any) -> Exceptional:
    fields = _only(value, "name", "from", "to", "callingWindows")
    first, last = _date(fields["from"]), _date(fields["to"])
    _must(first <= last)
    if "name" in fields:
        _text(fields["name"])
    week = week_of(fields["callingWindows"]) if "callingWindows" in fields else NEVER.week
    return Exceptional(first, last, week)


def _redial(value: Any) -> Redial:
    fields = _only(value, "on", "onEndedReasons", "maxAttempts")
    after_status = _delays(fields.get("on", {}))
    _must(after_status.keys() <= {"busy", "no-answer", "failed"})
    return Redial(_count(fields["maxAttempts"]), after_status, _delays(fields.get("onEndedReasons", {})))


def _delays(value: Any) -> dict[str, tuple[int, ...]]:
    return {_text(name): tuple(map(_count, _list(each))) for name, each in value.items()}


def _caps(value: Any) -> list[Cap]:
    return [_cap(_only(each, "calls", "perDays", "perSeconds")) for each in _list(value)]


def _cap(fields: Mapping[str, Any]) -> Cap:
    _must(("perDays" in fields) != ("perSeconds" in fields))
    per_days = _count(fields["perDays"]) if "perDays" in fields else None
    per_seconds = _count(fields["perSeconds"]) if "perSeconds" in fields else None
    return Cap(_count(fields["calls"]), per_days, per_seconds)


_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "basedOn": Preset,
    "timeZone": _zone,
    "callingWindows": week_of,
    "holidays": _calendar_name,
    "exceptions": _exceptions,
    "redial": _redial,
    "maxAttemptsCeiling": _count,
    "recipientCaps": _caps,
    "whenCapped": WhenCapped,
    "expireAfterSeconds": _count,
    "paused": _flag,
}
_ORGANIZATION_FIELDS = {
    **_FIELDS,
    "maxConcurrentCalls": _count,
    "purposes": lambda value: _named(value, _FIELDS),
}
_DOCUMENT_FIELDS = {
    **_ORGANIZATION_FIELDS,
    "organizations": lambda value: _named(value, _ORGANIZATION_FIELDS),
    "holidayDates": lambda value: {name: _holiday_dates(dates) for name, dates in value.items()},
}
