"""The outcome bus's wire: the detail of a `Call Outcome Recorded` event. Consumers must tolerate new codes."""

from typing import Literal

from pydantic import Field

from outbound_calls.contracts.allomia import CallDetails
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ReasonCode, Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, Uuid, WireModel

SOURCE = "allomia.outbound-calls"
DETAIL_TYPE = "Call Outcome Recorded"


class OutcomeEvent(WireModel):
    """The outcome of one attempt."""

    version: Literal["1"] = "1"
    organization: OrganizationName | None = Field(description="null for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    final: bool = Field(
        description="true when nothing more follows for this request; false for unknown, which the real outcome may "
        "still replace, and for an outcome that another attempt follows"
    )
    next_attempt_at: str | None = Field(
        description="ISO 8601, UTC: when the next attempt is made at the earliest; null where none follows"
    )
    batch: RequestId | None = Field(description="the request's batch; null where it named none")
    purpose: str | None = Field(description="the request's purpose; null where it named none")
    cancel_requested_at: str | None = Field(
        description="ISO 8601, UTC: when a cancellation came too late; null where there was none"
    )
    status: Status
    dialled: Dialled = Field(description="whether the person's phone was dialled")
    reason_code: ReasonCode | None = Field(
        description="why it was rejected, was cancelled or is unknown; null for every other status"
    )
    outbound_call_id: Uuid | None
    contact_id: Uuid | None
    call_details: CallDetails | None
    outcome_source: OutcomeSource
    recorded_at: str = Field(description="ISO 8601, UTC")
    metadata: dict[str, str]
