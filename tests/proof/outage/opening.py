"""What waited is let go at once: calling windows open, or calls are resumed. On virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.proof.outage.stack import StackOnVirtualTime
from tests.proof.outage.virtual_time import VirtualTime

OPENS_AT = 1_800_032_400.0
"""Friday, 09:00 where the number called is (California)."""

ARRIVE_SECONDS = 3600
"""What waits has arrived over this time, until a minute before the opening."""

NEWCOMERS, NEWCOMER_EVERY = 240, 2.0
"""Requests that arrive during the opening. AlloMia's webhook for every tenth is lost, so the poller must ask."""

IN_FORCE_SECONDS = 10
"""When the first of them arrives: until then a worker may know the policy before."""

_WINDOWS = [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "09:00", "to": "21:00"}]


class Opening(StrEnum):
    """Why calls waited, and may be dialled now."""

    WINDOWS_OPEN = "windows open"
    CALLS_RESUMED = "calls resumed"


@dataclass(frozen=True)
class OpeningFigures:
    """The results of one opening. Seconds are virtual, and count from the opening."""

    opening: str
    waiting: int
    posts_a_second: int
    """The most POSTs in one second."""

    first_call: float
    last_call: float
    """When the last of those that waited was dialled."""

    newcomer: float
    """How long a request that arrived meanwhile waited for its POST, at most."""

    late: float
    """How long after it was due a sweep looked at a waiting attempt, at most. A sweep comes each minute.

    After a pause no sweep does: the keeper dispatches them.
    """

    poll_late: float
    """The same for a call in progress whose webhook was lost."""

    longest_sweep: float
    environments: int
    rung_twice: int
    dead_letters: int
    statuses: Counter[str]

    def __str__(self) -> str:
        return (
            f"{self.opening}: {self.waiting:5} waiting: at most {self.posts_a_second} POSTs a second, the first after "
            f"{self.first_call:.0f} s, the last after {self.last_call:.0f} s; a newcomer waited {self.newcomer:.1f} s "
            f"at most; looked at {self.late:.0f} s late at most, polled {self.poll_late:.0f} s late; longest sweep "
            f"{self.longest_sweep:.0f} s; {self.environments} environments; {self.rung_twice} rung twice, "
            f"{self.dead_letters} dead letters; {dict(self.statuses)}"
        )


def play(opening: Opening, waiting: int, seed: int = 1, first_sweep: float | None = None) -> OpeningFigures:
    """Simulate one opening, until every call has its outcome.

    `first_sweep`: which part of a minute the opening is after a sweep; None: by chance.
    """
    with VirtualTime(OPENS_AT - ARRIVE_SECONDS - 60) as time:
        stack = StackOnVirtualTime(time, seed, first_sweep=first_sweep)
        sent: dict[str, float] = {}

        def send(name: str) -> None:
            sent[name] = time.now
            stack.send(name)

        def put(version: int, **document: object) -> None:
            stack.policy_table.set_policy(json.dumps({"basedOn": "open"} | document), "seed", time.now, version - 1)

        if opening is Opening.WINDOWS_OPEN:
            put(1, callingWindows=_WINDOWS)
        else:
            put(1, paused=True)
            time.after(OPENS_AT - time.now, lambda: put(2))
        for number in range(waiting):
            time.after(number * ARRIVE_SECONDS / waiting, lambda n=number: send(f"waiting-{n}"))  # type: ignore[misc]
        first = OPENS_AT + IN_FORCE_SECONDS - time.now
        for number in range(NEWCOMERS):
            name = f"{stack.LOST if number % 10 == 0 else 'newcomer'}-{number}"
            time.after(first + number * NEWCOMER_EVERY, lambda n=name: send(n))  # type: ignore[misc]
        time.run_until_seen(lambda: stack.ended(waiting + NEWCOMERS) or time.now > OPENS_AT + 3 * 3600)
        return _figures(stack, opening, waiting, sent)


def _figures(stack: StackOnVirtualTime, opening: Opening, waiting: int, sent: Mapping[str, float]) -> OpeningFigures:
    calls = stack.allomia.calls()
    dialled = {call.callback_url.split("/")[-3]: call.accepted_at.timestamp() for call in calls}
    waited = [at - OPENS_AT for name, at in dialled.items() if name.startswith("waiting")]
    late = [each for each in stack.polled if not each.request_id.startswith(stack.LOST)]
    polls = [each for each in stack.polled if each.request_id.startswith(stack.LOST)]
    return OpeningFigures(
        opening=opening.value,
        waiting=waiting,
        posts_a_second=max(Counter(int(at) for at in dialled.values()).values()),
        first_call=min(waited),
        last_call=max(waited),
        newcomer=max(at - sent[name] for name, at in dialled.items() if not name.startswith("waiting")),
        late=max((each.seconds_late for each in late), default=0.0),
        poll_late=max(each.seconds_late for each in polls),
        longest_sweep=stack.longest_sweep,
        environments=stack.environments,
        rung_twice=sum(count > 1 for count in stack.allomia.dials().accepted.values()),
        dead_letters=len(stack.dead_letters),
        statuses=Counter(stack.statuses().values()),
    )
