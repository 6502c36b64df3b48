"""What the owner of a claim takes before the POST, and gives back where AlloMia is known not to have the call.

The dial that recipient caps count, and a line where concurrent calls are limited. What isn't limited takes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.policy_table import TakenDial
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.lines import HELD_AFTER_DEADLINE_SECONDS, line_of_claim, line_reserved_for
from outbound_calls.domain.recipients import PastDial
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS
from outbound_calls.policy.evaluation import UNREADABLE_LOOK_SECONDS, Reject, Wait, window_closes_at
from outbound_calls.use_cases.decide import attempt_name, candidate_of

if TYPE_CHECKING:
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.domain.attempts import Attempt
    from outbound_calls.domain.lines import Lines
    from outbound_calls.policy.rules import Rules
    from outbound_calls.use_cases.decide import JudgeAttempts, Judgement

_MAX_REPEATS = 5


@dataclass(eq=False, slots=True)
class Limits:
    """The limits for one attempt that is to be dialled, by a decision that began at `decided_at` (epoch seconds)."""

    judge: JudgeAttempts
    table: CallsTable
    lines_table: LinesTable
    judgement: Judgement
    decided_at: float
    deadline_seconds: int
    clock: Callable[[], float]
    _taken: list[Callable[[], object]] = field(default_factory=list)
    """What gives back what was taken."""

    @property
    def max_concurrent_calls(self) -> int | None:
        """How many calls may be in progress at once; None for as many as it takes."""
        return self.judgement.max_concurrent_calls

    def look(self, attempt: Attempt) -> Wait | None:
        """Look whether there is a line, which only saves writes. Returns what to wait for where there is none."""
        rules = self.judgement.rules
        if rules is None or self.max_concurrent_calls is None:
            return None
        organization = attempt.key.request.organization
        try:
            lines = self.lines_table.read_lines(organization)
            if not lines.is_counted(rules.limited_since):
                from outbound_calls.use_cases.count_calls import CountCalls

                counting = CountCalls(self.table, self.lines_table, self.deadline_seconds, self.clock)
                lines = counting.count_in_progress(organization, lines, rules.limited_since)
        except (BotoCoreError, ClientError, WriteUnanswered) as error:
            return self._lines_unreadable(error)
        return wait_for_line(attempt, self.judgement, lines, self.decided_at)

    def take(self, claimed: Attempt) -> Wait | None:
        """Take what a claimed attempt needs. Returns what to wait for where it can't be had: then nothing is taken."""
        wait = self._take_dial(claimed) or self._take_line(claimed)
        if wait is not None:
            self.give_back()
        return wait

    def give_back(self) -> None:
        """Give back what was taken for a call that AlloMia is known not to have.

        If that fails the dial counts, and less is dialled; and the stream gives back the line.
        """
        while self._taken:
            with suppress(BotoCoreError, ClientError):
                self._taken.pop()()

    def _take_dial(self, claimed: Attempt) -> Wait | None:
        """Remember the dial, if every cap still allows it.

        It counts from the latest time at which it may be posted: no dial is closer to it than a cap says.
        """
        rules, judgement = self.judgement.rules, self.judgement
        if rules is None or not rules.caps:
            return None
        key, number_hash, table = claimed.key, judgement.number_hash, self.judge.table
        name, claim_id = attempt_name(key), claimed.claim_id or ""
        dial = PastDial(self.decided_at + MAX_DECISION_AGE_SECONDS, key.request.organization, claimed.labels.purpose)
        try:
            for _ in range(_MAX_REPEATS):
                now = self.clock()
                if table.take_dial(number_hash, judgement.remembered, TakenDial(name, claim_id, dial), now):
                    self._taken.append(lambda: table.give_back_dial(number_hash, name, claim_id, self.clock()))
                    return None
                judgement = self.judge.again(judgement, claimed, table.remembered(number_hash), now)
                if isinstance(judgement.decision, Wait):
                    return judgement.decision
                if isinstance(judgement.decision, Reject):
                    break
        except (BotoCoreError, ClientError) as error:
            return wait_for_the_table(self.clock(), error)
        # Rejected meanwhile, or too many dial this number at once: the next look decides.
        return Wait(int(self.clock()) + 1, ParkReason.RECIPIENT_CAP, "the number is being dialled by others")

    def _take_line(self, claimed: Attempt) -> Wait | None:
        """Take a line for a claim."""
        rules = self.judgement.rules
        if rules is None or rules.max_concurrent_calls is None:
            return None
        organization, line = claimed.key.request.organization, line_of_claim(claimed.claim_id or "")
        try:
            if self._line_taken(claimed, rules.max_concurrent_calls):
                self._taken.append(lambda: self.lines_table.give_back_lines(organization, [line]))
                return None
        except (BotoCoreError, ClientError) as error:
            # It may have been taken: the stream gives it back once the claim is released.
            return self._lines_unreadable(error)
        return _wait_for_line(claimed, self.judgement, rules, self.decided_at)

    def _line_taken(self, claimed: Attempt, limit: int) -> bool:
        organization, table, now = claimed.key.request.organization, self.lines_table, self.clock()
        claim_id, reserved, priority = claimed.claim_id or "", line_reserved_for(claimed.key), claimed.terms.priority
        until = now + self.deadline_seconds + HELD_AFTER_DEADLINE_SECONDS
        if table.take_line(organization, claim_id, reserved, priority, limit, until):
            return True
        lines = table.read_lines(organization)
        if not lines.lapsed(now):
            return False
        table.drop_lapsed(organization, lines, now)
        return table.take_line(organization, claim_id, reserved, priority, limit, until) is not None

    def _lines_unreadable(self, error: Exception) -> Wait:
        look = int(self.clock()) + UNREADABLE_LOOK_SECONDS
        words = f"the lines in use can't be read or written: {type(error).__name__}"
        return Wait(look, ParkReason.POLICY_UNREADABLE, words)


