"""Resolve a call by hand: record what a person found out, or have the request dialled again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import Field

from calls.operations.following import Following
from calls.operations.masking import Mask
from calls.operations.preflight import RowIds, read_row
from calls.operations.requests_file import Row
from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.status_api import RequestReport
from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import (
    MAX_ATTEMPT_NUMBER,
    AttemptNumber,
    InvalidInput,
    OrganizationName,
    RequestId,
    WireModel,
)
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.new_attempt import Defaults, terms_of, with_defaults


class Finding(StrEnum):
    """What a person may find out: AlloMia's own outcomes, or that it can't be found out."""

    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    UNKNOWN = "unknown"
    """No one will find out: the call stays unknown, and no longer needs a person."""


class NotAllowed(Exception):
    """The state of the request doesn't allow this. Says which state."""


class Resolved(WireModel):
    """The outcome that was recorded."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    status: Status


class Redial(WireModel):
    """Another attempt before it is made: the number to call, and how the last attempt ended."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber = Field(description="the new one")
    phone_number: str
    last_status: Status
    last_reason_code: ReasonCode | None = None
    last_reason: str | None = None
    metadata_kept: bool = Field(description="true when the record's metadata is used, because none was given")


class RedialReport(WireModel):
    """Another attempt that was made."""

    redial: Redial
    following: Following | None = Field(None, description="with --wait: the state of the call")


@dataclass(frozen=True, slots=True)
class Resolving:
    """The two ways to resolve a call by hand. `clock` is epoch seconds; `by` is the ARN of who does it."""

    table: CallsTable
    defaults: Defaults
    clock: Callable[[], float] = time.time
    by: str | None = None

    def unknown_attempt(self, request: RequestKey, number: int | None) -> AttemptKey:
        """The attempt to resolve: this one, or else the last one that is `unknown`, whatever was made after it.

        Raises:
            NotAllowed: When there is no such attempt, or it is not `unknown` (any more).
        """
        statuses = {each.attempt: each.status for each in self._report(request).attempts}
        return AttemptKey(request, choose_unknown(statuses, number))

    def record(self, request: RequestKey, finding: Finding, number: int | None = None) -> Resolved:
        """Record what a person found out about an attempt. Its event is published like that of any outcome.

        Raises:
            NotAllowed: As `unknown_attempt`, or when another outcome came first.
        """
        return self.record_attempt(self.unknown_attempt(request, number), finding)

    def record_attempt(self, key: AttemptKey, finding: Finding) -> Resolved:
        """Record what a person found out about exactly this attempt.

        Raises:
            NotAllowed: When it has another outcome.
        """
        status = Status(finding)
        written = _answered(lambda: self._write(key, status))
        # Whatever the answer was, the table has what was written.
        found = None if written else self.table.read(key)
        if found and found.status is not status:
            raise NotAllowed(f"attempt {key.number} is {found.status} now; only an unknown call can be resolved")
        return Resolved(
            organization=key.request.organization,
            request_id=key.request.request_id,
            attempt=key.number,
            status=status,
        )

    def _write(self, key: AttemptKey, status: Status) -> bool:
        if status is Status.UNKNOWN:
            return self.table.leave_unknown(key, self.by)
        return self.table.resolve(key, status, self.clock(), self.by).stored

    def prepare(
        self, request: RequestKey, message: CallRequestMessage, force: bool, mask: Mask
    ) -> tuple[Redial, Attempt]:
        """Another attempt that could be made. The record no longer holds the request, so the caller passes it again.

        Raises:
            NotAllowed: When the last attempt has not ended, or the person answered one (unless `force`), or there are
                too many.
            InvalidInput: When the request names no assistant or number and the stack has no default.
        """
        attempts = self._attempts(request)
        report = request_report(attempts)
        last = report.attempts[-1]
        if last.status not in TERMINAL:
            raise NotAllowed(f"attempt {last.attempt} is {last.status}: it has not ended yet")
        if not force and (answered := next(filter(shows_an_answer, attempts), None)):
            fact = f"is {answered.status}: " if answered.status is Status.COMPLETED else "shows that "
            raise NotAllowed(f"attempt {answered.key.number} {fact}the call took place (--force dials anyway)")
        if last.attempt >= MAX_ATTEMPT_NUMBER:
            raise NotAllowed(f"the request has {last.attempt} attempts, and more are not possible")
        kept = message.metadata is None and bool(report.metadata)
        metadata = report.metadata if kept else message.metadata or {}
        labels = Labels(metadata, message.batch or report.batch, message.purpose or report.purpose)
        key = AttemptKey(request, last.attempt + 1)
        now = int(self.clock())
        terms = terms_of(message, now)
        if terms.not_after is not None and terms.not_after < now:
            raise NotAllowed("the request's notAfter has passed, so it would not be dialled")
        call = with_defaults(message, self.defaults.of(request.organization))
        attempt = Attempt(key, now, request=call, labels=labels, terms=terms)
        redial = Redial(
            organization=request.organization,
            request_id=request.request_id,
            attempt=key.number,
            phone_number=mask(message.phone_number),
            last_status=last.status,
            last_reason_code=last.reason_code,
            last_reason=last.reason,
            metadata_kept=kept,
        )
        return redial, attempt

    def dial_again(self, redial: Redial, attempt: Attempt) -> AttemptKey:
        """Make the prepared attempt: parked and due at once, so that the poller's next sweep dispatches it.

        Raises:
            NotAllowed: When another person made it meanwhile, or the last attempt has another outcome now.
        """
        now = self.clock()
        made = replace(attempt, created_at=int(now))
        last = self.table.read(AttemptKey(made.key.request, made.key.number - 1))
        if last is None or last.status is not redial.last_status:
            raise NotAllowed("its status has changed meanwhile: check it again")
        written = _answered(lambda: self.table.make_next(last, made, ParkReason.DIAL_AGAIN, now))
        if not written and not self._is_there(made):
            raise NotAllowed(f"attempt {attempt.key.number} was made meanwhile, or the last one has changed")
        return attempt.key

    def _is_there(self, made: Attempt) -> bool:
        """Whether the table has this attempt."""
        found = self.table.read(made.key)
        return (
            found is not None
            and (found.created_at, found.labels) == (made.created_at, made.labels)
            and found.request in (None, made.request)
        )

    def _report(self, request: RequestKey) -> RequestReport:
        return request_report(self._attempts(request))

    def _attempts(self, request: RequestKey) -> list[Attempt]:
        attempts = self.table.read_all(request)
        if not attempts:
            raise NotAllowed("there is no record of this request")
        return attempts


