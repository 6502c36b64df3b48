"""The wire between the functions and AWS: what passes is counted by service and operation, and in write units."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, override

import httpx

from benchmarks.write_units import TypedItem, WriteUnits, item_bytes, write_units
from local.wire import Wire

_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
    "AWSEvents": "events",
}

type ItemKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the table: what it was, the size of what it left, and what it is billed as."""

    operation: str
    units: WriteUnits
    item_bytes: int

    def __str__(self) -> str:
        return f"{self.operation} {self.units.table}+{self.units.index}"


@dataclass
class Traffic:
    """What passed since it was last cleared."""

    requests: Counter[str] = field(default_factory=Counter)
    """By service and operation, e.g. `dynamodb:PutItem`; those that were refused included."""

    writes: dict[str, list[Write]] = field(default_factory=dict)
    """The writes that changed an item, in their order, by request id."""


class CountingWire(Wire):
    """Takes note of what passes. It looks only at requests, and at the answers of DynamoDB's writes."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(endpoint_url)
        self.traffic = Traffic()
        self.items: dict[ItemKey, TypedItem] = {}
        """The items as their last write left them: the images that the table's stream has."""
        self._lock = threading.Lock()

    def clear(self) -> Traffic:
        """Begin to count anew; returns what passed until now."""
        with self._lock:
            passed, self.traffic = self.traffic, Traffic()
            return passed

    @override
    def carry(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        answer = super().carry(path, headers, body)
        prefix, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
        with self._lock:
            self.traffic.requests[f"{_SERVICES.get(prefix, prefix)}:{operation}"] += 1
            if answer is not None and answer.is_success and operation in {"PutItem", "UpdateItem"}:
                self._note(operation, json.loads(body), answer)
        return answer

    def _note(self, operation: str, request: dict[str, Any], answer: httpx.Response) -> None:
        after: TypedItem = request["Item"] if operation == "PutItem" else answer.json()["Attributes"]
        key = (request["TableName"], after["requestId"]["S"], after["attempt"]["N"])
        write = Write(operation, write_units(self.items.get(key), after), item_bytes(after))
        self.traffic.writes.setdefault(after["requestId"]["S"], []).append(write)
        self.items[key] = after
