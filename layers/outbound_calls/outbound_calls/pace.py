"""A steady pace for what several threads do at once, so that nobody is asked more often than agreed."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """Turns that are one `per_second`-th of a second apart, the first of them as long after the start.

    So whoever begins after another has ended keeps to the pace as well. `clock` counts seconds and never goes back.
    """

    per_second: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _last: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def wait(self, at_most: float) -> bool:
        """Wait for the next turn and take it; False, at once, when it comes later than in `at_most` seconds."""
        with self._lock:
            now = self.clock()
            turn = max(now, self._last + 1 / self.per_second)
            if turn - now > at_most:
                return False
            self._last = turn
        self.sleep(turn - now)
        return True
