"""What a spreadsheet rewrites when it opens and saves a file: dates, times, numbers, blanks, TRUE and FALSE.

Two texts with the same `canonical` form may be one text, rewritten. `certain` distinguishes those that only look so: no
one can tell whether 12/1/2026 and 1/12/2026 are one day, because a spreadsheet writes days as its country does.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Any

_DIGIT = re.compile("[0-9]")
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})")
_DAY_NAMED = re.compile(r"([0-9]{1,2})[- ]([a-z]{3,9})\.?[- ,]+([0-9]{4}|[0-9]{2})")
_MONTH_NAMED = re.compile(r"([a-z]{3,9})\.? ([0-9]{1,2}),? ([0-9]{4})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.0+)?)?(?: ?([ap])\.?m\.?)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:[.,][0-9]{1,20})?(?:e\+?[0-9]{1,2})?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@lru_cache(maxsize=4096)  # a column of dates or times holds few different ones
def canonical(text: str, *, certain: bool = False) -> str:
    """One form for all texts that a spreadsheet may have made of the same one. A plain text stays as it is."""
    plain = " ".join(unicodedata.normalize("NFC", text).split()).removeprefix("'")
    low = plain.casefold()
    if low in {"true", "false"}:
        return low
    if not _DIGIT.search(low):
        return plain
    if _NUMBER.fullmatch(low):
        return _number(low)
    day, blank, time = low.replace("t", " ", 1).partition(" ") if _YEAR_FIRST.match(low) else low.partition(" ")
    if found := _time(low):
        return found
    if found := _date(low, certain):
        return found
    if blank and (date := _date(day, certain)) and (found := _time(time)):
        # A date cell with a time of midnight is a date.
        return date if found == "0:00" else f"{date} {found}"
    return plain


def canonical_value(value: Any, *, certain: bool) -> Any:
    """A JSON value with every text in it in its canonical form."""
    match value:
        case str():
            return canonical(value, certain=certain)
        case dict():
            return {name: canonical_value(each, certain=certain) for name, each in value.items()}
        case list():
            return [canonical_value(each, certain=certain) for each in value]
        case _:
            return value


def _number(text: str) -> str:
    number = format(Decimal(text.replace(",", ".")), "f")
    whole, point, part = number.partition(".")
    part = part.rstrip("0") if point else ""
    return f"{whole}.{part}" if part else whole


def _time(text: str) -> str | None:
    if not (found := _TIME.fullmatch(text)):
        return None
    hour, minute, second, half = found.groups()
    hours = int(hour) if half is None else int(hour) % 12 + (12 if half == "p" else 0)
    return f"{hours}:{minute}" + (f":{second}" if second and int(second) else "")


def _date(text: str, certain: bool) -> str | None:
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = map(int, found.groups())
    elif found := _YEAR_LAST.fullmatch(text):
        first, second, year = map(int, found.groups())
        if certain and first <= 12 and second <= 12 and first != second:
            return f"{first}/{second}/{_full(year)}"
        day, month = (first, second) if first > 12 else (second, first)
    elif found := _DAY_NAMED.fullmatch(text):
        day, month, year = int(found[1]), _month(found[2]), int(found[3])
    elif found := _MONTH_NAMED.fullmatch(text):
        day, month, year = int(found[2]), _month(found[1]), int(found[3])
    else:
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if not certain:
        month, day = sorted((month, day)) if day <= 12 else (month, day)
    return f"{_full(year)}-{month}-{day}"


def _full(year: int) -> int:
    return year + 2000 if year < 100 else year


def _month(name: str) -> int:
    return next((number for number, month in enumerate(_MONTHS, start=1) if name.startswith(month)), 0)
