"""What the tests on the local cloud share: calls in every status, and a network between a client and the cloud."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, override
from uuid import uuid4

import boto3
import httpx
import yaml
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config

from outbound_calls.contracts import AttemptKey, CallDetails, Outcome
from outbound_calls.ledger import Call, DueItem, Ledger, Recorded
from outbound_calls.lifecycle import TERMINAL, OutcomeSource, Status
from tests.unit.parts import CALL_ID, CONTACT_ID, a_request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.cloud import LocalCloud
from local.proxy import Proxy

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = 1_775_053_800
"""2026-04-01T14:30:00Z, when most of these calls are dispatched."""

GRACE = 180
RETENTION_DAYS = 90
CLAIM = "the-claim"
METADATA = {"clinic": "7"}
DETAILS = CallDetails(
    started_at="2026-04-01T14:30:00Z",
    ended_at="2026-04-01T14:32:30Z",
    duration=150,
    ended_reason="customer-ended-call",
)

type Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class _Template(yaml.SafeLoader):
    """Reads the template; what CloudFormation's functions would compute is left out."""


_Template.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def create_calls_table(dynamodb: DynamoDBClient) -> str:
    """A new table as the template defines it, so that the two cannot drift apart."""
    template = yaml.load((ROOT / "template.yaml").read_text(), _Template)  # noqa: S506 - a SafeLoader
    properties = template["Resources"]["CallsTable"]["Properties"]
    taken = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "StreamSpecification")
    definition: dict[str, Any] = {name: properties[name] for name in taken}
    definition["StreamSpecification"] = {"StreamEnabled": True} | definition["StreamSpecification"]
    name = f"calls-{uuid4().hex}"
    dynamodb.create_table(TableName=name, **definition)
    return name


@dataclass(frozen=True)
class Calls:
    """The calls table with the ledger over it, and a look at what is really in it."""

    dynamodb: DynamoDBClient
    table: str
    ledger: Ledger

    @classmethod
    def over(cls, dynamodb: DynamoDBClient, table: str, due_shards: int = 4) -> Calls:
        return cls(dynamodb, table, Ledger(dynamodb, table, RETENTION_DAYS, due_shards))

    @staticmethod
    def new_key(attempt: int = 1) -> AttemptKey:
        return AttemptKey(request_id=f"visit-{uuid4().hex}", attempt=attempt)

    def item(self, key: AttemptKey) -> Item | None:
        """The item as it is in the table."""
        found = self.dynamodb.get_item(TableName=self.table, Key=_typed(key.wire()), ConsistentRead=True)
        return {name: _deserialize(value) for name, value in found["Item"].items()} if "Item" in found else None

    def there(self, key: AttemptKey) -> Item:
        item = self.item(key)
        assert item is not None
        return item

    def status(self, key: AttemptKey) -> str | None:
        item = self.item(key)
        return str(item["status"]) if item else None

    def put_raw(self, item: Mapping[str, Any]) -> None:
        self.dynamodb.put_item(TableName=self.table, Item=_typed(item))

    def due(self, key: AttemptKey) -> list[DueItem]:
        """The attempt's entries in the index, whichever shard they are in."""
        found = self.dynamodb.scan(
            TableName=self.table,
            IndexName="due",
            FilterExpression="requestId = :requestId AND attempt = :attempt",
            ExpressionAttributeValues=_typed({":requestId": key.request_id, ":attempt": key.attempt}),
        )
        assert "LastEvaluatedKey" not in found
        return [DueItem.from_index(entry) for entry in found["Items"]]

    # Calls in every status, each by the writes that really lead there.

    def scheduled(self, now: float = NOW, due_at: float = NOW + 60) -> AttemptKey:
        key = self.new_key()
        assert self.ledger.schedule(key, a_request(metadata=METADATA, customer_name="Ada"), now, due_at, "HTTP 429")
        return key

    def dispatching(self, now: float = NOW) -> Call:
        call = self.ledger.claim_new(
            self.new_key(), a_request(metadata=METADATA, customer_name="Ada"), CLAIM, now, GRACE
        )
        assert call is not None
        return call

    def calling(self, now: float = NOW) -> Call:
        call = self.dispatching(now)
        assert self.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.STORED
        return call

    def ended(self, status: Status) -> AttemptKey:
        call = self.dispatching()
        assert self.ledger.record(call.key, an_outcome(status), NOW + 200).result is Recorded.STORED
        return call.key

    def in_status(self, status: str | None) -> AttemptKey:
        match status:
            case None:
                return self.new_key()
            case Status.SCHEDULED:
                return self.scheduled()
            case Status.DISPATCHING:
                return self.dispatching().key
            case Status.CALLING:
                return self.calling().key
            case _:
                return self.ended(Status(status))


def an_outcome(status: Status, **changes: Any) -> Outcome:
    """An outcome as its usual source brings it. It names no call, so that only the status decides."""
    sources = {Status.REJECTED: OutcomeSource.DISPATCH, Status.UNKNOWN: OutcomeSource.DEADLINE}
    assert status in TERMINAL
    fields: dict[str, Any] = {"status": status, "source": sources.get(status, OutcomeSource.WEBHOOK)}
    return Outcome(**fields | changes)


def _typed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in item.items()}


def at_once[T](count: int, work: Callable[[int], T]) -> list[T]:
    """Do `work` in that many threads, all let go at the same moment; what each returned."""
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


PASS, LOSE, REFUSE = "pass", "lose", "refuse"
"""What the network does with a request: pass it on; pass it on and lose the answer; not pass it on."""


class Network(Proxy):
    """What lies between a client and the cloud. Told to, it loses answers or whole requests.

    `plan` says what becomes of a request, by the name of its operation and how many of these there were before.
    """

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

    def client(self, service: str, attempts: int = 1) -> Any:
        """A client over this network that sends a request at most so many times. It is kept: making one takes long."""
        if (service, attempts) not in self._clients:
            self._clients[service, attempts] = self._session.client(
                service,
                endpoint_url=self.url,
                config=Config(
                    proxies={},
                    max_pool_connections=16,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                ),
            )
        return self._clients[service, attempts]

    def heal(self) -> None:
        """Lose nothing any more, and forget what was."""
        with self._lock:
            self.plan = lambda _operation, _before: PASS
            self.operations.clear()

    def fate(self, operation: str) -> str:
        with self._lock:
            before = self.operations.count(operation)
            self.operations.append(operation)
            return self.plan(operation, before)

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        fate = self.fate(headers.get("X-Amz-Target", "").rpartition(".")[2])
        answer = None if fate == REFUSE else super().forward(path, headers, body)
        return None if fate == LOSE else answer
