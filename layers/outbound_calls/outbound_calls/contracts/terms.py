"""What a request and the policy may both say: calling windows, redial, a purpose."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from outbound_calls.contracts.vocabulary import ALWAYS, DAYS
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, WireModel

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
