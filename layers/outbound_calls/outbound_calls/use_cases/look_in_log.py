"""Look for an attempt's call in AlloMia's call log, where its answer and its webhook were both lost.

The last resort before `unknown`. Nothing that is found or not found here allows another dial. Only `sweep` loads this
module, and only where there is something to look for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from outbound_calls.adapters.allomia import MAX_EXCHANGE_SECONDS, NOT_FOUND, StatusUnavailable
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.dial_marks import RIVALS_KNOWN_SECONDS
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import Uuid, validate
from outbound_calls.domain.attempts import CallDetails, Outcome
from outbound_calls.domain.log_matches import NoMatch, Sought, Window, match, took_place
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS
from outbound_calls.use_cases.polls import SHORT_OF_TIME

if TYPE_CHECKING:
    from outbound_calls.adapters.allomia import AllomiaClient
    from outbound_calls.adapters.dial_marks import DialMarks
    from outbound_calls.adapters.organizations import Organization
    from outbound_calls.contracts.call_log import LogEntry
    from outbound_calls.domain.attempts import Attempt
    from outbound_calls.use_cases.log_reads import LogReads

DISPATCH_TO_ANSWER_SECONDS = MAX_DECISION_AGE_SECONDS + MAX_EXCHANGE_SECONDS
"""From the dispatch to the end of the longest exchange."""

RIVAL = "the call log shows a call that another attempt may have made"
TOO_LATE = "the call log is read too late to tell whose calls it shows"
RANG = "the call log shows that the phone rang, and AlloMia reports no outcome"


@dataclass(frozen=True, slots=True)
class LogFinding:
    """What the log shows: an outcome; or why there is none, in words for a person."""

    outcome: Outcome | None = None
    words: str = ""
    outbound_call_id: str | None = None
    call_log_id: str | None = None
    """The entry that is the call. The phone rang."""


@dataclass(frozen=True, slots=True)
class NotRead:
    """The log couldn't be read whole, or AlloMia not be asked about the call that it shows (`call_log_id`)."""

    reason: str
    call_log_id: str | None = None


@dataclass(eq=False, slots=True)
class LookInLog:
    """The use case."""

    allomia: AllomiaClient
    marks: DialMarks

    def look(self, attempt: Attempt, organization: Organization, reads: LogReads, now: float) -> LogFinding | NotRead:
        """Look for the call of a claimed attempt, of which AlloMia gave no id.

        Raises when the policy table can't be reached.
        """
        id_, number_hash, request = organization.organization_id, attempt.number_hash, attempt.request
        if not (id_ and number_hash and request and request.assistant_id and attempt.dispatched_at):
            raise ValueError("not looked for")
        if now >= attempt.dispatched_at + RIVALS_KNOWN_SECONDS:
            return LogFinding(words=TOO_LATE)
        window = Window.around(attempt.dispatched_at, DISPATCH_TO_ANSWER_SECONDS)
        read = reads.window(CallLog(self.allomia), organization, window)
        if isinstance(read, str):
            return NotRead(read)
        entry = match(Sought(request.phone_number, request.assistant_id, window), read.entries, read.unreadable)
        if isinstance(entry, NoMatch):
            return LogFinding(words=entry)
        log_id, name = str(entry.id), str(attempt.key)
        if self.marks.has_rival(id_, number_hash, name, window.rivals):
            return LogFinding(words=RIVAL)
        if not self.marks.bind_entry(id_, log_id, name, now):
            return LogFinding(words=RIVAL)
        return self._ask(organization, entry, log_id, reads)

    def _ask(self, organization: Organization, entry: LogEntry, log_id: str, reads: LogReads) -> LogFinding | NotRead:
        """What AlloMia reports of the call. The log's id may be another one than AlloMia's id of the call."""
        if not reads.permit():
            return NotRead(SHORT_OF_TIME, log_id)
        call_id = _call_id(log_id)
        answer = self.allomia.call_status(organization, call_id or log_id)
        if isinstance(answer, StatusUnavailable):
            if answer.reason != NOT_FOUND:
                return NotRead(answer.reason, log_id)
            if not took_place(entry):
                return LogFinding(words=RANG, call_log_id=log_id)
            seconds = round(entry.call_duration_seconds or 0, 6)
            details = CallDetails(entry.call_started_at, entry.call_ended_at, seconds)
            outcome = Outcome(Status.COMPLETED, OutcomeSource.CALL_LOG, call_details=details, call_log_id=log_id)
            return LogFinding(outcome, call_log_id=log_id)
        if answer.outcome is None:
            said = answer.allomia_status or "calling"
            return LogFinding(words=f"{RANG}: {said}", outbound_call_id=call_id, call_log_id=log_id)
        outcome = replace(
            answer.outcome,
            source=OutcomeSource.CALL_LOG,
            outbound_call_id=answer.outcome.outbound_call_id or call_id,
            call_log_id=log_id,
        )
        return LogFinding(outcome, call_log_id=log_id)


def _call_id(log_id: str) -> str | None:
    """The log's id as AlloMia's id of a call; None where it can't be one."""
    kind: Any = Uuid
    try:
        return str(validate(kind, log_id))
    except ValidationError:
        return None
