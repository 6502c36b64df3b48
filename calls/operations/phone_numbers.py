"""Read a phone number as people and spreadsheets write it, as long as it can be one number only.

A wrong guess rings a stranger. So what has lost digits, or lacks its country, is an error that says what to do.
"""

from __future__ import annotations

import re
import unicodedata

from calls.operations.masking import masked
from outbound_calls.contracts.messages import PHONE_NUMBER_RULE

_E164 = re.compile(r"\+[1-9][0-9]{8,14}")
_PLAIN = re.compile(r"\+?[0-9]+")
_SCIENTIFIC = re.compile(r"\+?([0-9])(?:[.,]([0-9]+))?E\+?([0-9]{1,2})", re.IGNORECASE)
_DECIMAL = re.compile(r"(\+?[0-9]{9,15})[.,]0+")
_EXTENSION = re.compile(r"[0-9)]\s*(?:;?\s*ext|x|#|poste|p\.|;|,)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s().\-/]+")
_DASHES = dict.fromkeys((*range(0x2010, 0x2016), 0x2043, 0x2212), "-")
_MAX_DIGITS = 15

LOST_DIGITS = (
    "the spreadsheet has shortened this number and lost digits: format the column as text, enter the numbers again, "
    "and export again"
)
EXTENSION = "an extension can't be dialled: remove it"
LETTERS = "digits only: write the letters as digits"
SEVERAL = "one number, not several"
NO_COUNTRY = "a plus sign and the country code; for a national number, pass --country, such as --country CA"


class UnclearNumber(ValueError):
    """Not certainly one number. Its text is what to do, and holds no number but a masked one."""


def countries() -> frozenset[str]:
    """The codes of all countries with phone numbers (ISO 3166-1, two letters)."""
    import phonenumbers

    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def read_phone_number(text: str, country: str | None = None) -> str:
    """The number in E.164. One without a plus sign is read as people in `country` dial it.

    Raises:
        UnclearNumber: When it isn't certainly one number.
    """
    if _E164.fullmatch(text):
        return text
    number = _written(text)
    if found := _SCIENTIFIC.fullmatch(number):
        number = _expanded(*found.groups(default=""))
    elif _EXTENSION.search(number):
        raise UnclearNumber(EXTENSION if sum(map(str.isdigit, number)) <= _MAX_DIGITS + 5 else SEVERAL)
    plain = _SEPARATORS.sub("", number)
    if sum(map(str.isdigit, plain)) > _MAX_DIGITS + 2:
        raise UnclearNumber(SEVERAL)
    if not _PLAIN.fullmatch(plain):
        raise UnclearNumber(LETTERS if any(map(str.isalpha, plain)) else PHONE_NUMBER_RULE)
    if plain.startswith("+") and "(0)" not in number:
        return _checked(plain)
    return _dialled(number, plain, country)


def _written(text: str) -> str:
    """The text without what no one sees or dials: invisible characters, the mark of a text cell, a decimal .0."""
    shown = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    number = shown.translate(_DASHES).strip().removeprefix("'").strip()
    number = re.sub(r"^(?:tel|phone):\s*", "", number, flags=re.IGNORECASE)
    if found := _DECIMAL.fullmatch(number):
        return found[1]
    return number


def _expanded(first: str, rest: str, exponent: str) -> str:
    if len(rest) != int(exponent):
        raise UnclearNumber(LOST_DIGITS)
    return first + rest


def _checked(number: str) -> str:
    if not _E164.fullmatch(number):
        raise UnclearNumber(PHONE_NUMBER_RULE)
    return number


def _dialled(number: str, plain: str, country: str | None) -> str:
    """A number that has to be completed."""
    if plain.startswith("+"):
        country = None
    elif country is None:
        raise UnclearNumber(_remedy(plain))
    found = _valid(number, country)
    if found is None:
        meant = _valid(f"+{plain.removeprefix('00').lstrip('+')}")
        words = f"no valid number in {country}" if country else PHONE_NUMBER_RULE
        raise UnclearNumber(
            f"{words}; did you mean {masked(meant[0])}? Write it with the plus sign" if meant else words
        )
    return _checked(found[0])


def _remedy(plain: str) -> str:
    """What to do about a number without a plus sign."""
    if meant := _valid(f"+{plain.removeprefix('00')}"):
        # Spreadsheets take a number with a plus sign for a number.
        return f"did you mean {masked(meant[0])}? Write it with the plus sign, or pass --country {meant[1]}"
    if meant := _valid(f"+1{plain}"):
        return f"did you mean {masked(meant[0])}? Write it with +1, or pass --country {meant[1]}"
    return NO_COUNTRY


def _valid(text: str, country: str | None = None) -> tuple[str, str] | None:
    """A number in E.164, with the country that it is of; None where no plan has it."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return written, phonenumbers.region_code_for_number(number) or "CA"
