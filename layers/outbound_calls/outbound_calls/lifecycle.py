"""The life of one attempt: its statuses, which may follow which, and when it is looked at again.

Pure: no clock, no network, no table. The ledger derives its conditional writes from `TRANSITIONS`, so a transition
is written down here and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where an attempt stands. The values are what the table, the events and the status API show."""

    SCHEDULED = "scheduled"
    DISPATCHING = "dispatching"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class OutcomeSource(StrEnum):
    """Who told us how an attempt ended."""

    WEBHOOK = "webhook"
    POLL = "poll"
    DISPATCH = "dispatch"
    DEADLINE = "deadline"
    OPERATOR = "operator"


ALLOMIA_OUTCOMES = frozenset({Status.COMPLETED, Status.FAILED, Status.BUSY, Status.NO_ANSWER})
"""AlloMia's own terminal statuses."""

TERMINAL = ALLOMIA_OUTCOMES | {Status.REJECTED, Status.UNKNOWN}

# `None` stands for "no record yet". A `scheduled` attempt may receive an outcome although AlloMia answered that it
# took nothing: only AlloMia knows an attempt's signed callback URL, so a webhook proves that the person was called,
# and recording it is what keeps us from calling again.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.SCHEDULED, Status.DISPATCHING}),
    Status.SCHEDULED: frozenset({Status.SCHEDULED, Status.DISPATCHING, Status.REJECTED}) | ALLOMIA_OUTCOMES,
    Status.DISPATCHING: frozenset({Status.SCHEDULED, Status.CALLING, Status.REJECTED, Status.UNKNOWN})
    | ALLOMIA_OUTCOMES,
    Status.CALLING: ALLOMIA_OUTCOMES | {Status.UNKNOWN},
    Status.UNKNOWN: ALLOMIA_OUTCOMES,
    **dict.fromkeys(ALLOMIA_OUTCOMES | {Status.REJECTED}, frozenset[Status]()),
}


def predecessors(status: Status) -> frozenset[Status]:
    """The statuses of an existing record from which `status` may follow."""
    return frozenset(before for before, after in TRANSITIONS.items() if before is not None and status in after)


PLACE_WITHIN_SECONDS = 24 * 3600
"""A request that could not be dialled for this long after it came is rejected: a call that late helps nobody."""

_FIRST_BACKOFF_SECONDS = 30.0
_LONGEST_BACKOFF_SECONDS = 300.0
KEY_REFUSED_BACKOFF_SECONDS = 300.0
"""A refused key is mended by a person, not by asking again soon."""

RELEASE_LEASE_SECONDS = 60
"""How long a released attempt may wait on the queue before the poller releases it again."""

type Jitter = Callable[[float, float], float]
"""Draws a number between its arguments, as `random.uniform` does."""


def parking_seconds(times_parked: int, at_least: float, jitter: Jitter) -> float:
    """How long an attempt that could not be dialled waits: never less than `at_least` seconds.

    Exponential from 30 s to 5 min by the number of times it was parked before, and spread upwards by a half, so
    that what was parked in one outage does not come back in one second.
    """
    backoff = min(_FIRST_BACKOFF_SECONDS * 2.0 ** min(times_parked, 16), _LONGEST_BACKOFF_SECONDS)
    floor = max(backoff, at_least)
    return floor + jitter(0.0, backoff / 2)


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """When an attempt that was dispatched is looked at (seconds).

    The first poll comes `grace` after dispatch; each further one waits `grace` longer than the one before, so a call
    of two hours costs ten polls; `deadline` after dispatch an attempt without an outcome is `unknown`.
    """

    grace: int
    deadline: int

    def deadline_at(self, dispatched_at: int) -> int:
        """Epoch seconds at which the attempt's fate is given up."""
        return dispatched_at + self.deadline
