"""Sweep what is due: dispatch parked attempts, ask AlloMia about calls, give up those without an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from outbound_calls.adapters.allomia import (
    KEY_UNUSABLE,
    NOT_FOUND,
    Found,
    KeyUnusable,
    StatusUnavailable,
)
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, Outcome
from outbound_calls.use_cases.not_found import NotFoundRuns
from outbound_calls.use_cases.polls import (
    KEY_FAULTS,
    KEY_OF_ANOTHER_ORGANIZATION,
    NOT_ASKED,
    SECONDS_TO_POLL,
    SHORT_OF_TIME,
    Poll,
    PollResult,
)

if TYPE_CHECKING:
    from outbound_calls.adapters.allomia import AllomiaClient, StatusAnswer
    from outbound_calls.adapters.calls_table import CallsTable, DueEntry, Recording
    from outbound_calls.adapters.dial_marks import DialMarks
    from outbound_calls.adapters.due_entries import DueBatch, DueKeeper
    from outbound_calls.adapters.organizations import Organization
    from outbound_calls.adapters.policy_table import PolicyTable
    from outbound_calls.adapters.queues import CallQueue
    from outbound_calls.contracts.vocabulary import Preset
    from outbound_calls.domain.timing import PollSchedule
    from outbound_calls.use_cases.hand_on import HandOnLines
    from outbound_calls.use_cases.log_reads import LogReads
    from outbound_calls.use_cases.look_in_log import LogFinding

PATIENCE_SECONDS = 3600
"""How long past its deadline an accepted call is asked about before it is given up, if AlloMia doesn't answer.

At most as long as its deadline. It counts from the first look after the deadline, which may be late.
"""

KEY_PATIENCE_SECONDS = 24 * 3600
"""The same, while the organization has no key that AlloMia accepts for its calls: a person has to replace it.

Not less for a short deadline.
"""

LOG_PATIENCE_SECONDS = 1800
"""How long an attempt is looked for in AlloMia's call log, each sweep, after a read that failed."""

_SECONDS_BETWEEN_LOOKS = 10
"""Less than between two sweeps, so that each sweep looks."""

_SECONDS_BETWEEN_LATE_POLLS = 300

_ENDED_READ = 100
"""How many attempts that have ended are read to find one that AlloMia must know."""


