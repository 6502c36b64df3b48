"""Decide, right before an attempt would be claimed, whether it may be dialled. Only reads; the claim comes after."""

from dataclasses import dataclass

from outbound_calls.contracts.vocabulary import ReasonCode
from outbound_calls.domain.attempts import Attempt
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Dial:
    """The attempt may be dialled now."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The attempt must never be dialled. `reason` is `code` in words, without personal data."""

    code: ReasonCode
    reason: str


type Decision = Dial | Reject


def expires_at(attempt: Attempt) -> int:
    """Epoch seconds after which the attempt must not be dialled."""
    return attempt.created_at + EXPIRE_AFTER_SECONDS


def decide(attempt: Attempt, now: float) -> Decision:
    """What policy allows for an attempt at `now` (epoch seconds)."""
    if now > expires_at(attempt):
        return Reject(ReasonCode.EXPIRED, f"not dialled within {EXPIRE_AFTER_SECONDS // 3600} hours")
    return Dial()
