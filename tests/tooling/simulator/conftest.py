"""One simulator for all these tests, a real HTTP receiver for its webhooks, and one interface for both faces."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

import httpx
import pytest

from local.simulator import ScriptedAllomia, Simulator

PATIENCE_SECONDS = 10.0
"""How long a test waits for something that must happen; reached only when it fails."""

KEY = {"Authorization": "Bearer test-key"}
ORDER = {
    "phoneNumber": "+33612345678",
    "assistantId": "11111111-2222-4333-8444-555555555555",
    "phoneNumberId": "66666666-7777-4888-9999-aaaaaaaaaaaa",
}
FAULTS: dict[str, Any] = {"ring_seconds": 0.02, "webhook_delay_seconds": 0.01, "late_seconds": 0.2, "hang_seconds": 0.4}


def eventually[Thing](look: Callable[[], Thing]) -> Thing:
    """What `look` returns, as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r}"
        time.sleep(0.01)
    return seen


class Receiver:
    """A real HTTP server that keeps what is posted to it and answers `answer`."""

    def __init__(self) -> None:
        self.answer = 204
        self._received: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])), parse_int=float)
                receiver._received.append((receiver.url + self.path, body))
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

    def received(self, url: str) -> list[dict[str, Any]]:
        """The bodies posted to `url` so far."""
        return [body for at, body in self._received if at == url]

    def wait_for(self, url: str) -> dict[str, Any]:
        """The first body posted to `url`."""
        return eventually(lambda: self.received(url))[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Face:
    """AlloMia as its client sees it. `allomia` is the face itself."""

    allomia: Simulator | ScriptedAllomia
    http: httpx.Client

    def callback(self) -> str:
        """A new callback URL."""
        return f"https://hooks.example/{uuid.uuid4()}"

    def post(
        self, phone_number: str = ORDER["phoneNumber"], *, timeout: float = PATIENCE_SECONDS, **more: object
    ) -> httpx.Response:
        return self.http.post("/api/outbound", json=ORDER | {"phoneNumber": phone_number} | more, timeout=timeout)

    def status(self, call_id: str, *, timeout: float = PATIENCE_SECONDS) -> httpx.Response:
        return self.http.get(f"/api/outbound/{call_id}/status", timeout=timeout)

    def webhooks(self, url: str, count: int) -> list[dict[str, Any]]:
        """The webhooks sent to `url`, once there are `count`."""
        raise NotImplementedError

    def wait_until_over(self) -> None:
        """Until the first call has its terminal status."""
        raise NotImplementedError


class HttpFace(Face):
    allomia: Simulator

    def __init__(self, simulator: Simulator, receiver: Receiver) -> None:
        self.allomia = simulator
        self.http = httpx.Client(base_url=simulator.url, headers=KEY, trust_env=False)
        self._receiver = receiver

    @override
    def callback(self) -> str:
        return f"{self._receiver.url}/{uuid.uuid4()}"

    @override
    def webhooks(self, url: str, count: int) -> list[dict[str, Any]]:
        eventually(lambda: len(self._receiver.received(url)) >= count)
        # A surplus webhook would arrive before the one of a later call.
        later = self.callback()
        self.post(callbackUrl=later)
        self._receiver.wait_for(later)
        return self._receiver.received(url)

    @override
    def wait_until_over(self) -> None:
        eventually(lambda: self.allomia.calls()[0].status != "calling")


class TransportFace(Face):
    allomia: ScriptedAllomia

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.allomia = ScriptedAllomia(lambda: self.now, sleep=self.sleep, **FAULTS)
        self.http = httpx.Client(base_url="https://allomia.example", headers=KEY, transport=self.allomia)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @override
    def webhooks(self, url: str, count: int) -> list[dict[str, Any]]:
        return [dict(hook.body) for hook in sorted(self.allomia.webhooks, key=lambda hook: hook.at) if hook.url == url]

    @override
    def wait_until_over(self) -> None:
        self.sleep(60)


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator(**FAULTS) as simulator:
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
def http_face(simulator: Simulator, receiver: Receiver) -> Iterator[HttpFace]:
    face = HttpFace(simulator, receiver)
    with face.http:
        yield face


@pytest.fixture
def transport_face() -> Iterator[TransportFace]:
    face = TransportFace()
    with face.http:
        yield face


@pytest.fixture(params=["http_face", "transport_face"])
def face(request: pytest.FixtureRequest) -> Face:
    face: Face = request.getfixturevalue(request.param)
    return face
