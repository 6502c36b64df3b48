"""Read a file of requests, a table or JSON, row by row into queue messages.

Only the contract knows what a field may hold: here a row becomes the JSON that would be sent. What a spreadsheet has
rewritten is read where it can mean one thing only; else the row has an error with its column and what to do.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from calls.operations.phone_numbers import UnclearNumber, read_phone_number
from calls.operations.tables import (
    WORKBOOKS,
    Table,
    TableRow,
    UnreadableFile,
    column_name,
    decoded,
    read_file,
    read_table,
)
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput

__all__ = ["REQUESTS", "Columns", "RequestsFile", "Row", "UnreadableFile", "read_rows"]

_OBJECTS = ("dynamicVariables", "metadata")
_NESTED = ("callingWindows", "redial")

INVALID_ROW, INVALID_BECAUSE = "invalidRow", "invalidBecause"
"""The columns that a file of invalid rows has besides. They are for a person, and aren't read."""

_SPELLINGS = {
    "phoneNumber": "phone phoneno phonenr telephone telephonenumber telephoneno tel telno mobile mobilenumber mobileno "
    "mobilephone cell cellphone cellnumber numerodetelephone notelephone",
    "requestId": "requestno requestnumber",
    "customerName": "name fullname patientname clientname nom nomcomplet",
    "timeZone": "tz",
    "dynamicVariables": "dynamicvariable variables variable",
}
"""Other names of a column, as `_key` writes them."""

_ERRORS = frozenset({"#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!", "#spill!", "#calc!"})
_TIMES = frozenset({"notBefore", "notAfter", "until"})
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{1,2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]{1,9})?)? ?"
    r"(?:([Zz]|UTC)|([+-][0-9]{2}):?([0-9]{2}))"
)
_ONLY_TEXT = re.compile(r"'[+=0-9]")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a table may have.

    `plain` hold a text, `lists` several, separated by spaces, and `nested` a JSON value. `objects` have a column for
    each of their fields.
    """

    plain: tuple[str, ...]
    objects: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    required: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, as a person may write them."""
        return (*self.plain, *self.lists, *self.nested, *(f"{name}.NAME" for name in self.objects))

    def read(self, header: str) -> str | None:
        """The column that a cell of the header names, in any usual spelling; None where it names none."""
        outer, dot, inner = re.match(r"([^.:]*)([.:]?)(.*)", header, re.DOTALL).groups()  # type: ignore[union-attr]
        known = self.objects if dot else (*self.plain, *self.lists, *self.nested, INVALID_ROW, INVALID_BECAUSE)
        name = next((each for each in known if _key(outer) in (_key(each), *_SPELLINGS.get(each, "").split())), None)
        if name is None or (dot and not inner.strip()):
            return None
        return f"{name}.{inner.strip()}" if dot else name


def _key(text: str) -> str:
    """A name without what people write differently: case, accents, blanks, hyphens, underscores."""
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in letters if each.isalnum())


REQUESTS = Columns(
    tuple(sorted({str(field.alias) for field in CallRequestMessage.model_fields.values()} - {*_OBJECTS, *_NESTED})),
    _OBJECTS,
    nested=_NESTED,
    required="phoneNumber",
)
"""The columns of a file of requests."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the message to send, or the error that makes it unreadable.

    `number` counts as spreadsheets do: the header is usually row 1. For JSON lines it is the line number, and for a
    JSON array the position from 1. `columns` are the places of the fields, and `cells` the row as it is in the file.
    """

    number: int
    message: str
    error: InvalidInput | None = None
    columns: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    cells: Sequence[str] = field(default=(), repr=False, compare=False)

    def place(self, name: str) -> tuple[str, str] | None:
        """The column (B, C) of a field, and the text that the file has there."""
        column = self.columns.get(name)
        if column is None:
            return None
        return column_name(column + 1), self.cells[column] if column < len(self.cells) else ""


