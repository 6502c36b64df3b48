"""What the tests of the layer share: a clock that stands still, a Secrets Manager in memory, a server on a socket."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from botocore.exceptions import ClientError

from outbound_calls.adapters.organizations import Organization, Organizations
from outbound_calls.adapters.secrets import WAIT_SECONDS, Secret
from outbound_calls.domain.attempts import AttemptKey, CallRequest, RequestKey

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PHONE_NUMBER = "+14155550123"
ASSISTANT_ID = "11111111-2222-4333-8444-555555555555"
PHONE_NUMBER_ID = "66666666-7777-4888-9999-aaaaaaaaaaaa"
CALL_ID = "c3d4e5f6-a7b8-9012-cdef-345678901234"
OTHER_CALL_ID = "0a0b0c0d-a7b8-9012-cdef-345678901234"
CONTACT_ID = "d4e5f6a7-b8c9-0123-defa-456789012345"
API_KEY = "test-key-of-no-account"
SETTING = "11111111-66666666"
"""These two, as an attempt names them."""

CIRCUIT = f"~{SETTING}"
"""The name of the circuit breaker for these two."""

SECRET_ARN = "arn:of:the:secret"
KEY = AttemptKey(RequestKey("visit-2031"), 1)

MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
"""Passed on to a function in a process of its own, so that `make coverage` sees the lines it reaches."""


def a_request(**changes: Any) -> CallRequest:
    """A complete request, as it is once the stack's defaults are filled in."""
    fields = {"phone_number": PHONE_NUMBER, "assistant_id": ASSISTANT_ID, "phone_number_id": PHONE_NUMBER_ID}
    return CallRequest(**fields | changes)


@dataclass
class Clock:
    """Shows `now`, and moves on by `step` at each look."""

    now: float = 1_000_000.0
    step: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


def no_jitter(_least: float, _most: float) -> float:
    """Always draws the least."""
    return 0.0


@dataclass
class SecretsInMemory:
    """Answers as Secrets Manager does, and counts how often it is asked for each version."""

    versions: dict[str, str | None] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    arns: set[str] = field(default_factory=set)
    fault: BaseException | None = None
    gate: threading.Event | None = None
    """What a read waits for, as for a service that hangs."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803 - AWS's names
        self.arns.add(SecretId)
        self.reads.append(VersionStage)
        if self.gate:
            assert self.gate.wait(30)
        if self.fault:
            raise self.fault
        if VersionStage not in self.versions:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": SecretId}}, "GetSecretValue")
        value = self.versions[VersionStage]
        return {} if value is None else {"SecretString": value}

    def open_gate(self) -> None:
        """Let the reads that hang go on."""
        assert self.gate
        self.gate.set()

    def rotate(self, value: str) -> None:
        self.versions = {"AWSCURRENT": value, "AWSPREVIOUS": self.versions.get("AWSCURRENT")}


def a_secret(
    secrets: SecretsInMemory, clock: Callable[[], float] | None = None, wait_seconds: float = WAIT_SECONDS
) -> Secret:
    return Secret(cast("SecretsManagerClient", secrets), SECRET_ARN, clock or Clock(), wait_seconds)


def organizations_in(text: str | None = API_KEY) -> Organizations:
    """The organizations in a secret with this text."""
    return Organizations(a_secret(SecretsInMemory({"AWSCURRENT": text})))


AN_ORGANIZATION = Organization(API_KEY, "an-organization")


@dataclass(frozen=True)
class HttpRequest:
    """A request as received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def read_request(connection: socket.socket) -> HttpRequest | None:
    """The next request on a connection; None when the other side has closed it."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := connection.recv(65536)):
            return None
        received += more
    head, body = received.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        if not (more := connection.recv(65536)):
            return None
        body += more
    method, path, _ = first.split(" ")
    return HttpRequest(method, path, headers, body)


def http_answer(body: bytes | str = b"", status: str = "200 OK", **headers: str) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    lines += [] if "Content_Length" in headers else [f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


type Behaviour = Callable[[socket.socket, HttpRequest], bool | None]
"""What a server does with one request. True keeps the connection open for the next one."""


class SocketServer:
    """A real HTTP server on 127.0.0.1 that keeps every request it read, and then does what the test says."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[HttpRequest] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake a thread that waits on a socket.
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def posts(self) -> list[HttpRequest]:
        return [request for request in self.requests if request.method == "POST"]

    def _spawn(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # The other side may go away whenever it likes.
        with suppress(OSError), connection:
            while request := read_request(connection):
                self.requests.append(request)
                if not self.behave(connection, request):
                    return


@contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port without a listener, reserved meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
