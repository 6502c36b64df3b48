"""AlloMia's call log and its records of calls, as AlloMia answers them. Source: docs.allomia.com, call API.

A field that can't be read costs that field and no other.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from outbound_calls.contracts.partial_json import MAX_VALUE_LENGTH, decoded, elements_of, members_of, value_of
from outbound_calls.contracts.wire import InvalidInput, Lenient, WireModel, validate

_MAX_WORD_LENGTH = 1000
_MAX_TIME_LENGTH = 64
_MAX_URL_LENGTH = 8192

type _Word = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_WORD_LENGTH)]
type _Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VALUE_LENGTH)]
type _Time = Annotated[str, StringConstraints(max_length=_MAX_TIME_LENGTH)]
type _LogId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
type _Link = Annotated[str, StringConstraints(pattern="^https?://", max_length=_MAX_URL_LENGTH)]


def _no_boolean(value: object) -> object:
    return None if isinstance(value, bool) else value


class LogEntry(WireModel):
    """An entry of AlloMia's call log. A field that is missing or can't be read is None.

    The numbers and the links belong in no log, so its text doesn't have them.
    """

    model_config = ConfigDict(defer_build=True)

    id: Lenient[_LogId] = Field(None, description="not documented to be the call's outboundCallId")
    organization_id: Lenient[_Word] = None
    call_type: Lenient[_Word] = Field(None, description="Inbound, Outbound or Web")
    agent_id: Lenient[_Word] = Field(None, description="the assistant's id")
    phone_number: Lenient[_Word] = Field(None, repr=False)
    user_phone_number: Lenient[_Word] = Field(None, repr=False)
    call_started_at: Lenient[_Time] = Field(None, description="ISO 8601")
    call_ended_at: Lenient[_Time] = Field(None, description="ISO 8601")
    call_duration_seconds: Lenient[
        # AlloMia documents a text. pydantic would read true as a second.
        Annotated[float, BeforeValidator(_no_boolean), Field(ge=0, le=10**9, allow_inf_nan=False)]
    ] = None
    created_at: Lenient[_Time] = Field(None, description="ISO 8601")


class CallRecord(LogEntry):
    """AlloMia's record of a call. The links are pre-signed: who has one can read the file, for an hour."""

    call_ended_reason: Lenient[_Word] = None
    outcome: Lenient[_Word] = Field(None, description="extracted by AI, e.g. appointment_confirmed")
    call_summary: Lenient[_Text] = Field(None, repr=False)
    french_summary: Lenient[_Text] = Field(None, repr=False)
    transcript_url: Lenient[_Link] = Field(None, repr=False)
    recording_url: Lenient[_Link] = Field(None, repr=False)


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of AlloMia's call log."""

    entries: list[LogEntry]
    unreadable: int
    """Entries of which nothing can be read. Each of them may be the one that is looked for."""
    more: bool | None
    """Whether there is another page; None when AlloMia doesn't say."""

    total: int | None
    """How many entries all pages have; None when AlloMia doesn't say."""


def read_log_page(body: bytes) -> LogPage:
    """Read a page of the call log.

    Raises:
        InvalidInput: When it isn't a JSON object with a list of calls.
    """
    members = members_of(decoded(body)) or {}
    written = elements_of(members.get("calls", ""))
    if written is None:
        raise InvalidInput("calls", "a list")
    found = [members_of(each) for each in written]
    entries = [_read(LogEntry, each) for each in found if each]
    readable = [each for each in entries if each.model_dump(exclude_none=True)]
    return LogPage(
        entries=readable, unreadable=len(written) - len(readable), more=_more(members), total=_total(members)
    )


def _more(members: dict[str, str]) -> bool | None:
    pagination = members_of(members.get("pagination", "")) or {}
    more, page, pages = (value_of(pagination.get(name, "")) for name in ("hasNextPage", "page", "totalPages"))
    if isinstance(more, bool):
        return more
    return page < pages if isinstance(page, int) and isinstance(pages, int) else None


def _total(members: dict[str, str]) -> int | None:
    total = value_of((members_of(members.get("pagination", "")) or {}).get("total", ""))
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def read_call_record(body: bytes) -> CallRecord:
    """Read AlloMia's record of a call.

    Raises:
        InvalidInput: When it isn't a JSON object, or says nothing that is known.
    """
    members = members_of(decoded(body)) or {}
    record = _read(CallRecord, members | _undocumented(members))
    if not record.model_dump(exclude_none=True):
        raise InvalidInput("body", "a call's record")
    return record


def _undocumented(members: dict[str, str]) -> dict[str, str]:
    """The members with an outcome and a French summary, whose names AlloMia doesn't document. The shortest is taken."""
    found: dict[str, str] = {}
    for name in sorted(members, key=len, reverse=True):
        plain = re.sub("[^a-z]", "", name.lower())
        if not isinstance(value_of(members[name]), str):
            continue
        if "outcome" in plain:
            found["outcome"] = members[name]
        elif "summary" in plain and "fr" in plain:
            found["frenchSummary"] = members[name]
    return found


def _read[Model: WireModel](kind: type[Model], members: dict[str, str]) -> Model:
    """A model of the members that it knows, each of which may be unreadable."""
    known = {str(info.alias) for info in kind.model_fields.values()} & members.keys()
    values: dict[str, Any] = {name: value_of(members[name]) for name in known}
    return validate(kind, values)