def wait_for_line(attempt: Attempt, judgement: Judgement, lines: Lines, now: float) -> Wait | None:
    """What an attempt that may be dialled waits for while no line is free for it; None where one is, or none is needed.

    place_call and the explanations share it.
    """
    rules = judgement.rules
    if rules is None or rules.max_concurrent_calls is None:
        return None
    if not lines.is_counted(rules.limited_since):
        words = "the limit of calls at once is new, and the calls in progress are yet to be counted"
        return _wait_for_line(attempt, judgement, rules, now, words)
    reserved = line_reserved_for(attempt.key)
    if lines.admits(attempt.terms.priority, reserved, rules.max_concurrent_calls, now):
        return None
    if lines.is_free(rules.max_concurrent_calls, now):
        return _wait_for_line(attempt, judgement, rules, now, "others wait for a line, and come first")
    return _wait_for_line(attempt, judgement, rules, now)


def _wait_for_line(attempt: Attempt, judgement: Judgement, rules: Rules, now: float, words: str = "") -> Wait:
    """Wait for a line, but not for longer than the window is open, nor past the expiry."""
    closing = window_closes_at(candidate_of(attempt), rules, now)
    ends = [each for each in (closing, judgement.expires_at and judgement.expires_at + 1) if each]
    words = words or f"as many calls are in progress as the policy allows at once: {rules.max_concurrent_calls}"
    return Wait(math.ceil(min(ends)), ParkReason.CONCURRENCY_LIMIT, words)


def wait_for_the_table(now: float, error: Exception) -> Wait:
    """What an attempt waits for while what policy remembers can't be written."""
    words = f"what policy remembers can't be written: {type(error).__name__}"
    return Wait(int(now) + UNREADABLE_LOOK_SECONDS, ParkReason.POLICY_UNREADABLE, words)
