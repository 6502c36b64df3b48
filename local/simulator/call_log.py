"""AlloMia's call log: its entries as `GET /api/calls` pages them, a call's record, and its pre-signed files.

Source: docs.allomia.com, call API. It documents neither when an entry appears nor whether its `id` is the call's
`outboundCallId`, and names neither the field of the outcome nor that of the French summary.
"""

import hashlib
import hmac
import io
import wave
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from local.simulator.behaviours import LOG_ENTRIES
from local.simulator.calls import ENDED_REASONS, Call, Data, iso
from local.simulator.faults import Faults
from local.simulator.orders import Order

MAX_LIMIT = 50

TRANSCRIPT = "transcript.txt"
RECORDING = "recording.wav"

OUTCOME_FIELD = "callOutcome"
FRENCH_SUMMARY_FIELD = "callSummaryFr"

_SIGNED_SECONDS = 3600
_SIGNING_KEY = b"the simulator's own"
_AGENT_NAME = "Reminder assistant"
_OWN_NUMBER = "+15145550199"
_BY_HAND_AFTER = timedelta(seconds=5)

_ACHIEVED = {
    "completed": (
        "appointment_confirmed",
        "The person confirmed the appointment.",
        "La personne a confirmé le rendez-vous.",
    ),
    "no-answer": ("voicemail_left", "No one answered.", "Personne n'a répondu."),
}


class LogQuery(BaseModel):
    """The parameters of `GET /api/calls`."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=True)

    organization_id: Annotated[str, StringConstraints(min_length=1)]
    page: Annotated[int, Field(ge=1)] = 1
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 20
    call_type: Literal["Inbound", "Outbound", "Web"] | None = None
    from_: Annotated[AwareDatetime | None, Field(alias="from")] = None
    to: AwareDatetime | None = None
    sort: Literal["asc", "desc", "duration_asc", "duration_desc"] = "desc"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_ and self.to and self.from_ > self.to:
            raise ValueError("from must be before or equal to to")
        return self


class LogEntry(Data):
    """An entry of the log: of an outbound call, or of one that someone made by hand."""

    id: str
    organization: str
    agent_id: str
    user_phone_number: str
    user_name: str
    outcome: str
    created_at: datetime
    ends_at: datetime | None
    visible_at: datetime

    def seconds_at(self, now: datetime) -> int | None:
        """How long the conversation was; None before its end."""
        if self.ends_at is None or now < self.ends_at:
            return None
        # Times are whole seconds, and one of a conversation is never nothing.
        return max(1, int((self.ends_at - self.created_at).total_seconds())) if self.outcome == "completed" else 0

    def listed(self, now: datetime) -> dict[str, object]:
        """The entry in the log."""
        seconds = self.seconds_at(now)
        ended = self.ends_at if self.ends_at is not None and seconds is not None else None
        started = ended - timedelta(seconds=seconds or 0) if ended else self.created_at
        return {
            "id": self.id,
            "organizationId": organization_id(self.organization),
            "callType": "Outbound",
            "agentId": self.agent_id,
            "agentName": _AGENT_NAME,
            "teamId": None,
            "teamName": None,
            "phoneNumber": _OWN_NUMBER,
            "userPhoneNumber": self.user_phone_number,
            "callStartedAt": iso(started),
            "callEndedAt": iso(ended) if ended else None,
            # A text, as documented.
            "callDurationSeconds": None if seconds is None else str(seconds),
            "createdAt": iso(self.created_at),
        }

    def record(self, now: datetime, base_url: str) -> dict[str, object]:
        """The call's record. Its files are there once the person has spoken."""
        over = self.seconds_at(now) is not None
        outcome, summary, french = _ACHIEVED.get(self.outcome, (None, None, None)) if over else (None, None, None)
        spoken = over and self.outcome == "completed"
        return {
            **self.listed(now),
            "callEndedReason": ENDED_REASONS.get(self.outcome) if over else None,
            "userName": self.user_name or None,
            "userPrimaryIntent": None,
            "userSentiment": None,
            OUTCOME_FIELD: outcome,
            "callSummary": summary,
            FRENCH_SUMMARY_FIELD: french,
            "transcriptUrl": _signed(base_url, self.id, TRANSCRIPT, now) if spoken else None,
            "recordingUrl": _signed(base_url, self.id, RECORDING, now) if spoken else None,
        }


