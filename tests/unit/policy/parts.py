"""What the tests of policy share: documents, rules, instants, and an oracle that reads the wall clock itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from outbound_calls.contracts.policy import read_stored_policy
from outbound_calls.contracts.time_zones import time_zone, time_zone_names
from outbound_calls.policy.calendars import is_open, next_closing, next_opening
from outbound_calls.policy.evaluation import Candidate
from outbound_calls.policy.rules import Policy, Rules, read_stored, resolve

type Document = dict[str, Any]

TORONTO, VANCOUVER, ST_JOHNS = "America/Toronto", "America/Vancouver", "America/St_Johns"
IN_TORONTO, TOLL_FREE, IN_NUNAVUT = "+14165550123", "+18005550123", "+18679755123"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAYS_9_TO_17: Document = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}


def stored(document: Mapping[str, Any]) -> Policy:
    """The document as the stack keeps it, and functions read it."""
    return read_stored(read_stored_policy(json.dumps(document)).model_dump_json())


def rules_of(document: Mapping[str, Any] | None = None, preset: str = "open", **names: str | None) -> Rules:
    """The rules of a document as a person would write it."""
    return resolve(stored(document or {}), preset, **names)


def at(text: str, zone: str = TORONTO) -> float:
    """The instant at which a zone's clocks show a time, the first one where they show it twice."""
    return datetime.fromisoformat(text).replace(tzinfo=time_zone(zone)).timestamp()


def candidate(**changes: Any) -> Candidate:
    fields: dict[str, Any] = {"name": "visit-2031/1", "phone_number": IN_TORONTO, "created_at": at("2026-11-25 12:00")}
    return Candidate(**fields | changes)


def clock_shows_open(document: Mapping[str, Any], zone: str, instant: float) -> bool:
    """The oracle: compares the texts of the document with the text of the wall clock."""
    shown = datetime.fromtimestamp(instant, time_zone(zone))
    day, hour = shown.strftime("%Y-%m-%d"), shown.strftime("%H:%M")
    exceptions = [each for each in document.get("exceptions", []) if each["from"] <= day <= each["to"]]
    if exceptions:
        return all(_open(each.get("callingWindows", []), shown.weekday(), hour) for each in exceptions)
    return day not in document.get("holidays", []) and _open(document["callingWindows"], shown.weekday(), hour)


def _open(windows: str | Sequence[Mapping[str, Any]], weekday: int, hour: str) -> bool:
    return windows == "always" or any(
        isinstance(each, Mapping) and DAYS[weekday] in each["days"] and each["from"] <= hour < each["to"]
        for each in windows
    )


@cache
def clock_changes(zone: str, year: int) -> tuple[int, ...]:
    """The hours of a year, in epoch seconds, within which a zone's clocks change."""
    clock, day = time_zone(zone), 86_400
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())

    def changes(first: int, step: int, count: int) -> Iterator[int]:
        moments = range(first, first + step * (count + 1), step)
        offsets = [datetime.fromtimestamp(moment, clock).utcoffset() for moment in moments]
        return (moment for moment, one, other in zip(moments, offsets, offsets[1:], strict=False) if one != other)

    return tuple(hour for found in changes(start, day, 366) for hour in changes(found, 3600, 24))


def zones_by_changes(year: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A zone for each way in which clocks change in a year, out of all IANA zones."""
    seen = set()
    for zone in sorted(time_zone_names()):
        changes = clock_changes(zone, year)
        kind = (changes, *(datetime.fromtimestamp(hour, time_zone(zone)).utcoffset() for hour in changes))
        if changes and kind not in seen:
            seen.add(kind)
            yield zone, changes


MINUTE = 60
AROUND_CHANGES = {
    "callingWindows": [
        {"days": list(DAYS), "from": "00:00", "to": "00:30"},
        {"days": list(DAYS), "from": "01:15", "to": "01:45"},
        {"days": list(DAYS), "from": "02:00", "to": "03:00"},
        {"days": list(DAYS), "from": "03:30", "to": "23:30"},
    ]
}
"""Edges within the hours in which clocks change anywhere, and an hour that some skip or repeat as a whole."""


def assert_it_is_what_the_wall_clock_shows(document: Document, zone: str, around: int, hours: int) -> None:
    """Compare with the oracle at each minute of some hours before and after an instant."""
    calendar, clocks = rules_of(document).calendar, [time_zone(zone)]
    minutes = range(around - hours * 3600, around + hours * 3600, MINUTE)
    shown = [clock_shows_open(document, zone, minute) for minute in minutes]
    assert [is_open(calendar, clocks, minute) for minute in minutes] == shown, zone
    for wanted, find in ((True, next_opening), (False, next_closing)):
        ahead = None
        for minute, each in zip(reversed(minutes), reversed(shown), strict=True):
            ahead = minute if each is wanted else ahead
            if ahead is not None and minute % (20 * MINUTE) == 0:
                assert find(calendar, clocks, minute) == ahead, (zone, minute)
