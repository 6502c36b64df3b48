"""What the tests on the local cloud share: attempts in every status, and a network that loses requests or answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, override
from uuid import uuid4

import boto3
import httpx
from botocore.config import Config

from local.proxy import Proxy
from outbound_calls.adapters.calls_table import CallsTable, DueEntry, RecordResult
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.domain.attempts import (
    Attempt,
    AttemptKey,
    CallDetails,
    Labels,
    Outcome,
    Redial,
    Refusal,
    RequestKey,
)
from tests.cloud.reading import index_items
from tests.unit.parts import CALL_ID, CONTACT_ID, a_request
from tests.world import DUE_SHARDS, GRACE_SECONDS, NOW, RETENTION_DAYS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.cloud import LocalCloud

CLAIM = "first-claim"
OTHER_CLAIM = "other-claim"
METADATA = {"clinic": "7"}
DETAILS = CallDetails(
    started_at="2026-04-01T14:30:00Z",
    ended_at="2026-04-01T14:32:30Z",
    duration=150,
    ended_reason="customer-ended-call",
)
DETAILS_WIRE = {
    "startedAt": "2026-04-01T14:30:00Z",
    "endedAt": "2026-04-01T14:32:30Z",
    "duration": 150,
    "endedReason": "customer-ended-call",
}

type Item = dict[str, Any]


def new_key(number: int = 1) -> AttemptKey:
    return AttemptKey(RequestKey(f"visit-{uuid4().hex}"), number)


def new_attempt(key: AttemptKey | None = None, created_at: int = NOW, **changes: Any) -> Attempt:
    """An attempt without a record, ready to be claimed or parked."""
    request = a_request(customer_name="Ada", **changes)
    return Attempt(key or new_key(), created_at, request=request, labels=Labels(METADATA))


def an_outcome(status: Status, **changes: Any) -> Outcome:
    """An outcome from its usual source. It names no call, so that only the status decides."""
    sources = {
        Status.REJECTED: OutcomeSource.DISPATCH,
        Status.CANCELLED: OutcomeSource.UPSTREAM,
        Status.UNKNOWN: OutcomeSource.DEADLINE,
    }
    return replace(Outcome(status, sources.get(status, OutcomeSource.WEBHOOK)), **changes)


@dataclass(frozen=True)
class SampleAttempts:
    """Attempts in every status, made by the writes that really lead there, and what the table holds of them."""

    table: CallsTable

    @classmethod
    def over(cls, dynamodb: DynamoDBClient, table_name: str, due_shards: int = DUE_SHARDS) -> SampleAttempts:
        return cls(CallsTable(dynamodb, table_name, RETENTION_DAYS, due_shards))

    # What the table holds.

    def image(self, key: AttemptKey) -> Item | None:
        """The item as DynamoDB and its stream have it."""
        name = to_dynamodb({"requestId": str(key.request), "attempt": key.number})
        return self.table.client.get_item(TableName=self.table.name, Key=name, ConsistentRead=True).get("Item")

    def item(self, key: AttemptKey) -> Item | None:
        """The item as plain values; None where there is none."""
        image = self.image(key)
        return from_dynamodb(image) if image else None

    def existing_item(self, key: AttemptKey) -> Item:
        item = self.item(key)
        assert item is not None
        return item

    def status(self, key: AttemptKey) -> str | None:
        item = self.item(key)
        return str(item["status"]) if item else None

    def put_item(self, item: Mapping[str, Any]) -> None:
        """Write an item as no part of the stack would."""
        self.table.client.put_item(TableName=self.table.name, Item=to_dynamodb(item))

    def read(self, key: AttemptKey) -> Attempt:
        attempt = self.table.read(key)
        assert attempt is not None
        return attempt

    def due_entries(self, key: AttemptKey) -> list[DueEntry]:
        """The attempt's entries in the index `due`, whichever shard they are in."""
        found = index_items(
            self.table.client,
            self.table.name,
            FilterExpression="requestId = :requestId AND attempt = :attempt",
            ExpressionAttributeValues=to_dynamodb({":requestId": str(key.request), ":attempt": key.number}),
        )
        return [DueEntry.from_index(entry) for entry in found]

    # Attempts in every status.

    def claim(self, attempt: Attempt, claim_id: str = CLAIM, now: float = NOW) -> Attempt | None:
        return self.table.claim(attempt, claim_id, now, GRACE_SECONDS)

    def scheduled(self, now: int = NOW, due_at: float = NOW + 60) -> Attempt:
        attempt = new_attempt(created_at=now)
        assert self.table.park(attempt, due_at, ParkReason.RATE_LIMITED)
        return self.read(attempt.key)

    def refused(self, refusal: Refusal, **changes: Any) -> AttemptKey:
        """A new attempt that AlloMia refused."""
        attempt = self.claim(new_attempt(**changes))
        assert attempt is not None
        assert self.table.park(attempt, NOW + 60, ParkReason.REFUSED_BY_ALLOMIA, refusal)
        return attempt.key

    def dispatching(self, now: int = NOW) -> Attempt:
        attempt = self.claim(new_attempt(created_at=now), now=now)
        assert attempt is not None
        return attempt

    def calling(self, now: int = NOW) -> Attempt:
        attempt = self.dispatching(now)
        assert self.table.settle(attempt, CALL_ID, CONTACT_ID) is RecordResult.STORED
        return self.read(attempt.key)

    def ended(self, status: Status) -> AttemptKey:
        if status is Status.CANCELLED:
            attempt = self.scheduled()
            assert self.table.reject(attempt, an_outcome(status), NOW + 200).stored
        else:
            attempt = self.dispatching()
            assert self.table.record(attempt.key, an_outcome(status), NOW + 200).stored
        return attempt.key

    def redial_pending(self, redial_at: int = NOW + 600) -> AttemptKey:
        """An attempt that found the line busy, and that another one is to follow then."""
        redial = Redial(2, {Status.BUSY: (redial_at - NOW,)})
        attempt = self.claim(replace(new_attempt(), redial=redial))
        assert attempt is not None
        assert self.table.record(attempt.key, an_outcome(Status.BUSY), NOW).stored
        return attempt.key

    def in_status(self, status: Status | None) -> AttemptKey:
        match status:
            case None:
                return new_key()
            case Status.SCHEDULED:
                return self.scheduled().key
            case Status.DISPATCHING:
                return self.dispatching().key
            case Status.CALLING:
                return self.calling().key
            case _:
                return self.ended(status)

    def leased(self, key: AttemptKey, now: float) -> Attempt:
        """The attempt as the poller has it that got its lease."""
        (due,) = self.due_entries(key)
        attempt = self.table.lease(due, now, GRACE_SECONDS)
        assert attempt is not None
        return attempt


