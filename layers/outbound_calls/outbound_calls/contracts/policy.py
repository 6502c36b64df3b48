"""The policy document: one JSON document per stack, which is based on a preset. What it doesn't say is the preset's.

Nothing that is left out, misspelled or empty means "anything goes". So unknown fields are refused by name, a field that
occurs twice is refused, and so is an empty list.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from outbound_calls.contracts.terms import (
    CALLING_WINDOWS_RULE,
    MAX_SECONDS,
    PURPOSE_RULE,
    CallingWindows,
    PurposeName,
    RedialRules,
    TermsModel,
    broken,
    field_error,
    shown_name,
)
from outbound_calls.contracts.time_zones import TIME_ZONE_RULE, TimeZoneName
from outbound_calls.contracts.vocabulary import Preset, WhenCapped
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, ORGANIZATION_RULE, InvalidInput, OrganizationName

MAX_POLICY_BYTES = 64 * 1024
MAX_STORED_POLICY_BYTES = 320 * 1024
"""With the dates of holidays, and every organization paused: whatever a person may write can be stored and paused."""


def _check_date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("date", "not a date") from None
    return text


type DateText = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_check_date)]


class HolidayCalendar(TermsModel):
    """Whose public holidays are closed."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(
        description="required: a country's two capital letters (ISO 3166-1), such as CA"
    )
    subdivision: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,3}$")] | None = Field(
        None, description="a subdivision's code after the hyphen (ISO 3166-2), such as QC"
    )

    @property
    def name(self) -> str:
        """Names it in the stored document: ``CA-QC``."""
        return f"{self.country}-{self.subdivision}" if self.subdivision else self.country


class ExceptionalDates(TermsModel):
    """Dates with hours of their own, instead of the windows and holidays."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="1 to 100 characters"
    )
    first: DateText = Field(alias="from", description="required: a date such as 2026-12-24, the first of them")
    last: DateText = Field(alias="to", description="required: a date such as 2027-01-01, the last of them")
    calling_windows: CallingWindows | None = Field(
        None, description=f"{CALLING_WINDOWS_RULE}; absent: closed on these dates"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise broken("from must not be later than to")
        return self


class RecipientCap(TermsModel):
    """How often one number may be dialled: in some calendar days, or in a rolling time."""

    calls: Annotated[int, Field(ge=1, le=1000)] = Field(description="required: a whole number from 1 to 1000")
    per_days: Annotated[int, Field(ge=1, le=30)] | None = Field(
        None, description="a whole number from 1 to 30: calendar days of the person called, today included"
    )
    per_seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] | None = Field(
        None, description=f"a whole number from 1 to {MAX_SECONDS}"
    )

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        if (self.per_days is None) == (self.per_seconds is None):
            raise broken("exactly one of perDays and perSeconds")
        return self


class PurposePolicy(TermsModel):
    """What applies to one purpose. What is absent is inherited."""

    based_on: Literal["open", "canada", "united-states-health-care"] | None = Field(
        None, description=f"a preset: one of {', '.join(Preset)}"
    )
    time_zone: TimeZoneName | None = Field(None, description=TIME_ZONE_RULE)
    calling_windows: CallingWindows | None = Field(None, description=CALLING_WINDOWS_RULE)
    holidays: HolidayCalendar | None = Field(None, description="an object with country, and subdivision where it helps")
    exceptions: Annotated[list[ExceptionalDates], Field(min_length=1, max_length=100)] | None = Field(
        None, description="a list of 1 to 100 exceptions"
    )
    redial: RedialRules | None = Field(None, description="an object with maxAttempts, on and onEndedReasons")
    max_attempts_ceiling: Annotated[int, Field(ge=1, le=MAX_ATTEMPT_NUMBER)] | None = Field(
        None, description=f"a whole number from 1 to {MAX_ATTEMPT_NUMBER}"
    )
    recipient_caps: Annotated[list[RecipientCap], Field(min_length=1, max_length=10)] | None = Field(
        None, description="a list of 1 to 10 caps; for none, name a preset without caps in basedOn"
    )
    when_capped: Literal["wait", "reject"] | None = Field(None, description=f"one of {', '.join(WhenCapped)}")
    expire_after_seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] | None = Field(
        None, description=f"a whole number from 1 to {MAX_SECONDS}"
    )
    paused: bool | None = Field(None, description="true or false; paused anywhere is paused")


class OrganizationPolicy(PurposePolicy):
    """What applies to one organization. What is absent is inherited."""

    max_concurrent_calls: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="a whole number from 1 to 1000"
    )
    purposes: Annotated[dict[PurposeName, PurposePolicy], Field(max_length=50)] | None = Field(
        None, description=f"an object of at most 50 purposes, each named by {PURPOSE_RULE}"
    )


class CallingPolicy(OrganizationPolicy):
    """The document, as a person writes it."""

    organizations: Annotated[dict[OrganizationName, OrganizationPolicy], Field(max_length=200)] | None = Field(
        None, description=f"an object of at most 200 organizations, each named by {ORGANIZATION_RULE}"
    )


class HolidayDates(TermsModel):
    """A calendar's holidays, computed when the policy was set."""

    until: DateText = Field(description="the last date for which they are known")
    dates: Annotated[list[DateText], Field(max_length=1000)] = Field(description="a list of dates")


