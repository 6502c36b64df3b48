"""The dates of holidays, as they are stored with a policy, and what they close."""

from datetime import date

import pytest

from calls.operations.holiday_dates import YEARS_AHEAD, with_holiday_dates
from outbound_calls.contracts.policy import CallingPolicy, calendars, read_policy, read_stored_policy
from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.policy.calendars import next_opening, wall_clock
from outbound_calls.policy.rules import read_stored, resolve
from tests.unit.policy.parts import TORONTO, at

TODAY = date(2026, 11, 27)
QUEBEC = """{"callingWindows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}],
             "holidays": {"country": "CA", "subdivision": "QC"}}"""


def quebec() -> CallingPolicy:
    return read_policy(QUEBEC)


def test_the_dates_of_some_years_are_stored_with_the_document() -> None:
    stored = with_holiday_dates(quebec(), TODAY)

    assert stored.holiday_dates is not None
    dates = stored.holiday_dates["CA-QC"]
    assert dates.until == f"{TODAY.year + YEARS_AHEAD}-12-31" == "2031-12-31"
    assert {text[:4] for text in dates.dates} == {str(year) for year in range(2026, 2032)}
    assert read_stored_policy(stored.model_dump_json()) == stored
    assert read_policy(QUEBEC).wire() == {key: each for key, each in stored.wire().items() if key != "holidayDates"}


def test_a_document_without_holidays_is_stored_as_it_is() -> None:
    assert with_holiday_dates(read_policy("{}"), TODAY).wire() == {}


def test_every_part_of_a_document_gets_its_dates() -> None:
    document = read_policy(
        '{"organizations": {"boston": {"holidays": {"country": "US", "subdivision": "MA"}, '
        '"purposes": {"a": {"holidays": {"country": "FR"}}}}}, "purposes": {"b": {"holidays": {"country": "CA"}}}}'
    )

    assert (with_holiday_dates(document, TODAY).holiday_dates or {}).keys() == {"US-MA", "FR", "CA"}
    assert calendars(document).keys() == {"US-MA", "FR", "CA"}


@pytest.mark.parametrize(
    ("holiday", "opens"),
    [
        *(("2026-12-25", "2026-12-28"), ("2027-01-01", "2027-01-04")),
        # These move: Good Friday, the Monday before 25 May, the first Monday of September.
        *(("2027-03-26", "2027-03-29"), ("2028-04-14", "2028-04-17"), ("2029-03-30", "2029-04-02")),
        *(("2027-05-24", "2027-05-25"), ("2028-05-22", "2028-05-23"), ("2031-05-19", "2031-05-20")),
        *(("2027-09-06", "2027-09-07"), ("2030-09-02", "2030-09-03"), ("2027-06-24", "2027-06-25")),
    ],
)
def test_a_holiday_is_closed_in_every_year(holiday: str, opens: str) -> None:
    calendar = resolve(read_stored(with_holiday_dates(quebec(), TODAY).model_dump_json()), "open").calendar

    opening = next_opening(calendar, [time_zone(TORONTO)], at(f"{holiday} 00:00"))

    assert opening is not None
    assert wall_clock(time_zone(TORONTO), opening).isoformat(" ", "minutes")[:16] == f"{opens} 09:00"


@pytest.mark.parametrize("place", ['{"country": "XX"}', '{"country": "CA", "subdivision": "ZZ"}'])
def test_a_place_whose_holidays_are_not_known_is_refused(place: str) -> None:
    with pytest.raises(InvalidInput, match=r"^holidays: a country and subdivision whose holidays are known"):
        with_holiday_dates(read_policy(f'{{"holidays": {place}}}'), TODAY)
