"""A local cloud whose DynamoDB is another implementation: dynalite, in front of which stands what it lacks.

dynalite knows neither transactions nor ReturnValuesOnConditionCheckFailure. Both are made of its own operations here,
one request at a time, so that nothing comes between. Everything else, and what all conditions mean, is dynalite's.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, override

import httpx

from local.child_process import ChildProcess
from local.cloud import HOST, START_SECONDS, LocalCloudError, free_port
from local.proxy import Proxy
from tests.fronted_cloud import FrontedCloud
from tests.tables import ROOT

PROGRAM: Final = ROOT / ".venv/second-engine/node_modules/dynalite/cli.js"
TARGET: Final = "DynamoDB_20120810."
FAILED: Final = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
CANCELED: Final = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
OPERATIONS: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    # An update of nothing. It is undone, because it would create an item.
    "ConditionCheck": "UpdateItem",
}

type Item = dict[str, Any]


class SecondEngineCloud(FrontedCloud):
    """The local cloud, with every request to DynamoDB answered by the second engine."""

    def __init__(self) -> None:
        super().__init__()
        self._dynalite: ChildProcess | None = None

    @override
    def __enter__(self) -> Self:
        super().__enter__()
        try:
            port = free_port()
            self._dynalite = self._start_dynalite(port, self.folder)
            self.put_in_front(Front(self.endpoint_url, f"http://{HOST}:{port}"))
            _wait_for(port)
        except BaseException:
            self.stop()
            raise
        return self

    @override
    def stop(self) -> None:
        super().stop()
        if self._dynalite is not None:
            self._dynalite.stop()

    def _start_dynalite(self, port: int, folder: Path) -> ChildProcess:
        node = shutil.which("node")
        if node is None or not PROGRAM.exists():
            raise LocalCloudError("The second engine needs Node.js 20: run `make second-engine`.")
        quick = [f"--{name}TableMs=0" for name in ("create", "delete", "update")]
        return ChildProcess(
            [node, PROGRAM, f"--port={port}", f"--host={HOST}", *quick],
            environment={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            folder=folder,
            log=folder / "second-engine-log",
        )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False) as http:
        while True:
            try:
                http.get(f"http://{HOST}:{port}")
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise LocalCloudError("The second engine did not start.") from error
                time.sleep(0.1)
            else:
                return


class Front(Proxy):
    """What stands in front of both: it hands each request to the cloud, or to the second engine with what it lacks."""

    def __init__(self, cloud_url: str, engine_url: str) -> None:
        super().__init__(cloud_url)
        self._engine = httpx.Client(base_url=engine_url, trust_env=False)
        self._one_at_a_time = threading.RLock()
        self._keys: dict[str, list[str]] = {}
        self._done: dict[str, httpx.Response] = {}

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._engine.close()

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        target = headers.get("X-Amz-Target", "")
        if not target.startswith(TARGET):
            return super().forward(path, headers, body)
        with self._one_at_a_time:
            params = json.loads(body)
            if target == f"{TARGET}TransactWriteItems":
                return self._transact(params, headers)
            return self._write(target, params, headers)

    def _write(self, target: str, params: Item, headers: Mapping[str, str]) -> httpx.Response:
        """Send one request on, and add the item to the answer where a condition failed and the client wants it."""
        wanted = params.pop("ReturnValuesOnConditionCheckFailure", "NONE") == "ALL_OLD"
        answer = self._send(target, params, headers)
        if not wanted or not _condition_failed(answer):
            return answer
        item = self._read(params["TableName"], self._key_of(params, headers), headers)
        return _json(answer.status_code, answer.json() | ({"Item": item} if item else {}))

    def _transact(self, params: Item, headers: Mapping[str, str]) -> httpx.Response:
        """Make all writes, or none of them. One that was made before under the same token isn't made again."""
        token = params.get("ClientRequestToken", "")
        if token in self._done:
            return self._done[token]
        reasons, undo = [], []
        for kind, part in (each for item in params["TransactItems"] for each in item.items()):
            key = self._key_of(part, headers)
            before = self._read(part["TableName"], key, headers)
            answer = self._write(f"{TARGET}{OPERATIONS[kind]}", {"Key": key, **part}, headers)
            if answer.is_success:
                undo.append((kind, part["TableName"], key, before))
            elif not _condition_failed(answer):
                self._undo(undo, headers)
                return answer
            reasons.append(_reason(answer))
        failed = any(reason["Code"] != "None" for reason in reasons)
        self._undo([each for each in undo if failed or each[0] == "ConditionCheck"], headers)
        if failed:
            codes = ", ".join(reason["Code"] for reason in reasons)
            message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
            return _json(400, {"__type": CANCELED, "message": message, "CancellationReasons": reasons})
        self._done[token] = _json(200, {})
        return self._done[token]

    def _undo(self, done: list[tuple[str, str, Item, Item | None]], headers: Mapping[str, str]) -> None:
        for _, table, key, before in reversed(done):
            if before is None:
                self._send(f"{TARGET}DeleteItem", {"TableName": table, "Key": key}, headers)
            else:
                self._send(f"{TARGET}PutItem", {"TableName": table, "Item": before}, headers)

    def _read(self, table: str, key: Item, headers: Mapping[str, str]) -> Item | None:
        params = {"TableName": table, "Key": key, "ConsistentRead": True}
        found: Item = self._send(f"{TARGET}GetItem", params, headers).json()
        return found.get("Item")

    def _key_of(self, params: Item, headers: Mapping[str, str]) -> Item:
        """The key of the item that a request writes."""
        if "Key" in params:
            key: Item = params["Key"]
            return key
        table = params["TableName"]
        if table not in self._keys:
            described = self._send(f"{TARGET}DescribeTable", {"TableName": table}, headers).json()
            self._keys[table] = [each["AttributeName"] for each in described["Table"]["KeySchema"]]
        return {name: params["Item"][name] for name in self._keys[table]}

    def _send(self, target: str, params: Item, headers: Mapping[str, str]) -> httpx.Response:
        kept = {name: value for name, value in headers.items() if name.lower() not in {"host", "content-length"}}
        # A key isn't part of PutItem.
        known = {name: value for name, value in params.items() if name != "Key" or not target.endswith("PutItem")}
        return self._engine.post("/", content=json.dumps(known).encode(), headers=kept | {"X-Amz-Target": target})


def _condition_failed(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.BAD_REQUEST and answer.json()["__type"] == FAILED


def _reason(answer: httpx.Response) -> Item:
    if answer.is_success:
        return {"Code": "None"}
    said = answer.json()
    reason = {"Code": "ConditionalCheckFailed", "Message": said["message"]}
    return reason | ({"Item": said["Item"]} if "Item" in said else {})


def _json(status: int, content: Item) -> httpx.Response:
    # Without dynalite's checksum, which is that of its own body.
    return httpx.Response(status, json=content, headers={"Content-Type": "application/x-amz-json-1.0"})
