"""What others are told of a call: the event of an outcome, and the report of all attempts of a request.

Read from the calls table as it stands; the phone number, the name and the variables are in neither, and a report does
not even ask the table for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import Field

from outbound_calls.contracts import (
    Attempt,
    CallDetails,
    OutcomeEvent,
    RequestId,
    Uuid,
    Wire,
    read_request_id,
)
from outbound_calls.items import Item, plain
from outbound_calls.lifecycle import TRANSITIONS, OutcomeSource, Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AttemptReport(Wire):
    """One dial for a request. Times are ISO 8601, UTC."""

    attempt: Attempt
    status: Status
    final: bool = Field(description="true when no other status can follow")
    created_at: str
    dispatched_at: str | None = Field(None, description="when AlloMia was asked for the call")
    due_at: str | None = Field(None, description="when the poller looks at it next; absent once it has ended")
    times_parked: int = Field(0, description="how often it had to be put off")
    park_reason: str | None = Field(None, description="why it is put off, while it is scheduled")
    outbound_call_id: Uuid | None = None
    contact_id: Uuid | None = None
    call_details: CallDetails | None = None
    outcome_source: OutcomeSource | None = None
    recorded_at: str | None = Field(None, description="when the outcome was recorded")
    reason: str | None = Field(None, description="why it was rejected or is unknown")


class CallReport(Wire):
    """What is known of a request: its status is that of its last attempt."""

    request_id: RequestId
    status: Status
    final: bool = Field(description="true when no other status can follow for the last attempt")
    metadata: dict[str, str] = Field(default_factory=dict, description="the request's own, as it came")
    attempts: list[AttemptReport] = Field(min_length=1, description="in the order in which they were made")


# What a report tells of an attempt, and no other attribute: the request stays in the table.
_TOLD = [*(str(field.alias) for field in AttemptReport.model_fields.values()), "metadata"]


@dataclass(frozen=True, slots=True)
class Reports:
    """Reads the calls table, one request at a time."""

    client: DynamoDBClient
    table: str

    def of(self, request_id: str) -> CallReport | None:
        """The report of a request, with every write that was acknowledged before; None when there is no record of it.

        Raises:
            InvalidInput: when this can be no request's id.
        """
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="requestId = :requestId",
            ExpressionAttributeValues={":requestId": {"S": read_request_id(request_id)}},
            ProjectionExpression=", ".join(f"#{name}" for name in _TOLD),
            ExpressionAttributeNames={f"#{name}": name for name in _TOLD},
            ConsistentRead=True,
        )
        items = [plain(item) for page in pages for item in page["Items"]]
        if not items:
            return None
        attempts = [attempt_report(item) for item in items]
        return CallReport(
            request_id=request_id,
            status=attempts[-1].status,
            final=attempts[-1].final,
            metadata=items[-1].get("metadata", {}),
            attempts=attempts,
        )


def attempt_report(item: Item) -> AttemptReport:
    """The report of one attempt, from its item in plain values."""
    status = Status(item["status"])
    return AttemptReport(
        attempt=int(item["attempt"]),
        status=status,
        final=not TRANSITIONS[status],
        created_at=_time(item["createdAt"]),
        dispatched_at=_time(item["dispatchedAt"]) if "dispatchedAt" in item else None,
        due_at=_time(item["dueAt"]) if "dueAt" in item else None,
        times_parked=int(item["timesParked"]),
        park_reason=item.get("parkReason"),
        outbound_call_id=item.get("outboundCallId"),
        contact_id=item.get("contactId"),
        call_details=_details(item),
        outcome_source=item.get("outcomeSource"),
        recorded_at=_time(item["recordedAt"]) if "recordedAt" in item else None,
        reason=item.get("reason"),
    )


def outcome_event(image: Mapping[str, Any]) -> OutcomeEvent:
    """The event for an item that became terminal, given as the stream has it."""
    item = plain(image)
    status = Status(item["status"])
    return OutcomeEvent(
        request_id=item["requestId"],
        attempt=int(item["attempt"]),
        final=not TRANSITIONS[status],
        status=status,
        outbound_call_id=item.get("outboundCallId"),
        contact_id=item.get("contactId"),
        call_details=_details(item),
        outcome_source=OutcomeSource(item["outcomeSource"]),
        recorded_at=_time(item["recordedAt"]),
        metadata=item.get("metadata", {}),
    )


def _time(epoch_seconds: Decimal) -> str:
    return datetime.fromtimestamp(int(epoch_seconds), UTC).isoformat().replace("+00:00", "Z")


def _details(item: Item) -> CallDetails | None:
    if "callDetails" not in item:
        return None
    # A whole number of seconds is whole again, so that the event says 150 as AlloMia did, and not 150.0.
    return CallDetails.model_validate(
        {
            name: int(value) if isinstance(value, Decimal) and value == int(value) else value
            for name, value in item["callDetails"].items()
        }
    )
