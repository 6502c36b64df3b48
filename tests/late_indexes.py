"""Indexes that are late, as AWS's are, and what lets tests/cloud run on them.

On AWS every read of an index is eventually consistent. The code under test is made for that, and other tests show it
(the explorer's lagging index). A test of one step, though, wants to see the step before it. So where indexes are late,
a read of one waits until it shows what was written.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast, override

import httpx

from local.proxy import Proxy
from tests.fronted_cloud import FrontedCloud
from tests.tables import table_properties

TARGET: Final = "DynamoDB_20120810."
READS: Final = frozenset({"Query", "Scan"})
WRITES: Final = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem", "CreateTable"}
)

TABLE_KEYS: Final = {"CallsTable": ("requestId", "attempt"), "PolicyTable": ("subject", "entry")}
"""The key of each table of the tests, by what its name begins with."""

SHADOW: Final = "-shadow"
LATE_SECONDS: Final = 0.1

IN_STEP_SECONDS: Final = 30.0
"""How long an index may be behind its table before a test fails."""

type Item = dict[str, Any]
type Send = Callable[[str, Item], httpx.Response]
"""Sends an operation of DynamoDB with its parameters."""


class NeverInStep(Exception):
    """An index didn't show what the table holds."""


def keys() -> dict[str, tuple[str, ...]]:
    """The keys of each index of the template, with those of its table."""
    return {
        index["IndexName"]: tuple(each["AttributeName"] for each in [*index["KeySchema"], *table["KeySchema"]])
        for table in table_properties().values()
        for index in table.get("GlobalSecondaryIndexes", [])
    }


def wait_for_index(
    send: Send, table: str, index: str, seconds: float = IN_STEP_SECONDS, every_seconds: float = 0.1
) -> None:
    """Wait until an index has exactly the entries that the items of its table make.

    Raises:
        NeverInStep: It hasn't, after so many seconds.
    """
    names, deadline = keys()[index], time.monotonic() + seconds
    while True:
        wanted = _entries(_all(send, {"TableName": table, "ConsistentRead": True}), names)
        if _entries(_all(send, {"TableName": table, "IndexName": index}), names) == wanted:
            return
        if time.monotonic() > deadline:
            raise NeverInStep(f"the index {index} is still behind its table after {seconds} s")
        time.sleep(every_seconds)


def _all(send: Send, params: Item) -> Iterable[Item]:
    start: Item | None = None
    while True:
        page = send("Scan", params | ({"ExclusiveStartKey": start} if start else {})).json()
        yield from page["Items"]
        if not (start := page.get("LastEvaluatedKey")):
            return


def _entries(items: Iterable[Item], names: tuple[str, ...]) -> Counter[str]:
    """What is in an index of what holds all of its keys."""
    return Counter(
        json.dumps([item[name] for name in names], sort_keys=True) for item in items if item.keys() >= set(names)
    )


class InStep:
    """Lets a read of an index wait, where its table was written since it was last found in step.

    An index that shows as much as its table may be two writes behind: one that put an entry in, and one that took it
    out. So a while must have passed since the last write, too.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._behind: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def before(self, operation: str, params: Mapping[str, Any], send: Send) -> None:
        """Call this before each operation is sent."""
        if operation in WRITES:
            tables = [params["TableName"]] if "TableName" in params else _tables(params)
            settled = time.monotonic() + self._settle_seconds
            with self._lock:
                self._behind |= {(table, index): settled for table in tables for index in keys()}
        elif operation in READS and "IndexName" in params:
            read = (params["TableName"], params["IndexName"])
            settled = self._behind.get(read, 0.0)
            time.sleep(max(0.0, settled - time.monotonic()))
            if settled:
                wait_for_index(send, *read)
                with self._lock:
                    if self._behind.get(read) == settled:
                        del self._behind[read]


def _tables(params: Mapping[str, Any]) -> list[str]:
    if "RequestItems" in params:
        return list(params["RequestItems"])
    return [part["TableName"] for each in params["TransactItems"] for part in each.values()]


class LateIndexCloud(FrontedCloud):
    """The local cloud, whose indexes show a write only after a while. A read of an index waits for it."""

    @override
    def __enter__(self) -> Self:
        super().__enter__()
        self.put_in_front(LateIndexes(self.endpoint_url))
        return self


class LateIndexes(Proxy):
    """In front of the local cloud, whose own indexes are exact.

    Each table has a shadow, into which its items are copied LATE_SECONDS after they were written. Reads of an index are
    answered by the shadow's.
    """

    def __init__(self, endpoint_url: str, *, waits: bool = True) -> None:
        super().__init__(endpoint_url)
        self._in_step = InStep(settle_seconds=2 * LATE_SECONDS) if waits else None
        self._copies: queue.Queue[tuple[float, Callable[[], object]] | None] = queue.Queue()
        self._copying = threading.Thread(target=self._copy)

    @override
    def __enter__(self) -> Self:
        self._copying.start()
        return super().__enter__()

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copies.put(None)
        self._copying.join(10)
        super().__exit__(kind, error, trace)

    def _copy(self) -> None:
        while copy := self._copies.get():
            due, do = copy
            time.sleep(max(0.0, due - time.monotonic()))
            do()

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        target = headers.get("X-Amz-Target", "")
        if not target.startswith(TARGET):
            return super().forward(path, headers, body)
        operation, params = target.removeprefix(TARGET), json.loads(body)
        kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}

        def send(name: str, wanted: Item) -> httpx.Response:
            if name in READS and "IndexName" in wanted:
                wanted = wanted | {"TableName": wanted["TableName"] + SHADOW}
            named = kept | {"X-Amz-Target": TARGET + name}
            return cast("httpx.Response", Proxy.forward(self, path, named, json.dumps(wanted).encode()))

        if self._in_step:
            self._in_step.before(operation, params, send)
        answer = send(operation, params)
        if operation in WRITES and answer.is_success:
            self._shadow(operation, params, send)
        return answer

    def _shadow(self, operation: str, params: Item, send: Send) -> None:
        """Do the same to the shadow: at once where it is a table, later where it is an item."""
        if operation == "CreateTable":
            send("CreateTable", params | {"TableName": params["TableName"] + SHADOW})
            return
        due = time.monotonic() + LATE_SECONDS
        for table, key in _written(operation, params):
            self._copies.put((due, partial(_copy_item, send, table, key)))


def _copy_item(send: Send, table: str, key: Item) -> None:
    """Let the shadow have what the table holds now, so that it never shows again what was there before."""
    item = send("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True}).json().get("Item")
    name, wanted = ("PutItem", {"Item": item}) if item else ("DeleteItem", {"Key": key})
    send(name, {"TableName": table + SHADOW} | wanted)


def _written(operation: str, params: Item) -> Iterator[tuple[str, Item]]:
    """The table and the key of each item that a request has written."""
    parts = [params]
    if operation == "TransactWriteItems":
        parts = [part for each in params["TransactItems"] for part in each.values()]
    elif operation == "BatchWriteItem":
        parts = [
            {"TableName": table} | part
            for table, requests in params["RequestItems"].items()
            for request in requests
            for part in request.values()
        ]
    for part in parts:
        names = TABLE_KEYS[part["TableName"].partition("-")[0]]
        yield part["TableName"], part.get("Key") or {name: part["Item"][name] for name in names}
