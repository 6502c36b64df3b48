"""What a change of the calling policy means, in words: what becomes allowed, what becomes forbidden, what else changes.

The rules of both documents are compared, not their text: a document that is written differently and means the same has
no changes, and one line that is left out shows all that the preset then says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby

from pydantic import Field

from outbound_calls.contracts.vocabulary import DAYS, WhenCapped
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.attempts import Redial
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION
from outbound_calls.policy.calendars import Calendar, Hours
from outbound_calls.policy.rules import Cap, Part, Policy, Rules, resolve

DAYS_AHEAD = 400
"""For how many days holidays and exceptions are compared."""

_MOST_DATES = 8
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60))


class Effect(StrEnum):
    """What a change does."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    OTHER = "other"


class PolicyChanges(WireModel):
    """What a change means, in words."""

    allowed: list[str] = Field(description="what wasn't allowed before")
    forbidden: list[str] = Field(description="what was allowed before")
    other: list[str] = Field(description="what is neither")

    @property
    def nothing(self) -> bool:
        """Whether both documents mean the same."""
        return not (self.allowed or self.forbidden or self.other)


type Change = tuple[Effect, str]


@dataclass(frozen=True, slots=True)
class _Scope:
    """The requests of one organization and purpose."""

    organization: str
    purpose: str | None


def policy_changes(before: Policy, after: Policy, default_preset: str, today: date) -> PolicyChanges:
    """Compare the rules of two documents for every organization and purpose that either of them names."""
    found: dict[Change, list[_Scope]] = {}
    scopes = list(dict.fromkeys(_scopes(before, after)))
    for scope in scopes:
        old, new = (resolve(each, default_preset, scope.organization, scope.purpose) for each in (before, after))
        for change in _changes(old, new, today):
            found.setdefault(change, []).append(scope)
    words: dict[Effect, list[str]] = {effect: [] for effect in Effect}
    for (effect, text), where in found.items():
        words[effect].append(f"{_where(where, scopes)}{text}")
    return PolicyChanges(allowed=words[Effect.ALLOWED], forbidden=words[Effect.FORBIDDEN], other=words[Effect.OTHER])


def _scopes(*policies: Policy) -> Iterator[_Scope]:
    organizations = dict.fromkeys([DEFAULT_ORGANIZATION, *(name for each in policies for name in _organizations(each))])
    for organization in organizations:
        yield _Scope(organization, None)
        for policy in policies:
            own = _organizations(policy).get(organization, {})
            purposes: Part = (own if "purposes" in own else policy.says).get("purposes", {})
            yield from (_Scope(organization, purpose) for purpose in purposes)


def _organizations(policy: Policy) -> Mapping[str, Part]:
    organizations: Mapping[str, Part] = policy.says.get("organizations", {})
    return organizations


def _where(scopes: list[_Scope], all_scopes: list[_Scope]) -> str:
    """Which requests a change applies to: nothing where it applies to all."""
    if len(scopes) == len(all_scopes):
        return ""
    names: list[str] = []
    several = len({scope.organization for scope in all_scopes}) > 1
    for organization, found in groupby(scopes, lambda scope: scope.organization):
        these = list(found)
        whole = len(these) == sum(scope.organization == organization for scope in all_scopes)
        of = f"organization {organization}" if several else ""
        purposes = ["no purpose" if scope.purpose is None else scope.purpose for scope in these]
        names.append(", ".join(filter(None, [of, "" if whole else f"purpose {' or '.join(purposes)}"])))
    return f"{'; '.join(names)}: "


