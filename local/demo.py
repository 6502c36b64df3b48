"""`make demo`: the whole system on localhost, shown live and checked against its guarantees.

Starts the local cloud and the AlloMia simulator, builds and deploys the real template, sends the requests of
events/requests and some that the calling policy decides about, and waits for the outcome of each. Exits with 1 if a
guarantee does not hold.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.environment import KEY_WITH_ID, LocalEnvironment, running
from local.simulator.magic_numbers import MAGIC_NUMBERS
from outbound_calls.contracts.vocabulary import DAYS

REQUESTS = Path(__file__).resolve().parent.parent / "events/requests"
INVALID = "invalid-message"
DUPLICATE = "duplicate"
GIVE_UP_SECONDS = 90.0
SWEEP_SECONDS = 3.0
"""The poller's schedule starts it every minute; the demo does not wait for that."""

FIRST_SECONDS = 60.0
"""At most so long the messages that come first are waited for: the queue keeps no order."""

WEBHOOKS_AT_ONCE = 8

TERMINAL = frozenset({"completed", "failed", "busy", "no-answer", "rejected", "cancelled", "unknown"})
_STYLES = {"completed": "green", "unknown": "red", "rejected": "red", "scheduled": "yellow", "calling": "cyan"}


@dataclass(frozen=True)
class Case:
    """A request of the demo, what is special about it, and how it must end: `dials` counts the calls to the person.

    `first` is sent before the request, and `then` once it waits.
    """

    body: str
    what: str
    status: str
    source: str
    dials: int = 1
    first: str | None = None
    then: str | None = None

    @property
    def request_id(self) -> str:
        """The message's requestId."""
        return str(json.loads(self.body)["requestId"])

    @property
    def has_outcome(self) -> bool:
        """Whether it is to end while the demo runs."""
        return self.status in TERMINAL


@dataclass(frozen=True)
class Check:
    """One guarantee, and whether it holds."""

    guarantee: str
    found: str
    holds: bool


def main() -> int:
    """Run the demo; returns the exit code."""
    console = Console()
    if not console.is_terminal:
        console.width = 110
    cases = [*request_cases(), *policy_cases(datetime.now(UTC))]
    with ExitStack() as everything:
        with console.status("Starting the local cloud and the AlloMia simulator, and deploying template.yaml"):
            started = time.monotonic()
            environment = everything.enter_context(running(secret=KEY_WITH_ID))
        console.print(f"{environment.stack.name} deployed in {time.monotonic() - started:.0f} s\n")
        _warm_up(environment.stack.webhook_url)
        send(environment, cases)
        calls = watch(environment, cases, console)
        checks = list(check(environment, cases, calls))
    console.print(Group(*_summary(checks)))
    return 0 if all(check.holds for check in checks) else 1


def request_cases() -> Iterator[Case]:
    """The requests of events/requests. The number decides what AlloMia does."""
    for path in sorted(REQUESTS.glob("*.json")):
        if path.stem != INVALID:
            allomia = MAGIC_NUMBERS[json.loads(path.read_text())["phoneNumber"]]
            what = "the same message is sent twice" if path.stem == DUPLICATE else allomia.what
            yield Case(path.read_text(), what, allomia.status, allomia.source, allomia.dials)


def policy_cases(now: datetime) -> Iterator[Case]:
    """Requests that the calling policy decides about."""
    answers, busy, objects = "+15005550100", "+15005550101", "+15005550199"
    in_three_days = DAYS[(now.weekday() + 3) % len(DAYS)]
    yield Case(
        _request("outside-window", answers, timeZone="Etc/UTC", callingWindows=[_window(in_three_days)]),
        "outside its calling window, so it waits",
        "scheduled",
        "",
        dials=0,
    )
    yield Case(
        _request("cancelled", answers, notBefore=(now + timedelta(hours=1)).isoformat()),
        "cancelled while it waits for its notBefore",
        "cancelled",
        "upstream",
        dials=0,
        then=json.dumps({"cancel": {"requestId": "cancelled"}}),
    )
    yield Case(
        _request("redial", busy, redial={"on": {"busy": [5]}, "maxAttempts": 2}),
        "busy, dialled again after 5 s, and busy again",
        "busy",
        "webhook",
        dials=2,
    )
    yield Case(
        _request("do-not-call", objects),
        "the number is put on the do-not-call list first",
        "rejected",
        "policy",
        dials=0,
        first=json.dumps({"doNotCall": {"phoneNumber": objects}}),
    )


def _request(request_id: str, phone_number: str, **fields: Any) -> str:
    return json.dumps({"requestId": request_id, "phoneNumber": phone_number} | fields)


def _window(day: str) -> dict[str, Any]:
    return {"days": [day], "from": "09:00", "to": "17:00"}


def send(environment: LocalEnvironment, cases: Iterable[Case], *, one_by_one: bool = False) -> None:
    """Send every request, one of them twice, and an invalid message. One by one: each when those before are handled."""
    cases = list(cases)
    for first in (case.first for case in cases if case.first):
        environment.send(first)
    _wait_for_queue(environment)
    # The functions start meanwhile: a webhook whose function can't start in time is lost.
    time.sleep(3)
    for case in cases:
        if one_by_one:
            _wait_for_queue(environment)
        environment.send(case.body)
        if case.request_id.endswith(DUPLICATE):
            environment.send(case.body)
    environment.send((REQUESTS / f"{INVALID}.json").read_text())


