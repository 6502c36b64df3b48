"""Explain a request: what policy says for it now, rule by rule, and why it waits. By the same code as place_call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import Field

from calls.operations.resolving import NotAllowed
from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.contracts.status_api import AllowanceReport, RequestReport
from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import Attempt, RequestKey
from outbound_calls.domain.timing import utc_text
from outbound_calls.policy.evaluation import Case, Decision, Dial, Reject, Wait
from outbound_calls.use_cases.decide import JudgeAttempts, Judgement, candidate_of
from outbound_calls.use_cases.limits import wait_for_line
from outbound_calls.use_cases.look_up import attempt_report, request_report

BY_POLICY = frozenset(
    {
        ParkReason.NOT_BEFORE,
        ParkReason.PAUSED,
        ParkReason.OUTSIDE_CALLING_WINDOW,
        ParkReason.RECIPIENT_CAP,
        ParkReason.CONCURRENCY_LIMIT,
        ParkReason.REDIAL,
        ParkReason.POLICY_UNREADABLE,
    }
)
"""Why policy holds an attempt back."""


class Verdict(StrEnum):
    """What policy does with an attempt."""

    DIAL = "dial"
    WAIT = "wait"
    REJECT = "reject"


class Forecast(WireModel):
    """What policy says for an attempt now."""

    verdict: Verdict
    reason_code: ReasonCode | None = Field(None, description="why it is rejected")
    park_reason: ParkReason | None = Field(None, description="why it waits")
    reason: str | None = Field(None, description="the same in words, with the time by the recipient's clock")
    until: str | None = Field(None, description="when it is looked at again")
    expires_at: str | None = Field(None, description="when it expires undialled; absent where that isn't known")


class RuleExplained(WireModel):
    """What one rule says."""

    rule: str
    verdict: Verdict = Field(description="dial where it holds")
    detail: str
    until: str | None = Field(None, description="when it is looked at again, by the recipient's clock")


class Explanation(WireModel):
    """Why a request is dialled, waits or isn't dialled."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    status: Status
    park_reason: ParkReason | None = Field(None, description="why it was parked last")
    next_look_at: str | None = Field(None, description="when it is tried next")
    reason_code: ReasonCode | None = None
    reason: str | None = None
    allowed_by: AllowanceReport | None = Field(None, description="what allowed the dial")
    policy_version: int | None = Field(None, description="the version of the policy by which the rules are judged")
    preset: str | None = None
    now: str = Field(description="the time for which the rules are judged, by the recipient's clock")
    expires_at: str | None = Field(None, description="by the recipient's clock")
    zones: list[str] = Field(default_factory=list, description="the time zones that the recipient may be in")
    zone_source: str | None = Field(None, description="where they come from: the request, the number or the policy")
    forecast: Forecast | None = Field(None, description="absent for an attempt that was dialled, or has ended")
    rules: list[RuleExplained] = Field(default_factory=list, description="in their order; the first that fails decides")


class ShownRequest(RequestReport):
    """The report of a request, and why it waits."""

    waiting: str | None = Field(None, description="why policy holds it back, and until when by the recipient's clock")


def check_access(judge: JudgeAttempts) -> None:
    """Read what a judgement reads, so that what can't be read from here is an error, and not what policy says.

    Raises:
        SecretUnusable: When the key of the hashes can't be read.
        ClientError: When the policy table can't.
    """
    judge.table.policy()
    judge.table.remembered(judge.numbers.of(""))


def forecast_of(judgement: Judgement) -> Forecast:
    """What a judgement means, in short."""
    expires_at = utc_text(judgement.expires_at) if judgement.expires_at else None
    match judgement.decision:
        case Dial():
            return Forecast(verdict=Verdict.DIAL, expires_at=expires_at)
        case Wait(until, park_reason, words):
            return Forecast(
                verdict=Verdict.WAIT,
                park_reason=park_reason,
                reason=words,
                until=utc_text(until),
                expires_at=expires_at,
            )
        case Reject(code, words):
            return Forecast(verdict=Verdict.REJECT, reason_code=code, reason=words, expires_at=expires_at)
    raise AssertionError(judgement.decision)


