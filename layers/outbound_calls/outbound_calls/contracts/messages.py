"""The call queue's messages: a request, a cancellation, a do-not-call entry, or a dispatch (`contracts.dispatch`)."""

import re
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from outbound_calls.contracts.dispatch import DispatchMessage
from outbound_calls.contracts.terms import (
    CALLING_WINDOWS_RULE,
    PURPOSE_RULE,
    CallingWindows,
    PurposeName,
    RedialRules,
    field_error,
)
from outbound_calls.contracts.time_zones import TIME_ZONE_RULE, TimeZoneName
from outbound_calls.contracts.wire import (
    ORGANIZATION_RULE,
    REQUEST_ID_RULE,
    InvalidInput,
    OrganizationName,
    RequestId,
    Uuid,
    WireModel,
    first_error,
)

MAX_MESSAGE_BYTES = 32 * 1024
MAX_DAYS_AHEAD = 30
"""How far ahead `notBefore` may be."""

_TIME = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_TIME_RULE = "a time with an offset (RFC 3339), such as 2026-04-01T09:00:00-04:00"


def epoch_seconds(text: str) -> float:
    """The time in an RFC 3339 text, in epoch seconds.

    Raises:
        ValueError: When there is no such date, time or offset.
    """
    return datetime.fromisoformat(text.upper()).timestamp()


def _a_time(text: str) -> str:
    try:
        epoch_seconds(text)
    except (ValueError, OverflowError):
        raise PydanticCustomError("no_such_time", "no such time") from None
    return text


type Time = Annotated[
    str, StringConstraints(pattern=_TIME), AfterValidator(_a_time), Field(json_schema_extra={"format": "date-time"})
]


PHONE_NUMBER_RULE = "required, E.164: a plus sign, then 9 to 15 digits, the first not 0"

type PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{8,14}$")]


class CallRequestMessage(WireModel):
    """A request for one phone call. Each field's description is the rule that an error names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId | None = Field(None, description=REQUEST_ID_RULE)
    organization: OrganizationName | None = Field(None, description=f"{ORGANIZATION_RULE}, configured in this stack")
    phone_number: PhoneNumber = Field(description=PHONE_NUMBER_RULE)
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
    batch: RequestId | None = Field(None, description=REQUEST_ID_RULE)
    not_before: Time | None = Field(None, description=f"{_TIME_RULE}; at most {MAX_DAYS_AHEAD} days ahead")
    not_after: Time | None = Field(None, description=f"{_TIME_RULE}; later than notBefore")
    purpose: PurposeName | None = Field(None, description=f"{PURPOSE_RULE}, defined in the calling policy")
    time_zone: TimeZoneName | None = Field(None, description=TIME_ZONE_RULE)
    calling_windows: CallingWindows | None = Field(
        None, description=f"{CALLING_WINDOWS_RULE}; it narrows the policy's windows, and never widens them"
    )
    redial: RedialRules | None = Field(None, description="an object with maxAttempts, on and onEndedReasons")

    @property
    def leaves_time(self) -> bool:
        """Whether it is later at `notAfter` than at `notBefore`."""
        if not (self.not_before and self.not_after):
            return True
        return epoch_seconds(self.not_before) < epoch_seconds(self.not_after)

    def content(self) -> dict[str, Any]:
        """What tells this request from another one: the number, the words, the labels. Not its id, nor its times."""
        return self.model_dump(mode="json", exclude_none=True, exclude=_NOT_CONTENT)


_NOT_CONTENT = {
    "request_id",
    "organization",
    "not_before",
    "not_after",
    "time_zone",
    "calling_windows",
    "redial",
}


class Cancellation(WireModel):
    """What is not to be dialled any more: one request, or every request of a batch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId | None = Field(None, description=REQUEST_ID_RULE)
    batch: RequestId | None = Field(None, description=REQUEST_ID_RULE)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.request_id is None) == (self.batch is None):
            raise PydanticCustomError("rule", "exactly one")
        return self


CANCEL_RULE = "an object with either requestId or batch"


