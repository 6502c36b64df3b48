"""Hand on free lines to those who wait: the more urgent first, then in the order of their arrival.

It goes by what is there and not by what happened: while a line is free and someone is marked as waiting, the first of
the index gets the line. So it doesn't matter who calls it, how often, or what was lost before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbound_calls.adapters.waiting_attempts import Waiting
from outbound_calls.domain.lines import MOST_URGENT_FIRST, RESERVED_SECONDS, Lines, Mark, line_reserved_for

if TYPE_CHECKING:
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.adapters.queues import CallQueue
    from outbound_calls.adapters.waiting_attempts import WaitingAttempts
    from outbound_calls.contracts.vocabulary import Priority
    from outbound_calls.domain.attempts import Attempt
    from outbound_calls.policy.rules import Rules

SECONDS_TO_HAND_ON = 8.0
"""What must be left of an invocation before another line is handed on."""

_MOST_AT_A_LOOK, _MOST_LOOKS = 20, 50


@dataclass(eq=False, slots=True)
class HandOnLines:
    """The use case. `queue` is that of attempts which a line was handed on to. `clock` is epoch seconds."""

    waiting: WaitingAttempts
    lines_table: LinesTable
    queue: CallQueue
    clock: Callable[[], float]

    def hand_on(
        self,
        organization: str | None,
        rules: Rules,
        lines: Lines,
        seconds_left: Callable[[], float],
        parked: Attempt | None = None,
    ) -> HandedOn:
        """Give every free line of an organization to the first who waits for one.

        `lines` are its lines as they are. `parked` was parked a moment ago, so the index may not show it yet.

        Only under rules with a limit, not while calls are paused, and not before the calls in progress were counted:
        then all go on waiting. Raises when a table or the queue can't be reached.
        """
        limit = rules.max_concurrent_calls
        if limit is None or rules.paused or not lines.marks or not lines.is_counted(rules.limited_since):
            return HandedOn(lines)
        now = self.clock()
        if lines.lapsed(now):
            lines = self.lines_table.drop_lapsed(organization, lines, now)
        handing = _Handing(self, organization, limit, now, seconds_left, lines, parked)
        for priority in MOST_URGENT_FIRST:
            handing.hand_on_to(priority)
        if handing.look_again_after:
            self.queue.send_hand_on(organization, handing.look_again_after)
        return HandedOn(handing.lines, handing.count)


@dataclass(frozen=True, slots=True)
class HandedOn:
    """The lines as they are then, and how many were handed on."""

    lines: Lines
    count: int = 0


@dataclass(eq=False, slots=True)
class _Handing:
    """One run for an organization, which began `now`. `lines` are as the last write left them."""

    by: HandOnLines
    organization: str | None
    limit: int
    now: float
    seconds_left: Callable[[], float]
    lines: Lines
    parked: Attempt | None
    count: int = 0
    look_again_after: int = 0
    """Seconds after which to look again: the index showed no one of a priority, and may lag. 0: not at all."""

    def hand_on_to(self, priority: Priority) -> None:
        """Hand on lines to those of a priority, until none is free or no one waits."""
        for _ in range(_MOST_LOOKS):
            if priority not in self.lines.marks or not self._may_go_on():
                return
            mark = self.lines.marks[priority]
            waiting = self._look(priority)
            if not all(self._hand_on_to(each, priority) for each in waiting):
                return
            if len(waiting) < _MOST_AT_A_LOOK:
                self._look_again(priority, mark, shows_one=bool(waiting))
                return

    def _look_again(self, priority: Priority, mark: Mark, *, shows_one: bool) -> None:
        """Look again in a moment where a line is left, and the index may not show all who wait. Else clear the mark."""
        if not self._may_go_on():
            return
        if not mark.is_settled(self.now):
            self.look_again_after = mark.look_again_after(self.now)
        elif not shows_one:
            self.lines = self.by.lines_table.clear_mark(self.organization, priority, mark)

    def _look(self, priority: Priority) -> list[Waiting]:
        """The first who wait, as far as the index shows them, and the one that was parked a moment ago."""
        waiting = self.by.waiting.first_waiting(self.organization, priority, _MOST_AT_A_LOOK)
        parked = self.parked
        if parked is None or parked.terms.priority is not priority or len(waiting) == _MOST_AT_A_LOOK:
            return waiting
        self.parked = None
        own = Waiting(parked.key, parked.policy_version or 0, parked.created_at)
        return sorted([*(each for each in waiting if each.key != own.key), own], key=lambda each: each.since)

    def _hand_on_to(self, waiting: Waiting, priority: Priority) -> bool:
        """Hand on a line to an entry of the index; False when no other can be handed on."""
        if not self._may_go_on():
            return False
        attempt = self.by.waiting.lease_waiting(waiting, priority, self.now)
        if attempt is None:  # the index lags, or another run handed it a line
            return True
        reserved, until = line_reserved_for(attempt.key), self.now + RESERVED_SECONDS
        lines = self.by.lines_table.reserve_line(self.organization, reserved, self.limit, until)
        if lines is None:
            self.by.waiting.wait_again(attempt)
            return False
        self.by.queue.send_dispatch(attempt)
        self.lines, self.count = lines, self.count + 1
        return True

    def _may_go_on(self) -> bool:
        return self.lines.is_free(self.limit, self.now) and self.seconds_left() > SECONDS_TO_HAND_ON
