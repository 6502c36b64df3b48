"""Look up attempts in the calls table: by key, the open ones, or all that match.

The request itself, with the phone number, the name and the variables, is never read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import batched
from typing import Any

from pydantic import Field

from outbound_calls.adapters.attempt_items import REPORTED_FIELDS, attempt_from_item
from outbound_calls.adapters.calls_table import CallsTable, DueEntry, due_entry
from outbound_calls.adapters.dynamodb import Item, from_dynamodb, to_dynamodb
from outbound_calls.contracts.status_api import AttemptReport
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.look_up import attempt_report

OPEN = frozenset(Status) - TERMINAL
"""The statuses of attempts in the index `due`."""

ENDED_REASONS_DAYS = 7
_MAX_KEYS = 100  # of one BatchGetItem
_PROJECTION: Any = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in REPORTED_FIELDS),
    "ExpressionAttributeNames": {f"#{name}": name for name in REPORTED_FIELDS},
}


class FoundAttempt(AttemptReport):
    """One attempt, with its request's key."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    batch: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict, description="the request's own, as it came")
    redial_pending: bool = Field(default=False, exclude=True, description="whether another attempt is to be made")

    @property
    def key(self) -> AttemptKey:
        """The attempt's key."""
        return AttemptKey(RequestKey(self.request_id, self.organization), self.attempt)


class SearchResult(WireModel):
    """The attempts found, newest first, and what the search cost."""

    calls: list[FoundAttempt]
    more: bool = Field(description="true when the search stopped at its limit")
    records_read: int
    read_units: float = Field(description="billed by DynamoDB: https://aws.amazon.com/dynamodb/pricing/")


