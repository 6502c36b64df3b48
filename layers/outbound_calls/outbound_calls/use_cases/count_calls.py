"""Count the calls in progress when a limit is set: each gets a line, and before that no line is free.

A worker that needs a line counts, and a keeper. Few ever do, so only they load this module, and only then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbound_calls.adapters.calls_table import TooMany
from outbound_calls.adapters.unlimited_calls import UnlimitedCalls
from outbound_calls.domain.lines import COUNT_AFTER_SECONDS, HELD_AFTER_DEADLINE_SECONDS, Lines, line_of_claim

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.lines_table import LinesTable


@dataclass(eq=False, slots=True)
class CountCalls:
    """The use case. `clock` is epoch seconds."""

    table: CallsTable
    lines_table: LinesTable
    deadline_seconds: int
    clock: Callable[[], float]

    def count_in_progress(
        self, organization: str | None, lines: Lines, limited_since: int, *, whatever_it_takes: bool = False
    ) -> Lines:
        """The lines of an organization, once every call in progress has one. As they were where it is too early.

        Or where too much is due to read it all now: the keeper does `whatever_it_takes`.

        First the lines are put; then each attempt learns that it has one, which its end gives back; last, it is noted
        that all were counted. So after a crash they are counted again, and a line too many lapses. It doesn't matter
        how many count at once. Raises when a table can't be reached.
        """
        if lines.is_counted(limited_since) or self.clock() < limited_since + COUNT_AFTER_SECONDS:
            return lines
        unlimited = UnlimitedCalls(self.table)
        try:
            calls = list(unlimited.in_progress(organization, whatever_it_takes=whatever_it_takes))
        except TooMany:
            return lines
        put = {}
        for each in calls:
            until = (each.dispatched_at or each.created_at) + self.deadline_seconds + HELD_AFTER_DEADLINE_SECONDS
            put[line_of_claim(each.claim_id or "")] = until
        if put:
            self.lines_table.put_lines(organization, put)
            over = [line_of_claim(each.claim_id or "") for each in calls if not unlimited.hold_line(each)]
            self.lines_table.give_back_lines(organization, over)
        return self.lines_table.note_counted(organization, limited_since)
