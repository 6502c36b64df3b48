"""Look up attempts in the calls table: by key, the open ones, or those that ended.

The request itself, with the phone number, the name and the variables, is never read.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched, islice
from typing import Any, TypeIs

from pydantic import Field

from outbound_calls.adapters.attempt_items import REPORTED_FIELDS, attempt_from_item, ended_on, item_key
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.adapters.due_entries import due_entry
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.contracts.status_api import AttemptReport
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.look_up import attempt_report

OPEN = frozenset(Status) - TERMINAL
"""The statuses of attempts in the index `due`."""

STATUS_ORDER = (
    Status.COMPLETED,
    Status.NO_ANSWER,
    Status.BUSY,
    Status.FAILED,
    Status.REJECTED,
    Status.CANCELLED,
    Status.UNKNOWN,
    Status.CALLING,
    Status.DISPATCHING,
    Status.SCHEDULED,
)
"""The order in which people are shown the statuses: first what ended."""

ENDED_REASONS_DAYS = 7
_DAY_SECONDS = 86_400
_MAX_KEYS = 100  # of one BatchGetItem
_DUE_PAGE = 300  # entries of a shard that are read in one request; more are only counted
_WORKERS = 8

OPEN_FIELDS = (
    *("requestId", "attempt", "status", "createdAt", "timesParked", "parkReason", "batch", "dueAt", "dispatchedAt"),
    *("outboundCallId", "redialAt", "nextAttempt"),
)
"""What a list and a count need of an open attempt. The others, such as its metadata, are most of its size."""


def _projection(fields: Sequence[str]) -> Any:
    return {
        "ProjectionExpression": ", ".join(f"#{name}" for name in fields),
        "ExpressionAttributeNames": {f"#{name}": name for name in fields},
    }


class FoundAttempt(AttemptReport):
    """One attempt, with its request's key."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    batch: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict, description="the request's own, unchanged")
    is_followed: bool = Field(default=False, exclude=True, description="whether another attempt was made after it")
    redial_pending: bool = Field(default=False, exclude=True, description="whether another attempt is to be made")

    @property
    def key(self) -> AttemptKey:
        """The attempt's key."""
        return AttemptKey(RequestKey(self.request_id, self.organization), self.attempt)


class SearchResult(WireModel):
    """The attempts found: those that ended, newest first, and then those that are open, first what is due next."""

    calls: list[FoundAttempt]
    by_status: dict[str, int] = Field(description="how many of these there are with each status")
    more: bool = Field(description="true when the search stopped at its limit")
    open: int | None = Field(None, description="how many attempts are open, where all of these were asked for")
    records_read: int


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: attempts with one of these statuses, of these organizations (None is the default one).

    Those that ended did so since `since`; times are epoch seconds. At most `limit` are found.
    """

    statuses: Collection[Status]
    organizations: Sequence[str | None]
    since: float
    now: float
    limit: int
    of_all: bool = False
    """Whether open attempts of every organization are wanted."""

    max_read: int | None = None
    """How many records of those that ended are looked at, at most: for one who can't wait for the rest."""

    @property
    def is_open(self) -> bool:
        """Whether it is for exactly what is open."""
        return set(self.statuses) == OPEN and self.of_all

    def has_open(self, attempt: Attempt) -> bool:
        """Whether it is for this attempt, as an open one."""
        mine = self.of_all or attempt.key.request.organization in self.organizations
        return mine and is_open(attempt) and open_status(attempt) in self.statuses


