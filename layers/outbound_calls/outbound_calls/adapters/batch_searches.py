"""The search for the open requests of a cancelled batch: how far it is, and what it reads of the index `due`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from outbound_calls.adapters.attempt_items import optional_int, without_none
from outbound_calls.adapters.conditional_writes import set_and_remove
from outbound_calls.adapters.due_entries import BATCH_MARK
from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.domain.attempts import RequestKey

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.due_entries import DueBatch

BATCH_SEARCHED_AFTER_SECONDS = 10
"""How long after its mark a batch is searched for: a dial follows its decision within 5 seconds, and the index lags."""

BATCH_LEASE_SECONDS = 50
"""How long one sweep may search for a batch. The next sweep, a minute later, goes on."""

_READ_AT_ONCE = 100
"""The keys that one BatchGetItem takes."""


@dataclass(frozen=True, slots=True)
class BatchSearch:
    """How far the index `due` was searched for a batch: the shards before `shard`, and in it what is up to `after`.

    `after` is the key of an entry, as DynamoDB has it; None at a shard's beginning.
    """

    organization: str | None
    batch: str
    shard: int
    after: Item | None


@dataclass(eq=False, slots=True)
class BatchSearches:
    """The searches, as the calls table holds them."""

    table: CallsTable

    def expect_batch(self, organization: str | None, batch: str, now: float) -> None:
        """Have the poller find the open requests of a batch that is marked as cancelled, if it isn't going to.

        Not before the index shows all that was decided before the mark.
        """
        key = _batch_key(organization, batch)
        values = {
            "shard": self.table.due_shard(key["requestId"]),
            "due": int(now) + BATCH_SEARCHED_AFTER_SECONDS,
        }
        change = "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)"
        self.table.writes.update(key, change, "attribute_not_exists(#status)", values)

    def lease_batch(self, due: DueBatch, now: float) -> BatchSearch | None:
        """Take a due batch until the next sweep. Returns how far its search is; None when another poller has it."""
        values = {"due": int(now) + BATCH_LEASE_SECONDS, "seen": due.due_at}
        key = _batch_key(due.organization, due.batch)
        written, item = self.table.writes.update(key, "SET #dueAt = :due", "#dueAt = :seen", values)
        if item is None or not written:
            return None
        after = to_dynamodb(item["after"]) if "after" in item else None
        return BatchSearch(due.organization, due.batch, optional_int(item, "shard") or 0, after)

    def search_batch(self, search: BatchSearch) -> tuple[list[RequestKey], BatchSearch | None]:
        """The open requests of a batch among the next hundred entries of the index, and where to go on.

        None once all were searched. Reads of that organization's attempts which batch they are of.
        """
        entries, last = self.table.due_page(search.shard, _READ_AT_ONCE, search.after)
        own = [each.key for each in entries if each.key.request.organization == search.organization]
        projection = {
            "ProjectionExpression": "#requestId, #batch",
            "ExpressionAttributeNames": {"#requestId": "requestId", "#batch": "batch"},
        }
        found = [item for item in self.table.read_many(own, projection) if item.get("batch") == search.batch]
        requests = list(dict.fromkeys(RequestKey.from_text(item["requestId"]) for item in found))
        if last is None and search.shard + 1 >= self.table.due_shards:
            return requests, None
        return requests, replace(search, shard=search.shard if last else search.shard + 1, after=last)

    def note_searched(self, search: BatchSearch) -> None:
        """Note how far the index was searched, for the next sweep or for one after a crash."""
        after = from_dynamodb(search.after) if search.after else None
        values = without_none({"shard": search.shard, "after": after})
        change = set_and_remove(values, () if after else ("after",))
        key = _batch_key(search.organization, search.batch)
        self.table.writes.update(key, change, "attribute_exists(#dueAt)", values)

    def rest_batch(self, search: BatchSearch) -> None:
        """End the search for a batch. What comes later is found by the batch's mark."""
        self.table.client.delete_item(
            TableName=self.table.name, Key=to_dynamodb(_batch_key(search.organization, search.batch))
        )


def _batch_key(organization: str | None, batch: str) -> Item:
    return {"requestId": f"{organization or ''}{BATCH_MARK}{batch}", "attempt": 0}
