"""Cancel requests: what isn't dialled yet never is, and what is in progress is followed by no redial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from outbound_calls.contracts.vocabulary import ReasonCode, Status
from outbound_calls.domain.attempts import Outcome
from outbound_calls.domain.transitions import TERMINAL

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.contracts.vocabulary import OutcomeSource
    from outbound_calls.domain.attempts import Attempt, RequestKey

_MAX_LOOKS = 20


class CancelResult(StrEnum):
    """What a cancellation changed."""

    CANCELLED = "cancelled"
    UNSEEN = "cancelled-unseen"
    """The stack had no record of the request. A message for it that comes later is a duplicate."""

    TOO_LATE = "too-late"
    """In progress: the person may have been dialled. No redial follows."""

    REDIAL_DROPPED = "redial-dropped"
    """It had ended, and another attempt was to follow. None does."""

    ENDED = "ended"
    """It had ended. Nothing changed."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancellation changed, and the request's last attempt as it was (None: no record)."""

    result: CancelResult
    attempt: Attempt | None


class RequestKeepsChanging(Exception):
    """Each time a request was read, it changed before the cancellation could be written."""


@dataclass(eq=False, slots=True)
class CancelRequests:
    """The use case. `clock` is epoch seconds."""

    table: CallsTable
    clock: Callable[[], float] = time.time

    def cancel(self, request: RequestKey, source: OutcomeSource) -> Cancelled:
        """Cancel a request: one conditional write on its last attempt as it was read, until one holds.

        Raises:
            RequestKeepsChanging: When none does.
        """
        for _ in range(_MAX_LOOKS):
            attempts = self.table.read_all(request)
            last = attempts[-1] if attempts else None
            result = _result(last)
            if result is CancelResult.ENDED or self._write(request, last, source):
                return Cancelled(result, last)
        raise RequestKeepsChanging

    def _write(self, request: RequestKey, last: Attempt | None, source: OutcomeSource) -> bool:
        now = self.clock()
        if last is None:
            return self.table.cancel_unseen(request, source, now)
        if last.status is Status.SCHEDULED:
            outcome = Outcome(Status.CANCELLED, source, reason_code=ReasonCode.CANCELLED)
            # A request that was dialled ends with its last outcome.
            write = self.table.drop if last.is_redial else self.table.cancel_scheduled
            return write(last, outcome, now)
        if last.redial_at is not None:
            return self.table.drop_redial(last, now, requested=True)
        return self.table.request_cancel(last, source, now)


def _result(last: Attempt | None) -> CancelResult:
    if last is None:
        return CancelResult.UNSEEN
    if last.status is Status.SCHEDULED and not last.is_redial:
        return CancelResult.CANCELLED
    if last.status is Status.SCHEDULED or last.redial_at is not None:
        return CancelResult.REDIAL_DROPPED
    return CancelResult.ENDED if last.status in TERMINAL else CancelResult.TOO_LATE
