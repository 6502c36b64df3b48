"""Time that passes only when every worker waits: an hour of many workers in a second, the same each time."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self


class _Stop(BaseException):
    """Unwinds a process that is not needed any more."""


def _closed() -> threading.Lock:
    """A gate that opens for one when it is released: a plain lock, as semaphores are ten times slower."""
    gate = threading.Lock()
    gate.acquire()
    return gate


class _Carrier:
    """A thread that runs one process after another, whenever it is handed the baton."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self.go = _closed()
        self.work: Callable[[], None] | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            self.go.acquire()
            if self.work is None:
                self._time._baton.release()
                return
            try:
                self.work()
            except _Stop:
                self.work = None
                self._time._baton.release()
                return
            except BaseException as error:  # noqa: BLE001 - raised again where the simulation is run
                self._time._error = error
            self.work = None
            self._time._idle.append(self)
            self._time._baton.release()


class VirtualTime:
    """A clock and a scheduler. Processes are ordinary code in threads, of which exactly one runs at a time.

    A process goes on until it sleeps, waits or ends; then the one whose time comes next goes on. So every run with the
    same seeds is the same, down to the order of two workers' writes.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, _Carrier | Callable[[], None]]] = []
        self._baton = _closed()
        self._running: _Carrier | None = None
        self._carriers: list[_Carrier] = []
        self._idle: list[_Carrier] = []
        self._error: BaseException | None = None
        self._stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for carrier in self._carriers:
            if carrier.thread.is_alive():
                carrier.go.release()
                self._baton.acquire()
            carrier.thread.join()

    def clock(self) -> float:
        """Seconds, for `time.time` and `time.monotonic`."""
        return self.now

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Start a process in so many seconds."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), work))

    def sleep(self, seconds: float) -> None:
        """Let time pass for the process that says so."""
        carrier = self._me()
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), carrier))
        self._pause(carrier)

    def side_by_side(self, works: Iterable[Callable[[], None]]) -> None:
        """Run processes at the same time, and go on when all of them have ended."""
        parent, left = self._me(), 0

        def child(work: Callable[[], None]) -> None:
            nonlocal left
            work()
            left -= 1
            if not left:
                heapq.heappush(self._agenda, (self.now, next(self._order), parent))

        for work in works:
            left += 1
            self.after(0.0, lambda work=work: child(work))  # type: ignore[misc]
        if left:
            self._pause(parent)

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until that is true, or nothing is left that could happen."""
        while self._agenda and not until():
            self.now, _, whom = heapq.heappop(self._agenda)
            carrier = whom if isinstance(whom, _Carrier) else self._carrier_for(whom)
            self._running = carrier
            carrier.go.release()
            self._baton.acquire()
            if self._error is not None:
                raise self._error

    def run_until_seen(self, over: Callable[[], bool]) -> None:
        """The same, but look only once a minute: for a look that is slow."""
        seen = False

        def look() -> None:
            nonlocal seen
            seen = over()
            self.after(60, look)

        self.after(0.0, look)
        self.run(lambda: seen)

    def _carrier_for(self, work: Callable[[], None]) -> _Carrier:
        if not self._idle:
            self._idle.append(_Carrier(self))
            self._carriers.append(self._idle[-1])
        carrier = self._idle.pop()
        carrier.work = work
        return carrier

    def _me(self) -> _Carrier:
        if self._running is None:
            raise RuntimeError("only a process can wait")
        return self._running

    def _pause(self, carrier: _Carrier) -> None:
        if self._stopping:
            raise _Stop
        self._baton.release()
        carrier.go.acquire()
        if self._stopping:
            raise _Stop
