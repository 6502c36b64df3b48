"""A call from AlloMia's point of view, as data that can be kept in a file through an outage."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from local.simulator.behaviours import WEBHOOKS, Behaviour
from local.simulator.faults import Faults

ENDED_REASONS = {
    "completed": "customer-ended-call",
    "busy": "customer-busy",
    "no-answer": "customer-did-not-answer",
    "failed": "call-failed",
}


class Data(BaseModel):
    """What is kept, in AlloMia's spelling."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )


class PlannedWebhook(Data):
    """A webhook that is still to be sent, with the status it reports."""

    at: datetime
    status: str
    odd: bool = False


class SentWebhook(Data):
    """A webhook that was sent, with the HTTP status of its answer or the name of the error."""

    at: datetime
    status: str
    answer: int | None = None
    error: str | None = None


class ShownCall(Data):
    """A call as `GET /_control/calls` shows it."""

    outbound_call_id: str
    contact_id: str
    callback_url: str
    accepted_at: datetime
    status: str
    webhooks_sent: list[SentWebhook]
    status_reads: int


class Dials(Data):
    """POSTs per callback URL (empty where the order had none).

    Attributes:
        attempted: Those that arrived.
        accepted: Those that placed a call.
    """

    attempted: dict[str, int] = {}
    accepted: dict[str, int] = {}


class Call(Data):
    """An accepted call: a phone rings."""

    outbound_call_id: str
    contact_id: str
    callback_url: str
    organization: str
    accepted_at: datetime
    ends_at: datetime
    outcome: str
    status_answer: str
    webhooks_planned: list[PlannedWebhook] = []
    webhooks_sent: list[SentWebhook] = []
    status_reads: int = 0

    def status_at(self, now: datetime) -> str:
        """AlloMia's status of this call."""
        return self.outcome if now >= self.ends_at else "calling"

    def body(self, status: str) -> dict[str, object]:
        """The status answer and the webhook when the call's status is `status`."""
        details = {} if status == "calling" else {"callDetails": self._details(status)}
        return {"outboundCallId": self.outbound_call_id, "contactId": self.contact_id, "status": status, **details}

    def shown(self, now: datetime) -> ShownCall:
        """What the control endpoint shows."""
        shown = {name: getattr(self, name) for name in ShownCall.model_fields if name != "status"}
        return ShownCall(status=self.status_at(now), **shown)

    def plan_webhooks(self, behaviour: Behaviour, faults: Faults, rung_at: datetime) -> None:
        """Plan what this behaviour sends, and when."""
        webhooks = WEBHOOKS[behaviour.webhooks]
        delay = timedelta(seconds=faults.webhook_delay_seconds)
        late = timedelta(seconds=faults.late_seconds if webhooks.late else 0)
        first = rung_at if webhooks.early else rung_at + delay + late
        self.webhooks_planned = [
            PlannedWebhook(at=first + index * delay, status=status, odd=webhooks.odd)
            for index, status in enumerate(webhooks.statuses(self.outcome))
        ]

    def _details(self, status: str) -> dict[str, object]:
        """AlloMia's `callDetails`; only a completed call was answered and has a duration."""
        ended = self.ends_at.replace(microsecond=0)
        started = self.accepted_at.replace(microsecond=0) if status == "completed" else ended
        return {
            "startedAt": iso(started),
            "endedAt": iso(ended),
            "duration": int((ended - started).total_seconds()),
            "endedReason": ENDED_REASONS.get(status, "call-transferred"),
        }


def call_id(callback_url: str, dial: int = 1) -> str:
    """The `outboundCallId` of the call placed by the `dial`-th accepted POST with this callback URL."""
    return str(uuid5(NAMESPACE_URL, f"{callback_url}#{dial}"))


def contact_id(phone_number: str) -> str:
    """The `contactId` of a phone number."""
    return str(uuid5(NAMESPACE_URL, f"tel:{phone_number}"))


def iso(moment: datetime) -> str:
    """A time as AlloMia writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
