"""Publish outcomes: from the table's stream to the outcome bus, at least once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.call_states import details_on_the_wire
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.domain.timing import utc_text
from outbound_calls.domain.transitions import TERMINAL

if TYPE_CHECKING:
    from outbound_calls.adapters.outcome_bus import OutcomeBus
    from outbound_calls.adapters.queues import FailedOutcomesQueue
    from outbound_calls.domain.attempts import Attempt


@dataclass(frozen=True, slots=True)
class Published:
    """The attempts whose outcome was published, and what was wrong with the records that can't be read."""

    attempts: list[Attempt] = field(default_factory=list)
    unreadable: list[Exception] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class PublishOutcomes:
    """The use case: one event for each attempt that became terminal, but none for what is no outcome of a request."""

    bus: OutcomeBus
    failed_outcomes: FailedOutcomesQueue

    def publish(self, images: Iterable[Mapping[str, Any]]) -> Published:
        """Publish the outcome in each item, given as the stream has it (DynamoDB's typed JSON).

        The stream delivers a batch until it is published, in order. So a record that can't be read, which no retry
        helps, is kept for a person and holds back no other. The stream's filter lets through only what is to be
        published, and more does no harm.

        Raises:
            NotPublished: When EventBridge declines some events. The whole batch must then be tried again, so an event
                may be published twice.
        """
        published, events, kept = Published(), [], []
        for image in images:
            try:
                attempt = attempt_from_item(from_dynamodb(image))
                if is_published(attempt):
                    events.append(outcome_event(attempt))
                    published.attempts.append(attempt)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it
                published.unreadable.append(error)
                kept.append(image)
        self.bus.publish(events)
        for image in kept:
            self.failed_outcomes.keep(image)
        return published


def is_published(attempt: Attempt) -> bool:
    """Whether there is an event for an attempt that ended.

    Not for one that another attempt follows, whose outcome was published while that was pending; nor for a redial that
    was dropped, since the request ended with the outcome before.
    """
    return attempt.next_attempt is None and not attempt.is_dropped


def outcome_event(attempt: Attempt) -> OutcomeEvent:
    """The event for an attempt that has ended.

    Raises:
        ValueError: When it has no outcome.
    """
    if attempt.status not in TERMINAL or attempt.outcome_source is None or attempt.recorded_at is None:
        raise ValueError("the attempt has no outcome")
    return OutcomeEvent(
        organization=attempt.key.request.organization,
        request_id=attempt.key.request.request_id,
        attempt=attempt.key.number,
        final=attempt.final,
        next_attempt_at=_time(attempt.redial_at),
        batch=attempt.labels.batch,
        purpose=attempt.labels.purpose,
        cancel_requested_at=_time(attempt.cancel_requested_at),
        status=attempt.status,
        dialled=attempt.dialled,
        reason_code=attempt.reason_code,
        outbound_call_id=attempt.outbound_call_id,
        contact_id=attempt.contact_id,
        call_details=details_on_the_wire(attempt.call_details),
        outcome_source=attempt.outcome_source,
        recorded_at=utc_text(attempt.recorded_at),
        metadata=dict(attempt.labels.metadata),
    )


def _time(epoch_seconds: int | None) -> str | None:
    return None if epoch_seconds is None else utc_text(epoch_seconds)
