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
        ("phoneNumber,phoneNumber\n+15005550100,+15005550101\n", r"column 2 \(B\) is a duplicate of A"),
        ("Phone,Mobile\n+15005550100,+15005550101\n", r"column 2 \(B\) is a duplicate of A: both are phoneNumber"),
        ("customerName\nAda\n", "no column phoneNumber"),
        ("", "no column phoneNumber"),
        ('phoneNumber,customerName\n+15005550100,"Ada\n', "quotes"),
        ("phoneNumber\n+15005550100\n".encode("utf-16")[:-1], "isn't UTF-16"),
        ("phoneNumber,customerName\n+15005550100,Ren\u00e9\n".encode("mac-roman"), "line 2.*CSV UTF-8"),
        ("phoneNumber,customerName\n+15005550100,\u0418\u0432\u0430\u043d\n".encode("cp1251"), "encoding isn't clear"),
        ("phoneNumber,customerName\n+15005550100,\u0141\u00f3d\u017a\n".encode("cp1250"), "encoding isn't clear"),
        (b"phoneNumber\n+15005550100\0\n", "NUL"),
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

    assert "2, not 1; it may be cut off" in str(rows[0].error)
    assert [row.error is not None for row in rows] == [True, True, False]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("Request ID", "requestId"),
        ("request_id", "requestId"),
        ("PHONE NUMBER", "phoneNumber"),
        ("Phone", "phoneNumber"),
        ("T\u00e9l\u00e9phone", "phoneNumber"),
        ("Cell-Phone", "phoneNumber"),
        ("Phone Number ID", "phoneNumberId"),
        ("Customer\u00a0Name", "customerName"),
        ("Time zone", "timeZone"),
        ("Dynamic Variables.appointmentTime", "dynamicVariables.appointmentTime"),
        ("variables: Doctor Name", "dynamicVariables.Doctor Name"),
        ("METADATA.Visit", "metadata.Visit"),
        ("Number", None),
        ("ID", None),
        ("Patient", None),
        ("dynamicVariables", None),
        ("callbackUrl", None),
        ("dispatch.x", None),
    ],
)
def test_a_header_may_be_written_in_any_usual_way(header: str, column: str | None) -> None:
    assert REQUESTS.read(header) == column


def test_empty_rows_and_columns_are_no_content(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "\n,,,\nphoneNumber,customerName,,\n,,,\n+15005550100,Ada,,\n , ,\u00a0,\n\n")

    assert messages(rows) == [{"phoneNumber": "+15005550100", "customerName": "Ada"}]
    assert [row.number for row in rows] == [5]


def test_a_value_without_a_header_is_an_error(tmp_path: Path) -> None:
    for content in ("phoneNumber,,\n+15005550100,,note\n", ",phoneNumber\nnote,+15005550100\n"):
        (row,) = rows_of(tmp_path, content)

        assert "no header above the value in column" in str(row.error)


def test_an_error_has_the_cell_and_what_to_do(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "customerName,Phone\nAda,1.51E+10\n")

    assert row.place("phoneNumber") == ("B", "1.51E+10")
    assert row.error
    assert row.error.field == "phoneNumber"
    assert "format the column as text" in row.error.rule


def test_the_error_of_a_formula_is_no_value(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "phoneNumber,dynamicVariables.time\n+15005550100,#N/A\n")

    assert row.place("dynamicVariables.time") == ("B", "#N/A")
    assert str(row.error) == "dynamicVariables.time: a value, not the error of a formula"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2026-12-01 9:00-05:00", "2026-12-01T09:00:00-05:00"),
        ("2026-12-01 09:00:30 -0500", "2026-12-01T09:00:30-05:00"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00:00Z"),
        ("2026-12-01T09:00:00-05:00", "2026-12-01T09:00:00-05:00"),
        # Without an offset, or with the day first or second, it isn't one time.
        ("2026-12-01 09:00", "2026-12-01 09:00"),
        ("12/1/2026 9:00", "12/1/2026 9:00"),
    ],
)
def test_a_time_is_completed_where_it_has_an_offset(tmp_path: Path, cell: str, value: str) -> None:
    (message,) = messages(rows_of(tmp_path, f"phoneNumber,notBefore\n+15005550100,{cell}\n"))

    assert message == {"phoneNumber": "+15005550100", "notBefore": value}


def test_an_apostrophe_that_makes_a_number_a_text_is_no_content(tmp_path: Path) -> None:
    content = "requestId,phoneNumber,customerName\n'000123,'+15005550100,'t Hooft\n"

    assert messages(rows_of(tmp_path, content)) == [
        {"requestId": "000123", "phoneNumber": "+15005550100", "customerName": "'t Hooft"}
    ]


@pytest.mark.parametrize("name", ["calls.json", "calls.jsonl"])
def test_a_json_array_has_a_message_in_each_element(tmp_path: Path, name: str) -> None:
    rows = rows_of(tmp_path, '[{"phoneNumber": "+15005550100"},\n {"phoneNumber": "(500) 555-0101"}, 7]', name)

    assert [row.number for row in rows] == [1, 2, 3]
    assert json.loads(rows[0].message) == {"phoneNumber": "+15005550100"}
    assert str(rows[1].error).startswith("phoneNumber: did you mean +1500")
    assert rows[2].message == "7"


@pytest.mark.parametrize("content", ["[", "{}", "[" * 5000, ""])
def test_a_json_file_without_an_array_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnreadableFile, match="JSON"):
        rows_of(tmp_path, content, "calls.json")


def test_json_lines_are_messages_as_they_are(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, '{"phoneNumber": "+15005550100"}\n\nnot JSON\n', "calls.jsonl")

    assert rows == [Row(1, '{"phoneNumber": "+15005550100"}'), Row(3, "not JSON")]


@pytest.mark.parametrize("name", ["calls.xls", "calls.pdf", "calls"])
def test_other_file_types_are_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match=r"must end in one of \.csv, .*\.xlsx, .*\.jsonl"):
        rows_of(tmp_path, "", name)


def test_a_broken_workbook_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="save the sheet as CSV"):
        rows_of(tmp_path, b"PK\x03\x04 cut off", "calls.xlsx")


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
    with pytest.raises(UnreadableFile, match=r"column 2 \(B\) isn't one of"):
        read_rows(file)