@dataclass(eq=False, slots=True)
class PollCalls:
    """The use case. Parts are shared by the worker threads of a page. `clock` is epoch seconds."""

    table: CallsTable
    policy_table: PolicyTable
    allomia: AllomiaClient
    marks: DialMarks
    queue: CallQueue
    hand_on: HandOnLines
    schedule: PollSchedule
    preset: Preset
    clock: Callable[[], float]
    not_found: NotFoundRuns = field(default_factory=NotFoundRuns)

    def poll(self, due: DueEntry, seconds_left: Callable[[], float], reads: LogReads | None = None) -> Poll:
        """Look at one attempt. Whatever happens after the lease, the attempt comes due again until it has ended.

        `reads`: what is read of AlloMia's call logs, which the attempts of a page share.
        With too little time left it does nothing: the next sweep finds the attempt as it was. Raises when the table or
        the queue can't be reached.
        """
        if seconds_left() < SECONDS_TO_POLL:
            return Poll(PollResult.SKIPPED, due.key, SHORT_OF_TIME)
        now = self.clock()
        attempt = self.table.lease(due, now, self.schedule.grace_seconds)
        if attempt is None:
            return Poll(PollResult.SKIPPED, due.key)
        if attempt.redial_at is not None:
            return self._redial(attempt, attempt.redial_at, now)
        if attempt.status is Status.SCHEDULED:
            self.queue.send_dispatch(attempt)
            return Poll(PollResult.DISPATCHED, attempt.key)
        return self._ask(attempt, now, reads)

    def keep(self, due: DueKeeper, seconds_left: Callable[[], float]) -> Poll:
        """Look at what waits for a condition of an organization.

        Raises when a table can't be reached. The keeper stays due, or comes due again.
        """
        from outbound_calls.use_cases.keep import KeepWaiting

        keep_waiting = KeepWaiting(
            self.hand_on, self.queue, self.policy_table, self.preset, self.schedule.deadline_seconds, self.clock
        )
        kept = keep_waiting.keep(due, seconds_left)
        if kept is None:
            return Poll(PollResult.SKIPPED, None, organization=due.organization)
        return Poll(PollResult.KEPT, None, organization=due.organization, released=kept.released, lines=kept.lines)

    def cancel_batch(self, due: DueBatch, seconds_left: Callable[[], float]) -> Poll:
        """Cancel what is open of a batch that a message cancelled. What isn't reached comes due again.

        Raises when the table can't be reached. The batch then comes due again.
        """
        from outbound_calls.use_cases.cancel_batch import CancelBatches

        done = CancelBatches(self.table, self.clock).go_on(due, seconds_left)
        if done is None:
            return Poll(PollResult.SKIPPED, None, organization=due.organization)
        changed = ", ".join(f"{count} {result}" for result, count in sorted(done.results.items())) or "nothing open"
        detail = f"{due.batch}: {changed}{'' if done.is_whole else '; the next sweep continues'}"
        return Poll(PollResult.BATCH_CANCELLED, None, detail, organization=due.organization)

    def _redial(self, attempt: Attempt, redial_at: int, now: float) -> Poll:
        """Make the attempt that follows, and dispatch it. If that fails, it is due like any parked one."""
        following = Attempt(
            replace(attempt.key, number=attempt.key.number + 1),
            redial_at,
            request=attempt.request,
            labels=attempt.labels,
            terms=replace(attempt.terms, not_before=None),
        )
        if not self.table.make_next(attempt, following, ParkReason.REDIAL, now):
            return Poll(PollResult.SKIPPED, attempt.key)
        self.queue.send_dispatch(replace(following, times_parked=1))
        return Poll(PollResult.REDIALLED, following.key)

    def _ask(self, attempt: Attempt, now: float, reads: LogReads | None) -> Poll:
        waiting = Poll(PollResult.WAITING, attempt.key)
        patience = 0
        if attempt.outbound_call_id:
            answer = self._call_status(attempt, attempt.outbound_call_id, now, reads)
            if isinstance(answer, StatusUnavailable):
                waiting = _unavailable(attempt, answer.reason)
                patience = self._patience(answer.reason)
            elif answer.outcome:
                return _poll(attempt, answer.outcome, self.table.record(attempt.key, answer.outcome, self.clock()))
            elif word := answer.allomia_status:
                waiting = Poll(PollResult.WAITING, attempt.key, allomia_status=word)
                if word != attempt.allomia_status:
                    self.table.note(attempt.key, attempt.outbound_call_id, word, now)
        deadline_at = self._deadline_at(attempt)
        due_at = attempt.due_at or 0
        if now < deadline_at:
            if due_at > deadline_at:
                self.table.set_due(attempt, deadline_at)
            return waiting
        since = int(now) if attempt.sought_since is None else attempt.sought_since
        if now >= since + patience:
            if attempt.number_hash and not attempt.outbound_call_id:
                return self._look(attempt, now, reads, waiting)
            return self._give_up(attempt, waiting)
        step = min(_SECONDS_BETWEEN_LATE_POLLS, self.schedule.deadline_seconds)
        next_look = min(int(now) + step, since + patience, due_at)
        if next_look < due_at or attempt.sought_since is None:
            self.table.set_due(attempt, next_look, since)
        return waiting

    def _deadline_at(self, attempt: Attempt) -> int:
        return self.schedule.deadline_at(attempt.dispatched_at or attempt.created_at)

    def _call_status(self, attempt: Attempt, outbound_call_id: str, now: float, reads: LogReads | None) -> StatusAnswer:
        """What AlloMia reports of a call. That it doesn't know it may be the key's fault."""
        organization = self.allomia.organization_named(attempt.key.request.organization)
        if isinstance(organization, KeyUnusable):
            return StatusUnavailable(KEY_UNUSABLE)
        answer = self.allomia.call_status(organization, outbound_call_id)
        if isinstance(answer, Found):
            self.not_found.end(organization.api_key)
        elif answer.reason == NOT_FOUND:
            is_fault = self.not_found.add(organization.api_key, outbound_call_id)
            if not is_fault and self._is_last_look(attempt, now):
                if reads and not reads.permit():
                    return StatusUnavailable(SHORT_OF_TIME)
                is_fault = self._is_of_another(organization, attempt, now)
            if is_fault:
                self.allomia.organizations.expire()
                return StatusUnavailable(KEY_OF_ANOTHER_ORGANIZATION)
        return answer

    def _is_last_look(self, attempt: Attempt, now: float) -> bool:
        """Whether a call is given up now, if AlloMia doesn't know it."""
        return attempt.sought_since is not None and now >= attempt.sought_since + self._patience(NOT_FOUND)

    def _patience(self, reason: str) -> int:
        """How long past its deadline a call is asked about, for which AlloMia has no answer."""
        if reason in KEY_FAULTS | NOT_ASKED:
            return KEY_PATIENCE_SECONDS
        return min(PATIENCE_SECONDS, self.schedule.deadline_seconds)

    def _is_of_another(self, organization: Organization, attempt: Attempt, now: float) -> bool:
        """Whether the key sees nothing of the organization. One request, before a call is given up.

        The runs of calls that AlloMia doesn't know are counted in each execution environment. Calls that are spread
        over several may make a run in none.
        """
        if organization.organization_id is None:
            known = self._known_call(attempt, now)
            status = self.allomia.call_status(organization, known) if known else None
            return isinstance(status, StatusUnavailable) and status.reason == NOT_FOUND
        from outbound_calls.adapters.call_log import CallLog

        page = CallLog(self.allomia).calls_page(organization, int(now) - 1, int(now), limit=1)
        return isinstance(page, StatusUnavailable) and page.reason == NOT_FOUND

    def _known_call(self, attempt: Attempt, now: float) -> str | None:
        """A call of the same organization that AlloMia reported an outcome of, the first since the attempt's dispatch.

        The key was the same then, most likely.
        """
        since = attempt.dispatched_at or attempt.created_at
        ended = self.table.first_ended(attempt.key.request.organization, since, now, _ENDED_READ)
        return next((each.outbound_call_id for each in ended if each.outcome_source in _REPORTED_BY_ALLOMIA), None)

    def _look(self, attempt: Attempt, now: float, reads: LogReads | None, last: Poll) -> Poll:
        """Look for an attempt's call in AlloMia's call log before it is given up."""
        from outbound_calls.use_cases.log_reads import LogReads
        from outbound_calls.use_cases.look_in_log import LogFinding, LookInLog, NotRead

        organization = self.allomia.organization_named(attempt.key.request.organization)
        looked: LogFinding | NotRead = NotRead(KEY_UNUSABLE)
        if not isinstance(organization, KeyUnusable):
            if organization.organization_id is None:
                return self._give_up(attempt, last)
            looked = LookInLog(self.allomia, self.marks).look(attempt, organization, reads or LogReads(), now)
        if isinstance(looked, NotRead):
            is_asked, since = looked.reason not in NOT_ASKED, attempt.sought_since
            if since is None:
                since = int(now) if is_asked else self._deadline_at(attempt)
            patience = KEY_PATIENCE_SECONDS if looked.reason in KEY_FAULTS | NOT_ASKED else LOG_PATIENCE_SECONDS
            if now < since + patience:
                keep = since if is_asked and attempt.sought_since is None else None
                self.table.set_due(attempt, int(now) + _SECONDS_BETWEEN_LOOKS, keep)
                return _unavailable(attempt, looked.reason)
            words = f"the call log can't be read: {looked.reason}"
            if looked.call_log_id:
                words = f"the call log shows that the phone rang; AlloMia can't be asked about it: {looked.reason}"
            looked = LogFinding(words=words, call_log_id=looked.call_log_id)
        if looked.outcome:
            return _poll(attempt, looked.outcome, self.table.give_up(attempt, looked.outcome, self.clock()))
        return self._give_up(attempt, last, looked)

    def _give_up(self, attempt: Attempt, last: Poll, looked: LogFinding | None = None) -> Poll:
        if attempt.outbound_call_id:
            known = f"AlloMia accepted the call; last poll: {last.detail or last.allomia_status or 'calling'}"
        elif attempt.post_result:
            known = f"AlloMia's answer to the POST was lost: {attempt.post_result}"
        else:
            known = "claimed, and not known to have been posted"
        if (word := attempt.allomia_status) and word != last.allomia_status:
            known += f"; AlloMia's last status: {word}"
        if looked:
            known += f"; {looked.words}"
        outcome = Outcome(
            Status.UNKNOWN,
            OutcomeSource.DEADLINE,
            attempt.outbound_call_id or (looked.outbound_call_id if looked else None),
            reason_code=ReasonCode.NO_OUTCOME,
            reason=f"no outcome within {self.schedule.deadline_seconds} s of dispatch. {known}",
            call_log_id=looked.call_log_id if looked else None,
        )
        return _poll(attempt, outcome, self.table.give_up(attempt, outcome, self.clock()))


_REPORTED_BY_ALLOMIA = frozenset({OutcomeSource.WEBHOOK, OutcomeSource.POLL})


def _unavailable(attempt: Attempt, reason: str) -> Poll:
    result = PollResult.SKIPPED if reason in NOT_ASKED else PollResult.UNAVAILABLE
    return Poll(result, attempt.key, reason)


def _poll(attempt: Attempt, outcome: Outcome, recording: Recording) -> Poll:
    if recording.stored:
        return Poll(PollResult.RECORDED, attempt.key, outcome.reason or "", outcome, recording.attempt)
    return Poll(PollResult.SKIPPED, attempt.key)