class StoredPolicy(CallingPolicy):
    """The document as the stack keeps it: with the dates of the holidays that it names, by calendar (``CA-QC``)."""

    holiday_dates: dict[str, HolidayDates] | None = Field(None, description="the holidays of each calendar")

    @model_validator(mode="after")
    def _every_holiday_known(self) -> Self:
        if missing := calendars(self).keys() - (self.holiday_dates or {}).keys():
            raise broken(f"no dates are stored for the holidays of {', '.join(sorted(missing))}")
        return self


def parts(policy: CallingPolicy) -> list[PurposePolicy]:
    """The document and every organization's and purpose's part of it."""
    levels: list[OrganizationPolicy] = [policy, *(policy.organizations or {}).values()]
    return [*levels, *(purpose for level in levels for purpose in (level.purposes or {}).values())]


def calendars(policy: CallingPolicy) -> dict[str, HolidayCalendar]:
    """The holiday calendars that a document names anywhere, by name."""
    return {part.holidays.name: part.holidays for part in parts(policy) if part.holidays}


def read_policy(text: str | bytes) -> CallingPolicy:
    """Read a document that a person wrote.

    Raises:
        InvalidInput: With the first field that breaks its rule, such as `organizations.north.callingWindows[0].from`.
    """
    return _read(CallingPolicy, text)


def read_stored_policy(text: str | bytes) -> StoredPolicy:
    """Read the document that the stack keeps.

    Raises:
        InvalidInput: When it can't be read, so that no one may be dialled.
    """
    return _read(StoredPolicy, text, MAX_STORED_POLICY_BYTES)


def policy_errors(text: str | bytes) -> list[InvalidInput]:
    """Every field of a document that breaks its rule."""
    try:
        CallingPolicy.model_validate(_parse(text), by_alias=True, by_name=False)
    except InvalidInput as error:
        return [error]
    except ValidationError as error:
        return _invalid_fields(CallingPolicy, error)
    return []


def _read[Model: CallingPolicy](model: type[Model], text: str | bytes, max_bytes: int = MAX_POLICY_BYTES) -> Model:
    try:
        return model.model_validate(_parse(text, max_bytes), by_alias=True, by_name=False)
    except ValidationError as error:
        raise _invalid_fields(model, error)[0] from None


def _parse(text: str | bytes, max_bytes: int = MAX_POLICY_BYTES) -> object:
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(content) > max_bytes:
        raise InvalidInput("policy", f"at most {max_bytes} bytes")
    try:
        return json.loads(content.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise InvalidInput("policy", "a JSON object in UTF-8") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(shown_name(twice), "only once in its object")
    return fields


def _invalid_fields(model: type[BaseModel], error: ValidationError) -> list[InvalidInput]:
    found = error.errors(include_url=False, include_input=False)
    return [field_error(model, each["loc"], each, names=True) for each in found]
