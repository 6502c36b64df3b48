"""What policy would do now with rows that aren't sent yet. By the same code as place_call."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pydantic import Field

from calls.operations.explaining import Forecast, Verdict, check_access, forecast_of
from calls.operations.preflight import CheckedRow
from outbound_calls.adapters.policy_table import TakenDial
from outbound_calls.contracts.wire import OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import Attempt
from outbound_calls.domain.recipients import PastDial, organization_name
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS, utc_text
from outbound_calls.policy.evaluation import Dial
from outbound_calls.use_cases.decide import JudgeAttempts, Judgement, attempt_name
from outbound_calls.use_cases.new_attempt import Defaults, new_attempt

_WORKERS = 8


class RowForecast(Forecast):
    """What policy would do with one row."""

    row: int
    request_id: RequestId


class Forecasts(WireModel):
    """What policy would do with all of them, if they were sent now."""

    at: str = Field(description="when policy was asked")
    counts: dict[str, int] = Field(description="rows by verdict")
    at_once: dict[OrganizationName, int] = Field(
        default_factory=dict,
        description="how many calls of an organization are in progress at once at most; the others wait for a line",
    )
    rows: list[RowForecast]


@dataclass(frozen=True, slots=True)
class Forecasting:
    """Judges rows. `clock` is epoch seconds."""

    judge: JudgeAttempts
    defaults: Defaults
    clock: Callable[[], float] = time.time

    def forecast(self, rows: Sequence[CheckedRow]) -> Forecasts:
        """What policy would do with these rows: a dial of an earlier row counts for the later ones.

        Raises:
            SecretUnusable, ClientError: When what policy needs can't be read from here.
        """
        check_access(self.judge)
        now = self.clock()
        attempts = [
            new_attempt(row.request, row.request_id, self.defaults.of(row.request.organization), now) for row in rows
        ]
        with ThreadPoolExecutor(_WORKERS) as pool:
            judgements = list(pool.map(lambda attempt: self.judge.judge(attempt, now), attempts))
        dials: dict[str, tuple[TakenDial, ...]] = defaultdict(tuple)
        forecasts: list[RowForecast] = []
        for row, attempt, first in zip(rows, attempts, judgements, strict=True):
            judgement = self._after(first, attempt, dials[first.number_hash], now)
            if isinstance(judgement.decision, Dial):
                posted_by = now + MAX_DECISION_AGE_SECONDS
                dial = PastDial(posted_by, attempt.key.request.organization, attempt.labels.purpose)
                dials[first.number_hash] += (TakenDial(attempt_name(attempt.key), "", dial),)
            forecasts.append(RowForecast(row=row.row, request_id=row.request_id, **dict(forecast_of(judgement))))
        counts = {verdict.value: sum(each.verdict is verdict for each in forecasts) for verdict in Verdict}
        limits = {
            organization_name(attempt.key.request.organization): judgement.max_concurrent_calls
            for attempt, judgement in zip(attempts, judgements, strict=True)
        }
        at_once = {name: limit for name, limit in sorted(limits.items()) if limit is not None}
        return Forecasts(at=utc_text(int(now)), counts=counts, at_once=at_once, rows=forecasts)

    def _after(self, judgement: Judgement, attempt: Attempt, dials: tuple[TakenDial, ...], now: float) -> Judgement:
        remembered = judgement.remembered
        return self.judge.again(judgement, attempt, replace(remembered, dials=remembered.dials + dials), now)
