"""Look up a request: the report of all its attempts. No phone number, name or variable is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from outbound_calls.adapters.call_states import details_on_the_wire
from outbound_calls.contracts.status_api import AllowanceReport, AttemptReport, PossibleZone, RequestReport
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.domain.timing import utc_text

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.domain.attempts import Allowance, Attempt


@dataclass(eq=False, slots=True)
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
    """The report of a request from its attempts, at least one, in their order.

    A redial that was dropped doesn't count: the request has ended with the outcome before it.
    """
    last = next((each for each in reversed(attempts) if not each.is_dropped), attempts[-1])
    reports = [attempt_report(attempt) for attempt in attempts]
    is_parked = last.status is Status.SCHEDULED
    is_waiting = is_parked or last.redial_at is not None
    expires_at = last.expires_at if last.terms.not_after is None else last.terms.not_after
    return RequestReport(
        organization=last.key.request.organization,
        request_id=last.key.request.request_id,
        status=reports[attempts.index(last)].status,
        final=last.final,
        park_reason=last.park_reason,
        next_attempt_at=_time(last.due_at if is_parked else last.redial_at),
        not_after=_time(expires_at) if is_waiting else None,
        cancel_requested_at=_time(last.cancel_requested_at),
        batch=last.labels.batch,
        purpose=last.labels.purpose,
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
        next_attempt_at=_time(attempt.redial_at),
        is_dropped=attempt.is_dropped or None,
        cancel_requested_at=_time(attempt.cancel_requested_at),
        allowed_by=_allowed_by(attempt),
        outbound_call_id=attempt.outbound_call_id,
        contact_id=attempt.contact_id,
        call_log_id=attempt.call_log_id,
        allomia_status=attempt.allomia_status,
        resolved_by=attempt.resolved_by,
        call_details=details_on_the_wire(attempt.call_details),
        outcome_source=attempt.outcome_source,
        recorded_at=_time(attempt.recorded_at),
        reason_code=attempt.reason_code,
        reason=attempt.refusal.words if attempt.refusal else attempt.reason,
    )


def _allowed_by(attempt: Attempt) -> AllowanceReport | None:
    """What allowed the attempt's dial; None while it isn't dialled."""
    allowance = attempt.allowance
    if allowance is None or attempt.dispatched_at is None:
        return None
    return AllowanceReport(
        policy_version=allowance.policy_version,
        preset=allowance.preset,
        zones=_zones(allowance, attempt.dispatched_at),
        zone_source=allowance.zone_source,
        zone_data=allowance.zone_data,
    )


def _zones(allowance: Allowance, at: int) -> list[PossibleZone]:
    if not allowance.zones:
        return []
    # Imported on the first use: many policies need no time zone.
    from outbound_calls.contracts.time_zones import time_zone, time_zone_names

    return [
        PossibleZone(
            time_zone=name,
            local_time=datetime.fromtimestamp(at, time_zone(name)).isoformat() if name in time_zone_names() else None,
        )
        for name in allowance.zones
    ]


def _time(epoch_seconds: int | None) -> str | None:
    return None if epoch_seconds is None else utc_text(epoch_seconds)
