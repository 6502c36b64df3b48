"""What a person sees of a stack at a glance: what is open, and what needs them. Reads are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import Field

from calls.operations.explaining import Forecast, Verdict, check_access, forecast_of
from calls.operations.records import FoundAttempt, Records, Search, SearchResult, tally
from calls.operations.reporting import needs_a_person
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.use_cases.decide import JudgeAttempts

MAX_SHOWN = 100
"""How many calls a list has at most."""

MAX_OPEN = 200
"""How many open attempts are read at most: those that are due first."""

MAX_COUNTED = 20_000
"""How many open attempts are counted, at most."""

MAX_ENDED = 2000
"""How many attempts that ended are looked at, at most, for those that need a person."""

MIN_ENDED = 200
"""How many of them are looked at for each organization, where there are many."""

MAX_ORGANIZATIONS = 20
"""How many organizations are looked at, at most. A person can choose any other."""

MAX_JUDGED = 25
"""For how many requests policy is asked what it says now."""

TO_DO_DAYS = 3
"""How far back the calls that need a person are looked for."""

_DAY_SECONDS = 86_400
_WORKERS = 8


class OpenCalls(WireModel):
    """The attempts that are open."""

    total: int = Field(description="how many attempts are open, or at least are")
    at_least: bool = Field(description="true when there may be more than were counted")
    by_status: dict[str, int] = Field(description="those that were read, by status")
    in_progress: list[FoundAttempt] = Field(description="being placed, or with AlloMia; first what is due next")
    waiting: list[FoundAttempt] = Field(description="parked; first what is due next")
    more: bool = Field(description="true when not all were read")

    @property
    def stuck(self) -> int:
        """How many of those that wait do so until a person fixes something."""
        return sum(needs_a_person(Status.SCHEDULED, each.park_reason) for each in self.waiting)


class ToDo(WireModel):
    """The calls that need a person, first where a phone may have rung, and then the newest.

    Of the first organizations only, where there are more than are looked at.
    """

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
        found, total = self.records.first_open(MAX_OPEN, MAX_COUNTED)
        waiting = [each for each in found if _waits(each)]
        in_progress = [each for each in found if each.status in {Status.DISPATCHING, Status.CALLING}]
        return OpenCalls(
            total=max(total, len(found)),
            at_least=total >= MAX_COUNTED,
            by_status=tally([*(each.status for each in in_progress), *(Status.SCHEDULED for _ in waiting)]),
            in_progress=in_progress[:MAX_SHOWN],
            waiting=waiting[:MAX_SHOWN],
            more=total > len(found) or max(len(in_progress), len(waiting)) > MAX_SHOWN,
        )

    def to_do(self, organizations: Sequence[str | None]) -> ToDo:
        """The calls that ended and need a person. An `unknown` one that was dialled again since isn't among them."""
        since = self.now - TO_DO_DAYS * _DAY_SECONDS
        statuses = {Status.UNKNOWN, Status.REJECTED}
        looked_at = organizations[:MAX_ORGANIZATIONS]
        # The calls of one don't leave those of another unseen.
        share = max(MAX_ENDED // len(looked_at), MIN_ENDED)

        def search(organization: str | None) -> SearchResult:
            return self.records.search(Search(statuses, [organization], since, self.now, MAX_SHOWN, max_read=share))

        with ThreadPoolExecutor(_WORKERS) as pool:
            found = list(pool.map(search, looked_at))
        ended = sorted((call for each in found for call in each.calls), key=_recorded_at, reverse=True)
        more = any(each.more for each in found) or len(ended) > MAX_SHOWN
        calls = [each for each in ended[:MAX_SHOWN] if _needs_a_person(each)]
        return ToDo(calls=sorted(calls, key=lambda each: each.status is not Status.UNKNOWN), more=more, days=TO_DO_DAYS)

    def preview(self, judge: JudgeAttempts) -> Preview:
        """What policy says now for the requests that wait and are due first.

        Raises:
            SecretUnusable, ClientError: When what policy needs can't be read from here.
        """
        check_access(judge)
        waiting = [each for each in self.records.first_open(MAX_OPEN)[0] if _waits(each)]

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


def _recorded_at(attempt: FoundAttempt) -> str:
    return attempt.recorded_at or ""


def _needs_a_person(attempt: FoundAttempt) -> bool:
    return not attempt.is_followed and needs_a_person(attempt.status, attempt.reason_code, attempt.outcome_source)
