"""Invalid rows are written as they were, to be fixed and placed from a file of their own."""

import json
import stat
from pathlib import Path

import pytest

from calls.operations.invalid_rows import write_invalid
from calls.operations.preflight import RowIds, check_rows
from calls.operations.requests_file import RequestsFile, read_rows
from outbound_calls.use_cases.new_attempt import Defaults
from tests.unit.calls.spreadsheets import Dialect, workbook
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

CELLS = [
    ["Phone", "Name", "variables.time"],
    ["+15145550199", "Ada", "09:30"],
    ["5145550198", 'Zo\u00eb; "Z"', "10:00"],
    ["1.51E+10", "Bo\nSample", "=1+1"],
]


def invalid_rows_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    file = RequestsFile(path)
    preflight, _ = check_rows(
        file.rows(), RowIds("arn:stack"), Defaults(ASSISTANT_ID, PHONE_NUMBER_ID), lambda _: {}, str
    )
    return write_invalid(file, preflight.invalid)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("calls.csv", Dialect("utf-16", "\t", empty_columns=2, empty_rows=2).write(CELLS)),
        ("calls.csv", Dialect(delimiter=";", separator_line=True).write(CELLS)),
        ("calls.xlsx", workbook(CELLS)),
    ],
    ids=["UTF-16", "semicolons", "workbook"],
)
def test_the_invalid_rows_of_a_table_are_placed_once_they_are_fixed(tmp_path: Path, name: str, content: bytes) -> None:
    path = invalid_rows_of(tmp_path / name, content)

    # Then their cells are as they were, with the row's number and the rule before them
    assert path.name == "calls.invalid.csv"
    rows = read_rows(path)
    assert [row.cells[0] for row in rows] == ["3", "4"]
    assert [row.cells[2:5] for row in rows] == CELLS[2:]
    assert rows[0].cells[1].startswith("phoneNumber: did you mean +1514•••••98?")

    # When one is fixed in place, then it is a request
    path.write_bytes(path.read_bytes().replace(b"5145550198", b"+15145550198"))
    assert json.loads(read_rows(path)[0].message) == {
        "phoneNumber": "+15145550198",
        "customerName": 'Zo\u00eb; "Z"',
        "dynamicVariables": {"time": "10:00"},
    }


def test_rows_that_are_still_invalid_go_to_another_file_of_the_same_columns(tmp_path: Path) -> None:
    first = invalid_rows_of(tmp_path / "calls.csv", Dialect().write(CELLS))

    again = invalid_rows_of(first, first.read_bytes().replace(b"5145550198", b"+15145550198"))

    assert again.name == "calls.invalid-2.csv"
    (row,) = read_rows(again)
    assert (row.cells[0], row.cells[2:]) == ("3", CELLS[3])


def test_a_row_that_is_too_short_or_too_long_keeps_its_cells(tmp_path: Path) -> None:
    path = invalid_rows_of(tmp_path / "calls.csv", b"phone,name\n+15145550199\n+15145550198,Ada,more\n")

    lines = path.read_text("utf-8-sig").splitlines()
    assert lines[1].endswith(",+15145550199,")
    assert lines[2].endswith(",+15145550198,Ada,more")


def test_invalid_json_is_written_as_it_was(tmp_path: Path) -> None:
    lines = ['{"phoneNumber": "+15145550199"}', "not JSON", '{"phoneNumber": "5145550199"}']

    path = invalid_rows_of(tmp_path / "calls.jsonl", "\n".join(lines).encode())

    assert path.name == "calls.invalid.jsonl"
    assert path.read_text().splitlines() == lines[1:]


def test_half_an_emoji_is_written_as_its_escape(tmp_path: Path) -> None:
    path = invalid_rows_of(tmp_path / "calls.json", b'[{"phoneNumber": "1", "customerName": "\\ud83d"}]')

    assert path.read_text() == '{"phoneNumber": "1", "customerName": "\\ud83d"}\n'


def test_only_its_owner_can_read_the_file_and_none_is_replaced(tmp_path: Path) -> None:
    names = [invalid_rows_of(tmp_path / "calls.csv", Dialect().write(CELLS)) for _ in range(3)]

    assert [path.name for path in names] == ["calls.invalid.csv", "calls.invalid-2.csv", "calls.invalid-3.csv"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in names} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["calls.csv", *(path.name for path in names)])
