"""AlloMia refuses a call: is the request wrong, or a setting that is wrong for every request?

A refusal (4xx) says that nothing was accepted, not who is at fault. A deleted assistant, a number without credit and a
wrong phone number look the same. So a refused attempt is tried again, and its refusal is final only while other calls
with the same setting are accepted.
"""

import math
from collections.abc import Sequence

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Attempt, Refusal

_RETRIES_AFTER_SECONDS = (60, 180, 360)
_LATER_RETRIES_SECONDS = 300
_ACCEPTED_PER_REFUSED = 3

CLOCKS_APART_SECONDS = 10
"""How long before the first refusal another call may have been accepted, to count."""

MOST_ACCEPTED = 100
MOST_REFUSED = 34
"""How many attempts are read at most of an index partition: only a third of the accepted may be refused."""


def again(refusal: Refusal | None, now: float, words: str) -> Refusal:
    """The refusal of an attempt after AlloMia refused it (again)."""
    if refusal is None:
        return Refusal(int(now), 1, words)
    return Refusal(refusal.first_at, refusal.times + 1, words)


def retry_at(refusal: Refusal, now: float) -> float:
    """When to try a refused attempt again: 1, 3 and 6 minutes after its first refusal, then every 5 minutes."""
    if refusal.times <= len(_RETRIES_AFTER_SECONDS):
        return max(now, refusal.first_at + _RETRIES_AFTER_SECONDS[refusal.times - 1])
    return now + _LATER_RETRIES_SECONDS


def may_be_final(refusal: Refusal) -> bool:
    """Whether the attempt was tried often enough to tell, from its third retry on."""
    return refusal.times > len(_RETRIES_AFTER_SECONDS)


def is_final(others: Sequence[Attempt], refused: int) -> bool:
    """Whether the request is at fault, and not the setting or a full line.

    Three times as many must have been accepted as are refused. And AlloMia must have had more concurrent calls than
    are in progress now: otherwise the line may be full.

    Args:
        others: The other attempts of its setting that AlloMia accepted since the first refusal.
        refused: How many attempts of its setting are refused or held back now, itself included.
    """
    if len(others) < _ACCEPTED_PER_REFUSED * max(refused, 1):
        return False
    return sum(_in_progress(each) for each in others) < _most_at_once(others)


def _in_progress(attempt: Attempt) -> bool:
    return attempt.status is Status.CALLING


def _most_at_once(attempts: Sequence[Attempt]) -> int:
    steps = sorted(
        step
        for each in attempts
        for step in ((each.dispatched_at or 0, 1), (each.recorded_at if each.recorded_at is not None else math.inf, -1))
    )
    at_once = most = 0
    for _, change in steps:
        at_once += change
        most = max(most, at_once)
    return most
