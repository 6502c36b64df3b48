"""Publish outcomes: from the table's stream to the outcome bus, at least once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbound_calls.adapters.call_states import details_on_the_wire
from outbound_calls.adapters.calls_table import attempt_from_item, from_dynamodb
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.domain.timing import utc_text

if TYPE_CHECKING:
    from outbound_calls.adapters.outcome_bus import OutcomeBus
    from outbound_calls.domain.attempts import Attempt


@dataclass(frozen=True, slots=True)
class PublishOutcomes:
    """The use case: one event for each attempt that became terminal."""

    bus: OutcomeBus

    def publish(self, images: Iterable[Mapping[str, Any]]) -> None:
        """Publish the outcome in each item, given as the stream has it (DynamoDB's typed JSON).

        Raises:
            NotPublished: When EventBridge declines some events. The whole batch must then be tried again, so an event
                may be published twice.
        """
        self.bus.publish([outcome_event(attempt_from_item(from_dynamodb(image))) for image in images])


def outcome_event(attempt: Attempt) -> OutcomeEvent:
    """The event for an attempt that has ended.

    Raises:
        ValueError: When it has no outcome.
    """
    if attempt.status is None or attempt.outcome_source is None or attempt.recorded_at is None:
        raise ValueError("the attempt has no outcome")
    return OutcomeEvent(
        organization=attempt.key.request.organization,
        request_id=attempt.key.request.request_id,
        attempt=attempt.key.number,
        final=attempt.final,
        next_attempt_at=None,
        batch=attempt.labels.batch,
        purpose=None,
        cancel_requested_at=None,
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
