"""What is asked of DynamoDB for the lines of an organization, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.domain.lines import Lines, Mark
from tests.unit.dynamodb import Asked, dynamodb, fault, number, well

URGENT, NORMAL, LOW = Priority.URGENT, Priority.NORMAL, Priority.LOW
CLAIM, LINE = "0123456789abcdef-and-more", "0123456789abcdef"
RESERVED = "~reserved"
NO_ITEM = fault("ConditionalCheckFailedException")
KEY = {"subject": {"S": "lines#clinic-a"}, "entry": {"S": "lines"}}


def item(*used: str, **more: int) -> dict[str, Any]:
    """The item, with these lines in use until 61."""
    numbers = {name: {"N": str(number)} for name, number in more.items()}
    return {**KEY, "lines": {"M": {name: {"N": "61"} for name in used}}, **numbers}


def made(*used: str, **more: int) -> bytes:
    return well(Attributes=item(*used, **more))


def refused(*used: str, **more: int) -> bytes:
    return fault("ConditionalCheckFailedException", Item=item(*used, **more))


def in_use(*names: str) -> Lines:
    return Lines(dict.fromkeys(names, 61))


def change(expression: str, names: dict[str, str], condition: str = "", **values: Any) -> dict[str, Any]:
    """An update of the item, as it is asked for."""
    asked: dict[str, Any] = {
        "TableName": "policy",
        "Key": KEY,
        "UpdateExpression": expression,
        "ExpressionAttributeNames": names,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if condition:
        asked["ConditionExpression"] = condition
    if values:
        asked["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return asked


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[LinesTable, Asked]]:
    with dynamodb(*answers) as (client, table):
        yield LinesTable(client, "policy"), table


# Reads.


def test_the_lines_are_read_as_of_every_acknowledged_write() -> None:
    with answering(well(Item=item("a"))) as (lines, table):
        assert lines.read_lines("clinic-a") == in_use("a")
    assert table.asked == [{"TableName": "policy", "Key": KEY, "ConsistentRead": True}]


def test_the_default_organization_has_its_own_name() -> None:
    with answering(well()) as (lines, table):
        assert lines.read_lines(None) == Lines()
    assert table.asked[0]["Key"] == {"subject": {"S": "lines#default"}, "entry": {"S": "lines"}}


def test_everything_of_an_item_is_read() -> None:
    times = {"urgentAt": 1, "urgentArrivals": 2, "lowAt": 3, "lowArrivals": 4, "countedSince": 5}
    with answering(well(Item=item("a", "b", normalArrivals=6, **times))) as (lines, _):
        found = lines.read_lines("clinic-a")
    assert found == Lines({"a": 61, "b": 61}, {URGENT: Mark(2, 1), LOW: Mark(4, 3)}, 5)
    numbers = [*found.used.values(), *(each.at for each in found.marks.values()), found.counted_since]
    assert {type(each) for each in [*numbers, *(each.arrivals for each in found.marks.values())]} == {int}


# Taking a line.

TAKE = (
    "SET #lines.#line = :until REMOVE #lines.#reserved",
    {"#lines": "lines", "#line": LINE, "#reserved": RESERVED},
    "(attribute_exists(#lines.#reserved) AND size(#lines) <= :limit) OR (size(#lines) < :limit AND ",
)


def take(lines: LinesTable, priority: Priority = URGENT) -> Lines | None:
    return lines.take_line("clinic-a", CLAIM, RESERVED, priority, 3, 60.1)


@pytest.mark.parametrize(
    ("priority", "no_marks", "marks"),
    [
        (URGENT, "attribute_not_exists(#urgentAt))", ["urgentAt"]),
        (NORMAL, "attribute_not_exists(#urgentAt) AND attribute_not_exists(#normalAt))", ["urgentAt", "normalAt"]),
    ],
)
def test_a_line_is_taken_by_one_write_under_the_name_of_its_claim(
    priority: Priority, no_marks: str, marks: list[str]
) -> None:
    expression, names, condition = TAKE
    with answering(made("a", LINE)) as (lines, table):
        assert take(lines, priority) == in_use("a", LINE)
    all_names = names | {f"#{name}": name for name in marks}
    assert table.asked == [change(expression, all_names, condition + no_marks, until=number(61), limit=number(3))]


def test_a_claim_that_has_a_line_keeps_it() -> None:
    with answering(refused("a", LINE)) as (lines, table):
        assert take(lines) == in_use("a", LINE)
    assert len(table.asked) == 1


@pytest.mark.parametrize("answer", [refused("a"), refused(urgentAt=1, urgentArrivals=1)], ids=["in use", "waited for"])
def test_no_line_is_taken_where_none_is_free(answer: bytes) -> None:
    with answering(answer) as (lines, table):
        assert take(lines) is None
    assert len(table.asked) == 1


def test_the_first_line_is_put_into_an_item_that_has_none() -> None:
    with answering(NO_ITEM, made(LINE)) as (lines, table):
        assert take(lines) == in_use(LINE)
    (_, begin) = table.asked
    used = {"M": {LINE: number(61)}}
    assert begin == change("SET #lines = :used", {"#lines": "lines"}, "attribute_not_exists(#lines)", used=used)


def test_a_line_is_tried_again_where_another_was_the_first_or_the_last_was_given_back() -> None:
    with answering(NO_ITEM, refused("a"), made("a", LINE)) as (lines, table):
        assert take(lines) == in_use("a", LINE)
    assert len(table.asked) == 3
    with answering(NO_ITEM, refused()) as (lines, table):
        assert take(lines) is None
    assert len(table.asked) == 10


# The other changes.

type Change = Callable[[LinesTable], Lines | None]

CHANGES: dict[str, tuple[Change, dict[str, Any]]] = {
    "reserve": (
        lambda lines: lines.reserve_line("clinic-a", RESERVED, 3, 60.1),
        change(
            "SET #lines.#reserved = :until",
            {"#lines": "lines", "#reserved": RESERVED},
            "size(#lines) < :limit",
            until=number(61),
            limit=number(3),
        ),
    ),
    "give back": (
        lambda lines: lines.give_back_lines("clinic-a", ["c", "b"]),
        change(
            "REMOVE #lines.#line0, #lines.#line1",
            {"#lines": "lines", "#line0": "b", "#line1": "c"},
            "attribute_exists(#lines)",
        ),
    ),
    "mark": (
        lambda lines: lines.mark_waiting("clinic-a", LOW, 9.9),
        change(
            "SET #lines = if_not_exists(#lines, :none), #lowAt = :now ADD #lowArrivals :one",
            {"#lines": "lines", "#lowAt": "lowAt", "#lowArrivals": "lowArrivals"},
            none={"M": {}},
            now=number(9),
            one=number(1),
        ),
    ),
    "clear": (
        lambda lines: lines.clear_mark("clinic-a", LOW, Mark(4, 9)),
        change(
            "REMOVE #lowAt",
            {"#lowAt": "lowAt", "#lowArrivals": "lowArrivals"},
            "#lowArrivals = :seen",
            seen=number(4),
        ),
    ),
    "note": (
        lambda lines: lines.note_counted("clinic-a", 7),
        change("SET #countedSince = :since", {"#countedSince": "countedSince"}, since=number(7)),
    ),
}
every_change = pytest.mark.parametrize(("make", "asked"), CHANGES.values(), ids=CHANGES)


@every_change
def test_a_change_is_one_write_whose_answer_is_the_lines_as_they_are_then(make: Change, asked: dict[str, Any]) -> None:
    with answering(made("a")) as (lines, table):
        assert make(lines) == in_use("a")
    assert table.asked == [asked]


@every_change
def test_a_change_whose_condition_fails_finds_the_lines_as_they_are(make: Change, asked: dict[str, Any]) -> None:
    with answering(refused("a")) as (lines, _):
        found = make(lines)
    assert found == (None if "reserved" in asked["UpdateExpression"] else in_use("a"))


@every_change
def test_a_change_that_dynamodb_refuses_raises_its_answer(make: Change, asked: dict[str, Any]) -> None:
    with answering(fault("AccessDeniedException")) as (lines, _), pytest.raises(ClientError):
        make(lines)


def test_fifty_lines_are_given_back_at_once() -> None:
    names = [f"{place:02}" for place in range(51)]
    with answering(made("first"), made("then")) as (lines, table):
        assert lines.give_back_lines("clinic-a", names[:50]) == in_use("first")
        assert lines.give_back_lines("clinic-a", names) == in_use("then")
        assert lines.give_back_lines("clinic-a", []) == Lines()
    assert [sorted(asked["ExpressionAttributeNames"].values()) for asked in table.asked] == [
        [*names[:50], "lines"],
        [*names[:50], "lines"],
        ["50", "lines"],
    ]


def test_lines_that_lapsed_are_dropped_one_by_one_unless_they_are_held_for_longer() -> None:
    seen = Lines({"c": 5, "b": 6, "a": 7})
    with answering(made("a", "c"), refused("a", "c")) as (lines, table):
        assert lines.drop_lapsed("clinic-a", seen, 6.5) == in_use("a", "c")
        assert lines.drop_lapsed("clinic-a", seen, 4) is seen
    assert table.asked == [
        change("REMOVE #lines.#line", {"#lines": "lines", "#line": name}, "#lines.#line = :until", until=number(until))
        for name, until in (("b", 6), ("c", 5))
    ]


def test_lines_of_calls_in_progress_are_put_fifty_at_once() -> None:
    held = {f"{place:02}": 1000 + place for place in range(52)}
    with answering(made()) as (lines, table):
        lines.put_lines("clinic-a", dict(reversed(held.items())))
    (begin, first, last) = table.asked
    assert begin == change("SET #lines = if_not_exists(#lines, :none)", {"#lines": "lines"}, none={"M": {}})
    assert sorted(first["ExpressionAttributeNames"].values()) == [*list(held)[:50], "lines"]
    assert last == change(
        "SET #lines.#line0 = :until0, #lines.#line1 = :until1",
        {"#lines": "lines", "#line0": "50", "#line1": "51"},
        until0=number(1050),
        until1=number(1051),
    )