def _changes(before: Rules, after: Rules, today: date) -> Iterator[Change]:
    if before.purpose_known is not after.purpose_known:
        if after.purpose_known:
            yield Effect.ALLOWED, "requests for this purpose, which were rejected (unknown-purpose)"
        else:
            yield Effect.FORBIDDEN, "requests for this purpose: they are rejected (unknown-purpose)"
        return
    if before.paused is not after.paused:
        yield (Effect.FORBIDDEN, "all calls: they are paused") if after.paused else (Effect.ALLOWED, "calls, resumed")
    if before.preset != after.preset:
        yield Effect.OTHER, f"it is based on the preset {after.preset}, not {before.preset}"
    yield from _hours(before.calendar, after.calendar, today)
    yield from _toll_free(before, after)
    yield from _caps(before.caps, after.caps)
    yield from _limits(before, after)
    yield from _redial(before.redial, after.redial)
    if after.holidays_until and before.holidays_until != after.holidays_until:
        yield Effect.OTHER, f"holidays are known until {after.holidays_until}"


# Hours.


def _hours(before: Calendar, after: Calendar, today: date) -> Iterator[Change]:
    for effect, one, other in ((Effect.ALLOWED, after, before), (Effect.FORBIDDEN, before, after)):
        # Nothing but the weekdays: without exceptions and holidays.
        weekly = [_without(of_one, of_other) for of_one, of_other in zip(one.week, other.week, strict=True)]
        for which, hours in _weekdays(weekly):
            yield effect, f"calls on {which}, {hours}"
        dates: dict[date, Hours] = {}
        for day in (today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)):
            spans = _without(_without(one.hours(day), other.hours(day)), weekly[day.weekday()])
            if spans:
                dates[day] = spans
        for which, hours in _dates(dates):
            yield effect, f"calls on {which}, {hours}"


def _without(hours: Hours, taken: Hours) -> Hours:
    """What is left of the hours of a date without others."""
    for start, end in taken:
        hours = tuple(
            (opens, closes)
            for first, last in hours
            for opens, closes in ((first, min(last, start)), (max(first, end), last))
            if opens < closes
        )
    return hours


def _weekdays(weekly: list[Hours]) -> Iterator[tuple[str, str]]:
    by_spans: dict[Hours, list[str]] = {}
    for name, spans in zip(DAYS, weekly, strict=True):
        if spans:
            by_spans.setdefault(spans, []).append(name)
    for spans, names in by_spans.items():
        yield ("every day" if len(names) == len(DAYS) else ", ".join(name.capitalize() for name in names)), _text(spans)


def _dates(dates: Mapping[date, Hours]) -> Iterator[tuple[str, str]]:
    """Dates in a row with the same hours, as one; the first few of them."""
    runs: list[tuple[date, date, Hours]] = []
    for day, spans in dates.items():
        if runs and runs[-1][1:] == (day - timedelta(days=1), spans):
            runs[-1] = (runs[-1][0], day, spans)
        else:
            runs.append((day, day, spans))
    for first, last, spans in runs[:_MOST_DATES]:
        yield (f"{first:%a} {first}" if first == last else f"{first} to {last}"), _text(spans)
    if more := runs[_MOST_DATES:]:
        yield f"{len(more)} more dates until {more[-1][1]}", "at some hours"


def _text(spans: Hours) -> str:
    texts = [f"{_clock(opens)} to {_clock(closes)}" for opens, closes in spans]
    return "all day" if texts == ["00:00 to 24:00"] else " and ".join(texts)


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}"


# What else rules say.


def _toll_free(before: Rules, after: Rules) -> Iterator[Change]:
    """Numbers of no place. Where a clock counts and no zone says which, they are rejected."""
    was, now = before.read_clocks, after.read_clocks
    if now and after.time_zone is None:
        if not (was and before.time_zone is None):
            yield Effect.FORBIDDEN, "calls to toll-free numbers: no timeZone says which clock counts"
    elif was and before.time_zone is None:
        clock = f", by the clock of {after.time_zone}" if now else ""
        yield Effect.ALLOWED, f"calls to toll-free numbers{clock}"
    elif was and now and before.time_zone != after.time_zone:
        # What is open by one clock may be closed by the other.
        for effect in (Effect.ALLOWED, Effect.FORBIDDEN):
            words = f"calls to toll-free numbers, by the clock of {after.time_zone} instead of {before.time_zone}"
            yield effect, words


