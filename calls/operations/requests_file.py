"""Read a file of requests, CSV or JSON lines, row by row into queue messages.

Only the contract knows what a field may hold: here a row becomes the JSON that would be sent, and nothing is checked.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput

_FIELDS = {str(field.alias) for field in CallRequestMessage.model_fields.values()}
_OBJECTS = ("dynamicVariables", "metadata")
_PLAIN = sorted(_FIELDS - {*_OBJECTS})
COLUMNS = (*_PLAIN, *(f"{name}.NAME" for name in _OBJECTS))
"""The columns that a CSV file may have."""

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


def read_rows(path: Path) -> list[Row]:
    """Read a file: .csv, or .jsonl for JSON lines.

    Raises:
        UnreadableFile: When it is neither, isn't UTF-8, or has columns that the contract doesn't know.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
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


def _csv_rows(text: str) -> Iterator[Row]:
    # In many countries spreadsheets separate cells by semicolons. No column name holds any of the delimiters.
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = next(rows, [])
        _check_columns(columns)
        for number, cells in enumerate(rows, start=2):
            if not any(cells):
                continue
            if len(cells) == len(columns):
                yield Row(number, json.dumps(_fields(columns, cells), ensure_ascii=False))
            else:
                yield Row(number, "", InvalidInput("row", f"as many cells as the header: {len(columns)}"))
    except csv.Error as error:
        raise UnreadableFile(f"the quotes don't match, at line {rows.line_num} or before: {error}") from None


def _check_columns(columns: Sequence[str]) -> None:
    """Check the header. Errors don't repeat its words: in a file without a header they are a person's data."""
    for number, column in enumerate(columns, start=1):
        name, dot, inner = column.partition(".")
        if not (column in _PLAIN or (dot and inner and name in _OBJECTS)):
            raise UnreadableFile(f"column {number} isn't one of {', '.join(COLUMNS)}")
        if column in columns[: number - 1]:
            raise UnreadableFile(f"column {number} is a duplicate")
    if "phoneNumber" not in columns:
        raise UnreadableFile("there is no column phoneNumber")


def _fields(columns: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    """The fields of one row. An empty cell is an absent field."""
    fields: dict[str, object] = {}
    inner: dict[str, dict[str, str]] = {}
    for column, cell in zip(columns, cells, strict=True):
        name, dot, key = column.partition(".")
        if not cell:
            continue
        if dot:
            inner.setdefault(name, {})[key] = cell
        else:
            fields[name] = cell
    return fields | inner
