"""A morning of reminders over a limited number of lines, with redials. On virtual time."""

from __future__ import annotations

import heapq
import itertools
import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from local.simulator.faults import Faults
from tests.proof.outage.stack import StackOnVirtualTime
from tests.proof.outage.virtual_time import VirtualTime

BEGINS_AT = 1_800_032_400.0
NUMBERS = {"completed": "+15005550100", "busy": "+15005550101", "no-answer": "+15005550102"}
"""The number that makes each outcome."""

SHARES = {"completed": 0.7, "busy": 0.1, "no-answer": 0.2}
SECONDS = {"completed": (30.0, 150.0), "busy": (5.0, 5.0), "no-answer": (30.0, 30.0)}
"""The least and the most that a call with this outcome lasts."""

REDIAL_SECONDS, MOST_ATTEMPTS = 600, 3
_LAST_SECONDS = 36 * 3600


class Dial(NamedTuple):
    """How a dial goes."""

    outcome: str
    seconds: float


@dataclass(frozen=True)
class MorningFigures:
    """The results of one morning. Seconds are virtual, and count from its beginning."""

    lines: int
    calls: int
    finished: float
    """When the last call ended."""

    ideal: float
    """When it would have, had no line ever been free while anyone waited."""

    most_at_once: int
    rung_twice: int
    dead_letters: int
    statuses: Counter[str]

    def __str__(self) -> str:
        return (
            f"{self.calls} calls over {self.lines} lines: finished after {self.finished:.0f} s, ideally "
            f"{self.ideal:.0f} s ({self.finished / self.ideal - 1:+.1%}); at most {self.most_at_once} at once; "
            f"{self.rung_twice} rung twice, {self.dead_letters} dead letters; {dict(self.statuses)}"
        )


class Script:
    """How each dial of each request goes. The same for the stack and for the ideal."""

    def __init__(self, requests: int, seed: int) -> None:
        dice = Random(seed)  # noqa: S311
        outcomes = dice.choices(list(SHARES), list(SHARES.values()), k=requests)
        self.dials = {
            f"reminder-{number}": [Dial(outcome, dice.uniform(*SECONDS[outcome])) for _ in range(MOST_ATTEMPTS)]
            for number, outcome in enumerate(outcomes)
        }

    def attempts(self, request: str) -> list[Dial]:
        """The dials that a request needs."""
        dials = self.dials[request]
        return dials[:1] if dials[0].outcome == "completed" else dials


def ideal_seconds(script: Script, lines: int) -> float:
    """When the last call ends if a line never is free while anyone waits, and a redial comes when it is due."""
    waiting = deque((request, 0) for request in script.dials)
    free, order = lines, itertools.count()
    events: list[tuple[float, int, str, int, bool]] = []
    now = ended = 0.0
    while waiting or events:
        while free and waiting:
            request, number = waiting.popleft()
            free -= 1
            heapq.heappush(
                events, (now + script.dials[request][number].seconds, next(order), request, number + 1, True)
            )
        now, _, request, number, is_end = heapq.heappop(events)
        if not is_end:
            waiting.append((request, number))
            continue
        free += 1
        ended = now
        if number < len(script.attempts(request)):
            heapq.heappush(events, (now + REDIAL_SECONDS, next(order), request, number, False))
    return ended


def play(requests: int, lines: int, seed: int = 1) -> MorningFigures:
    """Simulate a morning: all requests come at once, and all have ended at its end."""
    script = Script(requests, seed)
    ended_at: dict[str, float] = {}
    with VirtualTime(BEGINS_AT) as time:
        stack = StackOnVirtualTime(time, seed)
        allomia = stack.allomia

        def rings_for(order: dict[str, object]) -> None:
            request, attempt = str(order["callbackUrl"]).split("/")[-3:-1]
            seconds = script.dials[request][int(attempt) - 1].seconds
            ended_at[f"{request}/{attempt}"] = time.now + seconds
            allomia.allomia.configure(Faults(ring_seconds=seconds))

        allomia.on_order = rings_for
        policy = json.dumps({"basedOn": "open", "maxConcurrentCalls": lines, "expireAfterSeconds": 2 * 86_400})
        stack.policy_table.set_policy(policy, "seed", time.now - 60, 0)
        delays = [REDIAL_SECONDS]
        redial = {"on": {"busy": delays, "no-answer": delays}, "maxAttempts": MOST_ATTEMPTS}

        def send_all() -> None:
            for request, dials in script.dials.items():
                stack.send(request, phoneNumber=NUMBERS[dials[0].outcome], redial=redial)

        time.after(0.0, send_all)
        wanted = sum(len(script.attempts(request)) for request in script.dials)
        time.run_until_seen(
            lambda: (
                time.now > BEGINS_AT + _LAST_SECONDS
                or (len(allomia.dials().accepted) >= wanted and stack.ended(requests))
            )
        )

        accepted = {_name(call.callback_url): call.accepted_at.timestamp() for call in allomia.calls()}
        return MorningFigures(
            lines=lines,
            calls=len(accepted),
            finished=max(ended_at.values()) - BEGINS_AT,
            ideal=ideal_seconds(script, lines),
            most_at_once=_most_at_once((at, ended_at[name]) for name, at in accepted.items()),
            rung_twice=sum(count > 1 for count in allomia.dials().accepted.values()),
            dead_letters=len(stack.dead_letters),
            statuses=Counter(stack.statuses().values()),
        )


def order_in_a_burst(requests: int, lines: int, ends_after: int, seed: int = 1) -> list[str]:
    """Send a burst of requests of each priority, the less urgent first, and others after them.

    Returns the names of the first `ends_after` to be dialled, in their order, each with its priority and its number by
    arrival.
    """
    with VirtualTime(BEGINS_AT) as time:
        stack = StackOnVirtualTime(time, seed)
        stack.allomia.allomia.configure(Faults(ring_seconds=30.0))
        policy = json.dumps({"basedOn": "open", "maxConcurrentCalls": lines, "expireAfterSeconds": 2 * 86_400})
        stack.policy_table.set_policy(policy, "seed", time.now - 60, 0)

        def send(priority: str, count: int) -> None:
            for number in range(count):
                stack.send(f"{priority}-{number}", phoneNumber=NUMBERS["completed"], priority=priority)

        for second, (priority, count) in enumerate({"low": requests, "normal": requests, "urgent": 2 * lines}.items()):
            time.after(float(second), lambda p=priority, c=count: send(p, c))  # type: ignore[misc]
        time.run_until_seen(lambda: len(stack.allomia.calls()) >= ends_after)
        calls = sorted(stack.allomia.calls(), key=lambda call: call.accepted_at)
        return [call.callback_url.split("/")[-3] for call in calls][:ends_after]


def _name(callback_url: str) -> str:
    return "/".join(callback_url.split("/")[-3:-1])


def _most_at_once(calls: Iterator[tuple[float, float]]) -> int:
    changes = sorted(change for begun, ended in calls for change in ((begun, 1), (ended, -1)))
    return max(itertools.accumulate(change for _, change in changes))
