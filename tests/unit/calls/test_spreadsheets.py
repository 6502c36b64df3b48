"""However a spreadsheet writes a table, the same requests are read from it, under the same ids."""

import json
import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.operations.preflight import RowIds, check_rows
from calls.operations.requests_file import RequestsFile, UnreadableFile, read_rows
from outbound_calls.use_cases.new_attempt import Defaults
from tests.unit.calls.spreadsheets import Cells, Dialect, workbook
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

IDS = RowIds("arn:aws:cloudformation:ca-central-1:123456789012:stack/outbound/3f2a")
DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)

FIELDS = ("requestId", "phoneNumber", "customerName", "dynamicVariables.note", "metadata.visit")
HEADERS = (
    FIELDS,
    ("Request ID", "Phone Number", "Customer Name", "Dynamic Variables.note", "Metadata.visit"),
    ("REQUEST_ID", " phone ", "Name\u00a0", "variables: note", "metadata.visit"),
)
ACCENTS = re.compile("[\x80-\uffff]{2}")
WESTERN = "aZ \u00e9\u00c7\u00fc\u2019,;|\"'.=+-09"
NUMBERS = st.integers(200_000_0000, 999_999_9999).map(lambda number: f"+1{number}")
TEXTS = st.text(WESTERN, max_size=12).map(str.strip).filter(lambda text: text[:1] != "'")
NOTES = st.text(WESTERN + "\n", max_size=20).map(str.strip).filter(lambda text: text[:1] != "'")
NAMES = TEXTS.filter(lambda text: not ACCENTS.search(text))
REQUESTS = st.lists(
    st.tuples(st.from_regex(r"[a-z0-9]{0,6}", fullmatch=True), NUMBERS, NAMES, NOTES, TEXTS), min_size=1, max_size=4
)
MARKED = ("utf-8-sig", "utf-16", "utf-8", "utf-16-le", "utf-16-be", "utf-32")
DIALECTS = st.builds(
    Dialect,
    encoding=st.sampled_from(MARKED),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(("\r\n", "\n", "\r")),
    quote_all=st.booleans(),
    separator_line=st.booleans(),
    empty_columns=st.integers(0, 3),
    empty_rows=st.integers(0, 3),
)


def table(requests: Sequence[tuple[str, ...]], header: tuple[str, ...] = FIELDS) -> Cells:
    return [header, *requests]