def _caps(before: Iterable[Cap], after: Iterable[Cap]) -> Iterator[Change]:
    old, new = _by_span(before), _by_span(after)
    for cap in dict.fromkeys((*old, *new)):
        was, calls = old.get(cap), new.get(cap)
        if was == calls:
            continue
        if calls is None:
            yield Effect.ALLOWED, f"more than {_dials(was)} to a number {cap}"
        elif was is None:
            yield Effect.FORBIDDEN, f"more than {_dials(calls)} to a number {cap}"
        else:
            effect = Effect.ALLOWED if calls > was else Effect.FORBIDDEN
            yield effect, f"{_dials(calls)} to a number {cap}, instead of {was}"


def _by_span(caps: Iterable[Cap]) -> dict[str, int]:
    """The most calls for each span, in words. Of two caps for one span, the lower one matters."""
    least: dict[str, int] = {}
    for cap in caps:
        span = _span(cap)
        least[span] = min(cap.calls, least.get(span, cap.calls))
    return least


def _span(cap: Cap) -> str:
    if cap.per_days:
        span = "on one day" if cap.per_days == 1 else f"in {cap.per_days} calendar days"
    else:
        span = f"within {_duration(cap.per_seconds or 0)}"
    whose = [name for name, counts in (("organization", cap.of_organization), ("purpose", cap.of_purpose)) if counts]
    return f"{span} (of the same {' and '.join(whose)})" if whose else span


def _dials(calls: int | None) -> str:
    return f"{calls} call{'s' * (calls != 1)}"


def _duration(seconds: int) -> str:
    for name, length in _UNITS:
        if seconds % length == 0 and seconds >= length:
            count = seconds // length
            return f"{count} {name if count > 1 else name[:-1]}"
    return f"{seconds} seconds"


def _limits(before: Rules, after: Rules) -> Iterator[Change]:
    yield from _more(
        before.expire_after_seconds,
        after.expire_after_seconds,
        lambda seconds: f"waiting for {_duration(seconds)} until a request expires",
    )
    yield from _more(
        before.max_attempts_ceiling,
        after.max_attempts_ceiling,
        lambda count: f"up to {count} attempt{'s' * (count > 1)} if a request asks for them",
    )
    yield from _more(
        before.max_concurrent_calls,
        after.max_concurrent_calls,
        lambda count: f"up to {_dials(count)} in progress at once",
        "any number of calls in progress at once",
    )
    if before.when_capped is not after.when_capped:
        if after.when_capped is WhenCapped.WAIT:
            yield Effect.ALLOWED, "waiting at a recipient cap, instead of being rejected"
        else:
            yield Effect.FORBIDDEN, "waiting at a recipient cap: such requests are rejected"


def _more(
    before: int | None, after: int | None, words: Callable[[int], str], no_limit: str = "no limit"
) -> Iterator[Change]:
    """A limit that was raised or lowered; None is no limit."""
    if before == after:
        return
    raised = after is None or (before is not None and after > before)
    was, now = (no_limit if each is None else words(each) for each in (before, after))
    yield (Effect.ALLOWED if raised else Effect.FORBIDDEN), f"{now}; before: {was}"


def _redial(before: Redial, after: Redial) -> Iterator[Change]:
    old, new = _delays(before), _delays(after)
    for reason in dict.fromkeys((*old, *new)):
        was, now = old.get(reason), new.get(reason)
        if was is None:
            yield Effect.ALLOWED, f"another attempt after {reason}, {now} later"
        elif now is None:
            yield Effect.FORBIDDEN, f"another attempt after {reason}"
        elif was != now:
            yield Effect.OTHER, f"another attempt after {reason} follows {now} later, instead of {was}"
    if old and new:
        yield from _more(before.max_attempts, after.max_attempts, lambda count: f"up to {count} attempts in all")


def _delays(redial: Redial) -> dict[str, str]:
    """What is dialled again, and when; nothing where there is only one attempt."""
    if redial.max_attempts == 1:
        return {}
    after = {**redial.after_status, **{f"completed, {name}": each for name, each in redial.after_ended_reason.items()}}
    return {reason: ", then ".join(map(_duration, delays)) for reason, delays in after.items()}