@dataclass(frozen=True, slots=True)
class Records:
    """Reads the calls table."""

    table: CallsTable

    def find(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, FoundAttempt]:
        """Those of these attempts that have a record, as of every acknowledged write."""
        return {attempt.key: _report(attempt) for attempt in self.attempts(keys)}

    def attempts(self, keys: Iterable[AttemptKey], *, consistent: bool = True) -> Iterator[Attempt]:
        """Those of these attempts that have a record, a hundred at a time, without their requests' content.

        A consistent read costs a read unit for each attempt; one that may miss the last moment costs half of that.
        """
        for chunk in batched(dict.fromkeys(keys), _MAX_KEYS, strict=False):
            items = [to_dynamodb({"requestId": str(key.request), "attempt": key.number}) for key in chunk]
            asked: Any = {self.table.name: {"Keys": items, "ConsistentRead": consistent} | _PROJECTION}
            while asked:
                answer = self.table.client.batch_get_item(RequestItems=asked)
                for item in answer["Responses"].get(self.table.name, []):
                    yield attempt_from_item(from_dynamodb(item))
                asked = answer.get("UnprocessedKeys")

    def statuses(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, Status]:
        """The statuses of those of these attempts that have a record."""
        return {key: attempt.status for key, attempt in self.find(keys).items()}

    def requests(self, keys: Iterable[RequestKey]) -> dict[RequestKey, list[FoundAttempt]]:
        """All attempts, in their order, of those of these requests that have a record. Their numbers have no gap."""
        found: dict[RequestKey, list[FoundAttempt]] = {}
        asked = {AttemptKey(key, 1) for key in keys}
        while attempts := self.find(asked):
            for key, attempt in attempts.items():
                found.setdefault(key.request, []).append(attempt)
            asked = {AttemptKey(key.request, key.number + 1) for key in attempts}
        return found

    def due(self) -> Iterator[DueEntry]:
        """Every open attempt, from the index; within each shard, in the order in which they are due."""
        for shard in range(self.table.due_shards):
            for page in self.table.client.get_paginator("query").paginate(
                TableName=self.table.name,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard",
                ExpressionAttributeValues=to_dynamodb({":shard": shard}),
            ):
                due = map(due_entry, page["Items"])
                yield from (each for each in due if isinstance(each, DueEntry))

    def seconds_overdue(self, now: float) -> int | None:
        """How long the attempt that waits longest has been due; None when none is due."""
        waits = [
            int(now) - due_entry(entry).due_at
            for shard in range(self.table.due_shards)
            for entry in self.table.client.query(
                TableName=self.table.name,
                IndexName="due",
                KeyConditionExpression="dueShard = :shard AND dueAt < :now",
                ExpressionAttributeValues=to_dynamodb({":shard": shard, ":now": int(now)}),
                Limit=1,
            )["Items"]
        ]
        return max(waits, default=None)

    def refused(self) -> dict[tuple[str | None, str], list[AttemptKey]]:
        """The attempts that AlloMia refuses and that wait, by organization and setting, the first of each first.

        Reads an index that holds nothing but what waits for a condition.
        """
        found: dict[tuple[str | None, str], list[tuple[int, AttemptKey]]] = {}
        pages = self.table.client.get_paginator("scan").paginate(TableName=self.table.name, IndexName="waiting")
        for item in (from_dynamodb(item) for page in pages for item in page["Items"]):
            organization, condition, *settings = item["waitsFor"].split(ORGANIZATION_SEPARATOR, 2)
            for setting in settings if condition == "refused" else ():
                key = AttemptKey(RequestKey.from_text(item["requestId"]), int(item["attempt"]))
                found.setdefault((organization or None, setting), []).append((int(item["waitsSince"]), key))
        return {
            setting: [key for _, key in sorted(waiting, key=lambda each: each[0])] for setting, waiting in found.items()
        }

    def ended_reasons(self, organization: str | None, now: float) -> set[str]:
        """With which reasons of AlloMia's calls of an organization ended in the last days."""
        ended = self.table.ended(organization, now - ENDED_REASONS_DAYS * 86_400, now)
        details = (attempt.call_details for attempt in ended)
        return {each.ended_reason for each in details if each and each.ended_reason}

    def open_attempts(self, limit: int, statuses: Collection[Status] = OPEN) -> SearchResult:
        """Open attempts with one of these statuses. Costs what is open, however many records the table has."""
        attempts = self.every_open_attempt()
        # An attempt that ended between the two reads is not open any more.
        still_open = _newest_first(attempt for attempt in attempts if attempt.status in statuses)
        # A consistent read of up to 4 KB costs one unit, and a page of the index half of one.
        units = len(attempts) + 0.5 * self.table.due_shards
        return SearchResult(
            calls=still_open[:limit], more=len(still_open) > limit, records_read=len(attempts), read_units=units
        )

    def open_now(self) -> Iterator[Attempt]:
        """The attempts in the index `due`, a hundred at a time, at half a read unit each.

        One that ended meanwhile may be among them, and one whose redial is pending is.
        """
        return self.attempts((due.key for due in self.due()), consistent=False)

    def every_open_attempt(self) -> list[FoundAttempt]:
        """The attempts in the index `due`. One that ended meanwhile may be among them."""
        return list(self.find(due.key for due in self.due()).values())

    def ended(self, organization: str | None, since: float, until: float) -> Iterator[FoundAttempt]:
        """The attempts of an organization that ended in that time (epoch seconds), oldest first, from an index."""
        return map(_report, self.table.ended(organization, since, until))

    def of_batch(self, organization: str | None, batch: str) -> Iterator[FoundAttempt]:
        """Every attempt of a batch, as of every acknowledged write. Reads the whole table."""
        pages = self.table.client.get_paginator("scan").paginate(
            TableName=self.table.name,
            FilterExpression="#batch = :batch",
            ExpressionAttributeValues=to_dynamodb({":batch": batch}),
            ConsistentRead=True,
            **_PROJECTION,
        )
        found = (_found(item) for page in pages for item in page["Items"])
        return (attempt for attempt in found if attempt.organization == organization)

    def for_number(self, phone_number: str) -> Iterator[AttemptKey]:
        """The attempts that still have their request, and are for this number. Reads the whole table."""
        pages = self.table.client.get_paginator("scan").paginate(
            TableName=self.table.name,
            FilterExpression="#request.#phoneNumber = :number",
            ProjectionExpression="#requestId, #attempt",
            ExpressionAttributeNames={f"#{name}": name for name in ("request", "phoneNumber", "requestId", "attempt")},
            ExpressionAttributeValues=to_dynamodb({":number": phone_number}),
            ConsistentRead=True,
        )
        for item in (from_dynamodb(item) for page in pages for item in page["Items"]):
            yield AttemptKey(RequestKey.from_text(item["requestId"]), int(item["attempt"]))

    def search(self, statuses: Collection[Status], since: float | None, limit: int) -> SearchResult:
        """All attempts with one of these statuses (any, when there are none), created since then (epoch seconds).

        A scan: DynamoDB reads and bills the whole table, until `limit` attempts are found.
        """
        attempts: list[FoundAttempt] = []
        read, units, more = 0, 0.0, False
        for page in self.table.client.get_paginator("scan").paginate(
            TableName=self.table.name, ReturnConsumedCapacity="TOTAL", **_filter(statuses, since)
        ):
            attempts += map(_found, page["Items"])
            read += page["ScannedCount"]
            units += page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
            if len(attempts) > limit:
                more = True
                break
        return SearchResult(calls=_newest_first(attempts)[:limit], more=more, records_read=read, read_units=units)


def _filter(statuses: Collection[Status], since: float | None) -> Any:
    # A keeper, which is no attempt, has number 0.
    conditions = ["#attempt > :none"]
    values: Item = {":none": 0}
    if statuses:
        named = {f":status{number}": status.value for number, status in enumerate(sorted(statuses))}
        conditions.append(f"#status IN ({', '.join(named)})")
        values |= named
    if since is not None:
        conditions.append("#createdAt >= :since")
        values[":since"] = int(since)
    return _PROJECTION | {
        "FilterExpression": " AND ".join(conditions),
        "ExpressionAttributeValues": to_dynamodb(values),
    }


def _newest_first(attempts: Iterable[FoundAttempt]) -> list[FoundAttempt]:
    return sorted(attempts, key=lambda attempt: (attempt.created_at, attempt.request_id), reverse=True)


def _found(item: Mapping[str, Any]) -> FoundAttempt:
    return _report(attempt_from_item(from_dynamodb(item)))


def _report(attempt: Attempt) -> FoundAttempt:
    request = attempt.key.request
    return FoundAttempt(
        organization=request.organization,
        request_id=request.request_id,
        batch=attempt.labels.batch,
        metadata=dict(attempt.labels.metadata),
        redial_pending=attempt.redial_at is not None,
        **dict(attempt_report(attempt)),
    )