@dataclass(frozen=True, slots=True)
class Explaining:
    """Explains requests of one stack. `clock` is epoch seconds."""

    table: CallsTable
    judge: JudgeAttempts
    lines_table: LinesTable
    clock: Callable[[], float] = time.time

    def show(self, key: RequestKey) -> ShownRequest | None:
        """The report of a request; None where there is no record."""
        attempts = self.table.read_all(key)
        if not attempts:
            return None
        report = request_report(attempts)
        waiting = None
        if report.status is Status.SCHEDULED and report.park_reason in BY_POLICY:
            waiting = self._why(next(each for each in reversed(attempts) if each.status is Status.SCHEDULED))
        return ShownRequest(**dict(report), waiting=waiting)

    def _why(self, parked: Attempt) -> str | None:
        """Why policy holds an attempt back now, in words; None if it doesn't, or if that can't be read from here."""
        attempt = self.table.read(parked.key)
        if attempt is None or attempt.request is None:
            return None
        decision = self._judge(attempt, self.clock()).decision
        if not isinstance(decision, Wait):
            return None
        unreadable = ParkReason.POLICY_UNREADABLE
        if decision.park_reason is unreadable and parked.park_reason is not unreadable:
            return None
        return f"{decision.reason[:1].upper()}{decision.reason[1:]}"

    def _judge(self, attempt: Attempt, now: float) -> Judgement:
        """What policy says for an attempt, and whether there is a line for it."""
        judgement = self.judge.judge(attempt, now)
        if not isinstance(judgement.decision, Dial) or judgement.max_concurrent_calls is None:
            return judgement
        lines = self.lines_table.read_lines(attempt.key.request.organization)
        wait = wait_for_line(attempt, judgement, lines, now)
        return judgement if wait is None else replace(judgement, decision=wait)

    def explain(self, key: RequestKey) -> Explanation:
        """What policy says for the last attempt of a request.

        Raises:
            NotAllowed: When there is no record of it.
            SecretUnusable, ClientError: When what policy needs can't be read from here.
        """
        attempts = self.table.read_all(key)
        if not attempts:
            raise NotAllowed("there is no record of this request: `calls place --dry-run` says what policy would do")
        last = next((each for each in reversed(attempts) if not each.is_dropped), attempts[-1])
        attempt = self.table.read(last.key) or last
        now = self.clock()
        report = attempt_report(attempt)
        explanation = Explanation(
            organization=key.organization,
            request_id=key.request_id,
            attempt=attempt.key.number,
            status=report.status,
            park_reason=attempt.park_reason,
            next_look_at=report.due_at if attempt.status is Status.SCHEDULED else report.next_attempt_at,
            reason_code=attempt.reason_code,
            reason=report.reason,
            allowed_by=report.allowed_by,
            now=utc_text(int(now)),
        )
        if attempt.status is not Status.SCHEDULED or attempt.request is None:
            return explanation
        return explanation.model_copy(update=self._rules(attempt, now))

    def _rules(self, attempt: Attempt, now: float) -> dict[str, object]:
        check_access(self.judge)
        judgement = self._judge(attempt, now)
        found: dict[str, object] = {"forecast": forecast_of(judgement), "policy_version": judgement.version}
        rules, evaluation = judgement.rules, judgement.evaluation
        if rules is None or evaluation is None:
            return found
        case = Case.of(candidate_of(attempt), rules)
        explained = [
            RuleExplained(
                rule=each.rule,
                verdict=_verdict(each.decision or Dial()),
                detail=each.detail,
                until=case.clock_text(each.decision.until) if isinstance(each.decision, Wait) else None,
            )
            for each in evaluation.results
        ]
        limit, decision = rules.max_concurrent_calls, judgement.decision
        waits = isinstance(decision, Wait) and decision.park_reason is ParkReason.CONCURRENCY_LIMIT
        if limit is not None and (waits or isinstance(decision, Dial)):
            explained.append(
                RuleExplained(
                    rule="calls-at-once",
                    verdict=_verdict(decision),
                    detail=decision.reason if isinstance(decision, Wait) else f"a line is free, of {limit}",
                )
            )
        return found | {
            "preset": rules.preset,
            "now": case.clock_text(now),
            "expires_at": case.clock_text(evaluation.expires_at),
            "zones": list(evaluation.zones.names) if evaluation.zones else [],
            "zone_source": evaluation.zones.source.value if evaluation.zones else None,
            "rules": explained,
        }


def _verdict(decision: Decision) -> Verdict:
    match decision:
        case Dial():
            return Verdict.DIAL
        case Wait():
            return Verdict.WAIT
        case Reject():
            return Verdict.REJECT
    raise AssertionError(decision)
