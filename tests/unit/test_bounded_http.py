"""The bounds of an exchange on the network: names, addresses, and the time that is left for each operation."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpcore
import httpx
import pytest

from outbound_calls.adapters.bounded_http import BoundedTransport, _Network, _Stream, _wait, deadline
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
        clock.pass_seconds(1.5)
        assert _wait(3.0, httpcore.ReadTimeout) == 0.5
        clock.pass_seconds(0.5)
        for too_late in (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout):
            with pytest.raises(too_late, match=r"^the exchange's deadline has passed$"):
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

    with pytest.raises(httpx.ConnectError, match=r"^the host's name can't be resolved$"):
        get("http://allomia.example/", resolve)


@contextmanager
def full_queue(port: int) -> Iterator[str]:
    """An address at which no connection can be made in time: more wait to be accepted than may."""
    with socket.create_server(("127.0.0.3", port), backlog=0), ExitStack() as waiting:
        for _ in range(3):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.3", port))
        yield "127.0.0.3"


def test_an_address_that_does_not_answer_in_time_is_left_for_the_next() -> None:
    with SocketServer(answers) as server, full_queue(int(server.url.rpartition(":")[2])) as full:
        network = _Network(lambda *_host, **_kind: resolved(full, "127.0.0.1"))
        stream = network.connect_tcp("allomia.example", int(server.url.rpartition(":")[2]), timeout=0.2)
        assert stream.get_extra_info("socket").getpeername()[0] == "127.0.0.1"
        stream.close()
        with pytest.raises(httpcore.ConnectTimeout):
            _Network(lambda *_host, **_kind: resolved(full)).connect_tcp(
                "allomia.example", int(server.url.rpartition(":")[2]), timeout=0.2
            )


def test_only_the_hosts_own_addresses_are_tried() -> None:
    with SocketServer(answers) as server, pytest.raises(httpx.ConnectError):
        get(f"http://allomia.example:{server.url.rpartition(':')[2]}/", lambda *_host, **_kind: resolved("127.0.0.2"))
    assert server.connections == 0


def test_a_connection_is_made_as_httpcore_asks_for_it() -> None:
    keep_alive = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with SocketServer(answers) as server:
        port = int(server.url.rpartition(":")[2])
        stream = _Network(lambda *_host, **_kind: resolved("127.0.0.1")).connect_tcp(
            "allomia.example", port, 3.0, "127.0.0.5", [keep_alive]
        )
        connection: socket.socket = stream.get_extra_info("socket")
        found = (connection.getsockname()[0], connection.gettimeout(), connection.getsockopt(*keep_alive[:2]))
        stream.close()

    assert found == ("127.0.0.5", 3.0, 1)


def test_a_host_without_an_address_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match=r"^the host has no address$"):
        get("http://allomia.example/", lambda *_host, **_kind: [])


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    may_end = threading.Event()
    threads: list[threading.Thread] = []

    def resolve(*_host: Any, **_kind: Any) -> Resolved:
        threads.append(threading.current_thread())
        may_end.wait(10)
        return resolved("127.0.0.1")

    try:
        with pytest.raises(httpcore.ConnectTimeout, match=r"^the host's name was not resolved$"):
            _Network(resolve).connect_tcp("allomia.example", 80, timeout=0.1)
    finally:
        may_end.set()
    # Nor does Lambda's own process wait for it, when it ends.
    assert [thread.daemon for thread in threads] == [True]


def test_no_address_is_tried_after_the_deadline() -> None:
    clock = Clock(step=1.0)

    with deadline(2.5, clock), pytest.raises(httpcore.ConnectTimeout):
        # One second passes at each look: for the name, for the first address, and then it is too late.
        _Network(lambda *_host, **_kind: resolved("127.0.0.2", "127.0.0.3")).connect_tcp("allomia.example", 9)


class OneByteSockets(httpcore.NetworkStream):
    """A connection whose socket sends one byte at a time, until it does what the test says."""

    def __init__(self, *results: int | OSError) -> None:
        self.results = list(results)
        self.sent = b""
        self.timeouts: list[float | None] = []
        self.closed = False

    def get_extra_info(self, info: str) -> Any:
        return {"socket": self}[info]

    def settimeout(self, seconds: float | None) -> None:
        self.timeouts.append(seconds)

    def send(self, data: memoryview) -> int:
        result = self.results.pop(0)
        if isinstance(result, OSError):
            raise result
        self.sent += data[:result]
        return result

    def close(self) -> None:
        self.closed = True

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self.tls = (ssl_context, server_hostname, timeout)
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.timeouts.append(timeout)
        return b"answer"[:max_bytes]


def test_everything_is_sent_however_few_bytes_go_at_a_time() -> None:
    sockets, clock = OneByteSockets(1, 2, 1), Clock(step=1.0)
    with deadline(4.5, clock):
        _Stream(sockets).write(b"body", 3.0)

    assert (sockets.sent, sockets.timeouts) == (b"body", [3.0, 2.5, 1.5])


@pytest.mark.parametrize(
    ("failure", "kind"), [(TimeoutError("slow"), httpcore.WriteTimeout), (OSError("gone"), httpcore.WriteError)]
)
def test_a_write_that_fails_says_why(failure: OSError, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^{failure}$") as caught:
        _Stream(OneByteSockets(1, failure)).write(b"body", 3.0)
    assert caught.value.__cause__ is failure


def test_nothing_is_sent_after_the_deadline() -> None:
    sockets, clock = OneByteSockets(1, 1), Clock(step=1.0)
    with deadline(1.5, clock), pytest.raises(httpcore.WriteTimeout):
        _Stream(sockets).write(b"body")
    assert sockets.sent == b"b"


def test_a_handshake_is_a_part_of_connecting_and_what_follows_is_bounded_too() -> None:
    sockets, clock, context = OneByteSockets(), Clock(step=1.0), ssl.create_default_context()
    with deadline(3.5, clock):
        stream = _Stream(sockets).start_tls(context, "allomia.example", 3.0)
        assert stream.read(1, 1.0) == b"a"
        assert stream.read(1) == b"a"
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(3, 9.0)
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(context)

    assert sockets.tls == (context, "allomia.example", 2.5)
    assert sockets.timeouts == [1.0, 0.5]


def test_a_stream_is_closed_with_its_connection() -> None:
    sockets = OneByteSockets()
    _Stream(sockets).close()
    assert sockets.closed
