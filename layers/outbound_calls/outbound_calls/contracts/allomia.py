"""AlloMia's wire: what it is asked for, and what it answers and posts. Source: docs.allomia.com, outbound calls.

AlloMia may change what it sends. A field that can't be read costs that field and no other: the call's id and its status
are worth more than everything around them.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from outbound_calls.contracts.partial_json import decoded, members_of, value_of
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import InvalidInput, Lenient, Uuid, WireModel

MAX_WEBHOOK_BYTES = 256 * 1024
"""Fits a transcript. The documented body has 300 bytes."""

DOCUMENTED_STATUSES = (Status.CALLING, Status.COMPLETED, Status.FAILED, Status.BUSY, Status.NO_ANSWER)

STATUS_RULE = "one of completed, failed, busy, no-answer"

_MAX_REASON_LENGTH = 1000  # EventBridge takes 256 KB, and the outcome must not fail because of a text
_MAX_TIME_LENGTH = 64


class OutboundCallOrder(WireModel):
    """The body of `POST /api/outbound`: these fields and no other."""

    phone_number: str
    assistant_id: str
    phone_number_id: str
    customer_name: str | None
    dynamic_variables: dict[str, str] | None
    callback_url: str


type _Time = Annotated[str, StringConstraints(max_length=_MAX_TIME_LENGTH)]


class CallDetails(WireModel):
    """A call's times, its duration and why it ended, as AlloMia reports them."""

    started_at: Lenient[_Time] = Field(None, description="ISO 8601")
    ended_at: Lenient[_Time] = Field(None, description="ISO 8601")
    duration: Lenient[
        # DynamoDB rejects numbers with many digits and very small ones, and a rejected write loses the outcome.
        Annotated[int | float, Field(ge=0, le=10**9), AfterValidator(lambda seconds: round(seconds, 6))]
    ] = Field(None, description="seconds, to the microsecond")
    ended_reason: Lenient[Annotated[str, StringConstraints(max_length=_MAX_REASON_LENGTH)]] = Field(
        None, description="AlloMia's free text, e.g. customer-ended-call"
    )


class CallState(WireModel):
    """A call as AlloMia reports it: the answer to the POST, the status answer, and the webhook's body.

    A field that is missing or can't be read is None. `status` may be a word that AlloMia doesn't document.
    """

    outbound_call_id: Lenient[Uuid] = Field(None, description="AlloMia's UUID of the call")
    contact_id: Lenient[Uuid] = None
    status: Lenient[Annotated[str, StringConstraints(pattern="^[A-Za-z_-]{1,32}$")]] = Field(
        None, description=STATUS_RULE
    )
    call_details: Lenient[CallDetails] = None


_DETAILS = frozenset(str(info.alias) for info in CallDetails.model_fields.values())
_FIELDS = frozenset(str(info.alias) for info in CallState.model_fields.values())
_ERROR_FIELDS = frozenset({"error", "errors", "message", "detail", "title"})


def read_call_state(body: str | bytes) -> CallState:
    """Read a call as AlloMia reports it. Whatever it also holds, what can be read of it is read.

    Raises:
        InvalidInput: When it isn't a JSON object, or reports neither a call's id nor a status.
    """
    members = members_of(decoded(body))
    if members is None:
        raise InvalidInput("body", "a JSON object")
    values: dict[str, object] = {name: value_of(written) for name, written in members.items() if name in _FIELDS}
    details = members_of(members.get("callDetails", ""))
    values["callDetails"] = details and {name: value_of(details[name]) for name in _DETAILS & details.keys()}
    state = CallState.model_validate(values, by_alias=True, by_name=False)
    if state.outbound_call_id is None and state.status is None:
        raise InvalidInput("status", STATUS_RULE)
    return state


def read_error(body: bytes) -> str | None:
    """What AlloMia writes in an error answer, as it is written; None when the body is no error in JSON.

    AlloMia documents `error`. The other fields are those of RFC 9457 and of common frameworks.
    """
    members = members_of(decoded(body)) or {}
    return " ".join(members[name] for name in members if name in _ERROR_FIELDS) or None
