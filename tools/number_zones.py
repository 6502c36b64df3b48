"""Writes layers/outbound_calls/outbound_calls/policy/number_zones.json: which time zones a phone number may be in.

python -m tools.number_zones    writes the file again, from the pinned `phonenumbers` and `tzdata`

Area codes of the North American plan get every zone that libphonenumber names anywhere under them, and those of
`REVIEWED`. Other calling codes get every zone of their countries. Of zones whose clocks show the same from 2026 on, one
is kept. libphonenumber's own answers aren't enough: it gives unlisted exchanges of an area code only one of its zones.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import phonenumbers
import tzdata
from phonenumbers import PhoneNumberType
from phonenumbers.tzdata import TIMEZONE_DATA

from outbound_calls.contracts.time_zones import TIME_ZONE_DATA_VERSION, time_zone

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "layers/outbound_calls/outbound_calls/policy/number_zones.json"
NORTH_AMERICA = 1
FROM, UNTIL = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2026, 2038))

_PLACES = Path(tzdata.__file__).parent / "zoneinfo"

BRITISH_COLUMBIA = ("America/Vancouver", "America/Fort_Nelson", "America/Edmonton", "America/Creston")
SASKATCHEWAN = ("America/Regina", "America/Edmonton", "America/Winnipeg")
EASTERN_QUEBEC = ("America/Toronto", "America/Halifax", "America/Puerto_Rico")
NEWFOUNDLAND_AND_LABRADOR = ("America/St_Johns", "America/Goose_Bay", "America/Halifax")
IDAHO = ("America/Boise", "America/Denver", "America/Los_Angeles")
EASTERN_OREGON = ("America/Los_Angeles", "America/Boise", "America/Denver")
CENTRAL_AND_EASTERN = ("America/Chicago", "America/New_York")
CENTRAL_AND_MOUNTAIN = ("America/Chicago", "America/Denver")

REVIEWED: dict[str, tuple[str, ...]] = {
    # Overlays cover the same places as the older code, but the data has a single zone for them.
    **dict.fromkeys(("236", "250", "257", "672", "778"), BRITISH_COLUMBIA),
    **dict.fromkeys(("306", "474", "639"), SASKATCHEWAN),  # Lloydminster keeps Alberta's time, Creighton Manitoba's
    **dict.fromkeys(("367", "418", "581"), EASTERN_QUEBEC),  # the Magdalen Islands, and Blanc-Sablon all year
    **dict.fromkeys(("709", "879"), NEWFOUNDLAND_AND_LABRADOR),
    **dict.fromkeys(("208", "986"), IDAHO),
    **dict.fromkeys(("458", "541"), EASTERN_OREGON),  # Malheur County
    **dict.fromkeys(("270", "364"), CENTRAL_AND_EASTERN),  # western Kentucky
    **dict.fromkeys(("448", "850"), CENTRAL_AND_EASTERN),  # Florida's panhandle
    **dict.fromkeys(("812", "930"), CENTRAL_AND_EASTERN),  # southern Indiana
    # Places that keep another time than the data has for them.
    "867": (
        *("America/Whitehorse", "America/Inuvik", "America/Cambridge_Bay", "America/Rankin_Inlet", "America/Resolute"),
        *("America/Iqaluit", "America/Atikokan"),  # Coral Harbour doesn't change its clocks
    ),
    "807": ("America/Toronto", "America/Winnipeg", "America/Atikokan"),  # Atikokan doesn't change its clocks
    "334": CENTRAL_AND_EASTERN,  # Phenix City keeps Eastern time
    "432": CENTRAL_AND_MOUNTAIN,  # Culberson County
    "580": CENTRAL_AND_MOUNTAIN,  # Kenton, Oklahoma
    "689": ("America/New_York",),  # Orlando; the data says Chicago
}
"""Zones to add to those that the data names under an area code. None is ever removed."""

REVIEWED_PREFIXES: dict[str, tuple[str, ...]] = {
    # Kazakhstan shares its calling code with Russia.
    "76": ("KZ",),
    "77": ("KZ",),
}
"""The countries of the numbers that begin so."""

NON_GEOGRAPHIC = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.UAN,
}
_LINES = ("2002000", "2345678", "5550123", "9999999")


def table() -> dict[str, object]:
    """The contents of the file."""
    return {
        "source": f"libphonenumber {version('phonenumbers')}, tzdata {TIME_ZONE_DATA_VERSION}",
        "areaCodes": {code: " ".join(zones) for code in AREA_CODES if (zones := area_code_zones(code))},
        "nonGeographicAreaCodes": " ".join(filter(is_non_geographic, AREA_CODES)),
        "callingCodes": {
            prefix: " ".join(zones) for prefix, countries in prefixes() if (zones := country_zones(prefix, countries))
        },
        "northAmericanZones": " ".join(sorted(north_american_zones())),
    }


AREA_CODES = [str(code) for code in range(200, 1000)]


def area_code_zones(code: str) -> list[str]:
    """Every zone that a number with this area code may be in."""
    start = f"{NORTH_AMERICA}{code}"
    named = {zone for prefix, zones in TIMEZONE_DATA.items() if prefix.startswith(start) for zone in zones}
    return distinct([*REVIEWED.get(code, ()), *sorted(named)]) if named else []


def is_non_geographic(code: str) -> bool:
    """Whether numbers with this area code are toll-free, or otherwise of no place."""
    numbers = (phonenumbers.PhoneNumber(country_code=1, national_number=int(code + line)) for line in _LINES)
    return any(phonenumbers.number_type(number) in NON_GEOGRAPHIC for number in numbers)


def prefixes() -> list[tuple[str, tuple[str, ...]]]:
    """Every calling code but North America's, and the prefixes of countries that share one, with their countries."""
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    shared = [(str(code), countries) for code, countries in codes if code != NORTH_AMERICA]
    return sorted([*shared, *REVIEWED_PREFIXES.items()])


