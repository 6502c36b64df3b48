"""Write units by DynamoDB's documented rules, on the sizes that its documentation gives."""

from typing import Any

import pytest

from benchmarks.write_units import INDEXES, WriteUnits, item_bytes, write_units
from tests.tooling.template.rendering import read_template

KEY: dict[str, Any] = {"requestId": {"S": "a"}, "attempt": {"N": "1"}}
DUE: dict[str, Any] = {"dueShard": {"N": "0"}, "dueAt": {"N": "1775053980"}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é"}, 2),
        # A byte for each two significant digits, and one more.
        ({"N": "1"}, 2),
        ({"N": "27"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-27"}, 3),
        ({"N": "1000"}, 2),
        ({"N": "0.001"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        # Three bytes for a list or a map, and one for each element.
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}]}, 6),
        ({"M": {}}, 3),
        ({"M": {"k": {"S": "ab"}}}, 7),
    ],
)
def test_the_size_of_a_value(value: dict[str, Any], size: int) -> None:
    assert item_bytes({"name": value}) == len("name") + size


def test_the_indexes_are_those_of_the_template() -> None:
    found = read_template()["Resources"]["CallsTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert {
        tuple(each["AttributeName"] for each in index["KeySchema"]): tuple(
            sorted(index["Projection"].get("NonKeyAttributes", []))
        )
        for index in found
    } == {key: tuple(sorted(projected)) for key, projected in INDEXES.items()}


def of_size(size: int, **more: Any) -> dict[str, Any]:
    item = KEY | more | {"filling": {"S": ""}}
    return item | {"filling": {"S": "x" * (size - item_bytes(item))}}


@pytest.mark.parametrize(("size", "units"), [(100, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 3)])
def test_a_write_is_billed_for_each_started_kilobyte(size: int, units: int) -> None:
    assert write_units(None, of_size(size)) == WriteUnits(table=units, index=0)


def test_the_larger_of_the_item_before_and_after_counts() -> None:
    assert write_units(of_size(1500), of_size(100)).table == 2
    assert write_units(of_size(100), of_size(1500)).table == 2


def test_the_index_is_billed_for_what_changes_in_it() -> None:
    later = DUE | {"dueAt": {"N": "1775054000"}}

    assert write_units(None, KEY | DUE).index == 1  # put in
    assert write_units(KEY | DUE, KEY | DUE | {"status": {"S": "calling"}}).index == 0  # not projected
    assert write_units(KEY | DUE, KEY | later).index == 2  # taken out, and put in elsewhere
    assert write_units(KEY | DUE, KEY).index == 1  # taken out
    assert write_units(None, KEY).index == 0  # never in it
    assert write_units(None, KEY | {"dueAt": {"N": "1"}}).index == 0  # half a key is none


def test_an_entry_that_moves_from_one_index_to_another_is_billed_in_both() -> None:
    ended: dict[str, Any] = {"endedOn": {"S": "~2026-04-01"}, "recordedAt": {"N": "1775053980"}}

    assert write_units(KEY | DUE, KEY | ended).index == 2
    assert write_units(KEY | ended, KEY | ended | {"reason": {"S": "projected"}}).index == 2
    assert write_units(KEY | ended, KEY | ended | {"claimId": {"S": "not projected"}}).index == 0


def test_an_unknown_type_is_not_guessed_at() -> None:
    with pytest.raises(NotImplementedError):
        item_bytes({"name": {"SS": ["a"]}})
