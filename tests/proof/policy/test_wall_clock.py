"""No one is dialled at a time that their wall clock doesn't show as open: every zone, every change of its clocks."""

import pytest

from outbound_calls.contracts.time_zones import time_zone_names
from tests.unit.policy.parts import AROUND_CHANGES, assert_it_is_what_the_wall_clock_shows, clock_changes

pytestmark = pytest.mark.proof
YEARS = (2026, 2027, 2030)


@pytest.mark.parametrize("year", YEARS)
def test_every_iana_zone_around_every_change_of_its_clocks(year: int) -> None:
    changes = [(zone, change) for zone in sorted(time_zone_names()) for change in clock_changes(zone, year)]

    for zone, change in changes:
        assert_it_is_what_the_wall_clock_shows(AROUND_CHANGES, zone, change, hours=26)
    figures = f"{year}: {len(time_zone_names())} zones, {len(changes)} changes, minute by minute for 52 hours each"
    print(figures)  # noqa: T201 - figures are for people


def test_a_zone_without_changes_is_what_its_wall_clock_shows_too() -> None:
    for zone in sorted(time_zone_names()):
        assert_it_is_what_the_wall_clock_shows(AROUND_CHANGES, zone, 1_800_000_000, hours=13)
