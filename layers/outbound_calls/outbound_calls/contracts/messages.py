"""The call queue's messages: a request, a cancellation, a do-not-call entry, or a dispatch (`contracts.dispatch`)."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from outbound_calls.contracts.dispatch import DispatchMessage, HandOnMessage
from outbound_calls.contracts.terms import (
    CALLING_WINDOWS_RULE,
    PURPOSE_RULE,
    CallingWindows,
    CheckedOnUse,
    PurposeName,
    RedialRules,
    broken,
    field_error,
)
from outbound_calls.contracts.time_zones import TIME_ZONE_RULE, TimeZoneName
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.contracts.wire import (
    ORGANIZATION_RULE,
    REQUEST_ID_RULE,
    InvalidInput,
    OrganizationName,
    RequestId,
    Uuid,
    WireModel,
    first_error,
    validate,
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
    organization: OrganizationName | None = Field(
        None,
        description=f"{ORGANIZATION_RULE}, configured in this stack; required where there is no default organization",
    )
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
    calling_windows: Annotated[object, CheckedOnUse(CallingWindows)] | None = Field(
        None, description=f"{CALLING_WINDOWS_RULE}; it narrows the policy's windows, and never widens them"
    )
    redial: Annotated[dict[str, Any], CheckedOnUse(RedialRules)] | None = Field(
        None, description="an object with maxAttempts, on and onEndedReasons"
    )
    priority: Literal["urgent", "normal", "low"] | None = Field(
        None, description=f"who goes first when not everyone can be dialled at once: one of {', '.join(Priority)}"
    )

    @property
    def leaves_time(self) -> bool:
        """Whether it is later at `notAfter` than at `notBefore`."""
        if not (self.not_before and self.not_after):
            return True
        return epoch_seconds(self.not_before) < epoch_seconds(self.not_after)

    def content(self) -> dict[str, Any]:
        """What makes this another request: the number, the words, the labels. Not its id, nor its times."""
        return self.model_dump(mode="json", exclude_none=True, exclude=_NOT_CONTENT)


_NOT_CONTENT = {
    "request_id",
    "organization",
    "not_before",
    "not_after",
    "time_zone",
    "calling_windows",
    "redial",
    "priority",
}


class _RareMessage(WireModel):
    # Built for the first one that comes.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Cancellation(_RareMessage):
    """What is not to be dialled any more: one request, or every request of a batch."""

    request_id: RequestId | None = Field(None, description=REQUEST_ID_RULE)
    batch: RequestId | None = Field(None, description=REQUEST_ID_RULE)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.request_id is None) == (self.batch is None):
            raise broken(f"{CANCEL_RULE}, not both")
        return self


CANCEL_RULE = "an object with either requestId or batch"


class CancelMessage(_RareMessage):
    """A request, or every request of a batch, is not dialled any more."""

    cancel: Cancellation = Field(description=CANCEL_RULE)
    organization: OrganizationName | None = Field(None, description=f"{ORGANIZATION_RULE}, configured in this stack")


class DoNotCall(_RareMessage):
    """A number that is not to be dialled, until then or for good, for these purposes or all."""

    phone_number: PhoneNumber = Field(description=PHONE_NUMBER_RULE)
    until: Time | None = Field(None, description=_TIME_RULE)
    purposes: Annotated[list[PurposeName], Field(min_length=1, max_length=50)] | None = Field(
        None, description=f"a list of 1 to 50 purposes, each {PURPOSE_RULE}"
    )


class DoNotCallMessage(_RareMessage):
    """An entry for the do-not-call list: for one organization, or for all where it names none."""

    do_not_call: DoNotCall = Field(
        description="an object with phoneNumber, and until and purposes where it isn't for good or for all"
    )
    organization: OrganizationName | None = Field(None, description=f"{ORGANIZATION_RULE}, configured in this stack")


type QueueMessage = CallRequestMessage | CancelMessage | DoNotCallMessage | DispatchMessage | HandOnMessage

_OTHER_KINDS: dict[str, type[CancelMessage | DoNotCallMessage | DispatchMessage | HandOnMessage]] = {
    "dispatch": DispatchMessage,
    "handOn": HandOnMessage,
    "cancel": CancelMessage,
    "doNotCall": DoNotCallMessage,
}
_RULES = {str(field.alias): str(field.description) for field in CallRequestMessage.model_fields.values()}
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,64}")
_NOT_JSON = "a JSON object in UTF-8"


def read_message(body: str) -> QueueMessage:
    """Read the body of a queue message.

    Raises:
        InvalidInput: With the first field that breaks its rule, named as on the wire.
    """
    kind: type[QueueMessage] = CallRequestMessage
    value: object = None
    try:
        content = body.encode()
        if len(content) > MAX_MESSAGE_BYTES:
            raise InvalidInput("body", f"at most {MAX_MESSAGE_BYTES} bytes")
        value = from_json(content)
        kind = _kind(value)
        message = validate(kind, value)
    except ValidationError as error:
        raise _envelope(kind, value) or _invalid_input(kind, error) from None
    except ValueError:
        raise InvalidInput("body", _NOT_JSON) from None
    if isinstance(message, CallRequestMessage) and not message.leaves_time:
        raise invalid_field("notAfter")
    return message


def _kind(value: object) -> type[QueueMessage]:
    """The kind of a message, by the one field that only messages of this kind have."""
    fields = value if isinstance(value, dict) else {}
    return next((kind for field, kind in _OTHER_KINDS.items() if field in fields), CallRequestMessage)


def read_call_request(body: str) -> CallRequestMessage:
    """Read the body of a message that must be a request.

    Raises:
        InvalidInput: When it isn't one.
    """
    message = read_message(body)
    if not isinstance(message, CallRequestMessage):
        raise InvalidInput(next(iter(message.wire())), "a message of its own, and no request for a call")
    return message


def invalid_field(name: str) -> InvalidInput:
    """The error for a request's field (by its name on the wire) that breaks its rule."""
    return InvalidInput(name, _RULES[name])


def _envelope(kind: type[QueueMessage], value: object) -> InvalidInput | None:
    """The error of a message that isn't a request because something surrounds it, or in another spelling."""
    if kind is not CallRequestMessage or not isinstance(value, dict) or "phoneNumber" in value:
        return None
    from outbound_calls.contracts.envelopes import explained

    return explained(value, _RULES)


def _invalid_input(kind: type[QueueMessage], error: ValidationError) -> InvalidInput:
    first = first_error(error)
    if first["type"] == "missing":
        # A field that is missing and one that is unknown are often one field, misspelled: the unknown one says more.
        found = error.errors(include_url=False, include_input=False, include_context=False)
        first = next((each for each in found if each["type"] == "extra_forbidden" and len(each["loc"]) == 1), first)
    if kind in {DispatchMessage, HandOnMessage}:
        # One rule for all of it: no one but this stack has to learn more.
        name = "dispatch" if kind is DispatchMessage else "handOn"
        rule = next(field.description for field in kind.model_fields.values() if field.alias == name)
        return InvalidInput(name, str(rule))
    match first["loc"]:
        case ():
            return InvalidInput("body", _NOT_JSON)
        case (str(name),) if first["type"] == "extra_forbidden":
            fields = ", ".join(sorted(str(field.alias) for field in kind.model_fields.values()))
            return InvalidInput(name if _IDENTIFIER.fullmatch(name) else "body", f"no field but {fields}", known=False)
        case location:
            return field_error(kind, location, first)
