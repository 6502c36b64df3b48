"""How often a number may be dialled: rolling times, calendar days in every possible zone, and whose dials count."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.domain.recipients import PastDial
from outbound_calls.policy.caps import allowed_from, counted
from outbound_calls.policy.rules import Cap
from tests.unit.policy.parts import TORONTO, VANCOUVER, at

ZONES = [time_zone(TORONTO)]


def dials(*times: float) -> list[PastDial]:
    return [PastDial(time) for time in times]


def test_below_a_cap_a_dial_is_allowed_now() -> None:
    assert allowed_from(Cap(2, per_days=1), dials(990), ZONES, 1000) == 1000
    assert allowed_from(Cap(1, per_seconds=60), [], ZONES, 1000) == 1000


@pytest.mark.parametrize(("now", "allowed"), [(1059.5, 1060), (1060, 1060), (1060.5, 1060.5)])
def test_a_rolling_cap_ends_to_the_second(now: float, allowed: float) -> None:
    assert allowed_from(Cap(1, per_seconds=60), dials(1000), ZONES, now) == allowed


def test_with_several_dials_the_one_that_makes_room_decides() -> None:
    past = dials(3000, 1000, 2000)

    assert allowed_from(Cap(3, per_seconds=5000), past, ZONES, 4000) == 6000
    assert allowed_from(Cap(2, per_seconds=5000), past, ZONES, 4000) == 7000
    assert allowed_from(Cap(1, per_seconds=5000), past, ZONES, 4000) == 8000


def test_a_cap_by_days_counts_calendar_days_today_included() -> None:
    late = dials(at("2026-11-27 21:00"))

    assert allowed_from(Cap(1, per_days=1), late, ZONES, at("2026-11-27 21:29")) == at("2026-11-28 00:00")
    assert allowed_from(Cap(1, per_days=2), late, ZONES, at("2026-11-27 21:29")) == at("2026-11-29 00:00")
    assert allowed_from(Cap(1, per_days=1), late, ZONES, at("2026-11-28 00:00")) == at("2026-11-28 00:00")


def test_with_several_zones_a_cap_by_days_must_hold_in_each() -> None:
    zones = [time_zone(TORONTO), time_zone(VANCOUVER)]
    # 00:30 in Toronto is the evening before in Vancouver.
    night = dials(at("2026-11-27 00:30"))

    assert allowed_from(Cap(1, per_days=1), night, zones, at("2026-11-27 09:00")) == at("2026-11-28 00:00")


def test_a_day_of_25_hours_is_one_day() -> None:
    before = dials(at("2026-11-01 00:10"))

    allowed = allowed_from(Cap(1, per_days=1), before, ZONES, before[0].at)

    assert allowed == at("2026-11-02 00:00") == at("2026-11-01 00:00") + 25 * 3600


def test_a_dial_has_no_organization_and_no_purpose_unless_they_are_given() -> None:
    assert PastDial(1) == PastDial(1, None, None)


def test_a_cap_without_a_span_allows_nothing() -> None:
    with pytest.raises(AssertionError, match=r"Cap\(calls=1"):
        allowed_from(Cap(1), dials(1000), ZONES, 1060)


def test_a_cap_counts_the_dials_of_its_own_level() -> None:
    past = [
        PastDial(1, None, None),
        PastDial(2, "north", None),
        PastDial(3, "north", "results"),
        PastDial(4, "default", "results"),
    ]

    def times(of_organization: bool, of_purpose: bool, organization: str | None) -> list[float]:
        cap = Cap(1, 1, of_organization=of_organization, of_purpose=of_purpose)
        return [dial.at for dial in counted(cap, past, organization, "results")]

    assert times(False, False, "north") == [1, 2, 3, 4]
    assert times(True, False, "north") == [2, 3]
    assert times(False, True, "north") == [3, 4]
    assert times(True, True, "north") == [3]
    assert times(True, False, None) == times(True, False, "default") == [1, 4]


def allowed_by_oracle(cap: Cap, past: list[float], zones: list[str], now: float) -> bool:
    if cap.per_seconds:
        return sum(now - time < cap.per_seconds for time in past) < cap.calls
    for zone in zones:
        today = datetime.fromtimestamp(now, time_zone(zone)).date()
        first = today - timedelta(days=(cap.per_days or 1) - 1)
        if sum(datetime.fromtimestamp(time, time_zone(zone)).date() >= first for time in past) >= cap.calls:
            return False
    return True


caps = st.builds(Cap, st.integers(1, 3), per_days=st.integers(1, 3)) | st.builds(
    Cap, st.integers(1, 3), per_seconds=st.integers(1, 72).map(lambda hours: hours * 3600)
)
START = int(at("2026-10-30 00:00", "UTC"))


@settings(max_examples=200, deadline=None)
@given(
    caps,
    st.lists(st.integers(0, 96).map(lambda hour: float(START + hour * 3600)), max_size=6),
    st.lists(st.sampled_from([TORONTO, VANCOUVER, "Asia/Tokyo", "Africa/Cairo", "UTC"]), min_size=1, max_size=3),
    st.integers(96, 120),
)
def test_a_cap_allows_a_dial_exactly_when_fewer_calls_lie_in_its_span(
    cap: Cap, past: list[float], zones: list[str], hour: int
) -> None:
    now = float(START + hour * 3600)
    clocks = [time_zone(zone) for zone in zones]

    allowed = allowed_from(cap, dials(*past), clocks, now)

    assert (allowed == now) == allowed_by_oracle(cap, past, zones, now)
    assert allowed_by_oracle(cap, past, zones, allowed)
    assert allowed == now or not allowed_by_oracle(cap, past, zones, allowed - 1)
