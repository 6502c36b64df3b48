"""Who may take a line: pure rules, and the conditions of the writes that must say the same."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.lines import (
    COUNT_AFTER_SECONDS,
    HELD_AFTER_DEADLINE_SECONDS,
    INDEX_LAG_SECONDS,
    MOST_URGENT_FIRST,
    RESERVED_SECONDS,
    Lines,
    Mark,
    line_of_claim,
    line_reserved_for,
    not_less_urgent,
)
from tests.proof.explorer.table import TableInMemory

URGENT, NORMAL, LOW = MOST_URGENT_FIRST
NOW = 1000
OWN = line_reserved_for(AttemptKey(RequestKey("visit-2031"), 1))


def lines(*used: str, until: int = NOW + 60, marks: tuple[Priority, ...] = ()) -> Lines:
    return Lines(dict.fromkeys(used, until), dict.fromkeys(marks, Mark(1, NOW)))


@pytest.mark.parametrize(
    ("state", "priority", "limit", "admitted"),
    [
        (Lines(), NORMAL, 1, True),
        (lines("a", until=NOW + 1), NORMAL, 1, False),
        (lines(OWN, until=NOW + 1, marks=(URGENT,)), LOW, 1, True),
        (lines("a"), NORMAL, 1, False),
        (lines("a"), NORMAL, 2, True),
        (lines("a", until=NOW), NORMAL, 1, True),
        (lines(marks=(NORMAL,)), NORMAL, 1, False),
        (lines(marks=(URGENT,)), NORMAL, 1, False),
        (lines(marks=(LOW,)), NORMAL, 1, True),
        (lines(marks=(NORMAL, LOW)), URGENT, 1, True),
        (lines("a", marks=(LOW,)), URGENT, 1, False),
        (lines(OWN, marks=(URGENT,)), LOW, 1, True),
        (lines(OWN, "a", marks=(URGENT,)), LOW, 2, True),
        (lines(OWN, "a"), LOW, 1, False),
        (lines(OWN, until=NOW, marks=(LOW,)), LOW, 1, False),
    ],
)
def test_a_reserved_line_is_for_its_attempt_and_a_free_one_for_anyone_if_no_one_waits(
    state: Lines, priority: Priority, limit: int, admitted: bool
) -> None:
    assert state.admits(priority, OWN, limit, NOW) is admitted


def test_the_more_urgent_come_first() -> None:
    assert [not_less_urgent(each) for each in MOST_URGENT_FIRST] == [(URGENT,), (URGENT, NORMAL), tuple(Priority)]


def test_no_name_of_a_claims_line_is_one_of_a_reserved_line() -> None:
    assert line_of_claim("0123456789abcdef0123456789abcdef") == "0123456789abcdef"
    assert re.fullmatch("~[0-9a-f]{16}", OWN)
    assert line_reserved_for(AttemptKey(RequestKey("visit-2031"), 2)) != OWN
    assert line_reserved_for(AttemptKey(RequestKey("visit-2031", "north"), 1)) != OWN


def test_the_fixed_times() -> None:
    assert (RESERVED_SECONDS, HELD_AFTER_DEADLINE_SECONDS, INDEX_LAG_SECONDS, COUNT_AFTER_SECONDS) == (60, 300, 5, 15)


def test_the_index_is_looked_at_soon_and_again_when_it_must_show_all() -> None:
    mark = Mark(1, NOW)

    assert (mark.look_again_after(NOW), mark.look_again_after(NOW + 1)) == (1, INDEX_LAG_SECONDS - 1)
    assert mark.look_again_after(NOW + INDEX_LAG_SECONDS) == 1
    assert not mark.is_settled(NOW + INDEX_LAG_SECONDS - 1)
    assert mark.is_settled(NOW + INDEX_LAG_SECONDS)


def test_the_calls_from_before_a_limit_are_counted_by_a_count_since_then() -> None:
    assert [Lines(counted_since=NOW).is_counted(NOW + late) for late in (-1, 0, 1)] == [True, True, False]
    assert [Lines().is_counted(limited_since) for limited_since in (0, 1)] == [True, False]


@given(
    used=st.sets(st.sampled_from(["a", "b", "c", OWN])),
    marks=st.sets(st.sampled_from(Priority)),
    priority=st.sampled_from(Priority),
    limit=st.integers(1, 4),
)
def test_the_write_that_takes_a_line_allows_what_the_rule_does(
    used: set[str], marks: set[Priority], priority: Priority, limit: int
) -> None:
    table = LinesTable(cast("Any", TableInMemory()), "policy")
    table.clear_mark(None, LOW, table.mark_waiting(None, LOW, NOW).marks[LOW])
    for name in used:
        assert table.reserve_line(None, name, 9, NOW + 60)
    for each in marks:
        table.mark_waiting(None, each, NOW)
    state = table.read_lines(None)
    assert (set(state.used), set(state.marks)) == (used, marks)

    taken = table.take_line(None, "new", OWN, priority, limit, NOW + 60)

    assert (taken is not None) is state.admits(priority, OWN, limit, NOW)
    if taken:
        assert set(taken.used) == {*used, "new"} - {OWN}
        assert table.take_line(None, "new", OWN, priority, limit, NOW + 60)  # sent again
    assert len(table.read_lines(None).used) <= max(limit, len(used))


def test_lines_are_dropped_once_they_lapsed_unless_they_are_held_for_longer_by_now() -> None:
    table = LinesTable(cast("Any", TableInMemory()), "policy")
    table.take_line(None, "a", OWN, LOW, 3, NOW)
    seen = table.take_line(None, "b", OWN, LOW, 3, NOW)
    assert seen
    table.give_back_lines(None, ["a"])
    table.take_line(None, "a", OWN, LOW, 3, NOW + 60)

    assert set(table.drop_lapsed(None, seen, NOW).used) == {"a"}
