"""The wire between the functions and AWS: what passes is counted by service and operation, and in write units."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, override

import httpx

from benchmarks.write_units import TypedItem, WriteUnits, item_bytes, write_units

_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
    "AWSEvents": "events",
}
# Said anew for this side's connection.
_HOP_BY_HOP = {"connection", "content-length", "content-encoding", "transfer-encoding", "keep-alive", "date", "server"}

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


class CountingWire:
    """Stands between the functions and a cloud's endpoint, and passes everything on as it came.

    Point the functions at `url`. It looks only at requests, and at the answers of DynamoDB's writes.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.traffic = Traffic()
        self.items: dict[ItemKey, TypedItem] = {}
        """The items as their last write left them: the images that the table's stream has."""
        self._lock = threading.Lock()
        self._http = httpx.Client(base_url=endpoint_url, trust_env=False, limits=httpx.Limits(max_connections=64))
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = wire.pass_on(self.path, dict(self.headers), body)
                self.send_response(answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self._http.close()

    @property
    def url(self) -> str:
        """The endpoint for the functions."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def clear(self) -> Traffic:
        """Begin to count anew; returns what passed until now."""
        with self._lock:
            passed, self.traffic = self.traffic, Traffic()
            return passed

    def pass_on(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Send a request to the cloud, and take note of it."""
        answer = self._http.post(path, content=body, headers=headers)
        prefix, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
        with self._lock:
            self.traffic.requests[f"{_SERVICES.get(prefix, prefix)}:{operation}"] += 1
            if answer.is_success and operation in {"PutItem", "UpdateItem"}:
                self._note(operation, json.loads(body), answer)
        return answer

    def _note(self, operation: str, request: dict[str, Any], answer: httpx.Response) -> None:
        after: TypedItem = request["Item"] if operation == "PutItem" else answer.json()["Attributes"]
        key = (request["TableName"], after["requestId"]["S"], after["attempt"]["N"])
        write = Write(operation, write_units(self.items.get(key), after), item_bytes(after))
        self.traffic.writes.setdefault(after["requestId"]["S"], []).append(write)
        self.items[key] = after
