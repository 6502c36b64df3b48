"""Publish outcomes again that were recorded, such as those that EventBridge did not take.

The table doesn't know what was published, so all outcomes of a period are. Consumers expect an event to arrive twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from outbound_calls.adapters.outcome_bus import MAX_ENTRIES, NotPublished
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.publish import is_published, outcome_event

if TYPE_CHECKING:
    from outbound_calls.adapters.outcome_bus import OutcomeBus
    from outbound_calls.domain.attempts import Attempt

type _Fault = NotPublished | ClientError | BotoCoreError

MAX_DAYS_AGO = 400
"""How far back a search goes. Each day is a query of its own."""

_PAUSES_SECONDS = (0.5, 1.0, 2.0)
"""Before each retry."""


class OutcomesFound(WireModel):
    """The outcomes of a period. Times are ISO 8601, UTC."""

    since: str
    until: str
    to_publish: int
    by_status: dict[str, int]
    first_recorded_at: str | None = None
    last_recorded_at: str | None = None


class RepublishReport(WireModel):
    """The result of publishing them again."""

    found: OutcomesFound
    published: int | None = Field(None, description="absent when nothing was to be published: --dry-run")
    not_published: int = Field(0, description="not confirmed by EventBridge")
    continue_since: str | None = Field(None, description="the `--since` with which the rest is published")
    reason: str | None = Field(None, description="why the first of those was not published")


def find_outcomes(attempts: Iterable[Attempt], since: float, until: float) -> tuple[OutcomesFound, list[OutcomeEvent]]:
    """What there is to publish of these attempts, and their events in the order in which they were recorded."""
    events = sorted(map(outcome_event, filter(is_published, attempts)), key=lambda event: event.recorded_at)
    found = OutcomesFound(
        since=utc_text(int(since)),
        until=utc_text(int(until)),
        to_publish=len(events),
        by_status=dict(sorted(Counter(event.status.value for event in events).items())),
        first_recorded_at=events[0].recorded_at if events else None,
        last_recorded_at=events[-1].recorded_at if events else None,
    )
    return found, events


@dataclass(frozen=True, slots=True)
class Republishing:
    """Publishes events to the outcome bus."""

    bus: OutcomeBus
    sleep: Callable[[float], None] = time.sleep

    def publish(
        self, found: OutcomesFound, events: Sequence[OutcomeEvent], on_published: Callable[[int], None]
    ) -> RepublishReport:
        """Publish all of these, ten at a time; `on_published` gets the count of each ten.

        Ten that EventBridge declines are tried again, and then it stops: the next ones would fail as well. What was
        published by then is reported.
        """
        published = 0
        for chunk in batched(events, MAX_ENTRIES, strict=False):
            if error := self._fault(chunk):
                return stopped(found, events, published, _reason(error))
            published += len(chunk)
            on_published(len(chunk))
        return RepublishReport(found=found, published=published)

    def _fault(self, chunk: Sequence[OutcomeEvent]) -> _Fault | None:
        """Publish these; returns why they could not be."""
        fault: _Fault | None = None
        for pause in (0.0, *_PAUSES_SECONDS):
            self.sleep(pause)
            try:
                self.bus.publish(chunk)
            except NotPublished as error:
                fault = error
            except (ClientError, BotoCoreError) as error:
                # The SDK has already retried.
                return error
            else:
                return None
        return fault


def stopped(
    found: OutcomesFound, events: Sequence[OutcomeEvent], published: int, reason: str = "interrupted"
) -> RepublishReport:
    """The report when something stopped it after so many of these events."""
    left = events[published:]
    return RepublishReport(
        found=found,
        published=published,
        not_published=len(left),
        continue_since=left[0].recorded_at if left else None,
        reason=reason if left else None,
    )


def _reason(error: _Fault) -> str:
    match error:
        case ClientError():
            return str(error.response["Error"].get("Code"))
        case NotPublished():
            return str(error)
        case _:
            return type(error).__name__
