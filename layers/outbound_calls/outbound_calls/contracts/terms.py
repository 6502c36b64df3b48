"""What a request and the policy may both say: calling windows, redial, a purpose."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from outbound_calls.contracts.vocabulary import ALWAYS, DAYS
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, InvalidInput, WireModel, reader, validate

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

MAX_SECONDS = 30 * 86_400
"""The longest time that a policy may name: a redial's delay, a cap's span, an expiry."""

PURPOSE_RULE = "1 to 32 of the characters a-z 0-9 -"

type Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
type PurposeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
type RedialStatus = Literal["busy", "no-answer", "failed"]


def broken(rule: str) -> PydanticCustomError:
    """An error whose text is the rule itself. For rules of more than one field."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


class TermsModel(WireModel):
    """A part of a request or of the document. Each field's description is the rule that an error names."""

    # Built on the first use: most invocations of most functions read no policy.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class CallingWindow(TermsModel):
    """Hours of some weekdays, by the wall clock of the person called."""

    days: Annotated[list[Day], Field(min_length=1, max_length=7)] = Field(
        description=f"at least one of {', '.join(DAYS)}"
    )
    opens: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(
        alias="from", description="a time from 00:00 to 23:59, such as 09:00, inclusive"
    )
    closes: Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")] = Field(
        alias="to", description="a time from 00:01 to 24:00, such as 21:30, exclusive"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.opens >= self.closes:
            raise broken("from must be earlier than to: a window doesn't cross midnight, so write two")
        return self


def _always_or_list(value: object) -> str:
    return "list" if isinstance(value, list) else ALWAYS


CALLING_WINDOWS_RULE = f'"{ALWAYS}", or a list of 1 to 50 windows'

type CallingWindows = Annotated[
    Annotated[Literal["always"], Tag("always")]
    | Annotated[list[CallingWindow], Field(min_length=1, max_length=50), Tag("list")],
    Discriminator(_always_or_list),
]


_DELAYS_RULE = f"1 to 20 delays, each 1 to {MAX_SECONDS} seconds; the last one repeats"

type Delays = Annotated[list[Annotated[int, Field(ge=1, le=MAX_SECONDS)]], Field(min_length=1, max_length=20)]


class RedialRules(TermsModel):
    """After which outcomes another attempt follows, and when."""

    on: dict[RedialStatus, Delays] | None = Field(
        None, description=f"an object of busy, no-answer or failed, each with {_DELAYS_RULE}"
    )
    on_ended_reasons: (
        Annotated[
            dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], Delays],
            Field(max_length=20),
        ]
        | None
    ) = Field(
        None,
        description=f"an object of at most 20 of AlloMia's reasons for the end of a completed call, each with "
        f"{_DELAYS_RULE}",
    )
    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPT_NUMBER)] = Field(
        description=f"required: a whole number from 1 to {MAX_ATTEMPT_NUMBER}, which counts the first attempt too"
    )


class CheckedOnUse:
    """Marks a field whose value is checked by a type that is built for the first message that has the field.

    Most have none, and building it at each cold start would take longer than reading the message. The value stays in
    its form on the wire.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __get_pydantic_core_schema__(self, _source: object, _handler: "GetCoreSchemaHandler") -> "CoreSchema":
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> dict[str, Any]:
        return handler(reader(self.kind).core_schema)

    def _check(self, value: object) -> object:
        validate(self.kind, value)
        return value


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def shown_name(name: str) -> str:
    """A name as an error may show it."""
    return name if _NAME.fullmatch(name) else "a field"


def field_error(
    model: type[BaseModel], location: Sequence[int | str], error: ErrorDetails, *, names: bool = False
) -> InvalidInput:
    """The error with the field's path and its rule, found by a walk down the models.

    `names`: whether the path shows names that the author made up. It ends before the first one otherwise.
    """
    path, rule, fields = "", "a JSON object in UTF-8", _fields(model)
    names_follow = False
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif names_follow and not names:
            break
        elif names_follow:
            path, names_follow = f"{path}.{shown_name(step)}", False
        elif step in fields:
            path, (rule, annotation) = f"{path}.{step}", fields[step]
            fields, names_follow = _fields(_inner(annotation, BaseModel)), _inner(annotation, dict) is not None
        elif error["type"] == "extra_forbidden" and step == location[-1]:
            shown = f"{path}.{shown_name(step)}" if names else path
            return InvalidInput(shown.lstrip("."), f"no field but {', '.join(sorted(fields))}")
    if error["type"] == "rule":
        rule = error["msg"]
    return InvalidInput(path.lstrip(".") or "policy", rule)


def _fields(model: type[BaseModel] | None) -> dict[str, tuple[str, Any]]:
    """A model's fields by their names on the wire: each with its rule and its type."""
    fields = model.model_fields.values() if model else ()
    return {str(field.alias): (str(field.description), field.annotation) for field in fields}


def _inner[Kind](annotation: Any, kind: type[Kind]) -> type[Kind] | None:
    """The first type of a kind within a type."""
    checks = (each.kind for each in getattr(annotation, "__metadata__", ()) if isinstance(each, CheckedOnUse))
    annotation = next(checks, annotation)
    annotation = getattr(annotation, "__value__", annotation)
    outer = get_origin(annotation) or annotation
    if isinstance(outer, type) and issubclass(outer, kind):
        return outer
    return next(filter(None, (_inner(each, kind) for each in get_args(annotation))), None)