def organization_id(name: str) -> str:
    """The id of an organization, such as of `own`, the stack's."""
    return str(uuid5(NAMESPACE_URL, f"organization:{name}"))


def planned_entries(call: Call, order: Order, behaviour: str, faults: Faults) -> list[LogEntry]:
    """The entries of the log that an accepted call gets."""
    entries = LOG_ENTRIES[behaviour]
    shift = timedelta(seconds=entries.shift_seconds)
    own = LogEntry(
        id=call.outbound_call_id if entries.own_id else _other_id(call, "in the log"),
        organization=call.organization,
        agent_id=order.assistant_id,
        user_phone_number=order.phone_number,
        user_name=order.customer_name,
        outcome=call.outcome,
        created_at=call.accepted_at + shift,
        ends_at=call.ends_at + shift if entries.ends else None,
        visible_at=call.ends_at + timedelta(seconds=faults.late_entry_seconds) if entries.late else call.accepted_at,
    )
    by_hand = own.model_copy(
        update={
            "id": _other_id(call, "by hand"),
            "created_at": own.created_at + _BY_HAND_AFTER,
            "ends_at": call.ends_at + _BY_HAND_AFTER,
        }
    )
    return [own] * entries.copies + [by_hand] * entries.by_hand


def page_of(entries: Sequence[LogEntry], query: LogQuery, now: datetime) -> dict[str, object]:
    """A page of these entries."""
    found = [entry for entry in entries if _is_asked_for(entry, query)]
    if query.sort.startswith("duration"):
        found.sort(key=lambda entry: entry.seconds_at(now) or 0)
    else:
        found.sort(key=lambda entry: entry.created_at)
    if query.sort.endswith("desc"):
        found.reverse()
    pages = -(-len(found) // query.limit)
    first = (query.page - 1) * query.limit
    return {
        "calls": [entry.listed(now) for entry in found[first : first + query.limit]],
        "pagination": {
            "page": query.page,
            "limit": query.limit,
            "total": len(found),
            "totalPages": pages,
            "hasNextPage": query.page < pages,
            "hasPreviousPage": query.page > 1,
        },
    }


def _is_asked_for(entry: LogEntry, query: LogQuery) -> bool:
    if query.call_type not in {None, "Outbound"}:
        return False
    # As `createdAt` is written: in whole seconds.
    created = entry.created_at.replace(microsecond=0)
    return (query.from_ is None or query.from_ <= created) and (query.to is None or created <= query.to)


def media(entry: LogEntry, file: str) -> tuple[bytes, str]:
    """The content of a call's file and its type."""
    if file == TRANSCRIPT:
        words = f"assistant: Hello {entry.user_name or 'there'}.\nuser: Yes, I confirm. À bientôt.\n"
        return words.encode(), "text/plain; charset=utf-8"
    recording = io.BytesIO()
    with wave.open(recording, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 8000)
    return recording.getvalue(), "audio/wav"


def signed_until(path: str, query: Mapping[str, str]) -> float | None:
    """Until when a pre-signed URL is valid, in epoch seconds; None when its signature is wrong."""
    expires = query.get("expires", "")
    given = query.get("signature", "").encode()
    return float(expires) if hmac.compare_digest(_signature(path, expires).encode(), given) else None


def _signed(base_url: str, id_: str, file: str, now: datetime) -> str:
    path, expires = f"/media/{id_}/{file}", str(int(now.timestamp()) + _SIGNED_SECONDS)
    return f"{base_url}{path}?{urlencode({'expires': expires, 'signature': _signature(path, expires)})}"


def _signature(path: str, expires: str) -> str:
    return hmac.new(_SIGNING_KEY, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()


def _other_id(call: Call, kind: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{kind}:{call.outbound_call_id}"))
