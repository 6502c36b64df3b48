"""What a write to DynamoDB is billed as, by its documented rules.

Sizes: docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html. A write is billed for the
larger of the item before and after it, one unit for each started KB. Of an index, only what changes is billed:
docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

UNIT_BYTES = 1024
TABLE_KEY = ("requestId", "attempt")
INDEXES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("dueShard", "dueAt"): (),
    ("endedOn", "recordedAt"): (
        *("status", "createdAt", "dispatchedAt", "timesParked", "metadata", "batch", "purpose", "setting"),
        *("outboundCallId", "contactId", "callDetails", "allowedBy", "redialAt", "nextAttempt", "cancelRequestedAt"),
        *("outcomeSource", "reasonCode", "reason"),
    ),
    ("waitsFor", "waitsSince"): ("policyVersion",),
}
"""The key of each index, and what it projects beside the keys."""

_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1

type TypedItem = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB's API has it: ``{"status": {"S": "calling"}}``."""


@dataclass(frozen=True, slots=True)
class WriteUnits:
    """The write request units of one write: to the table, and to all indexes together."""

    table: int
    index: int


def write_units(before: TypedItem | None, after: TypedItem) -> WriteUnits:
    """The units of the write that made `after` of `before` (None: there was no item)."""
    return WriteUnits(
        table=ceil(max(item_bytes(before or {}), item_bytes(after)) / UNIT_BYTES),
        index=sum(_index_units(_entry(before or {}, key), _entry(after, key)) for key in INDEXES),
    )


def item_bytes(item: TypedItem) -> int:
    """The size of an item: its attributes' names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _entry(item: TypedItem, key: tuple[str, ...]) -> TypedItem | None:
    """The item's entry in the index with this key, which has only items with the whole of it."""
    if not all(name in item for name in key):
        return None
    return {name: item[name] for name in (*TABLE_KEY, *key, *INDEXES[key]) if name in item}


def _index_units(before: TypedItem | None, after: TypedItem | None) -> int:
    if before == after:
        return 0
    # A changed key is an entry taken out and another one put in.
    return sum(ceil(item_bytes(entry) / UNIT_BYTES) for entry in (before, after) if entry is not None)


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_bytes(content)
        case "NULL" | "BOOL":
            return 1
        case "M":
            return _CONTAINER_BYTES + item_bytes(content) + _ELEMENT_BYTES * len(content)
        case "L":
            return _CONTAINER_BYTES + sum(_value_bytes(each) + _ELEMENT_BYTES for each in content)
        case _:
            raise NotImplementedError(f"the size of a value of type {kind}")


def _number_bytes(digits: str) -> int:
    """A byte for every two significant digits and one more; the sign of a negative number takes another."""
    significant = digits.lstrip("-").replace(".", "").strip("0")
    return ceil(len(significant) / 2) + 1 + digits.startswith("-")
