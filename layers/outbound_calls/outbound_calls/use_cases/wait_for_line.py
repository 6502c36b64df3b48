"""Wait for a line: mark who waits after it was parked, and hand on what it doesn't use.

A mark comes after the attempt is parked, so a worker that ends between the two leaves one unmarked. So whatever finds
an attempt that waits marks it again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.lines import line_reserved_for

if TYPE_CHECKING:
    from outbound_calls.domain.attempts import Attempt
    from outbound_calls.domain.lines import Lines
    from outbound_calls.use_cases.decide import JudgeAttempts
    from outbound_calls.use_cases.hand_on import HandOnLines

_HOLDS_ALL_BACK = frozenset({ParkReason.CIRCUIT_OPEN, ParkReason.KEY_DECLINED, ParkReason.KEY_UNREADABLE})


@dataclass(eq=False, slots=True)
class WaitForLine:
    """The use case."""

    judge: JudgeAttempts
    hand_on: HandOnLines

    def mark_again(self, attempt: Attempt | None, seconds_left: Callable[[], float]) -> None:
        """Mark an attempt that waits for a line: the worker that parked it may have ended before it did."""
        if attempt and attempt.status is Status.SCHEDULED and attempt.park_reason is ParkReason.CONCURRENCY_LIMIT:
            self.mark(attempt, seconds_left)

    def mark(self, attempt: Attempt, seconds_left: Callable[[], float]) -> None:
        """Mark that an attempt waits for a line, after it was parked. If one is free by then, hand it on at once.

        Raises when a table or the queue can't be reached. The message is delivered again, and marks it again.
        """
        organization = attempt.key.request.organization
        lines = self.hand_on.lines_table.mark_waiting(organization, attempt.terms.priority, self.hand_on.clock())
        self._hand_on(organization, lines, seconds_left, attempt)

    def pass_on(self, attempt: Attempt, code: str, seconds_left: Callable[[], float]) -> None:
        """Hand on the line that is reserved for an attempt which isn't dialled now, for the reason that `code` says.

        Where no other one could be dialled either, it is only given back: the keeper hands it on.
        """
        organization = attempt.key.request.organization
        reserved = line_reserved_for(attempt.key)
        # If it fails, the reservation ends by itself.
        with suppress(BotoCoreError, ClientError):
            lines = self.hand_on.lines_table.give_back_lines(organization, [reserved])
            if code not in _HOLDS_ALL_BACK:
                self._hand_on(organization, lines, seconds_left)

    def hand_on_free(self, organization: str | None, seconds_left: Callable[[], float]) -> None:
        """Hand on the free lines of an organization."""
        self._hand_on(organization, self.hand_on.lines_table.read_lines(organization), seconds_left)

    def _hand_on(
        self,
        organization: str | None,
        lines: Lines,
        seconds_left: Callable[[], float],
        parked: Attempt | None = None,
    ) -> None:
        if (rules := self.judge.rules_of(organization)) is not None:
            self.hand_on.hand_on(organization, rules, lines, seconds_left, parked)


def may_have_a_line(attempt: Attempt) -> bool:
    """Whether a line may be reserved for a parked attempt."""
    return attempt.park_reason is ParkReason.CONCURRENCY_LIMIT
