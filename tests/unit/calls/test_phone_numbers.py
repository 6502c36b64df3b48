"""A number is read only where it can be one number, and never with digits that were lost."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.operations.phone_numbers import (
    EXTENSION,
    LETTERS,
    LOST_DIGITS,
    NO_COUNTRY,
    SEVERAL,
    UnclearNumber,
    countries,
    read_phone_number,
)
from outbound_calls.contracts.messages import PHONE_NUMBER_RULE


@pytest.mark.parametrize(
    "text",
    [
        "+15145550199",
        " +15145550199\u00a0",
        "\ufeff\u200e+15145550199\u202c",
        "'+15145550199",
        "+1 (514) 555-0199",
        "+1.514.555.0199",
        "+1\u2011514\u2011555\u20110199",
        "+1/514/5550199",
        "tel:+1-514-555-0199",
        "\uff0b\uff11\uff15\uff11\uff14\uff15\uff15\uff15\uff10\uff11\uff19\uff19",
        "+15145550199.0",
    ],
)
def test_a_number_with_its_country_code_is_read_however_it_is_written(text: str) -> None:
    assert read_phone_number(text) == read_phone_number(text, "FR") == "+15145550199"


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("5145550199", "CA", "+15145550199"),
        ("(514) 555-0199", "US", "+15145550199"),
        ("1-514-555-0199", "CA", "+15145550199"),
        # What spreadsheets make of +15145550199.
        ("15145550199", "CA", "+15145550199"),
        ("15145550199.0", "CA", "+15145550199"),
        ("15145550199,00", "CA", "+15145550199"),
        ("1.5145550199E+10", "CA", "+15145550199"),
        ("1,5145550199E+10", "CA", "+15145550199"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("33612345678", "FR", "+33612345678"),
        ("0033 6 12 34 56 78", "FR", "+33612345678"),
        ("011 33 6 12 34 56 78", "CA", "+33612345678"),
        ("+44 (0)20 7183 8750", None, "+442071838750"),
    ],
)
def test_a_number_is_completed_where_its_country_is_known(text: str, country: str | None, number: str) -> None:
    assert read_phone_number(text, country) == number


@pytest.mark.parametrize("country", [None, "CA"])
@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("1.51E+10", LOST_DIGITS),
        ("1.5146E+10", LOST_DIGITS),
        ("1.514555019E+10", LOST_DIGITS),
        ("+1.50056E+11", LOST_DIGITS),
        ("+1 514 555 0199 x12", EXTENSION),
        ("514-555-0199 ext. 12", EXTENSION),
        ("514-555-0199 poste 12", EXTENSION),
        ("1-800-FLOWERS", LETTERS),
        ("unknown", LETTERS),
        ("+15145550199 / +15145550198", SEVERAL),
        ("+1514555", PHONE_NUMBER_RULE),
        ("+05145550199", PHONE_NUMBER_RULE),
        ("++15145550199", PHONE_NUMBER_RULE),
        ("-", PHONE_NUMBER_RULE),
        ("*67", PHONE_NUMBER_RULE),
    ],
)
def test_what_is_not_one_number_has_its_remedy(text: str, country: str | None, remedy: str) -> None:
    with pytest.raises(UnclearNumber) as error:
        read_phone_number(text, country)

    assert str(error.value) == remedy


@pytest.mark.parametrize(
    ("text", "country", "remedy"),
    [
        ("15145550199", None, "did you mean +1514•••••99? Write it with the plus sign, or pass --country CA"),
        ("0033612345678", None, "did you mean +3361•••••78? Write it with the plus sign, or pass --country FR"),
        ("5145550199", None, "did you mean +1514•••••99? Write it with +1, or pass --country CA"),
        ("2125550199", None, "did you mean +1212•••••99? Write it with +1, or pass --country US"),
        ("0612345678", None, NO_COUNTRY),
        ("15145550199", "FR", "no valid number in FR; did you mean +1514•••••99? Write it with the plus sign"),
        ("555-0199", "CA", "no valid number in CA"),
        ("514555019", "CA", "no valid number in CA"),
    ],
)
def test_a_number_without_its_country_is_not_guessed(text: str, country: str | None, remedy: str) -> None:
    with pytest.raises(UnclearNumber) as error:
        read_phone_number(text, country)

    assert str(error.value) == remedy


@given(st.text(st.sampled_from("0123456789+-(). xE/,;'\u00a0abc"), max_size=24), st.sampled_from([None, "CA", "GB"]))
def test_any_text_is_a_number_with_all_of_its_digits_or_an_error(text: str, country: str | None) -> None:
    with suppress(UnclearNumber):
        number = read_phone_number(text, country)

        assert read_phone_number(number) == number
        # What people dial before a national or international number isn't part of it.
        digits = "".join(filter(str.isdigit, text.upper().partition("E")[0]))
        assert number[-7:] in digits


def test_there_are_countries() -> None:
    assert {"CA", "US", "FR"} <= countries()
