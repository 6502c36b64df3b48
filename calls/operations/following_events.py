"""Follow the outcome events of a stack, from the index of what ended: nothing is subscribed, and nothing is created.

The table doesn't know what was published when, so these are the events as they would be published now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.wire import WireModel
from outbound_calls.use_cases.publish import is_published, outcome_event

LAG_SECONDS = 60
"""How long after its recording the index may show an outcome: each look reads this much again."""

type _Name = tuple[str | None, str, int, str, str]


class Events(WireModel):
    """The events of a time, oldest first."""

    events: list[OutcomeEvent]
    more: bool = Field(description="true when there are more than the limit: these are the first")


@dataclass(slots=True)
class EventsFollower:
    """Finds the events of these organizations since `since`, each once. Times are epoch seconds.

    A look reads what was recorded in the last minute, and once what was recorded since `since`.
    """

    table: CallsTable
    organizations: Sequence[str | None]
    since: float
    clock: Callable[[], float] = time.time
    _seen: dict[_Name, float] = field(default_factory=dict)

    def look(self) -> list[OutcomeEvent]:
        """The events that weren't seen before, in the order in which they were recorded."""
        now = self.clock()
        new: dict[_Name, OutcomeEvent] = {}
        for organization in self.organizations:
            # The last second counts too: it is over for the index, which knows whole seconds.
            for attempt in self.table.ended(organization, self.since, now + 1):
                if is_published(attempt):
                    event = outcome_event(attempt)
                    name = (event.organization, event.request_id, event.attempt, event.status, event.recorded_at)
                    if name not in self._seen:
                        self._seen[name] = attempt.recorded_at or now
                        new[name] = event
        self.since = max(self.since, now - LAG_SECONDS)
        self._seen = {name: at for name, at in self._seen.items() if at >= int(self.since)}
        return sorted(new.values(), key=lambda event: event.recorded_at)
