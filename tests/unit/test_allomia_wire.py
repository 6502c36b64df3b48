"""What a transport cannot show: broken connections and broken answers, against a server on a real socket."""

import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import httpx
import pytest

from outbound_calls.adapters.allomia import (
    MAX_ANSWER_BYTES,
    MAX_EXCHANGE_SECONDS,
    READ_SECONDS,
    UNREADABLE,
    Accepted,
    AllomiaClient,
    Ambiguous,
    Declined,
    NotAccepted,
    PlaceAnswer,
    StatusUnavailable,
    Throttled,
    http_client,
)
from outbound_calls.contracts.vocabulary import ParkReason
from tests.unit.parts import (
    AN_ORGANIZATION,
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Behaviour,
    Clock,
    HttpRequest,
    SocketServer,
    a_request,
    closed_port,
    http_answer,
    organizations_in,
)

CALLBACK_URL = "https://hooks.example/webhooks/allomia/visit-2031/1/signature"
CALLING = json.dumps({"outboundCallId": CALL_ID, "contactId": CONTACT_ID, "status": "calling"})
ACCEPTED = Accepted(CALL_ID, CONTACT_ID, None)


def not_sent(detail: str) -> NotAccepted:
    return NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, detail)


def ring(allomia: AllomiaClient) -> PlaceAnswer:
    return allomia.place_call(AN_ORGANIZATION, a_request(), CALLBACK_URL)


@contextmanager
def client(
    url: str, clock: Clock | None = None, connections: int = 10, exchange_seconds: float = MAX_EXCHANGE_SECONDS
) -> Iterator[AllomiaClient]:
    """The client as the functions build it, over real sockets."""
    with http_client(url, connections=connections) as http:
        yield AllomiaClient(http, organizations_in(), clock or time.monotonic, exchange_seconds)


def place(behave: Behaviour, clock: Clock | None = None) -> tuple[PlaceAnswer, SocketServer]:
    """Place one call with a server that behaves so; the server has ended, and says what it saw."""
    with SocketServer(behave) as server, client(server.url, clock) as allomia:
        return ring(allomia), server


