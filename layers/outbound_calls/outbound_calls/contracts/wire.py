"""What the wires share: the base of their models, the error for invalid input, and the types of their fields."""

import re
from functools import cache
from threading import Lock
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

MAX_ATTEMPT_NUMBER = 99
ORGANIZATION_SEPARATOR = "~"
"""Between an organization and a request id. In neither's alphabet, and unreserved in a URL (RFC 3986)."""


class InvalidInput(Exception):
    """Input that breaks the contract. Its text names the field and the rule, and nothing of the content.

    `field` may be a name that the sender made up. The text then says `unknown field`, since a name is content too.
    """

    def __init__(self, field: str, rule: str, *, known: bool = True) -> None:
        super().__init__(f"{field if known else 'unknown field'}: {rule}")
        self.field = field
        self.rule = rule


class WireModel(BaseModel):
    """A model of one wire: camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    def wire(self) -> dict[str, Any]:
        """This model as JSON values, without the fields that hold nothing."""
        return self.model_dump(mode="json", exclude_none=True)


_building = Lock()


def reader(kind: Any) -> TypeAdapter[Any]:
    """Reads values of a type, whose validator is built on the first use, by one thread alone.

    Threads that build one model at the same time, as they do when pydantic builds it by itself, may see half of it.
    """
    with _building:
        return _reader(kind)


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        kind.model_rebuild()
    return TypeAdapter(kind)


def validate[Kind](kind: type[Kind], value: object) -> Kind:
    """Read a value as it comes over the wire.

    There is one spelling on the wire, so a field's name in Python is an unknown field.
    """
    found: Kind = reader(kind).validate_python(value, by_alias=True, by_name=False)
    return found


def _no_dot_segment(text: str) -> str:
    # The id is a segment of the callback URL's path, and every URL parser removes the segments "." and "..".
    if text.rpartition(ORGANIZATION_SEPARATOR)[2] in {".", ".."}:
        raise PydanticCustomError("dot_segment", "a dot segment")
    return text


_REQUEST_ID = r"[A-Za-z0-9._-]{1,128}"
_ORGANIZATION = r"[a-z0-9-]{1,32}"

type RequestId = Annotated[str, StringConstraints(pattern=f"^{_REQUEST_ID}$"), AfterValidator(_no_dot_segment)]
type OrganizationName = Annotated[str, StringConstraints(pattern=f"^{_ORGANIZATION}$")]
type RequestKeyText = Annotated[
    str,
    StringConstraints(pattern=f"^({_ORGANIZATION}{ORGANIZATION_SEPARATOR})?{_REQUEST_ID}$"),
    AfterValidator(_no_dot_segment),
]
type Uuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True)
]
type AttemptNumber = Annotated[int, Field(ge=1, le=MAX_ATTEMPT_NUMBER)]

REQUEST_ID_RULE = "1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots"
ORGANIZATION_RULE = "1 to 32 of the characters a-z 0-9 -"
_REQUEST_KEY = re.compile(f"(?:{_ORGANIZATION}{ORGANIZATION_SEPARATOR})?({_REQUEST_ID})")


def check_request_key(text: str) -> None:
    """Check the text of a request's key, such as one from a path: ``ID`` or ``ORGANIZATION~ID``.

    Raises:
        InvalidInput: When no request can have it.
    """
    found = _REQUEST_KEY.fullmatch(text)
    if found is None or found[1] in {".", ".."}:
        raise InvalidInput("requestId", REQUEST_ID_RULE)


def _none_if_unreadable(value: object, validate: Any) -> object:
    # The outcome is the status. A detail in a shape that AlloMia doesn't document isn't worth losing it.
    try:
        return validate(value)
    except ValidationError:
        return None


type Lenient[T] = Annotated[T | None, WrapValidator(_none_if_unreadable)]


def first_error(error: ValidationError) -> ErrorDetails:
    """The first error that pydantic found, without the input."""
    return error.errors(include_url=False, include_input=False, include_context=False)[0]
