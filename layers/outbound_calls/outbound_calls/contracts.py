"""What goes over the wires: the queue's messages, AlloMia's answers, the outcome event.

Outside it is camelCase JSON with AlloMia's own field names; inside it is these frozen models. Input is refused with the
name of the field and the rule it breaks, never with what was in it: that may be somebody's name or number.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from outbound_calls.lifecycle import ALLOMIA_OUTCOMES, OutcomeSource, Status

MAX_MESSAGE_BYTES = 32 * 1024
MAX_WEBHOOK_BYTES = 16 * 1024
MAX_ATTEMPT = 99


class InvalidInput(Exception):
    """Input that breaks the contract. Its text names the field and the rule, and nothing of the content.

    `field` may be a name that the input made up; the text then says `unknown field`, since a name is content as well.
    """

    def __init__(self, field: str, rule: str, *, ours: bool = True) -> None:
        super().__init__(f"{field if ours else 'unknown field'}: {rule}")
        self.field = field
        self.rule = rule


class Wire(BaseModel):
    """A value that goes over a wire: camelCase there, snake_case here."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    def wire(self) -> dict[str, Any]:
        """This value as it goes out: AlloMia's field names, absent where there is nothing."""
        return self.model_dump(mode="json", exclude_none=True)


def _no_dot_segment(request_id: str) -> str:
    # The id is a segment of the callback URL's path, and every URL parser removes the segments "." and "..".
    if request_id in {".", ".."}:
        raise PydanticCustomError("dot_segment", "a dot segment")
    return request_id


_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_REQUEST_ID = r"^[A-Za-z0-9._-]{1,128}$"

type RequestId = Annotated[str, StringConstraints(pattern=_REQUEST_ID), AfterValidator(_no_dot_segment)]
type Uuid = Annotated[str, StringConstraints(pattern=_UUID, to_lower=True)]
type Attempt = Annotated[int, Field(ge=1, le=MAX_ATTEMPT)]


class CallRequest(Wire):
    """A message that asks for one phone call. Each field's description is the rule that a refusal names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId | None = Field(
        None, description="1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"
    )
    phone_number: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{8,14}$")] = Field(
        description="required, E.164: a plus sign, then 9 to 15 digits, the first not 0"
    )
    assistant_id: Uuid | None = Field(None, description="a UUID; required where the stack has no default")
    phone_number_id: Uuid | None = Field(None, description="a UUID; required where the stack has no default")
    customer_name: (
        Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None
    ) = Field(None, description="1 to 200 characters, no control characters")
    dynamic_variables: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(min_length=1, max_length=64)],
                Annotated[str, StringConstraints(max_length=2000)],
            ],
            Field(max_length=50),
        ]
        | None
    ) = Field(
        None,
        description="an object of at most 50 strings: names of 1 to 64 characters, values of at most 2000",
    )
    metadata: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(min_length=1, max_length=64)],
                Annotated[str, StringConstraints(max_length=256)],
            ],
            Field(max_length=20),
        ]
        | None
    ) = Field(
        None,
        description="an object of at most 20 strings: names of 1 to 64 characters, values of at most 256",
    )

    def completed(self, assistant_id: str | None, phone_number_id: str | None) -> Self:
        """This request with the stack's defaults where it names none.

        Raises:
            InvalidInput: when it names none and there is no default.
        """
        completed = self.model_copy(
            update={
                "assistant_id": self.assistant_id or assistant_id,
                "phone_number_id": self.phone_number_id or phone_number_id,
            }
        )
        for name in ("assistant_id", "phone_number_id"):
            if getattr(completed, name) is None:
                field = CallRequest.model_fields[name]
                raise InvalidInput(str(field.alias), str(field.description))
        return completed

    def order(self) -> dict[str, Any]:
        """What AlloMia is asked for, in its own words: the request without what is only ours."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"request_id", "metadata"})


class AttemptKey(Wire):
    """Names one attempt: the unit that is claimed, signed and dialled."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId = Field(description="the id of a request")
    attempt: Attempt = Field(description=f"a whole number from 1 to {MAX_ATTEMPT}")


class Release(Wire):
    """The poller's message: an attempt that was parked may be dialled now. Its request is in the table.

    Once the attempt has been parked again, a message that came late is out of date; the count tells.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    release: AttemptKey = Field(description="only the poller sends this: requestId and attempt of a parked attempt")
    times_parked: Annotated[int, Field(ge=0)] | None = Field(None, description="how often it had been parked by then")


def _kind(message: object) -> str:
    return "release" if isinstance(message, dict) and "release" in message else "request"


_MESSAGE: TypeAdapter[CallRequest | Release] = TypeAdapter(
    Annotated[
        Annotated[CallRequest, Tag("request")] | Annotated[Release, Tag("release")],
        Discriminator(_kind),
    ]
)
_REQUEST_IDS: TypeAdapter[str] = TypeAdapter(RequestId)
_RULES = {str(field.alias): str(field.description) for field in CallRequest.model_fields.values()}
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,64}")
_NOT_JSON = "a JSON object in UTF-8, nested at most 3 deep"
_FIELDS = ", ".join(sorted(_RULES))


