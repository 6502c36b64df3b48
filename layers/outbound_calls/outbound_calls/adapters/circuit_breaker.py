"""Circuit breakers: after consecutive failures one stops calls, then lets them through one at a time, as probes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class Permit:
    """Permission to make one call. Report its result; a permit released without a report counts as unused."""

    breaker: CircuitBreaker
    probe: bool
    _reported: bool = False

    def report(self, healthy: bool) -> None:
        """Report whether the service answered normally."""
        self._reported = True
        self.breaker.record(self, healthy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._reported:
            self.breaker.release(self)


@dataclass(eq=False, slots=True)
class CircuitBreaker:
    """Closed, it permits every call. After `threshold` consecutive failures it opens for `open_seconds`.

    Then it permits one probe at a time. A successful probe closes it; a failed one opens it for twice as long, up to
    `max_open_seconds`.

    Shared by the worker threads of an execution environment. `clock` is `time.monotonic`.
    """

    clock: Callable[[], float]
    threshold: int = 5
    open_seconds: float = 30.0
    max_open_seconds: float = 300.0
    _failures: int = 0
    _times_opened: int = 0
    _open_until: float = 0.0
    _probing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self) -> Permit | None:
        """Permission to make one call, or None while the circuit is open."""
        with self._lock:
            if not self._times_opened:
                return Permit(self, probe=False)
            if self._probing or self.clock() < self._open_until:
                return None
            self._probing = True
            return Permit(self, probe=True)

    def seconds_left(self) -> float:
        """How long the circuit stays open (seconds); 0 when the next call may pass."""
        with self._lock:
            return max(0.0, self._open_until - self.clock()) if self._times_opened else 0.0

    def record(self, permit: Permit, healthy: bool) -> None:
        """Record the result of a permitted call."""
        with self._lock:
            self._probing = self._probing and not permit.probe
            if healthy:
                self._failures = self._times_opened = 0
                return
            # Once open, only a probe opens it again. Other calls were in progress when it opened.
            if self._times_opened and not permit.probe:
                return
            self._failures += 1
            if permit.probe or self._failures >= self.threshold:
                longer = self.open_seconds * 2.0 ** min(self._times_opened, 16)
                self._open_until = self.clock() + min(longer, self.max_open_seconds)
                self._times_opened += 1

    @property
    def closed(self) -> bool:
        """Whether it permits every call, and remembers no failure."""
        return not (self._failures or self._times_opened)

    def release(self, permit: Permit) -> None:
        """Return a permit that was not used."""
        with self._lock:
            self._probing = self._probing and not permit.probe


@dataclass(eq=False, slots=True)
class CircuitBreakers:
    """One breaker for each setting, so that one that is wrong doesn't hold up the others.

    It forgets those that remember nothing once it has `most`.
    """

    clock: Callable[[], float]
    most: int = 1000
    _breakers: dict[str, CircuitBreaker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str) -> CircuitBreaker:
        """The breaker with this name."""
        with self._lock:
            if name not in self._breakers and len(self._breakers) >= self.most:
                self._breakers = {name: each for name, each in self._breakers.items() if not each.closed}
            return self._breakers.setdefault(name, CircuitBreaker(self.clock))
