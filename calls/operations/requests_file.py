"""Read a file of requests, CSV or JSON lines, row by row into queue messages.

Only the contract knows what a field may hold: here a row becomes the JSON that would be sent, and nothing is checked.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput

_OBJECTS = ("dynamicVariables", "metadata")
_NESTED = ("callingWindows", "redial")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a CSV file may have.

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


REQUESTS = Columns(
    tuple(sorted({str(field.alias) for field in CallRequestMessage.model_fields.values()} - {*_OBJECTS, *_NESTED})),
    _OBJECTS,
    nested=_NESTED,
    required="phoneNumber",
)
"""The columns of a file of requests."""

_DELIMITERS = ",;\t"


class UnreadableFile(Exception):
    """Nothing in this file can be used. Says why, without any of its content."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the message to send, or the error that makes it unreadable.

    `number` counts as spreadsheets do: the header is row 1. For JSON lines it is the line number.
    """

    number: int
    message: str
    error: InvalidInput | None = None


def read_rows(path: Path, columns: Columns = REQUESTS) -> list[Row]:
    """Read a file: .csv with some of these columns, or .jsonl for JSON lines.

    Raises:
        UnreadableFile: When it is neither, isn't UTF-8, or has other columns.
    """
    readers: dict[str, Callable[[str], Iterator[Row]]]
    readers = {".csv": partial(_csv_rows, columns), ".jsonl": _json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"the file name must end in one of {', '.join(readers)}")
    try:
        # Spreadsheets write UTF-8 with or without a byte order mark. Newlines inside quotes stay as they are.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"the file isn't UTF-8: see byte {error.start}") from None
    except OSError as error:
        raise UnreadableFile(f"the file can't be read: {error.strerror}") from None
    return list(reader(text))


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Row(number, line)


def _csv_rows(known: Columns, text: str) -> Iterator[Row]:
    # In many countries spreadsheets separate cells by semicolons. No column name holds any of the delimiters.
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = next(rows, [])
        _check_columns(known, columns)
        for number, cells in enumerate(rows, start=2):
            if not any(cells):
                continue
            if len(cells) == len(columns):
                yield Row(number, json.dumps(_fields(known, columns, cells), ensure_ascii=False))
            else:
                yield Row(number, "", InvalidInput("row", f"as many cells as the header: {len(columns)}"))
    except csv.Error as error:
        raise UnreadableFile(f"the quotes don't match, at line {rows.line_num} or before: {error}") from None


def _check_columns(known: Columns, columns: Sequence[str]) -> None:
    """Check the header. Errors don't repeat its words: in a file without a header they are a person's data."""
    for number, column in enumerate(columns, start=1):
        name, dot, inner = column.partition(".")
        if not (column in {*known.plain, *known.lists, *known.nested} or (dot and inner and name in known.objects)):
            raise UnreadableFile(f"column {number} isn't one of {', '.join(known.names)}")
        if column in columns[: number - 1]:
            raise UnreadableFile(f"column {number} is a duplicate")
    if known.required and known.required not in columns:
        raise UnreadableFile(f"there is no column {known.required}")


def _fields(known: Columns, columns: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    """The fields of one row. An empty cell is an absent field."""
    fields: dict[str, object] = {}
    inner: dict[str, dict[str, str]] = {}
    for column, cell in zip(columns, cells, strict=True):
        name, dot, key = column.partition(".")
        if not cell:
            continue
        if dot:
            inner.setdefault(name, {})[key] = cell
        elif name in known.lists:
            fields[name] = cell.split()
        elif name in known.nested:
            fields[name] = _value(cell)
        else:
            fields[name] = cell
    return fields | inner


def _value(cell: str) -> object:
    """The JSON value in a cell; the text as it is where it's none, so that the contract says what belongs there."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
