"""What happens to a due attempt in a sweep, and why nothing may be learned of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from outbound_calls.adapters.allomia import KEY_UNUSABLE, MAX_EXCHANGE_SECONDS

if TYPE_CHECKING:
    from outbound_calls.domain.attempts import Attempt, AttemptKey, Outcome
    from outbound_calls.domain.lines import LinesSeen

SECONDS_TO_POLL = MAX_EXCHANGE_SECONDS + 5.0
"""What must be left of an invocation before a lease: the longest exchange, and time to record."""

SHORT_OF_TIME, NOT_ITS_TURN = "short-of-time", "not-its-turn"

NOT_ASKED = frozenset({SHORT_OF_TIME, NOT_ITS_TURN})
"""Why AlloMia wasn't asked at all. A later sweep asks."""

KEY_OF_ANOTHER_ORGANIZATION = "key-of-another-organization"
"""AlloMia knows none of the organization's calls by the key in the secret."""

KEY_FAULTS = frozenset({KEY_UNUSABLE, KEY_OF_ANOTHER_ORGANIZATION})
"""Why nothing is learned of an organization's calls until a person has replaced its key."""


class PollResult(StrEnum):
    """What happened to one due attempt."""

    RECORDED = "recorded"
    DISPATCHED = "dispatched"
    REDIALLED = "redialled"
    KEPT = "kept"
    BATCH_CANCELLED = "batch-cancelled"
    WAITING = "waiting"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Poll:
    """What happened to one due attempt, in words that may be logged."""

    result: PollResult
    key: AttemptKey | None
    """None for a keeper or a batch."""

    detail: str = ""
    outcome: Outcome | None = None
    attempt: Attempt | None = None
    organization: str | None = None
    """Whose keeper or batch it was."""

    released: int = 0
    """How many waiting attempts the keeper lets policy look at again."""

    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document."""

    lines: LinesSeen | None = None
    """Of a keeper whose organization has attempts that wait for a line."""
