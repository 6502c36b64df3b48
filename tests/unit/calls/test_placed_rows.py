"""A row that was placed before and has changed since isn't sent without a question."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calls.operations.masking import masked
from calls.operations.placed_rows import KEPT_DAYS, PlacedRows
from calls.operations.preflight import CheckedRow, PlacedBefore, RowIds
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.domain.timing import utc_text
from tests.world import NOW

NUMBER = "+15145550199"
ARN = "arn:stack"


def row(number: int, **fields: Any) -> CheckedRow:
    request = CallRequestMessage(**{"phone_number": NUMBER} | fields)
    return CheckedRow.of(number, RowIds(ARN).identified(request), id_derived=request.request_id is None)


@pytest.fixture
def placed(tmp_path: Path) -> PlacedRows:
    return PlacedRows(tmp_path / "state" / "placed.sqlite", ARN)


def look(placed: PlacedRows, *rows: CheckedRow, at: float = NOW) -> PlacedBefore:
    return placed.look(rows, masked, at)


def test_nothing_was_placed_before(placed: PlacedRows) -> None:
    assert look(placed, row(2)) == PlacedBefore(rows=0, rewritten=[])


def test_a_row_that_was_placed_as_it_is_is_counted_and_no_question(placed: PlacedRows) -> None:
    placed.remember([row(2), row(3, phone_number="+15145550198")], NOW - 60)

    found = look(placed, row(5), row(6, phone_number="+15145550197"))

    assert found == PlacedBefore(rows=1, last_at=utc_text(int(NOW) - 60), rewritten=[])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"customer_name": "Ada"}, {"customer_name": "Ada Lovelace"}),
        ({}, {"metadata": {"a": "new column"}}),
        ({"dynamic_variables": {"time": "9.30"}}, {"dynamic_variables": {"time": "09:30"}}),
        ({}, {"request_id": "a column of ids".replace(" ", "-")}),
        ({"request_id": "000123"}, {}),
        ({"request_id": "000123"}, {"request_id": "123"}),
        ({"request_id": "123"}, {"request_id": "123.0"}),
    ],
    ids=str,
)
def test_a_changed_row_for_the_same_number_is_pointed_out(
    placed: PlacedRows, before: dict[str, Any], after: dict[str, Any]
) -> None:
    placed.remember([row(2, **before)], NOW - 60)

    (found,) = look(placed, row(7, **after)).rewritten

    assert (found.row, found.phone_number, found.placed_at) == (7, "+1514•••••99", utc_text(int(NOW) - 60))


def test_a_row_with_another_request_id_is_another_call(placed: PlacedRows) -> None:
    placed.remember([row(2, request_id="visit-1")], NOW)

    assert look(placed, row(2, request_id="visit-2")).rewritten == []


@pytest.mark.parametrize(
    "other",
    [
        lambda path: PlacedRows(path, "arn:another"),
        lambda path: PlacedRows(path, ARN, "december"),
    ],
    ids=["another stack", "another batch"],
)
def test_stacks_and_batches_are_apart(placed: PlacedRows, other: Callable[[Path], PlacedRows]) -> None:
    placed.remember([row(2)], NOW)

    assert look(other(placed.path), row(2), row(3, customer_name="Ada")) == PlacedBefore(rows=0, rewritten=[])


def test_it_is_forgotten_after_a_month(placed: PlacedRows) -> None:
    placed.remember([row(2)], NOW)

    assert look(placed, row(3, customer_name="Ada"), at=NOW + KEPT_DAYS * 86_400).rewritten
    assert not look(placed, row(3, customer_name="Ada"), at=NOW + KEPT_DAYS * 86_400 + 60).rewritten


def test_no_one_else_can_read_it_and_it_holds_no_number_name_or_id(placed: PlacedRows) -> None:
    placed.remember([row(2, request_id="visit-1", customer_name="Ada")], NOW)

    assert stat.S_IMODE(placed.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(placed.path.parent.stat().st_mode) == 0o700
    content = placed.path.read_bytes()
    assert not [each for each in (NUMBER, "5145550199", "Ada", "visit-1") if each.encode() in content]


def test_a_broken_file_is_an_error_that_names_it(placed: PlacedRows) -> None:
    placed.path.parent.mkdir()
    placed.path.write_text("no database, but long enough to look at its header: " * 10)

    with pytest.raises(OSError, match="move it away") as error:
        look(placed, row(2))
    assert error.value.filename == str(placed.path)
