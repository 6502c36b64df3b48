"""Depth-first through everything that can happen, each state once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.proof.explorer.promises import Broken
from tests.proof.explorer.workers import runs
from tests.proof.explorer.world import Scenario, State, Step, World

LONGEST = 150
"""Steps of a schedule, far beyond any that ends."""


@dataclass(frozen=True)
class Figures:
    """What an exploration came to."""

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
    """A schedule that breaks a promise."""

    def __init__(self, scenario: str, broken: Broken, schedule: list[str]) -> None:
        lines = "\n".join(f"  {number:2} {line}" for number, line in enumerate(schedule, 1))
        super().__init__(f"{scenario}: {broken}\n{lines}")
        self.promise = broken.promise
        self.schedule = schedule


class _Visit:
    """A state on the path that is being followed."""

    __slots__ = ("ahead", "ends_here", "height", "label", "schedules", "state")

    def __init__(self, label: tuple[object, ...], state: State, ahead: Iterator[Step]) -> None:
        self.label, self.state, self.ahead = label, state, ahead
        self.schedules, self.height = 0, 0
        self.ends_here = True


def explore(scenario: Scenario) -> Figures:
    """Follow every schedule of a scenario.

    Raises:
        Violation: with the first schedule found that breaks a promise.
    """
    world, began, before = World(scenario), time.monotonic(), runs()
    start = world.start()
    finished: dict[State, tuple[int, int]] = {}
    path = [_Visit((), start, world.steps(start))]
    open_states = {start}
    steps = ends = 0
    try:
        while True:
            visit = path[-1]
            step = next(visit.ahead, None)
            if step is None:
                if visit.ends_here:
                    world.check_end(visit.state)
                    visit.schedules += 1
                    ends += 1
                path.pop()
                open_states.remove(visit.state)
                finished[visit.state] = visit.schedules, visit.height
                if not path:
                    break
                path[-1].schedules += visit.schedules
                path[-1].height = max(path[-1].height, visit.height + 1)
                continue
            steps += 1
            visit.ends_here = visit.ends_here and not step.needed
            if known := finished.get(step.state):
                visit.schedules += known[0]
                visit.height = max(visit.height, known[1] + 1)
            elif step.state in open_states or len(path) > LONGEST:
                path.append(_Visit(step.label, step.state, iter(())))
                raise Broken("an end", "this goes on for ever")
            else:
                path.append(_Visit(step.label, step.state, world.steps(step.state)))
                open_states.add(step.state)
    except Broken as broken:
        schedule = [_readable(visit.label) for visit in path[1:]]
        raise Violation(scenario.name, broken, schedule + getattr(broken, "__notes__", [])) from None
    return Figures(
        scenario.name,
        len(finished),
        steps,
        ends,
        visit.schedules,
        visit.height,
        runs() - before,
        time.monotonic() - began,
    )


def wander(scenario: Scenario, seed: int, walks: int) -> Figures:
    """Follow `walks` schedules drawn at random, where there are too many to follow all.

    Raises:
        Violation: with the first schedule found that breaks a promise.
    """
    # Not a secret: the same seed must draw the same schedules.
    draw = random.Random(seed)  # noqa: S311
    world, began, before = World(scenario), time.monotonic(), runs()
    seen: set[State] = set()
    steps = longest = 0
    for _ in range(walks):
        state, schedule = world.start(), list[str]()
        # Each walk has its own liking for mishaps and webhooks, so that they come early in one and late in another.
        liking = draw.choice((0.05, 0.2, 0.5))
        try:
            while True:
                ahead = list(world.steps(state))
                needed = [step for step in ahead if step.needed]
                optional = [step for step in ahead if not step.needed]
                if not needed:
                    world.check_end(state)
                    if not optional or draw.random() > liking:
                        break
                step = draw.choice(optional if optional and (not needed or draw.random() < liking) else needed)
                schedule.append(_readable(step.label))
                state = step.state
                seen.add(state)
                if len(schedule) > LONGEST:
                    raise Broken("an end", "this goes on for ever")
        except Broken as broken:
            lines = schedule + getattr(broken, "__notes__", [])
            raise Violation(f"{scenario.name}, seed {seed}", broken, lines) from None
        steps += len(schedule)
        longest = max(longest, len(schedule))
    return Figures(
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
