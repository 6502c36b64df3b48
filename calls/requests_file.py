"""A file of requests: CSV or JSON lines, read row by row into messages of the queue.

What a field may hold, the contract says and nobody else: here a row only becomes the JSON that would be sent.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from outbound_calls.contracts import CallRequest, InvalidInput

_FIELDS = {str(field.alias) for field in CallRequest.model_fields.values()}
_OBJECTS = ("dynamicVariables", "metadata")
_PLAIN = sorted(_FIELDS - {*_OBJECTS})
COLUMNS = (*_PLAIN, *(f"{name}.NAME" for name in _OBJECTS))
"""The columns that a CSV file may have."""

_DELIMITERS = ",;\t"


class UnreadableFile(Exception):
    """Nothing of this file can be used. Says why, without a word of its content."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the message that it asks to send, or why it is none.

    `number` is a spreadsheet's, where the head is row 1; of JSON lines, the line's.
    """

    number: int
    message: str
    fault: InvalidInput | None = None


def read_rows(path: Path) -> list[Row]:
    """Read a file by its ending: .csv, or .jsonl for JSON lines.

    Raises:
        UnreadableFile: when it is neither, is not UTF-8, or has columns that no field has.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"the file must end in one of {', '.join(readers)}")
    try:
        # As spreadsheets write it, with or without a byte order mark; newlines within quotes stay as they are.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"the file is not UTF-8: see byte {error.start}") from None
    except OSError as error:
        raise UnreadableFile(f"the file cannot be read: {error.strerror}") from None
    return list(reader(text))


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Row(number, line)


def _csv_rows(text: str) -> Iterator[Row]:
    # Spreadsheets of many countries write semicolons; no column's name holds any of these.
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
                yield Row(number, "", InvalidInput("row", f"as many cells as the head has: {len(columns)}"))
    except csv.Error as error:
        raise UnreadableFile(f"the quotes do not match, at line {rows.line_num} or before: {error}") from None


def _check_columns(columns: Sequence[str]) -> None:
    """Refuse a head that is none. Its words are not repeated: without a head they are somebody's name and number."""
    for number, column in enumerate(columns, start=1):
        name, dot, inner = column.partition(".")
        if not (column in _PLAIN or (dot and inner and name in _OBJECTS)):
            raise UnreadableFile(f"column {number} is none of {', '.join(COLUMNS)}")
        if column in columns[: number - 1]:
            raise UnreadableFile(f"column {number} stands there twice")
    if "phoneNumber" not in columns:
        raise UnreadableFile("there is no column phoneNumber")


def _fields(columns: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    """The fields of one row; an empty cell is a field that is not there."""
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
