"""Read a whole table or index. An index may be late: `tests/late_indexes.py` waits for it where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

type Item = dict[str, Any]


def table_items(dynamodb: Any, table: str) -> list[Item]:
    """Every item, as DynamoDB has it."""
    return list(_pages(dynamodb, TableName=table, ConsistentRead=True))


def index_items(dynamodb: Any, table: str, index: str = "due", **filters: Any) -> list[Item]:
    """Every entry of an index that passes the filter."""
    return list(_pages(dynamodb, TableName=table, IndexName=index, **filters))


def _pages(dynamodb: Any, **params: Any) -> Iterator[Item]:
    for page in dynamodb.get_paginator("scan").paginate(**params):
        yield from page["Items"]
