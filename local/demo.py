"""`make demo`: the whole main job on this machine, watched live, and checked against what is promised.

Starts the local cloud and AlloMia's simulator, builds and deploys the real template, posts the requests of
events/requests, and waits for the outcome of each. Exits with 1 when anything is not as promised.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.simulator.magic_numbers import MAGIC_NUMBERS, MagicNumber
from local.world import World, running

REQUESTS = Path(__file__).resolve().parent.parent / "events/requests"
REFUSED = "invalid-message"
TWICE = "duplicate"
GIVE_UP_SECONDS = 90.0
SWEEP_SECONDS = 3.0
"""The poller's own schedule starts it every minute; the demo does not wait for that."""

TERMINAL = frozenset({"completed", "failed", "busy", "no-answer", "rejected", "unknown"})
_STYLES = {"completed": "green", "unknown": "red", "rejected": "red", "scheduled": "yellow", "calling": "cyan"}


@dataclass(frozen=True)
class Case:
    """A request of the demo, and what AlloMia will do to it."""

    name: str
    body: str
    allomia: MagicNumber

    @property
    def request_id(self) -> str:
        """As the message says."""
        return str(json.loads(self.body)["requestId"])

    @property
    def what(self) -> str:
        """What is special about it."""
        return "the same message is sent twice" if self.name == TWICE else self.allomia.what


@dataclass(frozen=True)
class Check:
    """One thing promised, and whether it came true."""

    promise: str
    found: str
    kept: bool


def main() -> int:
    """Run the demo; returns the exit code."""
    console = Console()
    if not console.is_terminal:
        console.width = 110
    cases = [
        Case(path.stem, path.read_text(), MAGIC_NUMBERS[json.loads(path.read_text())["phoneNumber"]])
        for path in sorted(REQUESTS.glob("*.json"))
        if path.stem != REFUSED
    ]
    with ExitStack() as everything:
        with console.status("Starting the local cloud and AlloMia's simulator, building and deploying template.yaml"):
            started = time.monotonic()
            world = everything.enter_context(running())
        console.print(f"{world.stack.name} deployed in {time.monotonic() - started:.0f} s\n")
        send(world, cases)
        calls = watch(world, cases, console)
        checks = list(check(world, cases, calls))
    console.print(Group(*_summary(checks)))
    return 0 if all(check.kept for check in checks) else 1


def send(world: World, cases: Iterable[Case]) -> None:
    """Post every request, one of them twice, and one that no call can come of."""
    for case in cases:
        world.send(case.body)
        if case.name == TWICE:
            world.send(case.body)
    world.send((REQUESTS / f"{REFUSED}.json").read_text())


def watch(world: World, cases: list[Case], console: Console) -> Mapping[str, Mapping[str, Any]]:
    """Show the calls until each has its outcome, or for as long as anybody should wait; returns the calls."""
    progress = Progress(TextColumn("outcomes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    task = progress.add_task("outcomes", total=len(cases))
    deadline = time.monotonic() + GIVE_UP_SECONDS
    next_sweep = 0.0
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            if time.monotonic() >= next_sweep:
                world.sweep()
                next_sweep = time.monotonic() + SWEEP_SECONDS
            calls, dials = world.calls(), world.dials()
            ended = sum(calls.get(case.request_id, {}).get("status") in TERMINAL for case in cases)
            progress.update(task, completed=ended)
            live.update(Group(table(cases, calls, dials), progress))
            if ended == len(cases) or time.monotonic() > deadline:
                return calls
            time.sleep(0.5)


def table(cases: Iterable[Case], calls: Mapping[str, Mapping[str, Any]], dials: Mapping[str, tuple[int, int]]) -> Table:
    """The calls as they stand."""
    shown = Table("request", "what happens", "status", "by", "seconds", "rung", header_style="bold")
    shown.columns[0].no_wrap = shown.columns[2].no_wrap = True
    for case in cases:
        call = calls.get(case.request_id, {})
        status = call.get("status", "queued")
        seconds = call["recordedAt"] - call["createdAt"] if "recordedAt" in call else None
        shown.add_row(
            case.request_id,
            case.what,
            f"[{_STYLES.get(status, 'white')}]{status}[/]",
            call.get("outcomeSource", ""),
            "" if seconds is None else str(seconds),
            f"{dials.get(case.request_id, (0, 0))[1]}",
        )
    return shown


def check(world: World, cases: list[Case], calls: Mapping[str, Mapping[str, Any]]) -> Iterable[Check]:
    """Hold what happened against what is promised."""
    as_promised = [
        case
        for case in cases
        if (call := calls.get(case.request_id))
        and (call["status"], call.get("outcomeSource")) == (case.allomia.status, case.allomia.source)
    ]
    yield Check(
        "every request has the outcome that AlloMia's behaviour leaves, from where it must come",
        f"{len(as_promised)} of {len(cases)}",
        len(as_promised) == len(cases),
    )
    dials = world.dials()
    most = max((attempted for attempted, _ in dials.values()), default=0)
    right = sum(dials.get(case.request_id, (0, 0))[1] == case.allomia.dials for case in cases)
    yield Check(
        "nobody was rung twice",
        f"{right} of {len(cases)} rung exactly once, none more often",
        right == len(cases) and most <= 2 and set(dials) == {case.request_id for case in cases},
    )
    heard = _hear(world, len(cases))
    yield Check(
        "every outcome came over the bus",
        f"events for {len(heard)} of {len(cases)} requests",
        heard.keys() == {case.request_id for case in cases},
    )
    rejected = world.rejected()
    yield Check(
        "the bad message is kept, with the reason",
        "; ".join(message.attributes.get("reason", "no reason") for message in rejected) or "not found",
        [message.attributes.get("field") for message in rejected] == ["phoneNumber"],
    )
    left = [call for call in calls.values() if {"request", "dueAt", "dueShard"} & call.keys()]
    yield Check(
        "no name, number or variable is left in the table",
        f"{len(left)} of {len(calls)} records hold a request",
        not left,
    )
    letters = world.dead_letters()
    yield Check("the dead-letter queue is empty", f"{len(letters)} messages", not letters)


def _hear(world: World, expected: int) -> Counter[str]:
    """The outcome events by request; the stream may take a moment to deliver the last ones."""
    heard: Counter[str] = Counter()
    deadline = time.monotonic() + 15.0
    while len(heard) < expected and time.monotonic() < deadline:
        heard.update(event["requestId"] for event in world.heard())
        time.sleep(0.3)
    return heard


def _summary(checks: Iterable[Check]) -> Iterable[Table | str]:
    shown = Table("promised", "found", "", header_style="bold")
    for each in checks:
        shown.add_row(each.promise, each.found, "[green]✔[/]" if each.kept else "[red]✘[/]")
    yield ""
    yield shown


if __name__ == "__main__":
    sys.exit(main())
