"""Resolve many unknown calls at once: those that a file names with what was found out, or all that a filter finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from pydantic_core import from_json

from calls.operations.cancelling import request_key
from calls.operations.in_parallel import in_parallel
from calls.operations.preflight import InvalidRow
from calls.operations.records import Records, tally
from calls.operations.requests_file import Columns, Row
from calls.operations.resolving import Finding, NotAllowed, Resolving, choose_unknown
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, AttemptNumber, InvalidInput, OrganizationName, WireModel
from outbound_calls.domain.attempts import AttemptKey, RequestKey

COLUMNS = Columns(("requestId", "outcome", "attempt", "organization"), required="requestId")
"""The columns of a file of outcomes that people found out."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A row of such a file. Without an attempt it is about the last one that is unknown."""

    row: int
    request: RequestKey
    attempt: int | None
    finding: Finding


class UnresolvedCall(WireModel):
    """A call that isn't recorded, and why."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: str
    attempt: AttemptNumber | None = None
    row: int | None = Field(None, description="the row that names it, where a file does")
    reason: str


class ManyResolved(WireModel):
    """The result of resolving many calls. Before the question it says what would be recorded."""

    to_record: int
    by_outcome: dict[str, int] = Field(description="how many of these with each outcome")
    left: list[UnresolvedCall] = Field(description="not to be recorded, because they aren't unknown")
    recorded: int | None = Field(None, description="absent before the question was answered")
    not_recorded: list[UnresolvedCall] = Field(
        default_factory=list, description="not confirmed, or another outcome came first"
    )


def read_findings(rows: Iterable[Row], default: Finding | None) -> tuple[list[FindingRow], list[InvalidRow]]:
    """The rows of a file, and those that are invalid. `default` is the outcome where a row names none."""
    found: dict[tuple[RequestKey, int | None], FindingRow] = {}
    invalid: list[InvalidRow] = []
    for row in rows:
        try:
            one = _read(row, default)
            same = found.setdefault((one.request, one.attempt), one)
            if same.finding is not one.finding:
                raise InvalidInput("outcome", f"one for each call: row {same.row} says {same.finding}")
        except InvalidInput as error:
            invalid.append(InvalidRow.of(row, error))
    return list(found.values()), invalid


def _read(row: Row, default: Finding | None) -> FindingRow:
    if row.error:
        raise row.error
    try:
        fields: Any = from_json(row.message)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidInput("row", "a JSON object")
    if not isinstance(request_id := fields.get("requestId"), str):
        raise InvalidInput("requestId", "required")
    outcome = fields.get("outcome") or default
    if outcome not in list(Finding):
        raise InvalidInput("outcome", f"one of {', '.join(Finding)}")
    return FindingRow(
        row.number, request_key(request_id, fields.get("organization")), _attempt(fields), Finding(outcome)
    )


def _attempt(fields: Mapping[str, Any]) -> int | None:
    text = str(fields.get("attempt") or "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_ATTEMPT_NUMBER):
        raise InvalidInput("attempt", f"a number from 1 to {MAX_ATTEMPT_NUMBER}")
    return int(text)


@dataclass(frozen=True, slots=True)
class ResolvingMany:
    """Plans and records outcomes."""

    records: Records
    resolving: Resolving

    def plan_rows(self, rows: Sequence[FindingRow]) -> tuple[ManyResolved, dict[AttemptKey, Finding]]:
        """What these rows would record. Reads each attempt of their requests once."""
        found = self.records.requests(row.request for row in rows)
        chosen: dict[AttemptKey, Finding] = {}
        left: list[UnresolvedCall] = []
        for row in rows:
            statuses = {each.attempt: each.status for each in found.get(row.request, [])}
            try:
                if not statuses:
                    raise NotAllowed("there is no record of this request")
                key = AttemptKey(row.request, choose_unknown(statuses, row.attempt))
                if chosen.setdefault(key, row.finding) is not row.finding:
                    raise NotAllowed(f"another row says that attempt {key.number} is {chosen[key]}")
            except NotAllowed as error:
                left.append(_unresolved(row.request, row.attempt, str(error), row.row))
        return _plan(chosen, left), chosen

    def plan_found(
        self,
        organizations: Iterable[str | None],
        since: float,
        until: float,
        batch: str | None,
        finding: Finding,
    ) -> tuple[ManyResolved, dict[AttemptKey, Finding]]:
        """What would be recorded for every call that became unknown in that time (epoch seconds).

        Except those that a person left unknown.

        From the index of what ended, and no more of it than those days.
        """
        chosen = {
            each.key: finding
            for organization in organizations
            for each in self.records.ended(organization, since, until)
            if each.status is Status.UNKNOWN
            and each.outcome_source is not OutcomeSource.OPERATOR
            and batch in {None, each.batch}
        }
        return _plan(chosen, []), chosen

    def record(
        self, plan: ManyResolved, chosen: Mapping[AttemptKey, Finding], on_done: Callable[[UnresolvedCall | None], None]
    ) -> ManyResolved:
        """Record what was planned. `on_done` gets, for each call, why it isn't recorded, or None."""
        done = in_parallel(self._record, chosen.items(), on_done)
        return so_far(plan, done)

    def _record(self, one: tuple[AttemptKey, Finding]) -> UnresolvedCall | None:
        key, finding = one
        try:
            self.resolving.record_attempt(key, finding)
        except NotAllowed as error:
            return _unresolved(key.request, key.number, str(error))
        except WriteUnanswered:
            return _unresolved(key.request, key.number, "not confirmed: run the same command again")
        return None


def so_far(plan: ManyResolved, done: Sequence[UnresolvedCall | None]) -> ManyResolved:
    """The result, as far as it is known."""
    not_recorded = [each for each in done if each]
    return plan.model_copy(update={"recorded": len(done) - len(not_recorded), "not_recorded": not_recorded})


def _plan(chosen: Mapping[AttemptKey, Finding], left: list[UnresolvedCall]) -> ManyResolved:
    return ManyResolved(to_record=len(chosen), by_outcome=tally(chosen.values()), left=left)


def _unresolved(request: RequestKey, attempt: int | None, reason: str, row: int | None = None) -> UnresolvedCall:
    return UnresolvedCall(
        organization=request.organization, request_id=request.request_id, attempt=attempt, row=row, reason=reason
    )
