"""The status API's wire: the report of a request, with all its attempts. Times are ISO 8601, UTC."""

from pydantic import Field

from outbound_calls.contracts.allomia import CallDetails
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, Uuid, WireModel


class AttemptReport(WireModel):
    """One dial for a request."""

    attempt: AttemptNumber
    status: Status
    final: bool = Field(description="true when no other status follows for this attempt")
    dialled: Dialled = Field(description="whether the person's phone was dialled")
    created_at: str
    dispatched_at: str | None = Field(None, description="when AlloMia was asked for the call")
    due_at: str | None = Field(None, description="when the poller looks at it next; absent once it ended")
    times_parked: int = Field(0, description="how often it was parked")
    park_reason: ParkReason | None = Field(None, description="why it waits, while it is scheduled")
    outbound_call_id: Uuid | None = None
    contact_id: Uuid | None = None
    allomia_status: str | None = Field(None, exclude=True, description="for operators only: no part of this wire")
    call_details: CallDetails | None = None
    outcome_source: OutcomeSource | None = None
    recorded_at: str | None = Field(None, description="when the outcome was recorded")
    reason_code: ReasonCode | None = Field(None, description="why it was rejected or is unknown")
    reason: str | None = Field(None, description="the same in words, or why AlloMia refuses it, for a person")


class RequestReport(WireModel):
    """The state of a request: that of its last attempt."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    status: Status
    final: bool = Field(description="true when nothing more follows for this request")
    park_reason: ParkReason | None = Field(None, description="why it waits, while it is scheduled")
    next_attempt_at: str | None = Field(None, description="when the attempt that waits is tried next")
    not_after: str | None = Field(None, description="when it expires")
    batch: RequestId | None = Field(None, description="the request's batch")
    metadata: dict[str, str] = Field(default_factory=dict, description="the request's own, as it came")
    attempts: list[AttemptReport] = Field(min_length=1, description="in the order in which they were made")
