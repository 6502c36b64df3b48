"""The lines of an organization, live: how many calls are in progress at once, and who waits for their turn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from outbound_calls.adapters.waiting_attempts import MOST_COUNTED, WaitingAttempts
from outbound_calls.contracts.vocabulary import Priority
from outbound_calls.contracts.wire import OrganizationName, RequestKeyText, WireModel
from outbound_calls.domain.lines import MOST_URGENT_FIRST
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.adapters.lines_table import LinesTable
    from outbound_calls.use_cases.decide import CurrentPolicy


_WORKERS = 8


class WaitingCalls(WireModel):
    """The requests of a priority that wait for a line."""

    priority: Priority
    waiting: int
    at_least: bool = Field(default=False, description="true when there may be more than were counted")
    first: RequestKeyText | None = Field(None, description="the next to be dialled; absent where no one waits")
    waited_seconds: int | None = Field(None, description="by the first")


class LinesReport(WireModel):
    """An organization's lines now."""

    organization: OrganizationName
    limit: int | None = Field(None, description="maxConcurrentCalls; absent where the policy has none")
    in_use: int = Field(description="lines of calls in progress")
    reserved: int = Field(description="lines that were handed on, and whose call is about to be placed")
    waiting: list[WaitingCalls]
    paused: bool = Field(description="true while calls are paused: no line is handed on")


@dataclass(frozen=True, slots=True)
class LinesView:
    """Looks at lines. `clock` is epoch seconds."""

    table: CallsTable
    lines_table: LinesTable
    policy: CurrentPolicy
    clock: Callable[[], float]

    def look(self, organization: str | None) -> LinesReport:
        """The lines of an organization now (None: of the default one). The index of those who wait may lag a moment.

        Raises:
            PolicyUnreadable: When the limit can't be read.
        """
        key = None if organization == DEFAULT_ORGANIZATION else organization
        rules, _ = self.policy.rules(key, None)
        lines, now = self.lines_table.read_lines(key), self.clock()
        used = lines.used.keys() - lines.lapsed(now).keys()
        reserved = sum(name.startswith("~") for name in used)
        return LinesReport(
            organization=key or DEFAULT_ORGANIZATION,
            limit=rules.max_concurrent_calls,
            in_use=len(used) - reserved,
            reserved=reserved,
            waiting=[self._waiting(key, priority, now) for priority in MOST_URGENT_FIRST],
            paused=rules.paused,
        )

    def limited(self, organizations: Iterable[str | None]) -> list[LinesReport]:
        """The lines of those of these organizations that have a limit. The others cost no read.

        Raises:
            PolicyUnreadable: When a limit can't be read.
        """
        limited = [each for each in organizations if self.policy.rules(each, None)[0].max_concurrent_calls is not None]
        with ThreadPoolExecutor(_WORKERS) as pool:
            return list(pool.map(self.look, limited))

    def _waiting(self, organization: str | None, priority: Priority, now: float) -> WaitingCalls:
        waiting = WaitingAttempts(self.table)
        first = next(iter(waiting.first_waiting(organization, priority, 1)), None)
        if first is None:
            return WaitingCalls(priority=priority, waiting=0)
        counted = waiting.count_waiting(organization, priority)
        return WaitingCalls(
            priority=priority,
            waiting=max(counted, 1),
            at_least=counted >= MOST_COUNTED,
            first=str(first.key.request),
            waited_seconds=max(0, int(now) - first.since),
        )