def says(answer: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        connection.sendall(answer)
        return True

    return behave


def drops(connection: socket.socket, _request: HttpRequest) -> None:
    """Closes the connection instead of an answer."""


def resets(connection: socket.socket, _request: HttpRequest) -> None:
    """Tears the connection down instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def says_and_drops(answer: bytes) -> Behaviour:
    def behave(connection: socket.socket, _request: HttpRequest) -> None:
        connection.sendall(answer)

    return behave


def test_a_call_is_placed_with_one_post_over_the_wire() -> None:
    answer, server = place(says(http_answer(CALLING, Content_Type="application/json")))

    assert answer == ACCEPTED
    (post,) = server.requests
    assert (post.method, post.path) == ("POST", "/api/outbound")
    assert post.headers["authorization"] == f"Bearer {API_KEY}"
    assert post.headers["content-type"] == "application/json"
    assert json.loads(post.body) == {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "callbackUrl": CALLBACK_URL,
    }


def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    with closed_port() as url, client(url) as allomia:
        assert ring(allomia) == NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "ConnectError")
        assert allomia.call_status(AN_ORGANIZATION, CALL_ID) == StatusUnavailable("ConnectError")


def test_an_unanswered_tls_handshake_proves_that_nothing_was_sent() -> None:
    # The server takes the greeting of TLS for a request that does not end.
    with SocketServer(drops) as server, client(server.url.replace("http:", "https:")) as allomia:
        allomia.http.timeout = httpx.Timeout(0.2)

        assert ring(allomia) == NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "ConnectTimeout")
        assert server.requests == []
        # Connecting is tried twice; that is safe.
        assert server.connections == 2


def test_a_server_without_tls_gets_nothing() -> None:
    received: list[bytes] = []

    def speak_plainly() -> None:
        for _ in range(2):
            with listener.accept()[0] as connection:
                received.append(connection.recv(65536))
                connection.sendall(http_answer(CALLING))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak_plainly)
        thread.start()
        with client(f"https://127.0.0.1:{listener.getsockname()[1]}") as allomia:
            answer = ring(allomia)
        thread.join(10)

    assert answer == not_sent("ConnectError")
    assert [API_KEY.encode() in sent for sent in received] == [False, False]


# Each of these may have placed a call: never a second POST.
AMBIGUOUS: dict[str, tuple[Behaviour, str]] = {
    "dropped after the request was read": (drops, "RemoteProtocolError"),
    "reset after the request was read": (resets, "ReadError"),
    "dropped within the status line": (says_and_drops(b"HTTP/1.1 20"), "RemoteProtocolError"),
    "dropped within the headers": (says_and_drops(b"HTTP/1.1 200 OK\r\nContent-"), "RemoteProtocolError"),
    "dropped within the body": (
        says_and_drops(http_answer(CALLING[:20], Content_Length=str(len(CALLING)))),
        "HTTP 200, unreadable: body",
    ),
    "dropped after what looks like the end": (
        says_and_drops(http_answer(CALLING, Content_Length=str(len(CALLING) + 1))),
        "HTTP 200, unreadable: body",
    ),
    "dropped before the body": (says_and_drops(http_answer(Content_Length="100")), "HTTP 200, unreadable: body"),
    "no HTTP": (says_and_drops(b"220 mail.example ESMTP\r\n"), "RemoteProtocolError"),
    "nothing but zeros": (says_and_drops(b"\0" * 1000), "RemoteProtocolError"),
    "garbage that claims to be gzip": (
        says(http_answer(b"\xff" * 100, Content_Encoding="gzip")),
        "HTTP 200, unreadable: body",
    ),
    "gzip, which was not asked for": (
        says(http_answer(gzip.compress(CALLING.encode()), Content_Encoding="gzip")),
        "HTTP 200, unreadable: body",
    ),
    "garbage chunks": (
        says_and_drops(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "HTTP 200, unreadable: body",
    ),
    "half of the chunks": (
        says_and_drops(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"out\r\n'),
        "HTTP 200, unreadable: body",
    ),
    "headers without end": (says_and_drops(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), "RemoteProtocolError"),
    "500 and dropped": (
        says_and_drops(http_answer("oops", "500 Internal Server Error", Content_Length="100")),
        "HTTP 500",
    ),
}


@pytest.mark.parametrize("row", AMBIGUOUS)
def test_a_failure_after_the_post_is_ambiguous_and_never_retried(row: str) -> None:
    behave, reason = AMBIGUOUS[row]

    answer, server = place(behave)

    assert isinstance(answer, Ambiguous)
    assert answer == Ambiguous(reason)
    assert len(server.requests) == 1
    assert server.connections == 1


def test_a_read_timeout_is_ambiguous_and_not_retried() -> None:
    with SocketServer(says(b"")) as server, client(server.url) as allomia:
        allomia.http.timeout = httpx.Timeout(0.2)

        assert ring(allomia) == Ambiguous("ReadTimeout")
        assert len(server.posts()) == 1


def test_the_timeouts_fit_into_an_invocation() -> None:
    with http_client("http://allomia.invalid") as http:
        assert (http.timeout.read, http.timeout.connect) == (READ_SECONDS, 3.0)
        assert (http.timeout.write, http.timeout.pool) == (5.0, 1.0)
    # Time enough for connecting twice, waiting for a connection, writing and reading.
    assert MAX_EXCHANGE_SECONDS == 2 * 3.0 + 1.0 + 5.0 + 12.0


def test_proxy_variables_are_ignored() -> None:
    with http_client("https://allomia.example") as http:
        assert not http.trust_env


def test_a_redirect_is_not_followed() -> None:
    with SocketServer(says(http_answer(CALLING))) as elsewhere:
        answer, server = place(says(http_answer("", "307 Temporary Redirect", Location=elsewhere.url)))

        assert answer == not_sent("HTTP 307")
        assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_the_status_line_counts_even_if_the_body_breaks() -> None:
    broken = {"Content_Length": "100"}

    answer, _ = place(says_and_drops(http_answer('{"err', "400 Bad Request", **broken)))
    assert answer == Declined("HTTP 400, not AlloMia's own answer")
    answer, _ = place(says_and_drops(http_answer("{", "429 Too Many Requests", Retry_After="9", **broken)))
    assert answer == Throttled(ParkReason.RATE_LIMITED, "HTTP 429", 9)


def test_an_answer_in_pieces_is_read() -> None:
    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in http_answer(CALLING):
            connection.sendall(bytes([byte]))
        return True

    assert place(behave)[0] == ACCEPTED


def test_a_trickling_body_is_abandoned() -> None:
    may_end = threading.Event()
    sent = count()

    def behave(connection: socket.socket, _request: HttpRequest) -> None:
        connection.sendall(http_answer(b"{", Content_Length="1000000"))
        while next(sent) < 1000 and not may_end.wait(0.01):
            connection.sendall(b" ")

    began = time.monotonic()
    # Each look at this clock is a second later: after some thirty bytes the exchange has taken too long.
    answer, server = place(behave, Clock(step=1.0))
    may_end.set()

    assert answer == Ambiguous("HTTP 200, unreadable: body")
    assert len(server.posts()) == 1
    assert next(sent) < 200
    assert time.monotonic() - began < 5


def test_a_huge_body_is_abandoned_early() -> None:
    sent = 0

    def behave(connection: socket.socket, _request: HttpRequest) -> None:
        nonlocal sent
        connection.sendall(http_answer(b"{", Content_Length=str(2**40)))
        while True:
            sent += connection.send(b" " * 65536)

    answer, server = place(behave)

    assert answer == Ambiguous("HTTP 200, unreadable: body")
    assert len(server.posts()) == 1
    # What the sockets' buffers hold is beyond the client's control.
    assert sent < 64 * 2**20


def test_the_size_limit_is_exact() -> None:
    padded = CALLING + " " * (MAX_ANSWER_BYTES - len(CALLING))

    assert place(says(http_answer(padded)))[0] == ACCEPTED
    assert place(says(http_answer(padded + " ")))[0] == Ambiguous("HTTP 200, unreadable: body")


@pytest.mark.parametrize(
    "hostile",
    [
        http_answer(gzip.compress(gzip.compress(b" " * 50_000_000)), Content_Encoding="gzip, gzip"),
        http_answer(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"),
        http_answer(b" " * 20_000_000),
        http_answer('{"a":' + "[" * 250_000 + "]" * 5000 + "}"),
        http_answer("{" + '"a":[{}],' * 28_000 + '"b":1}'),
        http_answer("{" + ",".join(f'"{i}":{i}' for i in range(20_000)) + "}"),
        http_answer('{"outboundCallId":' + "9" * 250_000 + "}"),
        b"HTTP/1.1 103 Early Hints\r\n" + b"Link: <x>\r\n" * 5000 + b"\r\n" + http_answer(CALLING),
        b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a=b\r\n" * 5000 + b"\r\n",
    ],
    ids=["gzip twice", "gzip", "huge", "deep", "repeated", "many names", "digits", "hints", "cookies"],
)
def test_an_answer_takes_little_memory_whatever_it_is(hostile: bytes) -> None:
    with SocketServer(says_and_drops(hostile)) as server, client(server.url) as allomia:
        tracemalloc.start()
        try:
            ring(allomia)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert len(server.requests) == 1
    assert peak < 16 * 2**20


# The deadline of an exchange, against servers that keep each single read and write short.


def dribbles(*pieces: bytes, start: bytes = b"") -> Behaviour:
    """Sends the start and then a piece every 20 ms, without end."""

    def behave(connection: socket.socket, _request: HttpRequest) -> None:
        connection.sendall(start)
        for number in count():
            connection.sendall(pieces[number % len(pieces)])
            time.sleep(0.02)

    return behave


DRIBBLES: dict[str, tuple[Behaviour, str, str]] = {
    "early hints": (dribbles(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"), "ReadTimeout", "ReadTimeout"),
    "headers": (dribbles(b"X: y\r\n", start=b"HTTP/1.1 200 OK\r\n"), "ReadTimeout", "ReadTimeout"),
    "a body": (
        dribbles(b" ", start=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        "HTTP 200, unreadable: body",
        UNREADABLE,
    ),
    "chunks": (
        dribbles(b"1;ext=1\r\n \r\n", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "HTTP 200, unreadable: body",
        UNREADABLE,
    ),
    "an endless chunk header": (
        dribbles(b"1", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;ext="),
        "HTTP 200, unreadable: body",
        UNREADABLE,
    ),
}


@pytest.mark.parametrize("row", DRIBBLES)
def test_an_exchange_ends_at_its_deadline_however_the_answer_dribbles(row: str) -> None:
    behave, posted, asked = DRIBBLES[row]

    with SocketServer(behave) as server, client(server.url, exchange_seconds=0.3) as allomia:
        began = time.monotonic()
        assert ring(allomia) == Ambiguous(posted)
        assert allomia.call_status(AN_ORGANIZATION, CALL_ID) == StatusUnavailable(asked)
        assert 0.5 < time.monotonic() - began < 10

    assert len(server.posts()) == 1


def test_interim_responses_before_an_answer_in_time_are_skipped() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"

    assert place(says(hints * 3 + http_answer(CALLING)))[0] == ACCEPTED


def test_a_request_that_is_read_too_slowly_is_ambiguous_at_the_deadline() -> None:
    """A POST larger than the sockets' buffers, to a server that takes some of it now and then."""
    has_ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def sip() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                while not has_ended.wait(0.02):
                    connection.recv(1024)

        thread = threading.Thread(target=sip)
        thread.start()
        with client(f"http://127.0.0.1:{listener.getsockname()[1]}", exchange_seconds=1.0) as allomia:
            began = time.monotonic()
            answer = allomia.place_call(
                AN_ORGANIZATION, a_request(dynamic_variables={"x": "y" * 10_000_000}), CALLBACK_URL
            )
            took = time.monotonic() - began
        has_ended.set()
        thread.join(10)

    assert answer == Ambiguous("WriteTimeout")
    assert took < 10


def test_the_deadline_counts_from_before_the_connection() -> None:
    with SocketServer(drops) as server, client(server.url.replace("http:", "https:"), exchange_seconds=0.3) as allomia:
        began = time.monotonic()
        assert ring(allomia) == not_sent("ConnectTimeout")
        assert time.monotonic() - began < 10

    assert server.requests == []


# Connections that are kept.


def test_a_connection_is_used_again() -> None:
    with SocketServer(says(http_answer(CALLING))) as server, client(server.url) as allomia:
        for _ in range(3):
            assert ring(allomia) == ACCEPTED

    assert (len(server.requests), server.connections) == (3, 1)


def test_ten_connections_are_kept_for_less_time_than_a_server_keeps_them() -> None:
    with http_client("https://allomia.example") as http:
        transport = http._transport
        assert isinstance(transport, httpx.HTTPTransport)
        assert (transport._pool._max_connections, transport._pool._keepalive_expiry) == (10, 4.0)


def test_a_connection_closed_by_the_server_is_not_reused() -> None:
    closed = threading.Event()

    def behave(connection: socket.socket, _request: HttpRequest) -> None:
        connection.sendall(http_answer(CALLING))
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with SocketServer(behave) as server, client(server.url) as allomia:
        assert ring(allomia) == ACCEPTED
        assert closed.wait(10)
        assert ring(allomia) == ACCEPTED

    assert (len(server.requests), server.connections) == (2, 2)


def test_a_kept_connection_that_breaks_during_the_post_makes_it_ambiguous() -> None:
    """The race that no client can win: the server gives the connection up as the POST is on its way."""

    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        if len(server.requests) > 1:
            return False
        connection.sendall(http_answer(CALLING))
        return True

    with SocketServer(behave) as server, client(server.url) as allomia:
        assert ring(allomia) == ACCEPTED
        assert isinstance(ring(allomia), Ambiguous)

    assert len(server.posts()) == 2


def test_a_broken_answer_does_not_affect_the_next_one() -> None:
    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        huge = len(server.requests) == 1
        connection.sendall(http_answer(CALLING + " " * 300_000 if huge else CALLING))
        return True

    with SocketServer(behave) as server, client(server.url) as allomia:
        assert isinstance(ring(allomia), Ambiguous)
        assert ring(allomia) == ACCEPTED


def test_a_pool_timeout_proves_that_nothing_was_sent() -> None:
    has_arrived, may_answer = threading.Event(), threading.Event()

    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        has_arrived.set()
        assert may_answer.wait(10)
        connection.sendall(http_answer(CALLING))
        return True

    answers: list[PlaceAnswer] = []
    with SocketServer(behave) as server, client(server.url, connections=1) as allomia:
        first = threading.Thread(target=lambda: answers.append(ring(allomia)))
        first.start()
        assert has_arrived.wait(10)
        # The first waits for its answer with the timeouts that it began with.
        allomia.http.timeout = httpx.Timeout(10, pool=0.1)
        second = ring(allomia)
        may_answer.set()
        first.join(10)

    assert second == not_sent("PoolTimeout")
    assert answers == [ACCEPTED]
    assert len(server.posts()) == 1


def test_ten_concurrent_calls_use_ten_connections() -> None:
    together = threading.Barrier(10)

    def behave(connection: socket.socket, _request: HttpRequest) -> bool:
        # Passes only when all ten have arrived.
        together.wait(10)
        connection.sendall(http_answer(CALLING))
        return True

    answers: list[PlaceAnswer] = []
    with SocketServer(behave) as server, client(server.url) as allomia:
        threads = [threading.Thread(target=lambda: answers.append(ring(allomia))) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert answers == [ACCEPTED] * 10
    assert (len(server.posts()), server.connections) == (10, 10)


# The status of a call.


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (drops, "RemoteProtocolError"),
        (resets, "ReadError"),
        (says(http_answer(b"\xff" * 100, Content_Encoding="gzip")), UNREADABLE),
        (says_and_drops(http_answer("{", Content_Length="100")), UNREADABLE),
    ],
)
def test_a_broken_status_answer_says_nothing(behave: Behaviour, reason: str) -> None:
    with SocketServer(behave) as server, client(server.url) as allomia:
        assert allomia.call_status(AN_ORGANIZATION, CALL_ID) == StatusUnavailable(reason)


def test_certificates_are_verified() -> None:
    """The transport is built by hand, so that its default must not be lost: certificates are verified."""
    with http_client("https://allomia.example") as http:
        transport = http._transport
        assert isinstance(transport, httpx.HTTPTransport)
        context = transport._pool._ssl_context
        assert isinstance(context, ssl.SSLContext)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
