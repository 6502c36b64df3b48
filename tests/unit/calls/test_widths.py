"""What people look at, in terminals of three widths: nothing that matters is cut."""

import re

import pytest

from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode, Status
from tests.unit.calls.widths import CALLS, GOLDEN, LONG_ID, RESULTS, WIDTHS, golden, shown


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_looks_as_it_did(name: str) -> None:
    """If it should look otherwise: `python -m tests.unit.calls.widths`, and read the difference."""
    assert golden(RESULTS[name]) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_there_is_no_golden_file_of_a_result_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == RESULTS.keys()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RESULTS)
def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(name: str, width: int) -> None:
    text = shown(RESULTS[name], width)

    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_status_a_code_and_an_id_can_be_searched_for_at_every_width(width: int) -> None:
    text = shown(RESULTS["list-with-a-long-id"], width)

    for call in CALLS:
        assert {call.status, call.dialled, call.reason_code or call.park_reason, call.request_id} <= set(
            re.split(r"[\s~]+", text)
        )
    # An id that is wider than the terminal is whole, on lines of its own, and costs the others nothing.
    assert LONG_ID in re.sub(r"\n", "", text)


def test_the_longest_code_leaves_room_for_the_others_in_sixty_columns() -> None:
    longest = max(map(len, (*ReasonCode, *ParkReason))) + max(map(len, Status)) + len("12-01 09:30") + len("maybe")

    assert longest + 3 * 2 <= min(WIDTHS)


def test_the_count_comes_first() -> None:
    assert shown(RESULTS["list"], 80).startswith("3 of 10,000 open calls: 1 rejected, 1 unknown, 1 scheduled")
    assert shown(RESULTS["watch"], 80).startswith("10,000 open calls: 12 calling")
    assert "36 of 37 have their outcome: 35 completed, 1 unknown, 1 scheduled" in shown(RESULTS["place-and-wait"], 80)
