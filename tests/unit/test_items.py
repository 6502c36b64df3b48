"""Items are read and written as boto3 would, which is not at hand in a function."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from outbound_calls.items import plain, typed

NUMBERS = st.integers(-(10**18), 10**18) | st.decimals(-(10**9), 10**9, places=6)
VALUES = st.recursive(
    st.text() | st.booleans() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ITEMS = st.dictionaries(st.text(), VALUES)


@given(ITEMS)
def test_values_are_typed_as_boto3_types_them(item: dict[str, Any]) -> None:
    assert typed(item) == {name: TypeSerializer().serialize(value) for name, value in item.items()}


@given(ITEMS)
def test_what_was_typed_comes_back_as_from_boto3(item: dict[str, Any]) -> None:
    read = plain(typed(item))

    assert read == item
    expected = {name: TypeDeserializer().deserialize(value) for name, value in typed(item).items()}
    # Not only equal, as 1 and True are: of the same types as well
    assert repr(read) == repr(expected)


@pytest.mark.parametrize("value", [1.5, None, b"bytes", {1, 2}, object()])
def test_what_the_table_has_no_type_for_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        typed({"name": value})


@pytest.mark.parametrize("kind", ["NULL", "B", "SS", "NS", "BS"])
def test_a_type_that_is_none_of_the_tables_is_refused(kind: str) -> None:
    with pytest.raises(TypeError, match=kind):
        plain({"name": {kind: []}})


def test_numbers_are_decimals() -> None:
    assert plain({"attempt": {"N": "1"}, "duration": {"N": "0.5"}}) == {"attempt": 1, "duration": Decimal("0.5")}
    assert isinstance(plain({"attempt": {"N": "1"}})["attempt"], Decimal)