class CancelMessage(WireModel):
    """A request, or every request of a batch, is not dialled any more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    cancel: Cancellation = Field(description=CANCEL_RULE)
    organization: OrganizationName | None = Field(None, description=f"{ORGANIZATION_RULE}, configured in this stack")


class DoNotCall(WireModel):
    """A number that is not to be dialled, until then or for good, for these purposes or all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    phone_number: PhoneNumber = Field(description=PHONE_NUMBER_RULE)
    until: Time | None = Field(None, description=_TIME_RULE)
    purposes: Annotated[list[PurposeName], Field(min_length=1, max_length=50)] | None = Field(
        None, description=f"a list of 1 to 50 purposes, each {PURPOSE_RULE}"
    )


DO_NOT_CALL_RULE = "an object with phoneNumber (E.164), and until and purposes where it isn't for good or for all"


class DoNotCallMessage(WireModel):
    """An entry for the do-not-call list: for one organization, or for all where it names none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    do_not_call: DoNotCall = Field(description=DO_NOT_CALL_RULE)
    organization: OrganizationName | None = Field(None, description=f"{ORGANIZATION_RULE}, configured in this stack")


type QueueMessage = CallRequestMessage | CancelMessage | DoNotCallMessage | DispatchMessage

_OTHER_KINDS = {"dispatch": "dispatch", "cancel": "cancel", "doNotCall": "doNotCall"}


def _kind(message: object) -> str:
    if isinstance(message, dict):
        return next((kind for field, kind in _OTHER_KINDS.items() if field in message), "request")
    return "request"


_MESSAGE: TypeAdapter[QueueMessage] = TypeAdapter(
    Annotated[
        Annotated[CallRequestMessage, Tag("request")]
        | Annotated[CancelMessage, Tag("cancel")]
        | Annotated[DoNotCallMessage, Tag("doNotCall")]
        | Annotated[DispatchMessage, Tag("dispatch")],
        Discriminator(_kind),
    ]
)
_RULES = {str(field.alias): str(field.description) for field in CallRequestMessage.model_fields.values()}
_RULES_OF_OTHER_KINDS = {
    "dispatch": str(DispatchMessage.model_fields["dispatch"].description),
    "cancel": CANCEL_RULE,
    "doNotCall": DO_NOT_CALL_RULE,
}
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,64}")
_NOT_JSON = "a JSON object in UTF-8"
_FIELDS = ", ".join(sorted(_RULES))


def read_message(body: str) -> QueueMessage:
    """Read the body of a queue message.

    Raises:
        InvalidInput: With the first field that breaks its rule, named as on the wire.
    """
    try:
        content = body.encode()
        if len(content) > MAX_MESSAGE_BYTES:
            raise InvalidInput("body", f"at most {MAX_MESSAGE_BYTES} bytes")
        # On the wire there is one spelling, so `phone_number` is an unknown field; `validate_json` would skip it.
        message = _MESSAGE.validate_python(from_json(content), by_alias=True, by_name=False)
    except ValidationError as error:
        raise _invalid_input(error) from None
    except ValueError:
        raise InvalidInput("body", _NOT_JSON) from None
    if isinstance(message, CallRequestMessage) and not message.leaves_time:
        raise invalid_field("notAfter")
    return message


def read_call_request(body: str) -> CallRequestMessage:
    """Read the body of a message that must be a request.

    Raises:
        InvalidInput: When it isn't one.
    """
    message = read_message(body)
    if not isinstance(message, CallRequestMessage):
        kind = next(iter(message.wire()))
        raise InvalidInput(kind, _RULES_OF_OTHER_KINDS[kind])
    return message


def invalid_field(name: str) -> InvalidInput:
    """The error for a request's field (by its name on the wire) that breaks its rule."""
    return InvalidInput(name, _RULES[name])


def _invalid_input(error: ValidationError) -> InvalidInput:
    first = first_error(error)
    if first["loc"][:1] and (rule := _RULES_OF_OTHER_KINDS.get(str(first["loc"][0]))):
        # One rule for all of it: a field too many may be one that a request would have.
        return InvalidInput(str(first["loc"][0]), rule)
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        return InvalidInput(name if _IDENTIFIER.fullmatch(name) else "body", f"no field but {_FIELDS}", known=False)
    # The location starts with the tag of the union; the field comes second.
    field = first["loc"][1] if len(first["loc"]) > 1 else None
    if field in {"callingWindows", "redial"}:
        return field_error(CallRequestMessage, first["loc"][1:], first)
    return invalid_field(field) if isinstance(field, str) and field in _RULES else InvalidInput("body", _NOT_JSON)
