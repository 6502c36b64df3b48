"""What an operator looks up in the calls table: some attempts, those under way, or all that match.

The request itself, with the number and the name, is never read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from pydantic import Field

from outbound_calls.contracts import AttemptKey, RequestId, Wire
from outbound_calls.items import Item, plain, typed
from outbound_calls.ledger import DueItem
from outbound_calls.lifecycle import TERMINAL, Status
from outbound_calls.reports import AttemptReport, attempt_report

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

UNDER_WAY = frozenset(Status) - TERMINAL
"""The statuses of attempts that stand in the index of what is due."""


class Found(AttemptReport):
    """One attempt, with its request's id."""

    request_id: RequestId


class Search(Wire):
    """What a search found, newest first, and what it cost."""

    calls: list[Found]
    more: bool = Field(description="true when the search stopped at its limit")
    records_read: int
    read_units: float = Field(description="billed by DynamoDB: https://aws.amazon.com/dynamodb/pricing/")


_TOLD = [str(field.alias) for field in Found.model_fields.values()]
_PROJECTION = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in _TOLD),
    "ExpressionAttributeNames": {f"#{name}": name for name in _TOLD},
}


@dataclass(frozen=True, slots=True)
class Records:
    """Reads the calls table."""

    client: DynamoDBClient
    table: str
    due_shards: int

    def find(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, Found]:
        """Those of these attempts that have a record, as every acknowledged write left them."""
        found: dict[AttemptKey, Found] = {}
        for some in batched(dict.fromkeys(keys), 100, strict=False):  # as many as one request takes
            wanted: Any = {
                self.table: {"Keys": [typed(key.wire()) for key in some], "ConsistentRead": True} | _PROJECTION
            }
            while wanted:
                answer = self.client.batch_get_item(RequestItems=wanted)
                for call in map(_found, answer["Responses"].get(self.table, [])):
                    found[AttemptKey(request_id=call.request_id, attempt=call.attempt)] = call
                wanted = answer.get("UnprocessedKeys")
        return found

    def due(self) -> Iterator[DueItem]:
        """Every attempt that is under way, by the index; in each shard, the one that is due first comes first."""
        for shard in range(self.due_shards):
            for page in self.client.get_paginator("query").paginate(
                TableName=self.table,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard",
                ExpressionAttributeValues=typed({":shard": shard}),
            ):
                yield from map(DueItem.from_index, page["Items"])

    def overdue_since(self, now: float) -> int | None:
        """For how many seconds the attempt that waits longest has been due; None when none is."""
        waits = [
            int(now) - DueItem.from_index(item).due_at
            for shard in range(self.due_shards)
            for item in self.client.query(
                TableName=self.table,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard AND dueAt < :now",
                ExpressionAttributeValues=typed({":shard": shard, ":now": int(now)}),
                Limit=1,
            )["Items"]
        ]
        return max(waits, default=None)

    def statuses(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, Status]:
        """The statuses of those of these attempts that have a record."""
        return {key: call.status for key, call in self.find(keys).items()}

    def under_way(self, limit: int, statuses: Collection[Status] = UNDER_WAY) -> Search:
        """What is under way in one of these statuses: costs what is under way, however many calls the table has."""
        calls = self.find(due.key for due in self.due())
        # What ended between the two reads is under way no more.
        still = _newest_first(call for call in calls.values() if call.status in statuses)
        # One unit for a consistent read of up to 4 KB, and half of one for each page of the index.
        units = len(calls) + 0.5 * self.due_shards
        return Search(calls=still[:limit], more=len(still) > limit, records_read=len(calls), read_units=units)

    def search(self, statuses: Collection[Status], since: float | None, limit: int) -> Search:
        """All attempts in one of these statuses (any, when there are none) that were made since then.

        A scan: DynamoDB reads and bills the whole table, up to where `limit` attempts have been found.
        """
        conditions: list[str] = []
        values: Item = {}
        if statuses:
            values = {f":status{number}": status.value for number, status in enumerate(sorted(statuses))}
            conditions.append(f"#status IN ({', '.join(values)})")
        if since is not None:
            conditions.append("#createdAt >= :since")
            values[":since"] = int(since)
        asked: Any = dict(_PROJECTION)
        if conditions:
            asked |= {"FilterExpression": " AND ".join(conditions), "ExpressionAttributeValues": typed(values)}
        calls: list[Found] = []
        read, units, more = 0, 0.0, False
        for page in self.client.get_paginator("scan").paginate(
            TableName=self.table,
            ReturnConsumedCapacity="TOTAL",
            **asked,
        ):
            calls += map(_found, page["Items"])
            read += page["ScannedCount"]
            units += page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
            if len(calls) > limit:
                more = True
                break
        return Search(calls=_newest_first(calls)[:limit], more=more, records_read=read, read_units=units)


def _newest_first(calls: Iterable[Found]) -> list[Found]:
    return sorted(calls, key=lambda call: (call.created_at, call.request_id), reverse=True)


def _found(item: Any) -> Found:
    values: Item = plain(item)
    return Found(request_id=values["requestId"], **attempt_report(values).model_dump(by_alias=False))