@dataclass(frozen=True)
class RequestsFile:
    """A file, read again each time that its rows are asked for: they are never all in memory.

    `country` is where numbers without a plus sign are from.
    """

    path: Path
    columns: Columns = REQUESTS
    country: str | None = None

    @cached_property
    def _content(self) -> bytes:
        return read_file(self.path)

    @cached_property
    def _table(self) -> Table:
        return read_table(self._content, self._suffix, lambda cell: self.columns.read(cell) is not None)

    @property
    def _suffix(self) -> str:
        return self.path.suffix.lower()

    @property
    def table(self) -> Table | None:
        """The file as a table; None for JSON."""
        return None if self._suffix in _JSON else self._table

    def rows(self) -> Iterator[Row]:
        """Its rows, in their order.

        Raises:
            UnreadableFile: When it has none, or where it stops to be readable.
        """
        if self._suffix in _JSON:
            return (self._json_row(row) for row in _JSON[self._suffix](decoded(self._content)))
        if self._suffix in _TABLES:
            return self._table_rows()
        raise UnreadableFile(f"the file name must end in one of {', '.join((*_TABLES, *_JSON))}")

    def _json_row(self, row: Row) -> Row:
        if row.error or not (value := _object(row.message)):
            return row
        number = value.get("phoneNumber")
        if not isinstance(number, str):
            return row
        read, error = _number(number, self.country)
        message = row.message if read == number else json.dumps(value | {"phoneNumber": read}, ensure_ascii=False)
        return Row(row.number, message, error)

    def _table_rows(self) -> Iterator[Row]:
        names = _names(self.columns, self._table.header)
        places = {name: place for place, name in enumerate(names) if name}
        for line in self._table.rows():
            content, error = self._fields(names, line)
            yield Row(line.number, json.dumps(content, ensure_ascii=False), error, places, line.cells)

    def _fields(self, names: Sequence[str], line: TableRow) -> tuple[dict[str, object], InvalidInput | None]:
        """The fields of one row, and the first error in it. An empty cell is an absent field."""
        error = _uneven(names, line.cells)
        fields: dict[str, object] = {}
        inner: dict[str, dict[str, str]] = {}
        for column, cell in zip(names, line.cells, strict=False):
            name, dot, key = column.partition(".")
            if not cell or name in {INVALID_ROW, INVALID_BECAUSE}:
                continue
            if cell.casefold() in _ERRORS:
                error = error or InvalidInput(column, "a value, not the error of a formula")
            if dot:
                inner.setdefault(name, {})[key] = _unmarked(cell)
            elif name in self.columns.lists:
                fields[name] = cell.split()
            elif name in self.columns.nested:
                fields[name] = _value(cell)
            elif name == "phoneNumber":
                fields[name], unclear = _number(cell, self.country)
                error = error or unclear
            else:
                fields[name] = _time(_unmarked(cell)) if name in _TIMES else _unmarked(cell)
        return fields | inner, error


def _uneven(names: Sequence[str], cells: Sequence[str]) -> InvalidInput | None:
    """The error of a row that doesn't fit under its header."""
    if len(cells) < len(names):
        return InvalidInput("row", f"as many cells as the header: {len(names)}, not {len(cells)}; it may be cut off")
    for place, cell in enumerate(cells):
        if cell and (place >= len(names) or not names[place]):
            return InvalidInput("row", f"no header above the value in column {column_name(place + 1)}")
    return None


def _number(text: str, country: str | None) -> tuple[str, InvalidInput | None]:
    try:
        return read_phone_number(text, country), None
    except UnclearNumber as error:
        return text, InvalidInput("phoneNumber", str(error))


def _time(cell: str) -> str:
    """A time as the contract wants it, where it has a day, a time and an offset; else the cell as it is."""
    if not (found := _TIME.fullmatch(cell)):
        return cell
    day, minute, second, utc, hours, minutes = found.groups()
    return f"{day}T{minute:0>5}{second or ':00'}{'Z' if utc else f'{hours}:{minutes}'}"


def read_rows(path: Path, columns: Columns = REQUESTS, country: str | None = None) -> list[Row]:
    """All rows of a file at once: a table with some of these columns, or JSON.

    Raises:
        UnreadableFile: When it is neither, or has other columns.
    """
    return list(RequestsFile(path, columns, country).rows())


def _json_lines(text: str) -> Iterator[Row]:
    start = 0
    for number in range(1, text.count("\n") + 2):
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        start = end + 1
        if line.strip():
            yield Row(number, line)


def _json_array(text: str) -> Iterator[Row]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableFile("the file isn't JSON; a file with one object per line ends in .jsonl") from None
    if not isinstance(values, list):
        raise UnreadableFile("the file isn't a JSON array of requests")
    for number, value in enumerate(values, start=1):
        yield Row(number, json.dumps(value, ensure_ascii=False))


def _json_lines_or_array(text: str) -> Iterator[Row]:
    return _json_array(text) if text.lstrip().startswith("[") else _json_lines(text)


_JSON: dict[str, Callable[[str], Iterator[Row]]] = {
    ".jsonl": _json_lines_or_array,
    ".ndjson": _json_lines_or_array,
    ".json": _json_array,
}
_TABLES = (".csv", ".tsv", ".txt", *WORKBOOKS)


def _names(known: Columns, header: Sequence[str]) -> list[str]:
    """The columns in the header. Errors don't repeat its words: in a file without a header they are a person's data."""
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name, letter = known.read(cell) if cell else "", column_name(number)
        if name is None:
            raise UnreadableFile(f"column {number} ({letter}) isn't one of {', '.join(known.names)}")
        if name and name in names:
            other = column_name(names.index(name) + 1)
            raise UnreadableFile(f"column {number} ({letter}) is a duplicate of {other}: both are {_shown(name)}")
        names.append(name)
    if known.required and known.required not in names:
        raise UnreadableFile(f"there is no column {known.required}")
    return names


def _shown(name: str) -> str:
    outer, dot, _ = name.partition(".")
    return f"{outer}.NAME" if dot else outer


def _unmarked(cell: str) -> str:
    """A cell without the apostrophe that makes a number or a formula a text."""
    return cell[1:] if _ONLY_TEXT.match(cell) else cell


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = from_json(text.encode(errors="surrogatepass"), allow_inf_nan=False)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _value(cell: str) -> object:
    """The JSON value in a cell; the text as it is where it's none, so that the contract says what belongs there."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
