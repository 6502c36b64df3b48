"""What a person sees of a stack at a glance: what is open, and what needs them. Reads are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pydantic import Field

from calls.operations.explaining import Forecast, Verdict, check_access, forecast_of
from calls.operations.records import FoundAttempt, Records, Search, tally
from calls.operations.reporting import needs_a_person
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.use_cases.decide import JudgeAttempts

MAX_SHOWN = 100
"""How many calls a list has at most."""

MAX_OPEN = 200
"""How many open attempts are read at most: those that are due first."""

MAX_ENDED = 2000
"""How many attempts that ended are looked at, at most, for those that need a person."""

MAX_JUDGED = 25
"""For how many requests policy is asked what it says now."""

TO_DO_DAYS = 3
"""How far back the calls that need a person are looked for."""

_DAY_SECONDS = 86_400
_WORKERS = 8


class OpenCalls(WireModel):
    """The attempts that are open."""

    total: int = Field(description="how many attempts are open")
    by_status: dict[str, int] = Field(description="those that were read, by status")
    in_progress: list[FoundAttempt] = Field(description="being placed, or with AlloMia; first what is due next")
    waiting: list[FoundAttempt] = Field(description="parked; first what is due next")
    more: bool = Field(description="true when not all were read")


class ToDo(WireModel):
    """The calls that need a person, first where a phone may have rung, and then the newest."""

    calls: list[FoundAttempt]
    more: bool = Field(description="true when there may be more than were looked at")
    days: int = Field(description="how far back they were looked for")


class JudgedRequest(Forecast):
    """What policy says now for a request that waits."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber


class Preview(WireModel):
    """Who could be called now: what policy says for the requests that are due first."""

    counts: dict[str, int] = Field(description="requests by verdict")
    requests: list[JudgedRequest]
    more: bool = Field(description="true when more of them wait")


@dataclass(frozen=True, slots=True)
class Overview:
    """Looks at a stack. `now` is epoch seconds."""

    records: Records
    now: float

    def open_calls(self) -> OpenCalls:
        """What is open."""
        found = self.records.first_open(MAX_OPEN)
        total = self.records.count_open()
        waiting = [each for each in found if _waits(each)]
        in_progress = [each for each in found if each.status in {Status.DISPATCHING, Status.CALLING}]
        return OpenCalls(
            total=max(total, len(found)),
            by_status=tally([*(each.status for each in in_progress), *(Status.SCHEDULED for _ in waiting)]),
            in_progress=in_progress[:MAX_SHOWN],
            waiting=waiting[:MAX_SHOWN],
            more=total > len(found) or max(len(in_progress), len(waiting)) > MAX_SHOWN,
        )

    def to_do(self, organizations: Sequence[str | None], days: int = TO_DO_DAYS) -> ToDo:
        """The calls that ended and need a person. An `unknown` one that was dialled again since isn't among them."""
        since = self.now - days * _DAY_SECONDS
        statuses = {Status.UNKNOWN, Status.REJECTED}
        wanted = Search(statuses, organizations, since, self.now, MAX_SHOWN, max_read=MAX_ENDED)
        found = self.records.search(wanted)
        calls = [each for each in found.calls if needs_a_person(each.status, each.reason_code) and not each.is_dropped]
        followed = self.records.find(_next(each) for each in calls)
        left = [each for each in calls if (after := followed.get(_next(each))) is None or after.is_dropped]
        return ToDo(calls=sorted(left, key=lambda each: each.status is not Status.UNKNOWN), more=found.more, days=days)

    def preview(self, judge: JudgeAttempts) -> Preview:
        """What policy says now for the requests that wait and are due first.

        Raises:
            SecretUnusable, ClientError: When what policy needs can't be read from here.
        """
        check_access(judge)
        waiting = [each for each in self.records.first_open(MAX_OPEN) if _waits(each)]

        def judged(each: FoundAttempt) -> JudgedRequest | None:
            attempt = self.records.table.read(each.key)
            if attempt is None or attempt.status is not Status.SCHEDULED or attempt.request is None:
                return None
            forecast = forecast_of(judge.judge(attempt, self.now))
            return JudgedRequest(
                organization=each.organization, request_id=each.request_id, attempt=each.attempt, **dict(forecast)
            )

        with ThreadPoolExecutor(_WORKERS) as pool:
            requests = [each for each in pool.map(judged, waiting[:MAX_JUDGED]) if each]
        counts = {verdict.value: sum(each.verdict is verdict for each in requests) for verdict in Verdict}
        return Preview(counts=counts, requests=requests, more=len(waiting) > MAX_JUDGED)


def _waits(attempt: FoundAttempt) -> bool:
    return attempt.status is Status.SCHEDULED or attempt.redial_pending


def _next(attempt: FoundAttempt) -> AttemptKey:
    return replace(attempt.key, number=attempt.attempt + 1)
