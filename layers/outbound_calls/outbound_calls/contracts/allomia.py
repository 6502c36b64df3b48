"""AlloMia's wire: what it is asked for, and what it answers and posts. Source: docs.allomia.com, outbound calls."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import from_json

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import InvalidInput, Lenient, Uuid, WireModel, first_error

MAX_WEBHOOK_BYTES = 16 * 1024


class OutboundCallOrder(WireModel):
    """The body of `POST /api/outbound`: these fields and no other."""

    phone_number: str
    assistant_id: str
    phone_number_id: str
    customer_name: str | None
    dynamic_variables: dict[str, str] | None
    callback_url: str


class CallDetails(WireModel):
    """How a call went, as AlloMia reports it."""

    started_at: Lenient[str] = Field(None, description="ISO 8601")
    ended_at: Lenient[str] = Field(None, description="ISO 8601")
    duration: Lenient[
        # DynamoDB rejects numbers with many digits and very small ones, and a rejected write loses the outcome.
        Annotated[int | float, Field(ge=0, le=10**9), AfterValidator(lambda seconds: round(seconds, 6))]
    ] = Field(None, description="seconds, to the microsecond")
    ended_reason: Lenient[str] = Field(None, description="AlloMia's free text, e.g. customer-ended-call")


class CallState(WireModel):
    """A call as AlloMia reports it: the answer to the POST, the status answer, and the webhook's body."""

    outbound_call_id: Uuid = Field(description="required: AlloMia's UUID of the call")
    contact_id: Lenient[Uuid] = None
    status: Literal["calling", "completed", "failed", "busy", "no-answer"] = Field(
        description="required: one of calling, completed, failed, busy, no-answer"
    )
    call_details: Lenient[CallDetails] = None


_RULES = {info.alias: info.description for info in CallState.model_fields.values()}


def read_call_state(body: str | bytes) -> CallState:
    """Read a call as AlloMia reports it.

    Raises:
        InvalidInput: When it is not one of the documented answers.
    """
    try:
        return CallState.model_validate_json(body, by_alias=True, by_name=False)
    except ValidationError as error:
        place = first_error(error)["loc"]
        field = str(place[0]) if place else "body"
        raise InvalidInput(field, _RULES.get(field) or "a JSON object in UTF-8") from None


def is_failed_without_id(body: bytes) -> bool:
    """Whether AlloMia reports that a call failed, without an id for it."""
    try:
        answer = from_json(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("status") == Status.FAILED and answer.get("outboundCallId") is None