def country_zones(prefix: str, countries: Iterable[str]) -> list[str]:
    """Every zone of these countries, and those that libphonenumber names for all numbers that begin so."""
    places = [zone for country in countries for zone in zones_of_countries().get(country, ())]
    named = () if prefix in REVIEWED_PREFIXES else TIMEZONE_DATA.get(prefix, ())
    return distinct([*places, *named])


@cache
def zones_of_countries() -> dict[str, list[str]]:
    """The zones of each country, the first as tzdata has it."""
    countries: dict[str, list[str]] = {}
    for line in (_PLACES / "zone.tab").read_text().splitlines():
        if not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            countries.setdefault(country, []).append(zone)
    return countries


def north_american_zones() -> set[str]:
    """Every name of a zone whose clocks show what those of a place in the North American plan do."""
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[NORTH_AMERICA]
    own = {zone for country in countries for zone in zones_of_countries().get(country, ())}
    return own | {alias for alias, zone in aliases().items() if zone in own}


@cache
def aliases() -> dict[str, str]:
    """Other names of zones."""
    lines = (line.split() for line in (_PLACES / "tzdata.zi").read_text().splitlines())
    return {alias: zone for kind, zone, alias in (line for line in lines if line[:1] == ["L"]) if kind}


def distinct(zones: Iterable[str]) -> list[str]:
    """The first zone of each behaviour from 2026 on."""
    kept: dict[object, str] = {}
    for zone in zones:
        kept.setdefault(behaviour(zone), zone)
    return list(kept.values())


@cache
def behaviour(zone: str) -> tuple[tuple[int, object], ...]:
    """Each change of a zone's clocks from 2026 on, and what they show after it."""
    day, changes = 86_400, [(FROM, offset(zone, FROM))]
    for at in range(FROM, UNTIL, day):
        if offset(zone, at + day) != changes[-1][1]:
            first = bisect_left(range(at, at + day), True, key=lambda at: offset(zone, at) != changes[-1][1])
            changes.append((at + first, offset(zone, at + day)))
    return tuple(changes)


def offset(zone: str, at: int) -> object:
    """How far the clocks of a zone are from UTC."""
    return datetime.fromtimestamp(at, time_zone(zone)).utcoffset()


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(table(), indent=1) + "\n")


if __name__ == "__main__":
    main()
