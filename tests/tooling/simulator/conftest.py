"""One simulator for all these tests, and a real HTTP receiver for its webhooks."""

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

import httpx
import pytest

from local.simulator import Simulator

PATIENCE_SECONDS = 10.0
"""How long a test waits for what must come; reached only when it fails."""

TLS = ssl.create_default_context()
"""Not used over HTTP, but slow to make anew for each client."""

KEY = {"Authorization": "Bearer test-key"}
ASSISTANT_ID = "11111111-2222-4333-8444-555555555555"
PHONE_NUMBER_ID = "66666666-7777-4888-9999-aaaaaaaaaaaa"


def eventually[Thing](look: Callable[[], Thing]) -> Thing:
    """What `look` sees, as soon as it is something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r}"
        time.sleep(0.01)
    return seen


@dataclass(frozen=True)
class Received:
    """A webhook as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class Receiver:
    """A real HTTP server that keeps what is posted to it, and answers `answer`."""

    def __init__(self) -> None:
        self.answer = 204
        self._received: list[Received] = []
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.keep(Received(self.path, dict(self.headers), json.loads(body)))
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def keep(self, received: Received) -> None:
        with self._news:
            self._received.append(received)
            self._news.notify_all()

    def at(self, url: str) -> list[Received]:
        """What has come to `url` so far."""
        with self._news:
            return [received for received in self._received if self.url + received.path == url]

    def wait_for(self, url: str, count: int = 1) -> list[Received]:
        """What has come to `url`, as soon as there are `count` of them."""
        with self._news:
            came = self._news.wait_for(lambda: len(self.at(url)) >= count, PATIENCE_SECONDS)
        assert came, f"{len(self.at(url))} of {count} webhooks came"
        return self.at(url)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Caller:
    """A client of AlloMia's API with a key, and with orders that differ in what a test is about."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.http = httpx.Client(base_url=url, headers=KEY, timeout=PATIENCE_SECONDS, trust_env=False, verify=TLS)
        self._receiver = receiver

    def callback(self) -> str:
        """A callback URL that nobody has used."""
        return f"{self._receiver.url}/webhooks/{uuid.uuid4()}"

    def order(self, phone_number: str = "+33612345678", **more: object) -> dict[str, object]:
        """A valid order."""
        return {
            "phoneNumber": phone_number,
            "assistantId": ASSISTANT_ID,
            "phoneNumberId": PHONE_NUMBER_ID,
            **more,
        }

    def post(self, order: object, *, timeout: float = PATIENCE_SECONDS) -> httpx.Response:
        return self.http.post("/api/outbound", json=order, timeout=timeout)

    def status(self, call_id: str, *, timeout: float = PATIENCE_SECONDS) -> httpx.Response:
        return self.http.get(f"/api/outbound/{call_id}/status", timeout=timeout)


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator(ring_seconds=0.02, webhook_delay_seconds=0.01, late_seconds=0.2, hang_seconds=0.4) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    running_simulator.reset()
    return running_simulator


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def answering(receiver: Receiver) -> Iterator[Callable[[int], None]]:
    """Lets a test choose what the receiver answers."""

    def answer(code: int) -> None:
        receiver.answer = code

    yield answer
    receiver.answer = 204


@pytest.fixture
def caller(simulator: Simulator, receiver: Receiver) -> Iterator[Caller]:
    caller = Caller(simulator.url, receiver)
    yield caller
    caller.http.close()
