"""Whether a wall clock shows a time at which calls are allowed, and when it next does.

Every question goes from an instant (epoch seconds) to what the clocks of the person called show then, never back. So an
hour that a daylight-saving change skips is never open, and one that it repeats is open twice or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from math import inf
from typing import TYPE_CHECKING, Any

from outbound_calls.contracts.vocabulary import ALWAYS, DAYS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

type Hours = tuple[tuple[int, int], ...]
"""The open hours of one date, in seconds of its wall clock: `from` inclusive, `to` exclusive, in order."""

type Week = tuple[Hours, ...]
"""The open hours of Monday to Sunday."""

DAY_SECONDS = 86_400
HORIZON_SECONDS = 400 * DAY_SECONDS
"""What isn't open within this time counts as never open. More than a year: two zones may share hours in winter only."""

ALL_DAY: Hours = ((0, DAY_SECONDS),)
CLOSED: Hours = ()
EVERY_DAY: Week = tuple(ALL_DAY for _ in DAYS)


@dataclass(frozen=True, slots=True)
class Exceptional:
    """Dates with hours of their own."""

    first: date
    last: date
    week: Week


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours of every date: exceptions before holidays before the week, and within them what a request narrows."""

    week: Week
    holidays: frozenset[date] = frozenset()
    exceptions: tuple[Exceptional, ...] = ()
    narrowed_to: Week = EVERY_DAY

    @property
    def is_always_open(self) -> bool:
        """Whether no clock needs to be looked at."""
        return self.week == self.narrowed_to == EVERY_DAY and not self.holidays and not self.exceptions

    def hours(self, day: date) -> Hours:
        """The open hours of a date. Where several exceptions cover it, all of them must be open."""
        weekday = day.weekday()
        exceptional = [each.week[weekday] for each in self.exceptions if each.first <= day <= each.last]
        usual = CLOSED if day in self.holidays else self.week[weekday]
        return reduce(_both, exceptional or [usual], self.narrowed_to[weekday])


NEVER = Calendar(tuple(CLOSED for _ in DAYS))


def week_of(windows: Any) -> Week:
    """The week that calling windows describe, in their form on the wire.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: When they aren't calling windows.
    """
    if windows == ALWAYS:
        return EVERY_DAY
    if not (isinstance(windows, list) and windows):
        raise ValueError
    spans: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for window in windows:
        days, opens, closes = window["days"], _second(window["from"]), _second(window["to"])
        if window.keys() != {"days", "from", "to"} or not (isinstance(days, list) and days) or opens >= closes:
            raise ValueError
        for day in days:
            spans[DAYS.index(day)].append((opens, closes))
    return tuple(map(_merged, spans))


_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")


def _second(text: str) -> int:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError
    hour, minute = filter(None, found.groups())
    return int(hour) * 3600 + int(minute) * 60


def _merged(spans: Iterable[tuple[int, int]]) -> Hours:
    """Spans that overlap or touch as one, so that a closing is one."""
    merged: list[tuple[int, int]] = []
    for opens, closes in sorted(spans):
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(closes, merged[-1][1]))
        else:
            merged.append((opens, closes))
    return tuple(merged)


def _both(one: Hours, other: Hours) -> Hours:
    spans = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple(sorted((opens, closes) for opens, closes in spans if opens < closes))


def wall_clock(zone: ZoneInfo, at: float) -> datetime:
    """What the clocks of a zone show at an instant."""
    return datetime.fromtimestamp(at, zone)


def is_open(calendar: Calendar, zones: Sequence[ZoneInfo], at: float) -> bool:
    """Whether calls are allowed at an instant in every zone."""
    return all(_is_open(calendar, zone, at) for zone in zones)


def next_opening(calendar: Calendar, zones: Sequence[ZoneInfo], at: float) -> float | None:
    """The first instant from `at` on at which calls are allowed in every zone; None if there is none."""
    horizon = at + HORIZON_SECONDS
    while at <= horizon:
        openings = [_first(True, calendar, zone, at, horizon) for zone in zones]
        if max(openings, default=at) == at:
            return at
        at = max(openings)
    return None


def next_closing(calendar: Calendar, zones: Sequence[ZoneInfo], at: float) -> float | None:
    """The first instant from `at` on at which calls aren't allowed in every zone; None if there is none."""
    horizon = at + HORIZON_SECONDS
    closing = min((_first(False, calendar, zone, at, horizon) for zone in zones), default=inf)
    return closing if closing <= horizon else None


def start_of(day: date, zone: ZoneInfo) -> int:
    """The first instant at which the clocks of a zone show a date, or a later one where they skip it."""
    at = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) - DAY_SECONDS
    while wall_clock(zone, at).date() < day:
        at = _next_change(NEVER, zone, at)
    return at


def _is_open(calendar: Calendar, zone: ZoneInfo, at: float) -> bool:
    shown = wall_clock(zone, at)
    second = _second_of_day(shown)
    return any(opens <= second < closes for opens, closes in calendar.hours(shown.date()))


def _first(is_wanted: bool, calendar: Calendar, zone: ZoneInfo, at: float, horizon: float) -> float:
    """The first instant from `at` on when the calendar is open, or isn't; one after the horizon if there is none."""
    while at <= horizon and _is_open(calendar, zone, at) is not is_wanted:
        at = _next_change(calendar, zone, int(at))
    return at


def _next_change(calendar: Calendar, zone: ZoneInfo, at: int) -> int:
    """The next instant at which the answer can change: an edge of the hours, midnight, or a change of the clocks."""
    shown = wall_clock(zone, at)
    second = _second_of_day(shown)
    edges = [edge for hours in calendar.hours(shown.date()) for edge in hours if edge > second]
    later = at + min([*edges, DAY_SECONDS]) - second
    if _offset(zone, at) == _offset(zone, later):
        return later
    while later - at > 1:
        middle = (at + later) // 2
        if _offset(zone, middle) == shown.utcoffset():
            at = middle
        else:
            later = middle
    return later


def _second_of_day(shown: datetime) -> int:
    return shown.hour * 3600 + shown.minute * 60 + shown.second


def _offset(zone: ZoneInfo, at: float) -> object:
    return wall_clock(zone, at).utcoffset()
