"""Keep what waits for a condition of an organization, such as another policy or a line, and let it go on in time.

The keeper looks once a minute, however much waits. Few sweeps find one due, so only `sweep` loads this module, and only
then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import batched, chain, islice
from typing import TYPE_CHECKING

from outbound_calls.domain.lines import MOST_URGENT_FIRST, LinesSeen
from outbound_calls.domain.timing import OPENING_SPREAD_SECONDS
from outbound_calls.policy.rules import Policy, UnusablePolicy, read_stored, resolve
from outbound_calls.use_cases.count_calls import CountCalls
from outbound_calls.use_cases.hand_on import SECONDS_TO_HAND_ON
from outbound_calls.use_cases.polls import SECONDS_TO_POLL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbound_calls.adapters.due_entries import DueKeeper
    from outbound_calls.adapters.policy_table import PolicyTable, StoredVersion
    from outbound_calls.adapters.queues import CallQueue
    from outbound_calls.adapters.waiting_attempts import Keeper, Waiting
    from outbound_calls.contracts.vocabulary import Preset
    from outbound_calls.domain.attempts import Attempt
    from outbound_calls.policy.rules import Rules
    from outbound_calls.use_cases.hand_on import HandOnLines

IN_FORCE_SECONDS = 10
"""How long after it was set a policy is in force everywhere."""

SETTLED_SECONDS = 120
"""How long after a policy was set a worker may still park what it decided by the one before."""

MOST_RELEASED = 5000
"""How many waiting attempts a keeper releases each time."""

RELEASED_PER_SECOND = 10
"""How many of them are dispatched in a second, unless there are so many that they would take longer than five minutes.
"""

_SENT_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """What a keeper did: how many attempts policy looks at again, and the lines of one that waits for any."""

    released: int = 0
    lines: LinesSeen | None = None


@dataclass(frozen=True, slots=True)
class _InForce:
    """The policy as it is stored: its version (0: none), when it was set, and its document (None: unreadable)."""

    version: int
    set_at: float
    policy: Policy | None

    @classmethod
    def of(cls, stored: StoredVersion | None) -> _InForce:
        if stored is None:
            return cls(0, 0.0, Policy())
        try:
            return cls(stored.number, stored.set_at, read_stored(stored.text, stored.limited_since))
        except UnusablePolicy:
            return cls(stored.number, stored.set_at, None)

    def is_everywhere(self, now: float) -> bool:
        """Whether every worker decides by it, and can read it."""
        return self.policy is not None and now >= self.set_at + IN_FORCE_SECONDS


@dataclass(eq=False, slots=True)
class KeepWaiting:
    """The use case. `queue` is that of requests. `clock` is epoch seconds."""

    hand_on: HandOnLines
    queue: CallQueue
    policy_table: PolicyTable
    preset: Preset
    deadline_seconds: int
    clock: Callable[[], float]

    def keep(self, due: DueKeeper, seconds_left: Callable[[], float]) -> Kept | None:
        """Look at what waits. None with too little time left, or where another sweep does.

        Dispatch what waits under another version of the policy than the one in force, spread over some minutes. Hand on
        free lines, whatever was lost before, and let everyone go on once there is no limit any more.

        Raises when a table can't be reached. The keeper stays due, or comes due again.
        """
        now, waiting = self.clock(), self.hand_on.waiting
        if seconds_left() < SECONDS_TO_POLL or (keeper := waiting.lease_keeper(due, now)) is None:
            return None
        kept = Kept()
        any_for_policy = waiting.first_for_policy(due.organization) is not None
        if not (any_for_policy or keeper.for_lines):
            waiting.rest_keeper(keeper)
            return kept
        in_force = _InForce.of(self.policy_table.policy())
        if keeper.for_lines:
            kept, any_waits = self._keep_lines(keeper, in_force, now, seconds_left)
            if not (any_waits or any_for_policy):
                waiting.rest_keeper(keeper)
        if any_for_policy:
            return replace(kept, released=kept.released + self._keep_for_policy(keeper, in_force, now, seconds_left))
        return kept

    def _keep_for_policy(
        self, keeper: Keeper, in_force: _InForce, now: float, seconds_left: Callable[[], float]
    ) -> int:
        """Release what waits under another version of the policy. Returns how many."""
        version = in_force.version
        if keeper.released_version == version or not in_force.is_everywhere(now):
            return 0
        outdated = _outdated(self.hand_on.waiting.waiting_for_policy(keeper.organization), version)
        # A worker may still park what it decided by the version before.
        if not outdated and now >= in_force.set_at + SETTLED_SECONDS:
            self.hand_on.waiting.note_released(keeper, version)
        return self._release(outdated, version, now, seconds_left)

    def _release(self, outdated: list[Waiting], version: int, now: float, seconds_left: Callable[[], float]) -> int:
        """Dispatch waiting attempts, spread over some minutes. Returns how many.

        Each is leased first: what is lost then comes due when its lease ends.
        """
        spread = min(OPENING_SPREAD_SECONDS, len(outdated) // RELEASED_PER_SECOND)
        released = 0
        for some in batched(enumerate(outdated), _SENT_AT_ONCE, strict=False):
            if seconds_left() < SECONDS_TO_HAND_ON:
                break
            leased: list[tuple[Attempt, int]] = []
            for position, each in some:
                at = int(now) + position * spread // len(outdated)
                if attempt := self.hand_on.waiting.lease_for_dispatch(each, at, version):
                    leased.append((attempt, at))
            if leased:
                sent_at = int(self.clock())
                self.queue.send_dispatches([(attempt, max(0, at - sent_at)) for attempt, at in leased])
            released += len(leased)
        return released

    def _keep_lines(
        self, keeper: Keeper, in_force: _InForce, now: float, seconds_left: Callable[[], float]
    ) -> tuple[Kept, bool]:
        """Hand on free lines. Returns what the keeper saw, and whether it must look again."""
        organization, lines_table = keeper.organization, self.hand_on.lines_table
        rules = self._rules(in_force.policy, organization)
        lines = lines_table.read_lines(organization)
        waiting = self.hand_on.waiting
        first = {
            priority: found[0]
            for priority in MOST_URGENT_FIRST
            if (found := waiting.first_waiting(organization, priority, 1))
        }
        counts = {priority: waiting.count_waiting(organization, priority) for priority in first}
        released = 0
        if rules is not None and rules.max_concurrent_calls is None:
            if in_force.is_everywhere(now):
                all_who_wait = chain.from_iterable(waiting.waiting_for_line(organization, each) for each in first)
                released = self._release(_outdated(all_who_wait, in_force.version), in_force.version, now, seconds_left)
            for priority, mark in lines.marks.items():
                if priority not in first and mark.is_settled(now):
                    lines = lines_table.clear_mark(organization, priority, mark)
        elif rules is not None:
            lines = self._counting.count_in_progress(organization, lines, rules.limited_since, whatever_it_takes=True)
            for priority in first:
                if priority not in lines.marks:  # the worker that parked it ended before it marked it
                    lines = lines_table.mark_waiting(organization, priority, now)
            lines = self.hand_on.hand_on(organization, rules, lines, seconds_left).lines
        seen = LinesSeen(
            lines.in_use(now),
            {priority: counts.get(priority, 0) for priority in MOST_URGENT_FIRST},
            {priority: int(now) - each.since for priority, each in first.items()},
        )
        return Kept(released, seen), bool(first or lines.marks)

    @property
    def _counting(self) -> CountCalls:
        return CountCalls(self.hand_on.waiting.table, self.hand_on.lines_table, self.deadline_seconds, self.clock)

    def _rules(self, policy: Policy | None, organization: str | None) -> Rules | None:
        """The rules for an organization; None where the policy can't be read."""
        try:
            return None if policy is None else resolve(policy, self.preset, organization)
        except UnusablePolicy:
            return None


def _outdated(waiting: Iterable[Waiting], version: int) -> list[Waiting]:
    """Those that wait under another version, as many as are released each time."""
    return list(islice((each for each in waiting if each.policy_version != version), MOST_RELEASED))
