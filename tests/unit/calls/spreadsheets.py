"""Writes a table as spreadsheets do: each dialect of CSV, and a workbook."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from calls.operations.tables import column_name

type Cells = Sequence[Sequence[str | float]]

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_LINKS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_MEDIA = "application/vnd.openxmlformats-officedocument.spreadsheetml"


@dataclass(frozen=True)
class Dialect:
    """One way to write CSV."""

    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\r\n"
    quote_all: bool = False
    separator_line: bool = False
    empty_columns: int = 0
    empty_rows: int = 0

    def write(self, cells: Cells) -> bytes:
        text = io.StringIO(newline="")
        if self.separator_line:
            text.write(f"sep={self.delimiter}{self.newline}")
        writer = csv.writer(
            text,
            delimiter=self.delimiter,
            lineterminator=self.newline,
            quoting=csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL,
        )
        width = max(map(len, cells)) + self.empty_columns
        rows = [*cells, *[[""]] * self.empty_rows]
        writer.writerows([*row, *[""] * (width - len(row))] for row in rows)
        return text.getvalue().encode(self.encoding)


def workbook(*sheets: Cells) -> bytes:
    """An .xlsx file. A float is a number cell."""
    content = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(content, "w") as archive:
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_MEDIA}.worksheet+xml"/>' for n in numbers
        )
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
            f'relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{_MEDIA}.sheet.main+xml"/>'
            f"{parts}</Types>",
        )
        archive.writestr("_rels/.rels", _links([("officeDocument", "xl/workbook.xml")]))
        archive.writestr(
            "xl/_rels/workbook.xml.rels", _links([("worksheet", f"worksheets/sheet{n}.xml") for n in numbers])
        )
        named = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>{named}</sheets></workbook>'
        )
        for number, cells in zip(numbers, sheets, strict=True):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", _worksheet(cells))
    return content.getvalue()


def _links(targets: list[tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_LINKS}">{links}</Relationships>'


def _worksheet(cells: Cells) -> str:
    rows = "".join(
        f'<row r="{row}">{"".join(_cell(f"{column_name(n)}{row}", v) for n, v in enumerate(values, start=1))}</row>'
        for row, values in enumerate(cells, start=1)
    )
    return f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData></worksheet>'


def _cell(place: str, value: str | float) -> str:
    if value == "":
        return ""
    if isinstance(value, float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    text = escape(value, {"\r": "&#13;"})
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
