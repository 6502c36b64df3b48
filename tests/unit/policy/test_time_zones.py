"""Time zones come from the pinned tzdata package, whatever the system has."""

import re
from importlib.metadata import version

import pytest
from pydantic import TypeAdapter, ValidationError

from outbound_calls.contracts.time_zones import (
    TIME_ZONE_DATA_VERSION,
    TimeZoneName,
    time_zone,
    time_zone_names,
)
from tests.tables import ROOT
from tests.unit.policy.parts import clock_changes

ZONE = TypeAdapter[str](TimeZoneName)


def test_the_data_is_that_of_the_pinned_package() -> None:
    year, number = version("tzdata").split(".")

    assert f"{year}{chr(ord('a') + int(number) - 1)}" == TIME_ZONE_DATA_VERSION


def test_british_columbia_and_alberta_stopped_changing_their_clocks_in_2026() -> None:
    for zone in ("America/Vancouver", "America/Edmonton"):
        assert len(clock_changes(zone, 2025)) == 2
        assert clock_changes(zone, 2027) == ()


def test_no_other_module_makes_a_time_zone() -> None:
    sources = [*ROOT.glob("layers/outbound_calls/**/*.py"), *ROOT.glob("calls/**/*.py")]
    makers = [path.name for path in sources if re.search(r"ZoneInfo\.|ZoneInfo\(", path.read_text())]

    assert makers == ["time_zones.py"]


def test_every_name_that_is_valid_has_a_zone() -> None:
    for name in time_zone_names():
        assert time_zone(ZONE.validate_python(name)).key == name


@pytest.mark.parametrize(
    "name",
    ["", "Toronto", "america/toronto", "America/Toronto ", "America/", "Factory", "..", "../zones", "/etc/localtime"],
)
def test_any_other_name_is_invalid(name: str) -> None:
    with pytest.raises(ValidationError):
        ZONE.validate_python(name)
