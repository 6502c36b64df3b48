"""AlloMia, and AWS where its noise must be kept out, as a fast server with fixed answers.

It answers in the shapes of the simulator, but validates and remembers nothing, so that only the functions are measured.
`GET /_figures` returns what arrived.

    python -m benchmarks.other_side '{"answer_seconds": 0.5}'
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast, override
from uuid import uuid4

import httpx
from pydantic import TypeAdapter

from local.simulator.calls import Call, contact_id

_STARTED_AT = datetime(2026, 4, 1, 14, 30, tzinfo=UTC)
_CALL = Call(
    outbound_call_id="",
    contact_id=contact_id("+14155550123"),
    callback_url="",
    organization="own",
    accepted_at=_STARTED_AT,
    ends_at=_STARTED_AT + timedelta(seconds=150),
    outcome="completed",
    status_answer="normal",
)
CONTACT_ID = _CALL.contact_id
CALL_DETAILS = cast("dict[str, str | int]", _CALL.body("completed")["callDetails"])


@dataclass(frozen=True)
class Behaviour:
    """How it answers.

    Attributes:
        answer_seconds: From an AlloMia request to its answer.
        aws_answers: The body of the answer to each AWS operation, by its `X-Amz-Target` without the prefix.
    """

    answer_seconds: float = 0.0
    aws_answers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Arrived:
    """What arrived. Times are `time.monotonic()` seconds."""

    connections: int = 0
    open_connections: int = 0
    allomia_at: list[float] = field(default_factory=list)
    aws: dict[str, int] = field(default_factory=dict)
    last_aws_body: str = ""


class OtherSide:
    """The server as a separate process, for the length of a `with` block."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.other_side", json.dumps(asdict(behaviour or Behaviour()))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def arrived(self) -> Arrived:
        """What arrived so far. The connection of this request isn't counted."""
        answer = httpx.get(f"{self.url}/_figures", trust_env=False, timeout=30, headers={"Connection": "close"})
        return TypeAdapter(Arrived).validate_json(answer.content)


class _Connection(asyncio.Protocol):
    def __init__(self, behaviour: Behaviour, arrived: Arrived) -> None:
        self._behaviour = behaviour
        self._arrived = arrived
        self._received = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._arrived.connections += 1
        self._arrived.open_connections += 1

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._arrived.open_connections -= 1

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        body, self._received = rest[:length], rest[length:]
        method, path, _ = first.split(" ")
        self._answer(method, path, headers.get("x-amz-target", ""), body)

    def _answer(self, method: str, path: str, target: str, body: bytes) -> None:
        operation = target.rpartition(".")[2]
        if path == "/_figures":
            self._arrived.connections -= 1
            seen = asdict(self._arrived)
            seen["open_connections"] -= 1
            self._send(seen)
        elif target:
            self._arrived.aws[operation] = self._arrived.aws.get(operation, 0) + 1
            self._arrived.last_aws_body = body.decode()
            self._send(self._behaviour.aws_answers.get(operation, {}))
        else:
            self._arrived.allomia_at.append(time.monotonic())
            call_id = str(uuid4()) if method == "POST" else path.split("/")[-2]
            state = _CALL.body("completed" if method == "GET" else "calling") | {"outboundCallId": call_id}
            loop = asyncio.get_running_loop()
            loop.call_later(self._behaviour.answer_seconds, self._send, state)

    def _send(self, answer: Any) -> None:
        if self._transport is not None:
            body = json.dumps(answer).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def _serve(behaviour: Behaviour) -> None:
    loop, arrived = asyncio.get_running_loop(), Arrived()
    server = await loop.create_server(lambda: _Connection(behaviour, arrived), "127.0.0.1", 0, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    # Standard input ends when the parent process does.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(TypeAdapter(Behaviour).validate_json(sys.argv[1])))
