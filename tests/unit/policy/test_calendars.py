"""Whether a wall clock shows an open time. Compared with an oracle that walks it minute by minute."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.time_zones import time_zone, time_zone_names
from outbound_calls.policy.calendars import (
    DAY_SECONDS,
    NEVER,
    Calendar,
    _next_change,
    is_open,
    next_closing,
    next_opening,
    start_of,
    wall_clock,
)
from tests.unit.policy.parts import (
    AROUND_CHANGES,
    DAYS,
    MINUTE,
    ST_JOHNS,
    TORONTO,
    VANCOUVER,
    WEEKDAYS_9_TO_17,
    assert_it_is_what_the_wall_clock_shows,
    at,
    clock_shows_open,
    rules_of,
    zones_by_changes,
)


def calendar_of(document: Mapping[str, Any]) -> Calendar:
    return rules_of(document).calendar


def weekdays(opens: str = "09:00", closes: str = "17:00") -> Calendar:
    return calendar_of({"callingWindows": [WEEKDAYS_9_TO_17 | {"from": opens, "to": closes}]})


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        *(("2026-11-27 08:59:59.999", False), ("2026-11-27 09:00", True), ("2026-11-27 16:59:59.999", True)),
        *(("2026-11-27 17:00", False), ("2026-11-28 12:00", False)),
    ],
)
def test_from_is_inclusive_and_to_is_exclusive(shown: str, expected: bool) -> None:
    assert is_open(weekdays(), [time_zone(TORONTO)], at(shown)) is expected


def test_a_second_before_an_edge_the_edge_is_next() -> None:
    toronto = [time_zone(TORONTO)]

    assert next_opening(weekdays(), toronto, at("2026-11-27 08:59:59")) == at("2026-11-27 09:00")
    assert next_closing(weekdays(), toronto, at("2026-11-27 16:59:59")) == at("2026-11-27 17:00")


def test_a_window_may_end_at_midnight_and_the_next_day_may_follow_at_once() -> None:
    calendar = calendar_of(
        {
            "callingWindows": [
                {"days": ["fri"], "from": "22:00", "to": "24:00"},
                {"days": ["sat"], "from": "00:00", "to": "01:00"},
            ]
        }
    )
    toronto = [time_zone(TORONTO)]

    assert next_opening(calendar, toronto, at("2026-11-27 12:00")) == at("2026-11-27 22:00")
    assert next_closing(calendar, toronto, at("2026-11-27 22:00")) == at("2026-11-28 01:00")


def test_windows_that_overlap_close_once() -> None:
    calendar = calendar_of({"callingWindows": [WEEKDAYS_9_TO_17, WEEKDAYS_9_TO_17 | {"from": "12:00", "to": "19:00"}]})

    assert next_closing(calendar, [time_zone(TORONTO)], at("2026-11-27 10:00")) == at("2026-11-27 19:00")


@pytest.mark.parametrize("zones", [(ST_JOHNS, VANCOUVER), (VANCOUVER, ST_JOHNS)])
def test_it_is_open_while_every_zone_is(zones: tuple[str, ...]) -> None:
    clocks = [time_zone(zone) for zone in zones]
    opening, closing = at("2026-11-27 09:00", VANCOUVER), at("2026-11-27 17:00", ST_JOHNS)

    shown = [is_open(weekdays(), clocks, each) for each in (opening - 1, opening, closing - 1, closing)]

    assert shown == [False, True, True, False]
    assert next_opening(weekdays(), clocks, opening - 3600) == opening
    assert next_closing(weekdays(), clocks, opening) == closing


def test_where_no_clock_matters_it_is_always_open() -> None:
    assert is_open(weekdays(), [], 0)
    assert next_opening(weekdays(), [], 0) == 0
    assert next_closing(weekdays(), [], 0) is None


def test_hours_that_never_meet_never_open() -> None:
    zones = [time_zone(ST_JOHNS), time_zone(VANCOUVER)]

    assert next_opening(weekdays(closes="12:00"), zones, at("2026-11-27 00:00")) is None


def test_hours_that_meet_in_winter_only_open_then() -> None:
    zones = [time_zone("America/Denver"), time_zone("America/Phoenix")]

    opening = next_opening(weekdays(closes="10:00"), zones, at("2027-06-01 00:00"))

    assert opening == at("2027-11-08 09:00", "America/Denver")


def test_exceptions_come_before_holidays_and_windows() -> None:
    document = {
        "callingWindows": [WEEKDAYS_9_TO_17],
        "holidays": {"country": "CA"},
        "holidayDates": {"CA": {"until": "2030-12-31", "dates": ["2026-12-25", "2026-12-28", "2026-12-29"]}},
        "exceptions": [
            {"from": "2026-12-24", "to": "2026-12-25"},
            {"from": "2026-12-28", "to": "2026-12-28", "callingWindows": [WEEKDAYS_9_TO_17 | {"from": "13:00"}]},
        ],
    }
    opens = [
        next_opening(calendar_of(document), [time_zone(TORONTO)], at(f"2026-12-{day} 00:00")) for day in (23, 24, 29)
    ]

    assert opens == [at("2026-12-23 09:00"), at("2026-12-28 13:00"), at("2026-12-30 09:00")]


def test_where_exceptions_overlap_all_must_be_open() -> None:
    exceptions = [
        {"from": "2026-12-01", "to": "2026-12-31", "callingWindows": "always"},
        {"from": "2026-12-20", "to": "2026-12-25", "callingWindows": [WEEKDAYS_9_TO_17]},
        {"from": "2026-12-24", "to": "2026-12-24"},
    ]
    calendar = calendar_of({"callingWindows": [WEEKDAYS_9_TO_17], "exceptions": exceptions})

    hours = [calendar.hours(date(2026, 12, day)) for day in (19, 23, 24)]

    assert hours == [((0, DAY_SECONDS),), ((9 * 3600, 17 * 3600),), ()]


def test_an_opening_is_found_within_400_days() -> None:
    utc, start = [time_zone("UTC")], at("2026-01-01 00:00", "UTC")
    late = calendar_of(
        {"callingWindows": "always", "exceptions": [{"from": "2025-12-31", "to": "2027-02-04"}]},
    )

    assert next_opening(late, utc, start) == start + 400 * DAY_SECONDS
    assert next_opening(late, utc, start - 1) is None
    # Not open at the last moment that is looked at either.
    assert next_opening(late, utc, start - DAY_SECONDS) is None


def test_a_closing_is_found_within_400_days() -> None:
    utc, start = [time_zone("UTC")], at("2026-01-01 00:00", "UTC")
    late = calendar_of(
        {"callingWindows": "always", "exceptions": [{"from": "2027-02-05", "to": "2027-02-05"}]},
    )

    assert next_closing(late, utc, start) == start + 400 * DAY_SECONDS
    assert next_closing(late, utc, start - 1) is None
    assert next_closing(late, utc, start - DAY_SECONDS) is None


def test_a_calendar_that_never_closes_has_no_closing() -> None:
    every_day = calendar_of({"callingWindows": [{"days": list(DAYS), "from": "00:00", "to": "24:00"}]})

    assert next_closing(every_day, [time_zone(TORONTO)], at("2026-11-27 12:00")) is None
    assert every_day.is_always_open
    assert not weekdays().is_always_open


def test_windows_that_touch_are_one_window() -> None:
    halves = [
        {"days": list(DAYS), "from": "00:00", "to": "12:00"},
        {"days": list(DAYS), "from": "12:00", "to": "24:00"},
    ]

    assert calendar_of({"callingWindows": halves}).is_always_open


def test_hours_that_only_touch_have_no_time_in_common() -> None:
    afternoon = weekdays("12:00").week

    assert replace(weekdays(closes="12:00"), narrowed_to=afternoon).hours(date(2026, 11, 27)) == ()


def test_an_hour_that_is_skipped_never_opens_and_one_that_is_repeated_opens_twice() -> None:
    toronto = [time_zone(TORONTO)]
    sundays = calendar_of({"callingWindows": [{"days": ["sun"], "from": "02:00", "to": "02:30"}]})
    repeated = calendar_of({"callingWindows": [{"days": ["sun"], "from": "01:00", "to": "01:30"}]})
    first = at("2026-11-01 01:00")

    # On 8 March 2026 clocks went from 02:00 to 03:00.
    assert next_opening(sundays, toronto, at("2026-03-08 00:00")) == at("2026-03-15 02:00")
    assert next_opening(repeated, toronto, at("2026-11-01 00:00")) == first
    assert next_closing(repeated, toronto, first) == first + 30 * MINUTE
    assert next_opening(repeated, toronto, first + 30 * MINUTE) == first + 60 * MINUTE


def test_nothing_changes_before_the_clocks_do() -> None:
    clocks_change = at("2026-03-08 03:00")

    assert _next_change(NEVER, time_zone(TORONTO), int(clocks_change) - 3600) == clocks_change


def test_around_every_kind_of_clock_change_it_is_what_the_wall_clock_shows() -> None:
    changes = [(zone, change) for zone, changes in zones_by_changes(2026) for change in changes]
    assert len(changes) >= 30

    for zone, change in changes:
        assert_it_is_what_the_wall_clock_shows(AROUND_CHANGES, zone, change, hours=3)


clock_times = st.integers(0, 96).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@st.composite
def windows(draw: st.DrawFn) -> list[dict[str, Any]]:
    def window() -> dict[str, Any]:
        opens, closes = sorted(draw(st.lists(clock_times, min_size=2, max_size=2, unique=True)))
        days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
        return {"days": days, "from": opens, "to": closes}

    return [window() for _ in range(draw(st.integers(1, 3)))]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = {"callingWindows": draw(windows())}
    if draw(st.booleans()):
        first, days = draw(st.integers(1, 25)), draw(st.integers(0, 3))
        exception: dict[str, Any] = {"from": f"2026-11-{first:02}", "to": f"2026-11-{first + days:02}"}
        if draw(st.booleans()):
            exception["callingWindows"] = draw(windows())
        document["exceptions"] = [exception]
    return document


@settings(max_examples=80, deadline=None)
@given(documents(), st.lists(st.sampled_from(sorted(time_zone_names())), min_size=1, max_size=3), st.integers(0, 28))
def test_the_next_opening_is_the_first_minute_that_every_wall_clock_shows_as_open(
    document: dict[str, Any], zones: list[str], day: int
) -> None:
    calendar, clocks = calendar_of(document), [time_zone(zone) for zone in zones]
    start = int(at("2026-11-01 00:00", "UTC")) + day * DAY_SECONDS
    minutes = range(start, start + 3 * DAY_SECONDS, 15 * MINUTE)  # zones and windows are at quarters of an hour
    shown = [all(clock_shows_open(document, zone, minute) for zone in zones) for minute in minutes]
    opening = next((minute for minute, each in zip(minutes, shown, strict=True) if each), None)
    found = next_opening(calendar, clocks, start)

    assert found == opening if opening is not None else (found is None or found >= minutes.stop)


def test_the_start_of_a_date_is_the_first_instant_that_shows_it() -> None:
    # Clocks in Cairo skip the first hour of 24 April 2026; Apia skipped 30 December 2011 altogether.
    for zone, day in (
        *((TORONTO, date(2026, 11, 27)), (TORONTO, date(2026, 3, 8)), (TORONTO, date(2026, 11, 1))),
        *(("Africa/Cairo", date(2026, 4, 24)), ("Pacific/Apia", date(2011, 12, 30)), ("UTC", date(2026, 1, 1))),
    ):
        start = start_of(day, time_zone(zone))
        assert wall_clock(time_zone(zone), start).date() >= day
        assert wall_clock(time_zone(zone), start - 1).date() < day
