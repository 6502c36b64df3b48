"""Decide, right before an attempt would be claimed, whether it may be dialled. Only reads; the claim comes after."""

from dataclasses import dataclass

from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode
from outbound_calls.domain.attempts import Attempt
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Dial:
    """The attempt may be dialled now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The attempt may not be dialled before `until` (epoch seconds)."""

    until: float
    reason: ParkReason


@dataclass(frozen=True, slots=True)
class Reject:
    """The attempt must never be dialled. `reason` is `code` in words, without personal data."""

    code: ReasonCode
    reason: str


type Decision = Dial | Wait | Reject


def expires_at(attempt: Attempt) -> int:
    """Epoch seconds after which the attempt must not be dialled.

    That is the request's own `notAfter`, or a day after the first moment at which it might have been dialled.
    """
    if attempt.terms.not_after is not None:
        return attempt.terms.not_after
    return max(attempt.created_at, attempt.terms.not_before or 0) + EXPIRE_AFTER_SECONDS


def decide(attempt: Attempt, now: float) -> Decision:
    """What policy allows for an attempt at `now` (epoch seconds)."""
    if now > expires_at(attempt):
        return _expired(attempt)
    if attempt.terms.not_before is not None and now < attempt.terms.not_before:
        return Wait(attempt.terms.not_before, ParkReason.NOT_BEFORE)
    return Dial()


def _expired(attempt: Attempt) -> Reject:
    if attempt.refusal:
        return Reject(ReasonCode.REFUSED_BY_ALLOMIA, f"{attempt.refusal.words}; still refused when it expired")
    limit = "by its notAfter" if attempt.terms.not_after is not None else f"within {EXPIRE_AFTER_SECONDS // 3600} hours"
    waited = f"; it waited last because of {attempt.park_reason}" if attempt.park_reason else ""
    return Reject(ReasonCode.EXPIRED, f"not dialled {limit}{waited}")
