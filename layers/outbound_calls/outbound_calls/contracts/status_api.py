"""The status API's wire: the report of a request, with all its attempts. Times are ISO 8601, UTC."""

from pydantic import Field

from outbound_calls.contracts.allomia import CallDetails
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, Uuid, WireModel


class PossibleZone(WireModel):
    """A time zone that the recipient may be in."""

    time_zone: str = Field(description="its IANA name")
    local_time: str | None = Field(
        None, description="ISO 8601: what its clocks showed at the dial; absent where its rules aren't known any more"
    )


class AllowanceReport(WireModel):
    """What allowed a dial."""

    policy_version: int = Field(description="the version of the calling policy; 0 where none is set but a preset")
    preset: str = Field(description="the preset that the policy is based on")
    zones: list[PossibleZone] = Field(
        description="the time zones that the recipient may be in; empty where no rule of the policy needed one"
    )
    zone_source: str | None = Field(
        None, description="where the zones come from: the request, the number or the policy; sources may be added"
    )
    zone_data: str | None = Field(None, description="the version of the time-zone data by which it was decided")


class AttemptReport(WireModel):
    """One dial for a request."""

    attempt: AttemptNumber
    status: Status
    final: bool = Field(description="true when no other status follows for this attempt, and no other attempt")
    dialled: Dialled = Field(description="whether the person's phone was dialled")
    created_at: str
    dispatched_at: str | None = Field(None, description="when AlloMia was asked for the call")
    due_at: str | None = Field(None, description="when the poller looks at it next; absent once nothing is left to do")
    times_parked: int = Field(0, description="how often it was parked")
    park_reason: ParkReason | None = Field(None, description="why it waits, while it is scheduled")
    next_attempt_at: str | None = Field(None, description="when another attempt is made after this one")
    is_dropped: bool | None = Field(
        None,
        description="true for a redial that was never dialled: no event reports it, and the request ended with the "
        "outcome before",
    )
    cancel_requested_at: str | None = Field(None, description="when a cancellation came too late for it")
    allowed_by: AllowanceReport | None = Field(None, description="what allowed the dial")
    outbound_call_id: Uuid | None = None
    contact_id: Uuid | None = None
    call_log_id: str | None = Field(
        None, description="the id of the call's entry in AlloMia's call log, where it was found there"
    )
    allomia_status: str | None = Field(None, exclude=True, description="for operators only: no part of this wire")
    resolved_by: str | None = Field(None, exclude=True, description="for operators only: no part of this wire")
    call_details: CallDetails | None = None
    outcome_source: OutcomeSource | None = None
    recorded_at: str | None = Field(None, description="when the outcome was recorded")
    reason_code: ReasonCode | None = Field(None, description="why it was rejected, was cancelled or is unknown")
    reason: str | None = Field(None, description="the same in words, or why AlloMia refuses it, for a person")


class RequestReport(WireModel):
    """The state of a request: that of its last attempt that isn't dropped."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    status: Status
    final: bool = Field(description="true when nothing more follows for this request")
    park_reason: ParkReason | None = Field(None, description="why it waits, while it is scheduled")
    next_attempt_at: str | None = Field(
        None, description="when the attempt that waits is tried next, or when another attempt is made"
    )
    not_after: str | None = Field(
        None, description="when it expires, while it waits: its own notAfter, or the policy's, which may still move"
    )
    cancel_requested_at: str | None = Field(None, description="when a cancellation came too late")
    batch: RequestId | None = Field(None, description="the request's batch")
    purpose: str | None = Field(None, description="the request's purpose")
    metadata: dict[str, str] = Field(default_factory=dict, description="the request's own, unchanged")
    attempts: list[AttemptReport] = Field(min_length=1, description="in the order in which they were made")
