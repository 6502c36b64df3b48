"""HTTP exchanges that end at a deadline: name resolution, connecting and its retries, and every answer on the way.

httpx limits the wait for each read and write, not an exchange. A server that sends one byte, or one `103 Early Hints`,
within each limit could hold a worker until Lambda ends the function. So the transport here asks before each operation
on the network how much time is left, and waits no longer than that.
"""

import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

_CLOSE_IDLE_AFTER_SECONDS = 4.0

type Resolve = Callable[..., list[tuple[Any, ...]]]
type _SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]

_seconds_left: ContextVar[Callable[[], float] | None] = ContextVar("seconds_left", default=None)


@contextmanager
def deadline(seconds: float, clock: Callable[[], float]) -> Iterator[Callable[[], float]]:
    """End what this thread does on the network after `seconds`. Gives how many of them are left."""
    ends_at = clock() + seconds

    def seconds_left() -> float:
        return ends_at - clock()

    token = _seconds_left.set(seconds_left)
    try:
        yield seconds_left
    finally:
        _seconds_left.reset(token)


class BoundedTransport(httpx.HTTPTransport):
    """httpx's transport over HTTP/1.1, with every operation inside the thread's `deadline`.

    Idle connections are dropped after 4 s: the server may have closed one while the execution environment was frozen,
    and then a POST's result would be unknown.
    """

    def __init__(self, connections: int, connect_retries: int, resolve: Resolve = socket.getaddrinfo) -> None:
        # Instead of httpx's own: it makes the same pool, without a network backend of the caller's.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            keepalive_expiry=_CLOSE_IDLE_AFTER_SECONDS,
            retries=connect_retries,
            network_backend=_Network(resolve),
        )


class _Network(httpcore.SyncBackend):
    """Connects to the addresses of a host, one after the other."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        error: Exception = httpcore.ConnectError("the host has no address")
        for address in self._addresses(host, port, timeout):
            try:
                stream = super().connect_tcp(
                    address, port, _wait(timeout, httpcore.ConnectTimeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
            else:
                return _Stream(stream)
        raise error

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        """The host's addresses. The system's resolver has no timeout, so another thread waits for it."""
        answers: queue.SimpleQueue[list[tuple[Any, ...]] | Exception] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(self._resolve(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=resolve, daemon=True).start()
        try:
            found = answers.get(timeout=_wait(timeout, httpcore.ConnectTimeout))
        except queue.Empty:
            raise httpcore.ConnectTimeout("the host's name was not resolved") from None
        if isinstance(found, Exception):
            raise httpcore.ConnectError("the host's name can't be resolved")
        return list(dict.fromkeys(address[-1][0] for address in found))


class _Stream(httpcore.NetworkStream):
    """A connection. Each operation waits for its own limit or until the deadline, whichever is first."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The bytes that are there, at least one; none once the other side has closed the connection."""
        return self._stream.read(max_bytes, _wait(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes, however few the other side takes at a time."""
        connection: socket.socket = self._stream.get_extra_info("socket")
        unsent = memoryview(buffer)
        try:
            while unsent:
                connection.settimeout(_wait(timeout, httpcore.WriteTimeout))
                unsent = unsent[connection.send(unsent) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The connection with TLS."""
        wait = _wait(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, wait))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about the connection."""
        return self._stream.get_extra_info(info)


def _wait(timeout: float | None, too_late: type[httpcore.TimeoutException]) -> float | None:
    """How long the next operation may wait. Raises `too_late` when the deadline has passed."""
    seconds_left = _seconds_left.get()
    if seconds_left is None:
        return timeout
    left = seconds_left()
    if left <= 0:
        raise too_late("the exchange's deadline has passed")
    return left if timeout is None else min(timeout, left)