def meant(requests: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    found = []
    for id_, number, name, note, visit in requests:
        fields = {"requestId": id_, "phoneNumber": number, "customerName": name}
        objects = {"dynamicVariables": {"note": note} if note else {}, "metadata": {"visit": visit} if visit else {}}
        found.append({name: each for name, each in (fields | objects).items() if each})
    return found


def read(path: Path, content: bytes) -> list[dict[str, Any]]:
    path.write_bytes(content)
    rows = read_rows(path)
    assert [row.error for row in rows] == [None] * len(rows)
    return [json.loads(row.message) for row in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(requests=REQUESTS, dialect=DIALECTS, header=st.sampled_from(HEADERS))
def test_the_same_requests_are_read_from_every_dialect(
    tmp_path: Path, requests: list[tuple[str, ...]], dialect: Dialect, header: tuple[str, ...]
) -> None:
    found = read(tmp_path / "calls.csv", dialect.write(table(requests, header)))

    assert found == meant(requests)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(requests=REQUESTS)
def test_the_same_requests_are_read_from_a_workbook(tmp_path: Path, requests: list[tuple[str, ...]]) -> None:
    assert read(tmp_path / "calls.xlsx", workbook(table(requests))) == meant(requests)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    requests=REQUESTS,
    name=st.sampled_from(["Hél\xc8ne Côté \u2013 Dr", "Müller", "L\u2019Été", "Ñandú", "Œuvray", "100 €"]),
)
def test_windows_1252_is_read_where_it_is_certain(tmp_path: Path, requests: list[tuple[str, ...]], name: str) -> None:
    named = [(id_, number, name, "", "") for id_, number, *_ in requests]

    assert read(tmp_path / "calls.csv", Dialect("windows-1252").write(table(named))) == meant(named)


def test_a_number_cell_of_a_workbook_is_read_with_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "calls.xlsx"
    path.write_bytes(workbook([["requestId", "phone", "metadata.ratio"], [123.0, 15145550199.0, 0.5]]))

    (row,) = RequestsFile(path, country="CA").rows()

    assert json.loads(row.message) == {
        "requestId": "123",
        "phoneNumber": "+15145550199",
        "metadata": {"ratio": "0.5"},
    }


def test_a_workbook_with_two_filled_sheets_is_not_clear(tmp_path: Path) -> None:
    path = tmp_path / "calls.xlsx"
    sheet = [["phone"], ["+15145550199"]]
    path.write_bytes(workbook(sheet, [], []))
    assert len(read_rows(path)) == 1

    path.write_bytes(workbook(sheet, [], sheet))
    with pytest.raises(UnreadableFile, match="2 sheets"):
        read_rows(path)


def ids_of(path: Path, content: bytes) -> dict[str, str]:
    """The id of each number."""
    path.write_bytes(content)
    preflight, rows = check_rows(RequestsFile(path).rows(), IDS, DEFAULTS, lambda _: {}, str)
    assert not preflight.invalid
    return {row.request.phone_number: row.request_id for row in rows}


REWRITTEN = [
    ("2026-12-01", "12/1/2026"),
    ("2026-12-01", "1/12/2026"),
    ("2026-12-01", "01.12.2026"),
    ("2026-12-01", "2026/12/01"),
    ("2026-12-25", "12/25/26"),
    ("2026-12-01", "1-Dec-26"),
    ("2026-12-01 09:30", "12/1/2026 9:30"),
    ("2026-12-01T09:30:00", "12/1/2026 9:30:00 AM"),
    ("2026-12-01", "2026-12-01 00:00:00"),
    ("09:30", "9:30"),
    ("09:30", "9:30:00 AM"),
    ("21:05", "9:05 PM"),
    ("007", "7"),
    ("1.50", "1.5"),
    ("1,50", "1.5"),
    ("+15145550123", "15145550123"),
    ("15145550123", "1.5145550123E+10"),
    ("true", "TRUE"),
    ("Dr  Who", "Dr\u00a0Who"),
    ("Zo\u00eb", "Zoe\u0308"),
]


@pytest.mark.parametrize(("before", "after"), REWRITTEN)
def test_a_rewritten_cell_is_the_same_call(tmp_path: Path, before: str, after: str) -> None:
    header = ["phoneNumber", "dynamicVariables.text"]

    assert ids_of(tmp_path / "a.csv", Dialect().write([header, ["+15145550199", before]])) == ids_of(
        tmp_path / "b.csv", Dialect("utf-16", "\t").write([header, ["+15145550199", after]])
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-12-01", "2026-12-02"),
        ("09:30", "19:30"),
        ("9:30 AM", "9:30 PM"),
        ("12", "21"),
        ("a", "A"),
        ("12/25", "25/12"),
    ],
)
def test_a_changed_cell_is_another_call(tmp_path: Path, before: str, after: str) -> None:
    header = ["phoneNumber", "dynamicVariables.text"]

    assert ids_of(tmp_path / "a.csv", Dialect().write([header, ["+15145550199", before]])) != ids_of(
        tmp_path / "a.csv", Dialect().write([header, ["+15145550199", after]])
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    requests=st.dictionaries(NUMBERS, st.tuples(NAMES.filter(bool), NOTES, TEXTS), min_size=1, max_size=5),
    dialect=DIALECTS,
    data=st.data(),
)
def test_a_file_that_is_sorted_and_saved_again_has_the_same_ids(
    tmp_path: Path, requests: dict[str, tuple[str, str, str]], dialect: Dialect, data: st.DataObject
) -> None:
    rows = [("", number, *cells) for number, cells in requests.items()]
    again = data.draw(st.permutations(rows))
    columns = data.draw(st.permutations(range(len(FIELDS))))
    moved = [[row[column] for column in columns] for row in table(list(again), data.draw(st.sampled_from(HEADERS)))]

    first = ids_of(tmp_path / "a.csv", Dialect().write(table(rows)))

    assert first == ids_of(tmp_path / "b.csv", dialect.write(moved)) == ids_of(tmp_path / "c.xlsx", workbook(moved))


def test_days_that_may_be_one_are_not_sent_together(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("phone,variables.day\n+15145550199,12/1/2026\n+15145550199,1/12/2026\n+15145550198,12/1/2026\n")

    preflight, rows = check_rows(RequestsFile(path).rows(), IDS, DEFAULTS, lambda _: {}, str)

    assert [row.row for row in rows] == [4]
    assert [each.row for each in preflight.invalid] == [2, 3]
    assert "give each a requestId" in preflight.invalid[0].rule


def test_a_row_that_is_written_in_two_ways_is_a_duplicate(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("phone,variables.time\n+15145550199,09:30\n+1 (514) 555-0199,9:30 AM\n")

    preflight, rows = check_rows(RequestsFile(path).rows(), IDS, DEFAULTS, lambda _: {}, str)

    assert [row.row for row in rows] == [2]
    assert [(each.row, each.same_as_row) for each in preflight.duplicate] == [(3, 2)]


def test_a_long_file_is_never_in_memory_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    rows, wide = 3_000, "x" * 200
    path.write_text("phone,variables.note\n" + "".join(f"+1514{n:07},{wide}\n" for n in range(rows)))

    tracemalloc.start()
    try:
        count = sum(1 for _ in RequestsFile(path).rows())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # The file as bytes and as text, and csv's own copy: nothing for each row.
    assert count == rows
    assert peak < 8 * path.stat().st_size
