"""A proxy between the functions and AWS that counts requests by service and operation, and DynamoDB write units."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, override

import httpx

from benchmarks.write_units import TypedItem, WriteUnits, item_bytes, write_units
from local.proxy import Proxy

_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
    "AWSEvents": "events",
}

type ItemKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the table: the operation, the size of the item after it, and the write units billed."""

    operation: str
    units: WriteUnits
    item_bytes: int

    def __str__(self) -> str:
        return f"{self.operation} {self.units.table}+{self.units.index}"


@dataclass
class Traffic:
    """What passed since the last `clear()`."""

    requests: Counter[str] = field(default_factory=Counter)
    """By service and operation, e.g. `dynamodb:PutItem`; failed requests included."""

    writes: dict[str, list[Write]] = field(default_factory=dict)
    """The writes that changed an item, in order, by request id."""


class CountingProxy(Proxy):
    """Counts requests, and reads the responses of DynamoDB writes."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(endpoint_url)
        self.traffic = Traffic()
        self.items: dict[ItemKey, TypedItem] = {}
        """Each item after its last write, as in the table's stream."""
        self._lock = threading.Lock()

    def clear(self) -> Traffic:
        """Reset the counts; returns the counts so far."""
        with self._lock:
            passed, self.traffic = self.traffic, Traffic()
            return passed

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        answer = super().forward(path, headers, body)
        prefix, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
        with self._lock:
            self.traffic.requests[f"{_SERVICES.get(prefix, prefix)}:{operation}"] += 1
            if answer is not None and answer.is_success and operation in {"PutItem", "UpdateItem"}:
                self._count_write(operation, json.loads(body), answer)
        return answer

    def _count_write(self, operation: str, request: dict[str, Any], answer: httpx.Response) -> None:
        after: TypedItem = request["Item"] if operation == "PutItem" else answer.json()["Attributes"]
        key = (request["TableName"], after["requestId"]["S"], after["attempt"]["N"])
        write = Write(operation, write_units(self.items.get(key), after), item_bytes(after))
        self.traffic.writes.setdefault(after["requestId"]["S"], []).append(write)
        self.items[key] = after
