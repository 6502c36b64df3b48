"""What happened to a message of the call queue, or to the attempt that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbound_calls.domain.attempts import AttemptKey, Outcome

OTHER_CALL = "other-call-recorded"
"""A webhook brought the outcome of a different call for this attempt: AlloMia made two calls of one POST."""


class PlaceResult(StrEnum):
    """What happened to one queue message."""

    CALLING = "calling"
    ENDED = "ended"
    PARKED = "parked"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    REDIAL_DROPPED = "redial-dropped"
    CANCELLATION = "cancellation"
    DO_NOT_CALL = "do-not-call"
    DUPLICATE = "duplicate"
    HANDED_ON = "handed-on"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Placement:
    """What happened to one queue message, in words that may be logged. Every result acknowledges the message."""

    result: PlaceResult
    key: AttemptKey | None
    code: str = ""
    """A park reason, a reason code, what a cancellation changed, or `OTHER_CALL`."""

    detail: str = ""
    outbound_call_id: str | None = None
    outcome: Outcome | None = None
    """Set only if it was recorded here: one that a webhook brought first was counted there."""

    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document; empty where it is no word."""

    organization: str | None = None
    """Of a message that is about no single request."""
