"""From a call as AlloMia reports it to the outcome of an attempt. Without httpx, which a webhook does not need."""

from outbound_calls.contracts.allomia import DOCUMENTED_STATUSES, CallState
from outbound_calls.contracts.allomia import CallDetails as WireDetails
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.attempts import CallDetails, Outcome
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES


def outcome_from_state(state: CallState, source: OutcomeSource) -> Outcome | None:
    """The outcome in a call as AlloMia reports it; None while the call goes on, and where its status isn't known."""
    if state.status not in ALLOMIA_OUTCOMES:
        return None
    status = Status(state.status)
    return Outcome(status, source, state.outbound_call_id, state.contact_id, _details(state.call_details))


def unfamiliar_status(state: CallState) -> str | None:
    """AlloMia's word for a status that it doesn't document; empty where it is no word; None for a documented one."""
    return None if state.status in DOCUMENTED_STATUSES else state.status or ""


def _details(details: WireDetails | None) -> CallDetails | None:
    if details is None:
        return None
    return CallDetails(details.started_at, details.ended_at, details.duration, details.ended_reason)


def details_on_the_wire(details: CallDetails | None) -> WireDetails | None:
    """The details of a call as events and reports show them."""
    if details is None:
        return None
    return WireDetails(
        started_at=details.started_at,
        ended_at=details.ended_at,
        duration=details.duration,
        ended_reason=details.ended_reason,
    )