def _warm_up(webhook_url: str) -> None:
    """Start as many workers as webhooks come at once: on a slow machine the poller would be faster than their start."""
    with ThreadPoolExecutor(WEBHOOKS_AT_ONCE) as threads:
        for _ in range(WEBHOOKS_AT_ONCE):
            threads.submit(httpx.post, f"{webhook_url}/no-request/1/not-signed", json={}, timeout=60)


def _wait_for_queue(environment: LocalEnvironment) -> None:
    """Wait until what was sent is handled."""
    deadline = time.monotonic() + FIRST_SECONDS
    while environment.waiting_requests() and time.monotonic() < deadline:
        time.sleep(0.3)


def watch(
    environment: LocalEnvironment, cases: list[Case], console: Console, seconds: float = GIVE_UP_SECONDS
) -> Mapping[str, Mapping[str, Any]]:
    """Show the calls until each has its outcome, or so many seconds have passed; returns the calls."""
    progress = Progress(TextColumn("outcomes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with_outcome = [case for case in cases if case.has_outcome]
    then = {case.request_id: case.then for case in cases if case.then}
    task = progress.add_task("outcomes", total=len(with_outcome))
    deadline = time.monotonic() + seconds
    next_sweep = 0.0
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            if time.monotonic() >= next_sweep:
                environment.sweep()
                next_sweep = time.monotonic() + SWEEP_SECONDS
            calls, dials = environment.calls(), environment.dials()
            for request_id in [name for name in then if calls.get(name, {}).get("status") == "scheduled"]:
                environment.send(then.pop(request_id))
            ended = sum(_has_ended(calls.get(case.request_id, {})) for case in with_outcome)
            progress.update(task, completed=ended)
            live.update(Group(table(cases, calls, dials), progress))
            if ended == len(with_outcome) or time.monotonic() > deadline:
                return calls
            time.sleep(0.5)


def _has_ended(call: Mapping[str, Any]) -> bool:
    return call.get("status") in TERMINAL and "redialAt" not in call


def table(cases: Iterable[Case], calls: Mapping[str, Mapping[str, Any]], dials: Mapping[str, tuple[int, int]]) -> Table:
    """The current status of the calls."""
    shown = Table("request", "what happens", "status", "source", "seconds", "calls", header_style="bold")
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


def check(environment: LocalEnvironment, cases: list[Case], calls: Mapping[str, Mapping[str, Any]]) -> Iterable[Check]:
    """Compare what happened with the guarantees."""
    as_expected = [
        case
        for case in cases
        if (call := calls.get(case.request_id))
        and (call["status"], call.get("outcomeSource", "")) == (case.status, case.source)
    ]
    yield Check(
        "every request has the outcome and the source that AlloMia's behaviour and the policy lead to",
        f"{len(as_expected)} of {len(cases)}",
        len(as_expected) == len(cases),
    )
    dials = environment.dials()
    most = max((attempted for attempted, _ in dials.values()), default=0)
    right = sum(dials.get(case.request_id, (0, 0))[1] == case.dials for case in cases)
    yield Check(
        "no one was called twice for one attempt, and no one who must not be called",
        f"{right} of {len(cases)} called exactly as often as they must be",
        right == len(cases) and most <= 2 and set(dials) == {case.request_id for case in cases if case.dials},
    )
    expected = {case.request_id for case in cases if case.has_outcome}
    events = _events(environment, len(expected))
    yield Check(
        "every outcome was published as an event",
        f"events for {len(events)} of {len(expected)} requests",
        events.keys() == expected,
    )
    invalid = environment.invalid_messages()
    yield Check(
        "the invalid message is kept, with the reason",
        "; ".join(message.attributes.get("reason", "no reason") for message in invalid) or "not found",
        [message.attributes.get("field") for message in invalid] == ["phoneNumber"],
    )
    ended = [call for call in calls.values() if _has_ended(call)]
    with_request = [call for call in ended if {"request", "dueAt", "dueShard"} & call.keys()]
    yield Check(
        "no name, number or variable remains in the table once a call has ended",
        f"{len(with_request)} of {len(ended)} records hold a request",
        not with_request,
    )
    letters = environment.dead_letters()
    yield Check("the dead-letter queue is empty", f"{len(letters)} messages", not letters)


def _events(environment: LocalEnvironment, expected: int) -> Counter[str]:
    """The number of outcome events by request; the stream may take a moment to deliver the last ones."""
    events: Counter[str] = Counter()
    deadline = time.monotonic() + 15.0
    while len(events) < expected and time.monotonic() < deadline:
        events.update(event["requestId"] for event in environment.outcome_events())
        time.sleep(0.3)
    return events


def _summary(checks: Iterable[Check]) -> Iterable[Table | str]:
    shown = Table("guarantee", "found", "", header_style="bold")
    for each in checks:
        shown.add_row(each.guarantee, each.found, "[green]✔[/]" if each.holds else "[red]✘[/]")
    yield ""
    yield shown


if __name__ == "__main__":
    sys.exit(main())
