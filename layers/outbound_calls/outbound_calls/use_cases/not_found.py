"""Calls of this stack that AlloMia doesn't know: one may be lost; several in a row mean that the key is another's."""

import threading
from dataclasses import dataclass, field

RUN_CALLS = 3
"""So many calls in a row that AlloMia doesn't know, and none that it does."""


@dataclass(eq=False, slots=True)
class NotFoundRuns:
    """The calls in a row that AlloMia doesn't know, by key. Shared by threads.

    A key sees the calls of its own organization alone. For the others AlloMia answers 404.
    """

    _runs: dict[str, set[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, api_key: str, outbound_call_id: str) -> bool:
        """Add a call that AlloMia doesn't know. Whether there are so many now that the key must be another's."""
        with self._lock:
            run = self._runs.setdefault(api_key, set())
            if len(run) < RUN_CALLS:
                run.add(outbound_call_id)
            return len(run) >= RUN_CALLS

    def end(self, api_key: str) -> None:
        """The key sees a call."""
        with self._lock:
            self._runs.pop(api_key, None)
