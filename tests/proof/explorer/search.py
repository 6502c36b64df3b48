"""Search through all schedules of a scenario, depth first or breadth first. Each state is visited once.

`python -m tests.proof.explorer.search NAME` explores one scenario and prints its figures.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tests.proof.explorer.guarantees import Guarantee, GuaranteeBroken
from tests.proof.explorer.scenarios import SCENARIOS, Scenario
from tests.proof.explorer.schedules import Schedules
from tests.proof.explorer.state import ExplorerState, Step
from tests.proof.explorer.workers import runs

LONGEST = 200
"""Steps of a schedule; far more than any that ends has."""


@dataclass(frozen=True)
class Exploration:
    """The figures of an exploration."""

    scenario: str
    states: int
    steps: int
    ends: int
    schedules: int
    longest: int
    runs: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.schedules:.3g} schedules of up to {self.longest} steps, through {self.states:,}"
            f" states and {self.steps:,} steps between them to {self.ends:,} ends; {self.seconds:.1f} s"
        )


class Violation(Exception):
    """A schedule that breaks a guarantee."""

    def __init__(self, scenario: str, broken: GuaranteeBroken, schedule: list[str]) -> None:
        lines = "\n".join(f"  {number:2} {line}" for number, line in enumerate(schedule, 1))
        super().__init__(f"{scenario}: {broken}\n{lines}")
        self.guarantee = broken.guarantee
        self.schedule = schedule


class _Visit:
    """A state on the current path."""

    __slots__ = ("ahead", "ends_here", "height", "label", "schedules", "state")

    def __init__(self, label: tuple[object, ...], state: ExplorerState, ahead: Iterator[Step]) -> None:
        self.label, self.state, self.ahead = label, state, ahead
        self.schedules, self.height = 0, 0
        self.ends_here = True

    def lead_to(self, schedules: int, height: int) -> None:
        """Count the schedules through a next state, and the longest of them."""
        self.schedules += schedules
        self.height = max(self.height, height + 1)


def explore(scenario: Scenario) -> Exploration:
    """Try every schedule of a scenario.

    Raises:
        Violation: The first schedule found that breaks a guarantee.
    """
    schedules, began, before = Schedules(scenario), time.monotonic(), runs()
    start = schedules.start()
    finished: dict[ExplorerState, tuple[int, int]] = {}
    path = [_Visit((), start, schedules.steps(start))]
    open_states = {start}
    steps = ends = 0
    try:
        while True:
            visit = path[-1]
            step = next(visit.ahead, None)
            if step is None:
                if visit.ends_here:
                    schedules.check_end(visit.state)
                    visit.schedules += 1
                    ends += 1
                path.pop()
                open_states.remove(visit.state)
                finished[visit.state] = visit.schedules, visit.height
                if not path:
                    break
                path[-1].lead_to(visit.schedules, visit.height)
                continue
            steps += 1
            visit.ends_here = visit.ends_here and not step.needed
            if known := finished.get(step.state):
                visit.lead_to(*known)
            elif step.state in open_states or len(path) > LONGEST:
                path.append(_Visit(step.label, step.state, iter(())))
                raise GuaranteeBroken(Guarantee.AN_END, "this goes on forever")
            else:
                path.append(_Visit(step.label, step.state, schedules.steps(step.state)))
                open_states.add(step.state)
    except GuaranteeBroken as broken:
        schedule = [_readable(visit.label) for visit in path[1:]]
        raise Violation(scenario.name, broken, schedule + getattr(broken, "__notes__", [])) from None
    seconds = time.monotonic() - began
    return Exploration(
        scenario.name, len(finished), steps, ends, visit.schedules, visit.height, runs() - before, seconds
    )


def shortest(scenario: Scenario) -> None:
    """Try every schedule of a scenario, the short ones first: a mistake shows after few steps.

    It doesn't notice a schedule that goes on forever.

    Raises:
        Violation: The shortest schedule that breaks a guarantee.
    """
    schedules = Schedules(scenario)
    start = schedules.start()
    came_from: dict[ExplorerState, tuple[ExplorerState, tuple[object, ...]] | None] = {start: None}
    to_visit = deque([start])
    while to_visit:
        state = to_visit.popleft()
        try:
            ends_here = True
            for step in schedules.steps(state):
                ends_here = ends_here and not step.needed
                if step.state not in came_from:
                    came_from[step.state] = state, step.label
                    to_visit.append(step.state)
            if ends_here:
                schedules.check_end(state)
        except GuaranteeBroken as broken:
            schedule = []
            while before := came_from[state]:
                state, label = before
                schedule.append(_readable(label))
            schedule.reverse()
            raise Violation(scenario.name, broken, schedule + getattr(broken, "__notes__", [])) from None


def wander(scenario: Scenario, seed: int, walks: int) -> Exploration:
    """Try `walks` random schedules, for a scenario that has too many to try all.

    Raises:
        Violation: The first schedule found that breaks a guarantee.
    """
    # Not for a secret: the same seed must draw the same schedules.
    draw = random.Random(seed)  # noqa: S311
    schedules, began, before = Schedules(scenario), time.monotonic(), runs()
    seen: set[ExplorerState] = set()
    steps = longest = 0
    for _ in range(walks):
        state, schedule = schedules.start(), list[str]()
        # Mishaps and webhooks are more likely in some walks than in others, so that they come early or late.
        likelihood = draw.choice((0.05, 0.2, 0.5))
        try:
            while True:
                ahead = list(schedules.steps(state))
                needed = [step for step in ahead if step.needed]
                optional = [step for step in ahead if not step.needed]
                if not needed:
                    schedules.check_end(state)
                    if not optional or draw.random() > likelihood:
                        break
                step = draw.choice(optional if optional and (not needed or draw.random() < likelihood) else needed)
                schedule.append(_readable(step.label))
                state = step.state
                seen.add(state)
                if len(schedule) > LONGEST:
                    raise GuaranteeBroken(Guarantee.AN_END, "this goes on forever")
        except GuaranteeBroken as broken:
            lines = schedule + getattr(broken, "__notes__", [])
            raise Violation(f"{scenario.name}, seed {seed}", broken, lines) from None
        steps += len(schedule)
        longest = max(longest, len(schedule))
    return Exploration(
        f"{scenario.name}, seed {seed}",
        len(seen),
        steps,
        walks,
        walks,
        longest,
        runs() - before,
        time.monotonic() - began,
    )


def _readable(label: tuple[object, ...]) -> str:
    return " ".join(str(word) for word in label if word != "")


if __name__ == "__main__":
    try:
        print(explore(SCENARIOS[sys.argv[1]]))  # noqa: T201 - for its caller
    except Violation as violation:
        sys.exit(str(violation))