@contextmanager
def consistent_reads(dynamodb: DynamoDBClient, operation: str) -> Iterator[list[bool]]:
    """Collect, for each read of this kind, whether the client asks DynamoDB for a consistent one.

    The local cloud always reads consistently, so its answers don't show it.
    """
    asked: list[bool] = []
    event, name = f"provide-client-params.dynamodb.{operation}", "consistent-reads"
    dynamodb.meta.events.register_first(
        event, lambda params, **_: asked.append(params.get("ConsistentRead", False)), name
    )
    try:
        yield asked
    finally:
        dynamodb.meta.events.unregister(event, unique_id=name)


@contextmanager
def operations_asked(dynamodb: DynamoDBClient) -> Iterator[Counter[str]]:
    """Count the requests to DynamoDB, by operation."""
    asked: Counter[str] = Counter()
    event, name = "before-call.dynamodb", "operations-asked"
    dynamodb.meta.events.register_first(event, lambda model, **_: asked.update([model.name]), name)
    try:
        yield asked
    finally:
        dynamodb.meta.events.unregister(event, unique_id=name)


def at_once[T](count: int, work: Callable[[int], T]) -> list[T]:
    """Do `work` in that many threads, which start at the same moment. Returns what each returned."""
    together = threading.Barrier(count)
    results: list[T] = []

    def run(number: int) -> None:
        together.wait(10)
        results.append(work(number))

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == count
    return results


PASS, LOSE_ANSWER, LOSE_REQUEST = "pass", "lose answer", "lose request"
"""What the network does with a request. When it loses the answer, the cloud has done what was asked."""

CONFLICT = "conflict"
"""It answers as DynamoDB does where a transaction, or another write, is in the way of this one."""


def _conflict(operation: str) -> httpx.Response:
    error = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException", "message": "in the way"}
    if operation == "TransactWriteItems":
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "in the way"}]
        name = "TransactionCanceledException"
        error |= {"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "CancellationReasons": cast("Any", reasons)}
    return httpx.Response(400, json=error, headers={"Content-Type": "application/x-amz-json-1.0"})


class FaultyNetwork(Proxy):
    """The network between a client and the cloud. `plan` decides on each request, by the name of its operation and how
    many of these there were before."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(cloud.endpoint_url)
        self.cloud = cloud
        self.plan: Callable[[str, int], str] = lambda _operation, _before: PASS
        self.operations: list[str] = []
        self._lock = threading.Lock()
        self._session: Any = boto3.session.Session(cloud.account, "local", region_name=cloud.region)
        self._clients: dict[tuple[str, int], Any] = {}

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for client in self._clients.values():
            client.close()

    def client(self, service: str, tries: int = 1) -> Any:
        """A client that sends a request at most so many times. It is kept, because making one takes long."""
        if (service, tries) not in self._clients:
            self._clients[service, tries] = self._session.client(
                service,
                endpoint_url=self.url,
                config=Config(
                    proxies={}, max_pool_connections=16, retries={"mode": "standard", "total_max_attempts": tries}
                ),
            )
        return self._clients[service, tries]

    def heal(self) -> None:
        """Lose nothing any more, and count from zero."""
        with self._lock:
            self.plan = lambda _operation, _before: PASS
            self.operations.clear()

    def fail_once(self, operation: str, fault: str, skip: int = 0) -> None:
        """Let one request of this operation fail: the next one, or the one after `skip` more."""
        position = self.operations.count(operation) + skip
        self.plan = lambda asked, before: fault if (asked, before) == (operation, position) else PASS

    def fault_of(self, operation: str) -> str:
        with self._lock:
            before = self.operations.count(operation)
            self.operations.append(operation)
            return self.plan(operation, before)

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        fault = self.fault_of(operation)
        if fault == CONFLICT:
            return _conflict(operation)
        answer = None if fault == LOSE_REQUEST else super().forward(path, headers, body)
        return None if fault == LOSE_ANSWER else answer
