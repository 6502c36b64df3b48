"""When an attempt is tried again, looked at, or given up. All times in seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from outbound_calls.contracts.vocabulary import ParkReason

EXPIRE_AFTER_SECONDS = 24 * 3600
"""A request that wasn't dialled within this time is rejected: a call that late helps no one."""

KEY_DECLINED_BACKOFF_SECONDS = 300.0
"""A person has to replace a declined key, so asking again soon doesn't help."""

DISPATCH_LEASE_SECONDS = 60
"""How long a dispatch message may wait on the queue before the poller sends another one."""

HAND_ON_LEASE_SECONDS = 120
"""How long an attempt that a line is handed on to isn't swept: longer than what hands it on may run."""

OPENING_SPREAD_SECONDS = 300
"""What waited for an opening is spread over this time, so that it doesn't come in one burst."""

FAILED_TRIES = frozenset({ParkReason.ALLOMIA_UNREACHABLE, ParkReason.RATE_LIMITED, ParkReason.KEY_DECLINED})
"""Why AlloMia didn't accept an attempt that it was asked for. Each of these lengthens the next backoff."""

DEFERRALS = frozenset(
    {
        ParkReason.NOT_BEFORE,
        ParkReason.PAUSED,
        ParkReason.OUTSIDE_CALLING_WINDOW,
        ParkReason.RECIPIENT_CAP,
        ParkReason.CONCURRENCY_LIMIT,
        ParkReason.REDIAL,
    }
)
"""Why policy lets an attempt wait. Nothing is wrong then: no alarm, no longer backoff."""

_FIRST_BACKOFF_SECONDS = 30.0
_MAX_BACKOFF_SECONDS = 300.0

type Jitter = Callable[[float, float], float]
"""Draws a number between its arguments, as `random.uniform` does."""


def backoff_seconds(failed_tries: int, at_least: float, jitter: Jitter) -> float:
    """How long an attempt that couldn't be dialled waits: never less than `at_least`.

    Exponential from 30 s to 5 min by the number of tries that failed before. Jitter adds up to a half, so that the
    attempts parked in one outage don't come back in one second.
    """
    backoff = min(_FIRST_BACKOFF_SECONDS * 2.0 ** min(failed_tries, 16), _MAX_BACKOFF_SECONDS)
    return max(backoff, at_least) + jitter(0.0, backoff / 2)


MAX_DECISION_AGE_SECONDS = 5.0
"""A POST follows its decision within this time, or not at all: a frozen environment must not ring hours later."""


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """When the poller looks at a dispatched attempt.

    The first poll comes `grace_seconds` after dispatch. Each one waits `grace_seconds` longer than the one before, so a
    call of two hours costs ten polls. `deadline_seconds` after dispatch an attempt without an outcome is `unknown`.
    """

    grace_seconds: int
    deadline_seconds: int

    def deadline_at(self, dispatched_at: int) -> int:
        """Epoch seconds at which the attempt's outcome is given up."""
        return dispatched_at + self.deadline_seconds


def utc_text(epoch_seconds: int) -> str:
    """A time as the wires show it, ISO 8601 in UTC: ``2026-04-01T14:30:00Z``."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat().replace("+00:00", "Z")
