"""A file is read as spreadsheets write it, and nothing in it is guessed at or repeated."""

import json
from pathlib import Path

import pytest

from calls.requests_file import COLUMNS, Row, UnreadableFile, read_rows
from outbound_calls.contracts import CallRequest


def rows_of(folder: Path, content: str | bytes, name: str = "calls.csv") -> list[Row]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_rows(path)


def messages(rows: list[Row]) -> list[object]:
    return [json.loads(row.message) for row in rows]


def test_a_row_becomes_the_message_that_it_asks_for(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "requestId,phoneNumber,customerName,dynamicVariables.date,dynamicVariables.time,metadata.visit\n"
        "a-1,+15005550100,Ada,2026-12-01,09:30,V1\n",
    )

    assert messages(rows) == [
        {
            "requestId": "a-1",
            "phoneNumber": "+15005550100",
            "customerName": "Ada",
            "dynamicVariables": {"date": "2026-12-01", "time": "09:30"},
            "metadata": {"visit": "V1"},
        }
    ]


def test_every_field_of_a_request_has_a_column() -> None:
    fields = {str(field.alias) for field in CallRequest.model_fields.values()}

    assert {column.partition(".")[0] for column in COLUMNS} == fields


def test_an_empty_cell_is_a_field_that_is_not_there(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phoneNumber,customerName,metadata.visit\n+15005550100,,\n")

    assert messages(rows) == [{"phoneNumber": "+15005550100"}]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfphoneNumber,customerName\r\n+15005550100,Zo\xc3\xab\r\n",
        "phoneNumber;customerName\n+15005550100;Zoë\n",
        "phoneNumber\tcustomerName\n+15005550100\tZoë",
        "customerName,phoneNumber\n\nZoë,+15005550100\n,\n",
    ],
    ids=["byte order mark and CRLF", "semicolons", "tabs", "blank rows"],
)
def test_spreadsheets_write_csv_in_many_ways(tmp_path: Path, content: str | bytes) -> None:
    assert messages(rows_of(tmp_path, content)) == [{"phoneNumber": "+15005550100", "customerName": "Zoë"}]


def test_quotes_may_hold_newlines_and_a_row_keeps_its_number(tmp_path: Path) -> None:
    content = 'phoneNumber,dynamicVariables.note\n+15005550100,"first\nsecond, and ""third"""\n+15005550101,x\n'

    rows = rows_of(tmp_path, content)

    assert [row.number for row in rows] == [2, 3]
    assert json.loads(rows[0].message)["dynamicVariables"] == {"note": 'first\nsecond, and "third"'}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("phoneNumber,surname\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,metadata\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,metadata.\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,callbackUrl\n+15005550100,x\n", "column 2"),
        ("phoneNumber,phoneNumber\n+15005550100,+15005550101\n", "column 2 stands there twice"),
        ("customerName\nAda\n", "no column phoneNumber"),
        ("", "no column phoneNumber"),
        ('phoneNumber,customerName\n+15005550100,"Ada\n', "quotes"),
        ("phoneNumber\n+15005550100\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_whole(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(UnreadableFile, match=says):
        rows_of(tmp_path, content)


def test_a_file_without_a_head_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as refusal:
        rows_of(tmp_path, "+15005550100,Ada Lovelace\n")

    assert "555" not in str(refusal.value)
    assert "Ada" not in str(refusal.value)


def test_a_row_with_a_cell_too_many_or_too_few_is_refused_and_not_shifted(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phoneNumber,customerName\n+15005550100\n+15005550101,Ada,more\n+15005550102,Eve\n")

    assert [row.fault is not None for row in rows] == [True, True, False]


def test_json_lines_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, '{"phoneNumber": "+15005550100"}\n\nnot JSON\n', "calls.jsonl")

    assert rows == [Row(1, '{"phoneNumber": "+15005550100"}'), Row(3, "not JSON")]


@pytest.mark.parametrize("name", ["calls.xlsx", "calls"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match=r"\.csv, \.jsonl"):
        rows_of(tmp_path, "", name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        read_rows(tmp_path / "calls.csv")
