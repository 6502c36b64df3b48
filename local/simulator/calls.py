"""A call from AlloMia's point of view, as data: it can be kept in a file through an outage."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from local.simulator.answers import UNKNOWN_STATUS
from local.simulator.behaviour import Behaviour, Outcome, Post, Status, Webhook
from local.simulator.faults import Faults

type Organization = Literal["own", "other"]

_ENDED_REASONS = {
    Outcome.COMPLETED: "customer-ended-call",
    Outcome.BUSY: "customer-busy",
    Outcome.NO_ANSWER: "customer-did-not-answer",
    Outcome.FAILED: "call-failed",
}


class _Data(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )


class PlannedWebhook(_Data):
    """A webhook that is still to be sent, and what it will say."""

    at: datetime
    status: str


class SentWebhook(_Data):
    """A webhook that was sent, with the HTTP status it was answered with, or the error that stopped it."""

    at: datetime
    status: str
    answer: int | None = None
    error: str | None = None


class Call(_Data):
    """An accepted call: from here on, somebody's phone rings."""

    outbound_call_id: str
    contact_id: str
    callback_url: str
    organization: Organization
    accepted_at: datetime
    ends_at: datetime
    outcome: Outcome
    own_status_answer: Status
    webhooks_planned: list[PlannedWebhook]
    webhooks_sent: list[SentWebhook] = []
    status_reads: int = 0

    def status_at(self, now: datetime) -> str:
        """AlloMia's status of this call."""
        return self.outcome if now >= self.ends_at else "calling"

    def body(self, status: str) -> dict[str, object]:
        """The status answer, and the webhook, when the call's status is `status`."""
        body: dict[str, object] = {
            "outboundCallId": self.outbound_call_id,
            "contactId": self.contact_id,
            "status": status,
        }
        if status != "calling":
            body["callDetails"] = self._details(status)
        return body

    def _details(self, status: str) -> dict[str, object]:
        """AlloMia's `callDetails`; nobody spoke unless the call was completed."""
        ended = self.ends_at.replace(microsecond=0)
        started = self.accepted_at.replace(microsecond=0) if status == Outcome.COMPLETED else ended
        return {
            "startedAt": _iso(started),
            "endedAt": _iso(ended),
            "duration": int((ended - started).total_seconds()),
            "endedReason": _ENDED_REASONS.get(Outcome(status)) if status in Outcome else "call-transferred",
        }


class CallReport(_Data):
    """A call as `GET /_control/calls` shows it."""

    outbound_call_id: str
    contact_id: str
    callback_url: str
    accepted_at: datetime
    status: str
    webhooks_sent: list[SentWebhook]
    status_reads: int


class Dials(_Data):
    """POSTs per callback URL (empty where the order had none).

    Attributes:
        attempted: Those that arrived.
        accepted: Those that placed a call.
    """

    attempted: dict[str, int] = {}
    accepted: dict[str, int] = {}


def accept(
    phone_number: str,
    callback_url: str,
    organization: Organization,
    behaviour: Behaviour,
    faults: Faults,
    now: datetime,
) -> Call:
    """A new call, with all that will become of it."""
    fails_at_once = behaviour.post is Post.FAILED
    outcome = Outcome.FAILED if fails_at_once else behaviour.outcome
    is_early = behaviour.webhook is Webhook.EARLY
    rung_at = now if is_early else now + timedelta(seconds=faults.ring_seconds)
    return Call(
        outbound_call_id=str(uuid4()),
        contact_id=contact_id(phone_number),
        callback_url=callback_url,
        organization=organization,
        accepted_at=now,
        ends_at=now if fails_at_once else rung_at,
        outcome=outcome,
        own_status_answer=behaviour.status,
        webhooks_planned=_plan(behaviour.webhook, outcome, rung_at, faults) if callback_url else [],
    )


def contact_id(phone_number: str) -> str:
    """The same contact for the same phone number, always."""
    return str(uuid5(NAMESPACE_URL, f"tel:{phone_number}"))


def report(call: Call, now: datetime) -> CallReport:
    """What the control endpoint says about `call`."""
    return CallReport(
        outbound_call_id=call.outbound_call_id,
        contact_id=call.contact_id,
        callback_url=call.callback_url,
        accepted_at=call.accepted_at,
        status=call.status_at(now),
        webhooks_sent=call.webhooks_sent,
        status_reads=call.status_reads,
    )


def _plan(webhook: Webhook, outcome: Outcome, rung_at: datetime, faults: Faults) -> list[PlannedWebhook]:
    delay = timedelta(seconds=faults.webhook_delay_seconds)
    first = {
        Webhook.EARLY: rung_at,
        Webhook.LATE: rung_at + delay + timedelta(seconds=faults.late_seconds),
    }.get(webhook, rung_at + delay)
    return [
        PlannedWebhook(at=first + index * delay, status=status)
        for index, status in enumerate(_statuses_sent(webhook, outcome))
    ]


def _statuses_sent(webhook: Webhook, outcome: Outcome) -> Sequence[str]:
    match webhook:
        case Webhook.LOST:
            return ()
        case Webhook.DUPLICATED:
            return (outcome, outcome)
        case Webhook.CONTRADICTORY:
            return (outcome, Outcome.COMPLETED if outcome is Outcome.FAILED else Outcome.FAILED)
        case Webhook.UNKNOWN_STATUS_FIRST:
            return (UNKNOWN_STATUS, outcome)
        case Webhook.NORMAL | Webhook.EARLY | Webhook.LATE:
            return (outcome,)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
