"""The bounds of an exchange on the network: names, addresses, and the time that is left for each operation."""

import socket
import threading
from typing import Any

import httpcore
import httpx
import pytest

from outbound_calls.adapters.bounded_http import BoundedTransport, _Network, _wait, deadline
from tests.unit.parts import Clock, HttpRequest, SocketServer, http_answer

type Resolved = list[tuple[Any, ...]]


def resolved(*addresses: str) -> Resolved:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


def answers(connection: socket.socket, _request: HttpRequest) -> bool:
    connection.sendall(http_answer("here"))
    return True


def get(url: str, resolve: Any, seconds: float = 5.0) -> httpx.Response:
    with httpx.Client(transport=BoundedTransport(1, 1, resolve), timeout=2.0, trust_env=False) as client:
        clock = Clock()
        with deadline(seconds, clock):
            return client.get(url)


def test_without_a_deadline_the_operation_has_its_own_limit() -> None:
    assert _wait(3.0, httpcore.ReadTimeout) == 3.0
    assert _wait(None, httpcore.ReadTimeout) is None


def test_an_operation_waits_until_its_limit_or_the_deadline() -> None:
    clock = Clock()
    with deadline(10.0, clock) as seconds_left:
        assert (_wait(3.0, httpcore.ReadTimeout), _wait(None, httpcore.ReadTimeout), seconds_left()) == (
            3.0,
            10.0,
            10.0,
        )
        clock.pass_seconds(8.0)
        assert (_wait(3.0, httpcore.ReadTimeout), _wait(None, httpcore.ReadTimeout), seconds_left()) == (2.0, 2.0, 2.0)
        clock.pass_seconds(2.0)
        for too_late in (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout):
            with pytest.raises(too_late):
                _wait(3.0, too_late)
    assert _wait(3.0, httpcore.ReadTimeout) == 3.0


def test_a_deadline_is_the_threads_own() -> None:
    seen: list[float | None] = []
    with deadline(1.0, Clock()):
        thread = threading.Thread(target=lambda: seen.append(_wait(3.0, httpcore.ReadTimeout)))
        thread.start()
        thread.join(10)

    assert seen == [3.0]


def test_a_host_is_reached_at_the_first_address_that_answers() -> None:
    asked: list[tuple[Any, ...]] = []

    def resolve(*host: Any, **kind: Any) -> Resolved:
        asked.append((*host, kind))
        # Nothing listens on the first: the server is bound to the second alone.
        return resolved("127.0.0.2", "127.0.0.2", "127.0.0.1")

    with SocketServer(answers) as server:
        port = int(server.url.rpartition(":")[2])
        assert get(f"http://allomia.example:{port}/", resolve).text == "here"

    assert asked == [("allomia.example", port, {"type": socket.SOCK_STREAM})]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_resolved_is_a_connect_error(error: Exception) -> None:
    def resolve(*_host: Any, **_kind: Any) -> Resolved:
        raise error

    with pytest.raises(httpx.ConnectError):
        get("http://allomia.example/", resolve)


def test_a_host_without_an_address_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError):
        get("http://allomia.example/", lambda *_host, **_kind: [])


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    may_end = threading.Event()

    def resolve(*_host: Any, **_kind: Any) -> Resolved:
        may_end.wait(10)
        return resolved("127.0.0.1")

    try:
        with pytest.raises(httpcore.ConnectTimeout):
            _Network(resolve).connect_tcp("allomia.example", 80, timeout=0.1)
    finally:
        may_end.set()


def test_no_address_is_tried_after_the_deadline() -> None:
    clock = Clock(step=1.0)

    with deadline(2.5, clock), pytest.raises(httpcore.ConnectTimeout):
        # One second passes at each look: for the name, for the first address, and then it is too late.
        _Network(lambda *_host, **_kind: resolved("127.0.0.2", "127.0.0.3")).connect_tcp("allomia.example", 9)
