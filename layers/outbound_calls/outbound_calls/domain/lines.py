"""The lines of an organization: how many of its calls may be in progress at once, and who waits for one of them.

A line is held under the name of a claim, or reserved under the name of an attempt that is about to be claimed. Either
way it is used until it is given back, and at most until a time. Times are epoch seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.domain.attempts import AttemptKey

RESERVED_SECONDS = 60
"""How long a line is kept for the attempt that it was handed on to."""

HELD_AFTER_DEADLINE_SECONDS = 300
"""How long after its call's deadline a line is held at most: the time that the deadline's sweep may take."""

INDEX_LAG_SECONDS = 5
"""An attempt that was parked longer ago than this is in the index of those who wait."""

COUNT_AFTER_SECONDS = 15
"""How long after a limit was set the calls in progress are counted that have no line.

By then no worker dials any more that didn't know the limit, and the index of what is due shows those that did.
"""

MOST_URGENT_FIRST = (Priority.URGENT, Priority.NORMAL, Priority.LOW)

_NAME_CHARACTERS = 16


def line_of_claim(claim_id: str) -> str:
    """The name of a claim's line. Short, because every write pays for the whole item."""
    return claim_id[:_NAME_CHARACTERS]


def line_reserved_for(key: AttemptKey) -> str:
    """The name of a line that is reserved for an attempt. No claim's line has it."""
    name = f"{key.request}/{key.number}"
    return "~" + hashlib.blake2s(name.encode(), digest_size=_NAME_CHARACTERS // 2).hexdigest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Attempts of a priority wait, or did: the last one since `at`. `arrivals` counts them and never goes back."""

    arrivals: int
    at: int

    def is_settled(self, now: float) -> bool:
        """Whether the index shows all who wait: so if it shows no one, no one does."""
        return now >= self.at + INDEX_LAG_SECONDS

    def look_again_after(self, now: float) -> int:
        """In how many seconds to look again, where the index shows no one and may lag: soon, then once it is settled.

        It lags for milliseconds as a rule.
        """
        return 1 if now < self.at + 1 else max(1, self.at + INDEX_LAG_SECONDS - int(now))


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines in use, each with the time until which it is held at most, and the marks of those who wait.

    They have those of all calls in progress that were made before the limit of `counted_since` (epoch seconds; 0: no
    such calls were counted).
    """

    used: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[Priority, Mark] = field(default_factory=dict)
    counted_since: int = 0

    def is_counted(self, limited_since: int) -> bool:
        """Whether every call in progress has its line, where there is a limit since then. Before, no line is free."""
        return self.counted_since >= limited_since

    def lapsed(self, now: float) -> dict[str, int]:
        """The lines that were not given back in time. They are free."""
        return {name: until for name, until in self.used.items() if until <= now}

    def in_use(self, now: float) -> int:
        """How many lines are in use."""
        return len(self.used) - len(self.lapsed(now))

    def is_free(self, limit: int, now: float) -> bool:
        """Whether another line may be used."""
        return self.in_use(now) < limit

    def admits(self, priority: Priority, reserved: str, limit: int, now: float) -> bool:
        """Whether an attempt may take a line: the one that is reserved for it, or a free one that no one waits for.

        Who is more urgent overtakes those who wait. After the limit was lowered, not even a reserved one is taken.
        """
        if self.used.get(reserved, 0) > now:
            return self.in_use(now) <= limit
        return self.is_free(limit, now) and not any(each in self.marks for each in not_less_urgent(priority))


@dataclass(frozen=True, slots=True)
class LinesSeen:
    """What a keeper saw of an organization's lines.

    How many are in use; how many attempts of each priority wait for one (not counted beyond some thousands), and for
    how many seconds the first has.
    """

    in_use: int
    waiting: Mapping[Priority, int]
    waited_seconds: Mapping[Priority, int]


def not_less_urgent(priority: Priority) -> tuple[Priority, ...]:
    """A priority and those that come before it."""
    return MOST_URGENT_FIRST[: MOST_URGENT_FIRST.index(priority) + 1]