def shows_an_answer(attempt: Attempt) -> bool:
    """Whether the person answered this attempt, or one before it that had another outcome by then."""
    return attempt.answered_at is not None or reports_an_answer(attempt.status, attempt.reason_code)


def reports_an_answer(status: Status | None, reason_code: ReasonCode | None) -> bool:
    """Whether an attempt ended like this because the person answered it, or one before it."""
    return status is Status.COMPLETED or reason_code is ReasonCode.ANSWERED_MEANWHILE


def choose_unknown(statuses: Mapping[int, Status], number: int | None) -> int:
    """Of the attempts of a request with their statuses: this one, or else the last one that is `unknown`.

    Raises:
        NotAllowed: When there is no such attempt, or it is not `unknown` (any more).
    """
    unknown = [each for each, status in statuses.items() if status is Status.UNKNOWN]
    chosen = number or max(unknown or statuses)
    if chosen not in statuses:
        raise NotAllowed(f"there is no attempt {chosen} of this request")
    if chosen not in unknown:
        raise NotAllowed(f"attempt {chosen} is {statuses[chosen]}; only an unknown call can be resolved")
    return chosen


def _answered[T](write: Callable[[], T]) -> T:
    """Make a write. One that DynamoDB doesn't answer may have been made, so it is made again, which shows."""
    try:
        return write()
    except WriteUnanswered:
        return write()


def request_in_file(request: RequestKey, rows: Iterable[Row], ids: RowIds, defaults: Defaults) -> CallRequestMessage:
    """The one valid request of a file with this key, whose id is its own or a derived one.

    Raises:
        NotAllowed: When there is none, or several with different content.
    """
    found: list[CallRequestMessage] = []
    for row in rows:
        try:
            checked = read_row(row, ids, defaults)
        except InvalidInput:
            continue
        if checked.key.request == request and checked.request not in found:
            found.append(checked.request)
    if len(found) != 1:
        raise NotAllowed(f"the file has {len(found)} valid rows for this request, and must have one")
    return found[0]