def read_message(body: str) -> CallRequest | Release:
    """Read the body of a queue message.

    Raises:
        InvalidInput: with the first field that breaks its rule, named as on the wire.
    """
    try:
        content = body.encode()
        if len(content) > MAX_MESSAGE_BYTES:
            raise InvalidInput("body", f"at most {MAX_MESSAGE_BYTES} bytes")
        # On the wire there is one spelling, so `phone_number` is an unknown field; `validate_json` would skip it.
        return _MESSAGE.validate_python(from_json(content), by_alias=True, by_name=False)
    except ValidationError as error:
        raise _refusal(error) from None
    except ValueError:
        raise InvalidInput("body", _NOT_JSON) from None


def read_request_id(text: str) -> str:
    """Read a request's id that came by itself, such as in a path.

    Raises:
        InvalidInput: when it breaks the rule of `requestId`.
    """
    try:
        return _REQUEST_IDS.validate_python(text, strict=True)
    except ValidationError:
        raise InvalidInput("requestId", _RULES["requestId"]) from None


def _first(error: ValidationError) -> ErrorDetails:
    return error.errors(include_url=False, include_input=False, include_context=False)[0]


def _refusal(error: ValidationError) -> InvalidInput:
    first = _first(error)
    if first["loc"][:1] == ("release",):
        # Its one rule says all: a field too many may be one that a request would have.
        return InvalidInput("release", str(Release.model_fields["release"].description))
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        return InvalidInput(name if _IDENTIFIER.fullmatch(name) else "body", f"no field but {_FIELDS}", ours=False)
    # The first place of the location is the tag of the union, the second the field.
    field = first["loc"][1] if len(first["loc"]) > 1 else None
    if isinstance(field, str) and (rule := _RULES.get(field)):
        return InvalidInput(field, rule)
    return InvalidInput("body", _NOT_JSON)


def _left_out_if_unreadable(value: object, validate: Any) -> object:
    # The outcome is the status. A detail that AlloMia sends in a shape it did not document is not worth losing it.
    try:
        return validate(value)
    except ValidationError:
        return None


type Lenient[T] = Annotated[T | None, WrapValidator(_left_out_if_unreadable)]


class CallDetails(Wire):
    """How a call went, as AlloMia tells it. Source: docs.allomia.com, outbound call status."""

    started_at: Lenient[str] = Field(None, description="ISO 8601")
    ended_at: Lenient[str] = Field(None, description="ISO 8601")
    duration: Lenient[
        # DynamoDB refuses numbers of many digits and very small ones, and a write that it refuses loses the outcome.
        Annotated[int | float, Field(ge=0, le=10**9), AfterValidator(lambda seconds: round(seconds, 6))]
    ] = Field(None, description="seconds, to the microsecond")
    ended_reason: Lenient[str] = Field(None, description="AlloMia's free text, e.g. customer-ended-call")


class CallState(Wire):
    """AlloMia's word on one call: the answer to the POST, the status answer and the webhook's body."""

    outbound_call_id: Uuid = Field(description="required: AlloMia's UUID of the call")
    contact_id: Lenient[Uuid] = None
    status: Literal["calling", "completed", "failed", "busy", "no-answer"] = Field(
        description="required: one of calling, completed, failed, busy, no-answer"
    )
    call_details: Lenient[CallDetails] = None


class Outcome(Wire):
    """How an attempt ended, and who says so."""

    status: Status
    source: OutcomeSource
    outbound_call_id: Uuid | None = None
    contact_id: Uuid | None = None
    call_details: CallDetails | None = None
    reason: str | None = None


_STATE_RULES = {info.alias: info.description for info in CallState.model_fields.values()}


def read_call_state(body: str | bytes) -> CallState:
    """Read what AlloMia says of a call.

    Raises:
        InvalidInput: when it is not one of the documented answers.
    """
    try:
        return CallState.model_validate_json(body, by_alias=True, by_name=False)
    except ValidationError as error:
        place = _first(error)["loc"]
        field = str(place[0]) if place else "body"
        raise InvalidInput(field, _STATE_RULES.get(field) or "a JSON object in UTF-8") from None


def says_failed(body: bytes) -> bool:
    """Whether AlloMia says of a call that it failed, and names no call."""
    try:
        said = from_json(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("status") == Status.FAILED and said.get("outboundCallId") is None


def outcome_of(state: CallState, source: OutcomeSource) -> Outcome | None:
    """The outcome in AlloMia's word on a call; None while the call goes on."""
    status = Status(state.status)
    if status not in ALLOMIA_OUTCOMES:
        return None
    return Outcome(
        status=status,
        source=source,
        outbound_call_id=state.outbound_call_id,
        contact_id=state.contact_id,
        call_details=state.call_details,
    )


class OutcomeEvent(Wire):
    """The detail of a `Call Outcome Recorded` event."""

    version: Literal["1"] = "1"
    request_id: RequestId
    attempt: Attempt
    final: bool = Field(
        description="false for unknown, which the real outcome may still follow; true for every other status"
    )
    status: Status
    outbound_call_id: Uuid | None
    contact_id: Uuid | None
    call_details: CallDetails | None
    outcome_source: OutcomeSource
    recorded_at: str = Field(description="ISO 8601, UTC")
    metadata: dict[str, str]
