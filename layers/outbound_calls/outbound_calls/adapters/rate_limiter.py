"""A rate limiter for what several threads do."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class RateLimiter:
    """Spaces permits evenly: one every `1 / per_second` seconds, the first one that long after the start.

    So a limiter that starts when another one ends keeps the rate too. `clock` counts seconds and never goes back.
    """

    per_second: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _last: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def acquire(self, timeout_seconds: float) -> bool:
        """Wait for the next permit and take it. Returns False at once when it comes after more than the timeout."""
        with self._lock:
            now = self.clock()
            permit_at = max(now, self._last + 1 / self.per_second)
            if permit_at - now > timeout_seconds:
                return False
            self._last = permit_at
        self.sleep(permit_at - now)
        return True
