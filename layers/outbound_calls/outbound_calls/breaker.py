"""A circuit breaker: after a run of failures it stops calls into an outage, then tries one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class Permit:
    """Leave to make one call. Say how it went; leaving without a word counts as not having called."""

    breaker: Breaker
    probe: bool
    _reported: bool = False

    def report(self, healthy: bool) -> None:
        """Say whether the other side answered as one that works."""
        self._reported = True
        self.breaker.record(self, healthy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._reported:
            self.breaker.abandon(self)


@dataclass(slots=True)
class Breaker:
    """Closed, it lets everything pass; a run of `threshold` failures opens it for `open_seconds`.

    After that one call passes at a time: its success closes the breaker, its failure opens it for twice as long as
    before, up to `longest_seconds`.

    One for each execution environment, shared by its worker threads; `clock` is `time.monotonic`.
    """

    clock: Callable[[], float]
    threshold: int = 5
    open_seconds: float = 30.0
    longest_seconds: float = 300.0
    _failures: int = 0
    _opened: int = 0
    _open_until: float = 0.0
    _probing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self) -> Permit | None:
        """Leave to make one call, or None while the breaker is open."""
        with self._lock:
            if not self._opened:
                return Permit(self, probe=False)
            if self._probing or self.clock() < self._open_until:
                return None
            self._probing = True
            return Permit(self, probe=True)

    def seconds_left(self) -> float:
        """How long it stays open, in seconds; 0 when the next call may pass."""
        with self._lock:
            return max(0.0, self._open_until - self.clock()) if self._opened else 0.0

    def record(self, permit: Permit, healthy: bool) -> None:
        """Take in how a permitted call went."""
        with self._lock:
            self._probing = self._probing and not permit.probe
            # Once open, only the call that tries it closes it or opens it anew; others were under way when it opened.
            if self._opened and not permit.probe:
                return
            if healthy:
                self._failures = self._opened = 0
                return
            self._failures += 1
            if permit.probe or self._failures >= self.threshold:
                longer = self.open_seconds * 2.0 ** min(self._opened, 16)
                self._open_until = self.clock() + min(longer, self.longest_seconds)
                self._opened += 1

    def abandon(self, permit: Permit) -> None:
        """Take back a permit that was not used."""
        with self._lock:
            self._probing = self._probing and not permit.probe
