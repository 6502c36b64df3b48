"""The dates of public holidays, computed when a policy is set: too slow for a function, and its rules change."""

import json
from collections.abc import Iterator
from datetime import date

from outbound_calls.contracts.policy import (
    MAX_STORED_POLICY_BYTES,
    CallingPolicy,
    HolidayCalendar,
    StoredPolicy,
    calendars,
    read_stored_policy,
)
from outbound_calls.contracts.wire import InvalidInput

YEARS_AHEAD = 5
ROOM_FOR_PAUSES_BYTES = 32 * 1024
"""Enough to pause every organization that a document can name."""


def with_holiday_dates(policy: CallingPolicy, today: date) -> StoredPolicy:
    """The document with the dates of the holidays that it names, for this year and some years ahead.

    Raises:
        InvalidInput: When it names a country or subdivision whose holidays aren't known, or too many of them.
    """
    named = {name: _dates(calendar, today.year) for name, calendar in calendars(policy).items()}
    document = policy.wire() | ({"holidayDates": named} if named else {})
    text = json.dumps(document, ensure_ascii=False)
    if len(text.encode()) > MAX_STORED_POLICY_BYTES - ROOM_FOR_PAUSES_BYTES:
        raise InvalidInput("holidays", "fewer calendars: the dates of these take too much room")
    return read_stored_policy(text)


def holiday_errors(policy: CallingPolicy, today: date) -> Iterator[InvalidInput]:
    """An error for each calendar whose holidays aren't known."""
    for calendar in calendars(policy).values():
        try:
            _dates(calendar, today.year)
        except InvalidInput as error:
            yield error


def _dates(calendar: HolidayCalendar, year: int) -> dict[str, object]:
    # Takes a fifth of a second, and no other command needs it.
    import holidays

    last = year + YEARS_AHEAD
    try:
        found = holidays.country_holidays(calendar.country, calendar.subdivision, years=range(year, last + 1))
    except NotImplementedError:
        rule = f"a country and subdivision whose holidays are known, which those of {calendar.name} aren't"
        raise InvalidInput("holidays", rule) from None
    return {"until": f"{last}-12-31", "dates": sorted(day.isoformat() for day in found)}
