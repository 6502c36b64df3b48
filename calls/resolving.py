"""Settle by hand what became of a call: record what a person found out, or have the request dialled again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from calls.masking import Mask
from calls.preflight import Complete
from outbound_calls.contracts import MAX_ATTEMPT, Attempt, AttemptKey, CallRequest, RequestId, Wire
from outbound_calls.ledger import Ledger, Recorded
from outbound_calls.lifecycle import TERMINAL, Status
from outbound_calls.reports import CallReport, Reports

REDIAL = "redial"
"""The `parkReason` of an attempt that a person asked for, until it is released."""


class Finding(StrEnum):
    """What a person may find out: AlloMia's own outcomes."""

    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"


class NotAllowed(Exception):
    """The request does not stand as it must for this. Says how it stands."""


class Resolved(Wire):
    """What was recorded."""

    request_id: RequestId
    attempt: Attempt
    status: Status


class Redial(Wire):
    """A further attempt, before it is made: whom it calls, and what became of those before."""

    request_id: RequestId
    attempt: Attempt = Field(description="the new one")
    phone_number: str
    last_status: Status
    last_reason: str | None = None
    metadata_kept: bool = Field(description="true when it is the record's, since none was given")


@dataclass(frozen=True, slots=True)
class Resolving:
    """The two ways to settle a call by hand; `clock` is epoch seconds."""

    ledger: Ledger
    reports: Reports
    complete: Complete
    clock: Callable[[], float] = time.time

    def record(self, request_id: str, finding: Finding) -> Resolved:
        """Record what a person found out of the last attempt. Its event goes out as for any other outcome.

        Raises:
            NotAllowed: when there is no such request, or its last attempt is not `unknown` (any more).
        """
        last = self._report(request_id).attempts[-1]
        key = AttemptKey(request_id=request_id, attempt=last.attempt)
        status = Status(finding)
        result = self.ledger.resolve(key, status, self.clock()).result
        if result is not Recorded.STORED:
            now = self._report(request_id)
            raise NotAllowed(f"attempt {last.attempt} is {now.status}; only what is unknown can be resolved")
        return Resolved(request_id=request_id, attempt=last.attempt, status=status)

    def prepare(self, request_id: str, request: CallRequest, force: bool, mask: Mask) -> tuple[Redial, CallRequest]:
        """What a further attempt would be. The record holds the request no more, so it has to be given again.

        Raises:
            NotAllowed: when the last attempt has not ended, or is `completed` (unless `force`), or there are too many.
            InvalidInput: when the request names no assistant or number and the stack has no default.
        """
        report = self._report(request_id)
        last = report.attempts[-1]
        if last.status not in TERMINAL:
            raise NotAllowed(f"attempt {last.attempt} is {last.status}: it has not ended yet")
        if last.status is Status.COMPLETED and not force:
            raise NotAllowed(f"attempt {last.attempt} is completed: the call took place (--force dials all the same)")
        if last.attempt >= MAX_ATTEMPT:
            raise NotAllowed(f"there have been {last.attempt} attempts, and there cannot be more")
        kept = request.metadata is None and bool(report.metadata)
        metadata = report.metadata if kept else request.metadata
        completed = self.complete(request.model_copy(update={"request_id": request_id, "metadata": metadata}))
        redial = Redial(
            request_id=request_id,
            attempt=last.attempt + 1,
            phone_number=mask(request.phone_number),
            last_status=last.status,
            last_reason=last.reason,
            metadata_kept=kept,
        )
        return redial, completed

    def dial_again(self, redial: Redial, request: CallRequest) -> AttemptKey:
        """Make the further attempt: parked and due at once, so that the poller's next sweep releases it.

        Raises:
            NotAllowed: when somebody else has made it meanwhile, or the last one has another outcome by now.
        """
        if self._report(redial.request_id).status is not redial.last_status:
            raise NotAllowed("its status has changed meanwhile: look again")
        key = AttemptKey(request_id=redial.request_id, attempt=redial.attempt)
        now = self.clock()
        if not self.ledger.schedule(key, request, now, due_at=now, reason=REDIAL):
            raise NotAllowed(f"attempt {redial.attempt} has been made meanwhile")
        return key

    def _report(self, request_id: str) -> CallReport:
        report = self.reports.of(request_id)
        if report is None:
            raise NotAllowed("there is no record of this request")
        return report
