"""Files are read as spreadsheets write them. Nothing is guessed, and no error repeats their content."""

import json
from pathlib import Path

import pytest

from calls.operations.requests_file import REQUESTS, Columns, Row, UnreadableFile, read_rows
from outbound_calls.contracts.messages import CallRequestMessage


def rows_of(folder: Path, content: str | bytes, name: str = "calls.csv") -> list[Row]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_rows(path)


def messages(rows: list[Row]) -> list[object]:
    return [json.loads(row.message) for row in rows]


def test_a_row_becomes_a_message(tmp_path: Path) -> None:
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
    fields = {str(field.alias) for field in CallRequestMessage.model_fields.values()}

    assert {column.partition(".")[0] for column in REQUESTS.names} == fields


def test_an_empty_cell_is_an_absent_field(tmp_path: Path) -> None:
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
def test_all_usual_csv_formats_are_read(tmp_path: Path, content: str | bytes) -> None:
    assert messages(rows_of(tmp_path, content)) == [{"phoneNumber": "+15005550100", "customerName": "Zoë"}]


def test_quoted_cells_may_contain_newlines(tmp_path: Path) -> None:
    content = 'phoneNumber,dynamicVariables.note\n+15005550100,"first\nsecond, and ""third"""\n+15005550101,x\n'

    rows = rows_of(tmp_path, content)

    assert [row.number for row in rows] == [2, 3]
    assert json.loads(rows[0].message)["dynamicVariables"] == {"note": 'first\nsecond, and "third"'}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("phoneNumber,surname\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,metadata\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,metadata.\n+15005550100,Ada\n", "column 2"),
        ("phoneNumber,callbackUrl\n+15005550100,x\n", "column 2"),
        ("phoneNumber,phoneNumber\n+15005550100,+15005550101\n", "column 2 is a duplicate"),
        ("customerName\nAda\n", "no column phoneNumber"),
        ("", "no column phoneNumber"),
        ('phoneNumber,customerName\n+15005550100,"Ada\n', "quotes"),
        ("phoneNumber\n+15005550100\n".encode("utf-16"), "isn't UTF-8"),
    ],
)
def test_an_unreadable_file_is_an_error(tmp_path: Path, content: str | bytes, error: str) -> None:
    with pytest.raises(UnreadableFile, match=error):
        rows_of(tmp_path, content)


def test_the_error_for_a_missing_header_repeats_no_content(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as error:
        rows_of(tmp_path, "+15005550100,Ada Lovelace\n")

    assert "555" not in str(error.value)
    assert "Ada" not in str(error.value)


def test_a_row_with_too_many_or_too_few_cells_is_an_error(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phoneNumber,customerName\n+15005550100\n+15005550101,Ada,more\n+15005550102,Eve\n")

    assert [row.error is not None for row in rows] == [True, True, False]


def test_json_lines_are_messages_as_they_are(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, '{"phoneNumber": "+15005550100"}\n\nnot JSON\n', "calls.jsonl")

    assert rows == [Row(1, '{"phoneNumber": "+15005550100"}'), Row(3, "not JSON")]


@pytest.mark.parametrize("name", ["calls.xlsx", "calls"])
def test_other_file_types_are_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match=r"\.csv, \.jsonl"):
        rows_of(tmp_path, "", name)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        read_rows(tmp_path / "calls.csv")


def test_a_cell_may_hold_windows_or_redial_as_json(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(
        "phoneNumber;callingWindows;redial\n"
        '+15145550199;always;"{""maxAttempts"": 1}"\n'
        '+15145550198;"[{""days"": [""mon""]}]";{\n'
    )

    assert [json.loads(row.message) for row in read_rows(file)] == [
        {"phoneNumber": "+15145550199", "callingWindows": "always", "redial": {"maxAttempts": 1}},
        {"phoneNumber": "+15145550198", "callingWindows": [{"days": ["mon"]}], "redial": "{"},
    ]


def test_another_file_has_columns_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("phoneNumber,purposes\n+15145550199,marketing  results\n")

    [row] = read_rows(file, Columns(("phoneNumber",), lists=("purposes",)))

    assert json.loads(row.message) == {"phoneNumber": "+15145550199", "purposes": ["marketing", "results"]}
    with pytest.raises(UnreadableFile, match="column 2 isn't one of"):
        read_rows(file)
