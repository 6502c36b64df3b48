"""Look up a request: the report of all its attempts. No phone number, name or variable is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbound_calls.adapters.call_states import details_on_the_wire
from outbound_calls.contracts.status_api import AttemptReport, RequestReport
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.domain.timing import utc_text

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.domain.attempts import Attempt


@dataclass(frozen=True, slots=True)
class LookUpRequests:
    """The use case."""

    table: CallsTable

    def look_up(self, key_text: str) -> RequestReport | None:
        """The report of a request, given its key's text, as of every acknowledged write; None where there is no record.

        Raises:
            InvalidInput: When no request can have this key.
        """
        attempts = self.table.read_all(RequestKey.from_text(key_text))
        return request_report(attempts) if attempts else None


def request_report(attempts: list[Attempt]) -> RequestReport:
    """The report of a request from its attempts, at least one, in their order."""
    last = attempts[-1]
    reports = [attempt_report(attempt) for attempt in attempts]
    waits = last.status is Status.SCHEDULED
    return RequestReport(
        organization=last.key.request.organization,
        request_id=last.key.request.request_id,
        status=reports[-1].status,
        final=last.final,
        park_reason=last.park_reason,
        next_attempt_at=utc_text(last.due_at) if waits and last.due_at else None,
        not_after=_time(last.terms.not_after or last.expires_at) if waits else None,
        batch=last.labels.batch,
        metadata=dict(last.labels.metadata),
        attempts=reports,
    )


def attempt_report(attempt: Attempt) -> AttemptReport:
    """The report of one attempt that has a record."""
    if attempt.status is None:
        raise ValueError("the attempt has no record")
    return AttemptReport(
        attempt=attempt.key.number,
        status=attempt.status,
        final=attempt.final,
        dialled=attempt.dialled,
        created_at=utc_text(attempt.created_at),
        dispatched_at=_time(attempt.dispatched_at),
        due_at=_time(attempt.due_at),
        times_parked=attempt.times_parked,
        park_reason=attempt.park_reason,
        outbound_call_id=attempt.outbound_call_id,
        contact_id=attempt.contact_id,
        allomia_status=attempt.allomia_status,
        call_details=details_on_the_wire(attempt.call_details),
        outcome_source=attempt.outcome_source,
        recorded_at=_time(attempt.recorded_at),
        reason_code=attempt.reason_code,
        reason=attempt.refusal.words if attempt.refusal else attempt.reason,
    )


def _time(epoch_seconds: int | None) -> str | None:
    return None if epoch_seconds is None else utc_text(epoch_seconds)
