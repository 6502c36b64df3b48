"""Write the invalid rows of a file into a file of their own, to be fixed there and placed.

So the file with the rows that were sent is never changed: what a spreadsheet rewrites in it can't make another call.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from calls.operations.preflight import InvalidRow
from calls.operations.private_files import new_file
from calls.operations.requests_file import INVALID_BECAUSE, INVALID_ROW, RequestsFile, Row


def write_invalid(file: RequestsFile, invalid: Sequence[InvalidRow]) -> Path:
    """Write these rows of a file as they are into a new file beside it, which only its owner can read.

    A table gets two more columns, which are ignored when it is placed: the row's number, and what is wrong with it.
    """
    rules: dict[int, str] = {}
    for each in invalid:
        rules.setdefault(each.row, f"{each.field}: {each.rule}")
    rows = (row for row in file.rows() if row.number in rules)
    name = file.path.stem.partition(".invalid")[0] + ".invalid" + (".csv" if file.table else ".jsonl")
    path = _free(file.path.with_name(name))
    lines = _table(file, rows, rules) if file.table else (f"{row.message}\n" for row in rows)
    with new_file(path) as target:
        # JSON may hold half an emoji. The escape that stands for it is JSON's too.
        target.writelines(line.encode(errors="backslashreplace") for line in lines)
    return path


def _free(path: Path) -> Path:
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def _table(file: RequestsFile, rows: Iterator[Row], rules: dict[int, str]) -> Iterator[str]:
    """The lines, in the file's own dialect. With a byte order mark, since spreadsheets misread UTF-8 without one."""
    assert file.table  # noqa: S101 - known to the caller
    # A file of invalid rows may have some again. Its own two columns are replaced.
    kept = [n for n, cell in enumerate(file.table.header) if cell not in {INVALID_ROW, INVALID_BECAUSE}]
    yield "\ufeff"
    yield _line([INVALID_ROW, INVALID_BECAUSE, *(file.table.header[n] for n in kept)], file.table.delimiter)
    for row in rows:
        cells = [row.cells[n] if n < len(row.cells) else "" for n in kept] + list(row.cells[len(file.table.header) :])
        yield _line([str(row.number), rules[row.number], *cells], file.table.delimiter)


def _line(cells: Sequence[str], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow(cells)
    return line.getvalue()
