"""Which zones a number may be in: every area code of the North American plan, an example of every other country."""

import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, example_number, format_number
from phonenumbers.timezone import time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from outbound_calls.contracts.time_zones import time_zone_names
from outbound_calls.policy.number_zones import RecipientZones, ZoneSource, recipient_zones
from tests.unit.policy.parts import IN_NUNAVUT, IN_TORONTO, TOLL_FREE, TORONTO
from tools.number_zones import REVIEWED, behaviour, is_non_geographic, zones_of_countries

AREA_CODES = [str(code) for code in range(200, 1000)]
NAMED_BY_LIBPHONENUMBER: dict[str, set[str]] = {code: set() for code in AREA_CODES}
for prefix, zones in TIMEZONE_DATA.items():
    if prefix.startswith("1") and prefix[1:4] in NAMED_BY_LIBPHONENUMBER:
        NAMED_BY_LIBPHONENUMBER[prefix[1:4]].update(zones)
EXAMPLES = {
    country: example
    for code, countries in COUNTRY_CODE_TO_REGION_CODE.items()
    for country in countries
    if code != 1 and (example := example_number(country))
}
UNKNOWN_TO_LIBPHONENUMBER = "Etc/Unknown"


def zones_of(number: str, policy_zone: str | None = None) -> tuple[str, ...]:
    found = recipient_zones(number, None, policy_zone)
    return found.names if found else ()


def behaviours(zones: object) -> set[object]:
    """What their clocks show: zones that always show the same are one."""
    assert isinstance(zones, set | list | tuple)
    return {behaviour(zone) for zone in zones}


def test_a_geographic_number_may_be_in_every_zone_named_anywhere_under_its_area_code() -> None:
    for code, named in NAMED_BY_LIBPHONENUMBER.items():
        found = zones_of(f"+1{code}5550123", TORONTO)
        assert behaviours(found) >= behaviours(named), code
        if named:
            assert behaviours(found) == behaviours([*named, *REVIEWED.get(code, ())]), code


def test_only_reviewed_area_codes_may_be_in_more_zones() -> None:
    assert all(NAMED_BY_LIBPHONENUMBER[code] for code in REVIEWED)
    assert {zone for zones in REVIEWED.values() for zone in zones} <= time_zone_names()


def test_a_non_geographic_number_is_in_the_policys_zone_if_that_is_north_american() -> None:
    non_geographic = [code for code in AREA_CODES if is_non_geographic(code)]
    assert {"500", "800", "833", "844", "855", "866", "877", "888", "900"} <= set(non_geographic)

    for code in non_geographic:
        number = f"+1{code}5550123"
        assert recipient_zones(number, None, TORONTO) == RecipientZones((TORONTO,), ZoneSource.POLICY)
        for elsewhere in (None, "Europe/Paris", "UTC"):
            assert recipient_zones(number, None, elsewhere) is None


@pytest.mark.parametrize("zone", ["America/Montreal", "US/Eastern", "Pacific/Honolulu", "America/Puerto_Rico"])
def test_other_names_of_north_american_zones_are_known(zone: str) -> None:
    assert zones_of(TOLL_FREE, zone) == (zone,)


def test_the_zone_of_an_area_code_that_no_one_knows_is_unknown() -> None:
    unknown = [code for code, named in NAMED_BY_LIBPHONENUMBER.items() if not named and not is_non_geographic(code)]
    assert {"211", "911", "999"} <= set(unknown)

    assert [code for code in unknown if zones_of(f"+1{code}5550123", TORONTO)] == []


def test_an_exchange_that_the_data_does_not_list_is_in_all_zones_of_its_area_code() -> None:
    # libphonenumber itself answers Fort Nelson for Iqaluit, 2,500 km away.
    found = behaviours(zones_of(IN_NUNAVUT))

    places = ["America/Iqaluit", "America/Rankin_Inlet", "America/Whitehorse", "America/Edmonton"]
    assert found >= behaviours(["America/Fort_Nelson", "America/Vancouver", "America/Toronto", "America/Winnipeg"])
    assert found >= behaviours(places[:3])


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        ("+12505550123", "America/Creston"),
        ("+17785550123", "America/Edmonton"),
        ("+15815550123", "America/Halifax"),
        ("+14185550123", "America/Puerto_Rico"),
        ("+13065550123", "America/Edmonton"),
        ("+18075550123", "America/Atikokan"),
        ("+17095550123", "America/Goose_Bay"),
        ("+14585550123", "America/Boise"),
        ("+13645550123", "America/Chicago"),
        ("+14485550123", "America/Chicago"),
        ("+19305550123", "America/Chicago"),
        ("+16895550123", "America/New_York"),
        ("+13345550123", "America/New_York"),
        ("+19285550123", "America/Denver"),
    ],
)
def test_places_with_a_time_of_their_own_are_in_the_table(number: str, zone: str) -> None:
    assert behaviour(zone) in behaviours(zones_of(number))


@pytest.mark.parametrize("country", sorted(EXAMPLES))
def test_a_number_of_another_country_may_be_in_every_zone_of_it(country: str) -> None:
    example = EXAMPLES[country]
    found = recipient_zones(format_number(example, PhoneNumberFormat.E164), None, TORONTO)
    if country not in zones_of_countries():
        # Ascension and Tristan da Cunha share zones, Kosovo has none of its own: libphonenumber names them.
        assert country in {"AC", "TA", "XK"}
        assert (found is None) == (time_zones_for_number(example) == (UNKNOWN_TO_LIBPHONENUMBER,))
        return
    assert found is not None
    assert found.source is ZoneSource.NUMBER
    assert behaviours(found.names) >= behaviours(zones_of_countries()[country])


@pytest.mark.parametrize("number", ["+80012345678", "+8816123456789", "+9991234567", "+2101234567"])
def test_a_number_of_no_country_has_no_zone(number: str) -> None:
    assert recipient_zones(number, None, TORONTO) is None


def test_countries_that_share_a_calling_code_are_distinguished_where_it_matters() -> None:
    assert zones_of("+77012345678") == zones_of("+76012345678") == ("Asia/Almaty",)
    assert {"Europe/Kaliningrad", "Asia/Kamchatka", "Europe/Moscow"} <= set(zones_of("+74951234567"))


def test_the_requests_own_zone_comes_first() -> None:
    for number in (IN_TORONTO, TOLL_FREE, "+80012345678"):
        found = recipient_zones(number, "Asia/Tokyo", TORONTO)
        assert found == RecipientZones(("Asia/Tokyo",), ZoneSource.REQUEST)


def test_a_number_comes_before_the_policy() -> None:
    assert recipient_zones(IN_TORONTO, None, "America/Vancouver") == RecipientZones((TORONTO,), ZoneSource.NUMBER)


def test_the_sources_of_a_zone_as_they_are_stored_and_shown() -> None:
    assert [each.value for each in ZoneSource] == ["request", "number", "policy"]
