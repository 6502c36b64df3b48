"""Read a table as spreadsheets write it: CSV in their dialects and encodings, or a workbook. Every cell becomes a text.

What can be read in one way only is read. Anything else is an error that says what to do, and repeats none of the
content: in a file without a header, even the first row is a person's data.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from itertools import islice
from pathlib import Path

WORKBOOKS = (".xlsx", ".xlsm", ".ods")

_DELIMITERS = ",;\t|"
_MAX_CELL_CHARACTERS = 128 * 1024
_SEPARATOR_LINE = re.compile(r"""["']?sep=(.)["']?(?:\r\n|\r|\n)""", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    # The first two are also the start of the third and the fourth.
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_WESTERN = re.compile(
    "[\x00-\x7f\xa0\xa1\xab\xb0\xb7\xbb\xbf\xc0-\xd6\xd8-\xf6\xf8-\xff"
    "\u0152\u0153\u20ac\u2018-\u201d\u2013\u2014\u2026]*"
)
"""What names and words in Western Europe's languages need of Windows-1252. Other characters of it are mostly letters of
another encoding: Mac's é is its Ž."""
_NOT_WESTERN = re.compile("[\xc0-\xd6\xd8-\xf6\xf8-\xff]{3}")
"""No word of those languages has three such letters in a row. All words of Cyrillic or Greek text do."""
_BLANKS = "".join(
    map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010)))
) + "".join(map(chr, (*range(0x2028, 0x2030), *range(0x205F, 0x2070), 0x3000, 0xFEFF)))
"""White space, and characters that show nothing."""


class UnreadableFile(Exception):
    """Nothing in this file can be used. Says why, without any of its content."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row. `number` counts as spreadsheets do, from 1."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A header, and the rows after it that aren't empty. Iterates over the file again each time."""

    header: Sequence[str]
    delimiter: str
    lines: Callable[[], Iterator[TableRow]]

    def rows(self) -> Iterator[TableRow]:
        """The rows.

        Raises:
            UnreadableFile: Where the file stops to be a table.
        """
        lines = (row for row in self.lines() if any(row.cells))
        return islice(lines, 1, None)


type Recognise = Callable[[str], bool]
"""Whether a cell of the header is a known column."""


def read_table(content: bytes, suffix: str, recognise: Recognise) -> Table:
    """The table in a file of this kind.

    Raises:
        UnreadableFile: When there is none.
    """
    delimiter, lines = (",", _sheet(content)) if suffix in WORKBOOKS else _csv(decoded(content), recognise)
    first = next((row.cells for row in lines() if any(row.cells)), [])
    return Table(first[: _width(first)], delimiter, lines)


def column_name(number: int) -> str:
    """A column as spreadsheets name it: A for 1, AA for 27."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def trimmed(cell: str) -> str:
    """A cell without the blanks around its text, visible and invisible ones."""
    return cell.strip(_BLANKS)


def decoded(content: bytes) -> str:
    """The text of a file.

    Raises:
        UnreadableFile: When its encoding isn't clear.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None) or _unmarked(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return _windows_1252(content)
        raise UnreadableFile(f"the file isn't {encoding.upper()}, although it begins so: byte {error.start}") from None
    if "\0" in text:
        raise UnreadableFile("the file holds NUL characters, so it isn't a text")
    return text


def _unmarked(content: bytes) -> str:
    """The encoding of a text without a byte order mark. In UTF-16 every other byte of the header is 0."""
    match [byte == 0 for byte in content[:4]]:
        case [False, True, False, True]:
            return "utf-16-le"
        case [True, False, True, False]:
            return "utf-16-be"
        case _:
            return "utf-8"


def _windows_1252(content: bytes) -> str:
    try:
        text = content.decode("windows-1252")
    except UnicodeDecodeError:
        text = ""
    if not text or not _WESTERN.fullmatch(text) or _NOT_WESTERN.search(text):
        line = 1 + content.count(b"\n", 0, _first_odd_byte(content))
        raise UnreadableFile(
            f"the file's encoding isn't clear, see line {line}: it is neither UTF-8 nor UTF-16, and names in it would "
            'be misread. Save it as "CSV UTF-8"'
        )
    return text


def _first_odd_byte(content: bytes) -> int:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _csv(text: str, recognise: Recognise) -> tuple[str, Callable[[], Iterator[TableRow]]]:
    # This line is for spreadsheets alone. They don't show it, so it has no number.
    found = _SEPARATOR_LINE.match(text)
    start, delimiter = (found.end(), found[1]) if found else (0, _delimiter(text, recognise))

    def lines() -> Iterator[TableRow]:
        csv.field_size_limit(_MAX_CELL_CHARACTERS)
        source = io.StringIO(text, newline="")
        source.seek(start)
        reader = csv.reader(source, delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader, start=1):
                yield TableRow(number, [trimmed(cell) for cell in cells])
        except csv.Error as error:
            raise UnreadableFile(f"the quotes don't match, at line {reader.line_num} or before: {error}") from None

    return delimiter, lines


def _delimiter(text: str, recognise: Recognise) -> str:
    """The one that finds most columns in the header."""
    header = next((line for line in io.StringIO(text[: 64 * 1024], newline="") if trimmed(line).strip(_DELIMITERS)), "")

    def columns(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        return sum(recognise(trimmed(cell)) for cell in cells), len(cells)

    return max(_DELIMITERS, key=columns)


def _sheet(content: bytes) -> Callable[[], Iterator[TableRow]]:
    # Loaded for a workbook alone.
    from python_calamine import CalamineError, CalamineWorkbook, ZipError

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [workbook.get_sheet_by_name(name) for name in workbook.sheet_names]
    except (CalamineError, ZipError, OSError) as error:
        raise UnreadableFile(f"the workbook can't be read ({type(error).__name__}): save the sheet as CSV") from None
    filled = [sheet for sheet in sheets if sheet.height]
    if len(filled) > 1:
        raise UnreadableFile(f"the workbook has {len(filled)} sheets with content: keep one, or save that as CSV")

    def lines() -> Iterator[TableRow]:
        for sheet in filled:
            # Rows come from the first one on, columns from the first one with content on.
            empty = [""] * sheet.start[1] if sheet.start else []
            for number, cells in enumerate(sheet.iter_rows(), start=1):
                yield TableRow(number, empty + [trimmed(_text(cell)) for cell in cells])

    return lines


def _text(value: object) -> str:
    """A cell of a workbook as a text."""
    match value:
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case datetime():
            return value.isoformat(" ", "minutes" if not value.second else "seconds")
        case date():
            return value.isoformat()
        case time_of_day():
            return value.isoformat("minutes" if not value.second else "seconds")
        case _:
            return str(value)


def _width(cells: Sequence[str]) -> int:
    """How many cells there are, without the empty ones at the end."""
    return max((number for number, cell in enumerate(cells, start=1) if cell), default=0)


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UnreadableFile: When it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"the file can't be read: {error.strerror}") from None