@dataclass(frozen=True, slots=True)
class Records:
    """Reads the calls table."""

    table: CallsTable

    def find(self, keys: Iterable[AttemptKey]) -> dict[AttemptKey, FoundAttempt]:
        """Those of these attempts that have a record, as of every acknowledged write."""
        return {attempt.key: report_of(attempt) for attempt in self.attempts(keys)}

    def attempts(
        self,
        keys: Iterable[AttemptKey],
        *,
        consistent: bool = True,
        at_a_time: int = _MAX_KEYS,
        fields: Sequence[str] = REPORTED_FIELDS,
    ) -> Iterator[Attempt]:
        """Those of these attempts that have a record, in this order, without their requests' content.

        They are read at most a hundred at a time. DynamoDB answers with the items of a batch in any order.

        A consistent read costs a read unit for each attempt; one that may miss the last moment costs half of that.
        """
        projection = _projection(fields)
        return map(attempt_from_item, self._items(keys, projection, consistent=consistent, at_a_time=at_a_time))

    def _items(
        self, keys: Iterable[AttemptKey], projection: Any, *, consistent: bool, at_a_time: int = _MAX_KEYS
    ) -> Iterator[Mapping[str, Any]]:
        for chunk in batched(_once(keys), at_a_time, strict=False):
            items = [to_dynamodb({"requestId": str(key.request), "attempt": key.number}) for key in chunk]
            asked: Any = {self.table.name: {"Keys": items, "ConsistentRead": consistent} | projection}
            found: dict[AttemptKey, Mapping[str, Any]] = {}
            while asked:
                answer = self.table.client.batch_get_item(RequestItems=asked)
                for item in map(from_dynamodb, answer["Responses"].get(self.table.name, [])):
                    found[item_key(item)] = item
                asked = answer.get("UnprocessedKeys")
            yield from (found[key] for key in chunk if key in found)

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

    def due(self, page_size: int | None = None) -> Iterator[DueEntry]:
        """Every open attempt, from the index, in the order in which they are due.

        `page_size` is how many entries of each shard are read at a time, for one who may need only the first.
        """
        shards = (self._due_in(shard, page_size) for shard in range(self.table.due_shards))
        return heapq.merge(*shards, key=lambda each: each.due_at)

    def _due_in(self, shard: int, page_size: int | None) -> Iterator[DueEntry]:
        for page in self.table.client.get_paginator("query").paginate(
            TableName=self.table.name,
            IndexName="due",
            KeyConditionExpression="dueShard = :shard",
            ExpressionAttributeValues=to_dynamodb({":shard": shard}),
            PaginationConfig={"PageSize": page_size} if page_size else {},
        ):
            entries = map(due_entry, page["Items"])
            yield from (each for each in entries if isinstance(each, DueEntry))

    def count_open(self) -> int:
        """The entries of the index `due`: the open attempts, and a few that remind the poller of something."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            return sum(pool.map(self._count_due, range(self.table.due_shards)))

    def _count_due(self, shard: int, most: int | None = None, after: Any = None) -> int:
        """The entries of a shard, after one of them. With `most`, it may stop once there are that many."""
        total = 0
        while most is None or total < most:
            start = {"ExclusiveStartKey": after} if after else {}
            page: Any = self.table.client.query(**self._due_query(shard), Select="COUNT", **start)
            total, after = total + page["Count"], page.get("LastEvaluatedKey")
            if after is None:
                break
        return total

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

    def search(self, wanted: Search) -> SearchResult:
        """The attempts that are wanted: what ended since then, and what is open.

        From the indexes `ended` and `due`, and no more of them than it takes to find `limit` and know whether there are
        more. An open attempt costs half a read unit, and so do about seven that ended.
        """
        counted = Counted()
        most = wanted.limit + 1
        ended = [self._newest(organization, wanted, counted) for organization in wanted.organizations]
        found = list(islice(heapq.merge(*ended, key=lambda each: -(each.recorded_at or 0)), most))
        if OPEN.intersection(wanted.statuses) and len(found) < most:
            seen = {each.key for each in found}
            # Some of those that are read may have another status, or have ended meanwhile.
            size = min(most - len(found), _MAX_KEYS) if wanted.is_open else _MAX_KEYS
            keys = (due.key for due in self.due(page_size=max(most, _MAX_KEYS)))
            attempts = counted.all(self.attempts(keys, consistent=False, at_a_time=size))
            open_ = (each for each in attempts if wanted.has_open(each) and each.key not in seen)
            found += islice(open_, most - len(found))
        calls = [report_of(each) for each in found[: wanted.limit]]
        return SearchResult(
            calls=calls,
            by_status=tally(each.status for each in calls),
            more=len(found) > wanted.limit or counted.stopped,
            open=self.count_open() if wanted.is_open else None,
            records_read=counted.read,
        )

    def _newest(self, organization: str | None, wanted: Search, counted: Counted) -> Iterator[Attempt]:
        """What ended of an organization, newest first."""
        statuses = sorted(TERMINAL.intersection(wanted.statuses))
        named = {f":status{number}": status.value for number, status in enumerate(statuses)}
        first, last = (int(each) // _DAY_SECONDS for each in (wanted.since, wanted.now))
        for day in range(last, first - 1, -1) if statuses else ():
            # Only the first day isn't wanted as a whole.
            since = {":since": int(wanted.since)} if day == first else {}
            for page in self.table.client.get_paginator("query").paginate(
                TableName=self.table.name,
                IndexName="ended",
                KeyConditionExpression="endedOn = :day AND recordedAt >= :since" if since else "endedOn = :day",
                FilterExpression=f"#status IN ({', '.join(named)})",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=to_dynamodb(
                    {":day": ended_on(organization, day * _DAY_SECONDS), **since, **named}
                ),
                ScanIndexForward=False,
                PaginationConfig=_page_size(wanted, statuses),
            ):
                counted.read += page["ScannedCount"]
                yield from (attempt_from_item(from_dynamodb(item)) for item in page["Items"])
                if wanted.max_read is not None and counted.read >= wanted.max_read:
                    counted.stopped = True
                    return

    def first_open(self, most: int, count: int = 0, page: int = _DUE_PAGE) -> tuple[list[FoundAttempt], int]:
        """The open attempts that are due first, in that order and as `OPEN_FIELDS`; and how many are open.

        They are counted as far as `count`, or a little more: those beyond the first `page` of each shard without being
        sent here. The attempts cost half a read unit each.
        """

        def first_page(shard: int) -> Any:
            return self.table.client.query(**self._due_query(shard), Limit=max(most, page))

        with ThreadPoolExecutor(_WORKERS) as pool:
            pages = list(pool.map(first_page, range(self.table.due_shards)))
            entries = (filter(_is_attempt, map(due_entry, each["Items"])) for each in pages)
            first = islice(heapq.merge(*entries, key=lambda each: each.due_at), most)
            keys = [each.key for each in first]
            total = pool.submit(self._count_after, pages, count)
            found = pool.map(
                lambda some: list(self.attempts(some, consistent=False, fields=OPEN_FIELDS)),
                batched(keys, _MAX_KEYS, strict=False),
            )
            return [report_of(each) for some in found for each in some], total.result()

    def _count_after(self, pages: Sequence[Any], most: int) -> int:
        """How many entries these first pages of the shards have, and then as many of those that follow as wanted."""
        total: int = sum(page["Count"] for page in pages)
        for shard, page in enumerate(pages):
            if total < most and "LastEvaluatedKey" in page:
                total += self._count_due(shard, most - total, page["LastEvaluatedKey"])
        return total

    def _due_query(self, shard: int) -> Any:
        return {
            "TableName": self.table.name,
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard",
            "ExpressionAttributeValues": to_dynamodb({":shard": shard}),
        }

    def open_now(self, fields: Sequence[str] = REPORTED_FIELDS) -> Iterator[Attempt]:
        """The attempts in the index `due`, a hundred at a time, at half a read unit each.

        One that ended meanwhile may be among them, and one whose redial is pending is.
        """
        return self.attempts((due.key for due in self.due()), consistent=False, fields=fields)

    def ended(self, organization: str | None, since: float, until: float) -> Iterator[FoundAttempt]:
        """The attempts of an organization that ended in that time (epoch seconds), oldest first, from an index."""
        return map(report_of, self.table.ended(organization, since, until))

    def open_of_batch(self, organization: str | None, batch: str, counted: Counted) -> Iterator[AttemptKey]:
        """The open attempts of a batch. The index may not have those of the last moment yet."""
        keys = (due.key for due in self.due() if due.key.request.organization == organization)
        attempts = counted.all(self.attempts(keys, consistent=False))
        return (each.key for each in attempts if each.labels.batch == batch and is_open(each))

    def open_for_number(self, phone_number: str, counted: Counted) -> Iterator[AttemptKey]:
        """The open attempts for this number: no other one still has its request. As `open_of_batch`."""
        names = ("requestId", "attempt", "request", "phoneNumber")
        projection: Any = {
            "ProjectionExpression": "#requestId, #attempt, #request.#phoneNumber",
            "ExpressionAttributeNames": {f"#{name}": name for name in names},
        }
        for item in counted.all(self._items((due.key for due in self.due()), projection, consistent=False)):
            if item.get("request", {}).get("phoneNumber") == phone_number:
                yield item_key(item)


def _is_attempt(entry: object) -> TypeIs[DueEntry]:
    return isinstance(entry, DueEntry)


def _once[T](values: Iterable[T]) -> Iterator[T]:
    """Each of these once, as soon as it comes."""
    seen: set[T] = set()
    for each in values:
        if each not in seen:
            seen.add(each)
            yield each


@dataclass(slots=True)
class Counted:
    """Counts the records that are read. `stopped` says that there may be more than it was allowed to read."""

    read: int = 0
    stopped: bool = False

    def all[T](self, records: Iterable[T]) -> Iterator[T]:
        """These records, each counted."""
        for each in records:
            self.read += 1
            yield each


def _page_size(wanted: Search, statuses: Collection[Status]) -> Any:
    """How many records are read at a time: where all statuses are wanted, no more than are shown."""
    if TERMINAL.issubset(statuses):
        return {"PageSize": wanted.limit + 1}
    return {"PageSize": wanted.max_read} if wanted.max_read else {}


def is_open(attempt: Attempt) -> bool:
    """Whether there is something left to do: it hasn't ended, or its redial is pending."""
    return attempt.status not in TERMINAL or attempt.redial_at is not None


def open_status(attempt: Attempt) -> Status:
    """The status of an open attempt. One whose redial is pending counts as scheduled."""
    return Status.SCHEDULED if attempt.redial_at is not None else Status(attempt.status or "")


def tally(statuses: Iterable[str]) -> dict[str, int]:
    """How many there are of each status, in the statuses' order."""
    counted = Counter(statuses)
    return {status.value: counted[status] for status in STATUS_ORDER if counted[status]}


def report_of(attempt: Attempt) -> FoundAttempt:
    """What is shown of an attempt that has a record."""
    request = attempt.key.request
    return FoundAttempt(
        organization=request.organization,
        request_id=request.request_id,
        batch=attempt.labels.batch,
        metadata=dict(attempt.labels.metadata),
        is_followed=attempt.next_attempt is not None,
        redial_pending=attempt.redial_at is not None,
        **dict(attempt_report(attempt)),
    )
