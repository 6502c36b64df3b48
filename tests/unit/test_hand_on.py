"""Which attempts a run hands free lines on to, in which order, and what it asks for meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.adapters.queues import CallQueue
from outbound_calls.adapters.waiting_attempts import WaitingAttempts
from outbound_calls.contracts.vocabulary import Priority, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey, Terms
from outbound_calls.domain.lines import Lines, Mark, line_reserved_for
from outbound_calls.policy.rules import Rules
from outbound_calls.use_cases.hand_on import SECONDS_TO_HAND_ON, HandedOn, HandOnLines
from tests.unit.dynamodb import Asked, dynamodb_and_sqs, fault, number, well
from tests.unit.parts import Clock
from tests.unit.policy.parts import rules_of

NOW, LONG_AGO = 1_000_000, 900_000
URGENT, NORMAL, LOW = Priority.URGENT, Priority.NORMAL, Priority.LOW
QUEUE = "https://sqs.example/123456789012/handed-on"
SENT, DONE, NOT_NOW = well(MessageId="m"), well(Attributes={}), fault("ConditionalCheckFailedException")
SETTLED = Mark(7, LONG_AGO)


def rules(limit: int | None = 2, **changes: Any) -> Rules:
    return replace(rules_of({} if limit is None else {"maxConcurrentCalls": limit}), **changes)


def key(name: str) -> AttemptKey:
    return AttemptKey(RequestKey(name, "clinic-a"), 1)


def lines(*used: str, until: int = NOW + 99, counted_since: int = 0, **marks: Mark) -> Lines:
    return Lines(dict.fromkeys(used, until), {Priority(name): mark for name, mark in marks.items()}, counted_since)


def lines_now(*used: str, until: int = NOW + 99, **marks: Mark) -> bytes:
    """The answer to a change of the lines: they are these then."""
    times = {f"{name}At": number(mark.at) for name, mark in marks.items()}
    arrivals = {f"{name}Arrivals": number(mark.arrivals) for name, mark in marks.items()}
    return well(Attributes={"lines": {"M": dict.fromkeys(used, number(until))}, **times, **arrivals})


def stored(name: str) -> dict[str, Any]:
    return {"requestId": {"S": f"clinic-a~{name}"}, "attempt": {"N": "1"}}


def waiting(*names: str, since: int = 5) -> bytes:
    """The answer to a look at those who wait."""
    more = {"policyVersion": number(1)}
    return well(Items=[stored(name) | {"waitsSince": number(since + place)} | more for place, name in enumerate(names)])


def leased(name: str) -> bytes:
    return well(
        Attributes=stored(name) | {"status": {"S": "scheduled"}, "createdAt": number(5), "timesParked": {"N": "3"}}
    )


def parked(name: str, created_at: int = 5, priority: Priority = NORMAL, version: int | None = 1) -> Attempt:
    terms = Terms(priority=priority)
    return Attempt(key(name), created_at, Status.SCHEDULED, terms=terms, policy_version=version)


def step(asked: Mapping[str, Any]) -> str:
    """What was asked for, in short."""
    if "MessageBody" in asked:
        body = json.loads(asked["MessageBody"])
        name = body["dispatch"]["requestId"] if "dispatch" in body else f"{body}"
        return f"send {name} after {asked.get('DelaySeconds', 0)}"
    values = asked["ExpressionAttributeValues"]
    if "IndexName" in asked:
        return f"look {values[':condition']['S']} {asked['Limit']}"
    change = asked["UpdateExpression"].partition(" ")[0]
    if asked["TableName"] == "calls":
        return f"{'lease' if 'REMOVE' in asked['UpdateExpression'] else 'wait again'} {asked['Key']['requestId']['S']}"
    names = ", ".join(asked["ExpressionAttributeNames"].values())
    return f"{change} {asked['Key']['subject']['S']} {names} {' '.join(each['N'] for each in values.values())}"


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[HandOnLines, Asked]]:
    with dynamodb_and_sqs(*answers) as (client, sqs, asked):
        waiting = WaitingAttempts(CallsTable(client, "calls", 90, 1))
        yield HandOnLines(waiting, LinesTable(client, "policy"), CallQueue(sqs, QUEUE), Clock(NOW)), asked


def plenty() -> float:
    return 60.0


def run(
    lines: Lines,
    *answers: bytes,
    limit: int = 2,
    seconds_left: Callable[[], float] = plenty,
    parked: Attempt | None = None,
) -> tuple[HandedOn, list[str]]:
    """What a run hands on, and what it asks for, in short."""
    with answering(*answers) as (hand_on, played):
        done = hand_on.hand_on("clinic-a", rules(limit), lines, seconds_left, parked)
    return done, list(map(step, played.asked))


def look(priority: str = "normal") -> str:
    return f"look clinic-a~line~{priority} 20"


def lease(name: str) -> str:
    return f"lease clinic-a~{name}"


def reserve(name: str, limit: int = 2) -> str:
    return f"SET lines#clinic-a lines, {line_reserved_for(key(name))} {NOW + 60} {limit}"


def send(name: str) -> str:
    return f"send clinic-a~{name} after 0"


def handed(name: str, limit: int = 2) -> list[str]:
    """The steps that hand on a line."""
    return [lease(name), reserve(name, limit), send(name)]


# Whether anything is to be handed on.


@pytest.mark.parametrize(
    ("of_policy", "of_organization"),
    [
        (rules(None), lines(normal=SETTLED)),
        (rules(paused=True), lines(normal=SETTLED)),
        (rules(), lines()),
        (rules(limited_since=NOW), lines(normal=SETTLED)),
    ],
    ids=["no limit", "paused", "no one waits", "not counted"],
)
def test_where_no_line_is_to_be_handed_on_nothing_is_asked_for(of_policy: Rules, of_organization: Lines) -> None:
    with answering(DONE) as (hand_on, played):
        done = hand_on.hand_on("clinic-a", of_policy, of_organization, plenty)

    assert done == HandedOn(of_organization)
    assert (done.count, played.asked) == (0, [])


def test_without_a_free_line_no_one_is_looked_for() -> None:
    full = lines("a", "b", normal=SETTLED)

    assert run(full, DONE) == (HandedOn(full), [])


def test_lines_that_lapsed_are_dropped_first() -> None:
    lapsed = lines("a", "b", until=NOW - 1, normal=SETTLED)
    answers = [lines_now("b", until=NOW - 1, normal=SETTLED), lines_now(normal=SETTLED), waiting(), lines_now()]

    done, steps = run(lapsed, *answers)

    assert done == HandedOn(Lines())
    assert steps[:3] == [
        f"REMOVE lines#clinic-a lines, a {NOW - 1}",
        f"REMOVE lines#clinic-a lines, b {NOW - 1}",
        look(),
    ]


# Which attempts get a line.


def test_a_free_line_goes_to_the_first_who_waits() -> None:
    with answering(waiting("visit-1"), leased("visit-1"), lines_now("r", normal=SETTLED), SENT) as (hand_on, played):
        done = hand_on.hand_on("clinic-a", rules(), lines(normal=SETTLED), plenty)

    assert done == HandedOn(lines("r", normal=SETTLED), 1)
    assert list(map(step, played.asked)) == [look(), *handed("visit-1")]
    values = played.asked[1]["ExpressionAttributeValues"]
    assert (values[":line"], values[":due"]) == ({"S": "clinic-a~line~normal"}, number(NOW + 120))
    assert json.loads(played.asked[3]["MessageBody"])["timesParked"] == 3


def test_the_more_urgent_get_lines_first() -> None:
    marks: dict[str, Any] = {"low": SETTLED, "normal": SETTLED, "urgent": SETTLED}
    answers = []
    for place, priority in enumerate(("urgent", "normal", "low")):
        answers += [waiting(priority), leased(priority), lines_now(*"abc"[: place + 1], **marks), SENT]

    done, steps = run(lines(**marks), *answers, limit=4)

    assert done.count == 3
    assert steps == [
        step for priority in ("urgent", "normal", "low") for step in (look(priority), *handed(priority, limit=4))
    ]


def test_of_those_who_wait_as_many_get_a_line_as_there_are() -> None:
    answers = [waiting("visit-1", "visit-2"), leased("visit-1"), lines_now("a", "b", normal=SETTLED), SENT]

    done, steps = run(lines("a", normal=SETTLED), *answers)

    assert done == HandedOn(lines("a", "b", normal=SETTLED), 1)
    assert steps == [look(), *handed("visit-1")]


def test_one_who_does_not_wait_any_more_is_passed_over() -> None:
    answers = [waiting("visit-1", "visit-2"), NOT_NOW, leased("visit-2"), lines_now("r", normal=SETTLED), SENT]

    done, steps = run(lines(normal=SETTLED), *answers)

    assert done.count == 1
    assert steps == [look(), lease("visit-1"), *handed("visit-2")]


def test_one_whose_line_another_took_waits_again_and_the_run_ends() -> None:
    free = lines(normal=SETTLED, low=SETTLED)
    answers = [waiting("visit-1", "visit-2"), leased("visit-1"), NOT_NOW, DONE, waiting(), lines_now()]

    done, steps = run(free, *answers)

    assert done.count == 0
    assert steps[:4] == [look(), lease("visit-1"), reserve("visit-1"), "wait again clinic-a~visit-1"]
    assert steps[4] == look("low")


@pytest.mark.parametrize("count", [19, 20])
def test_where_more_wait_than_are_looked_at_it_looks_again(count: int) -> None:
    names = [f"visit-{number:02}" for number in range(count)]
    answers = [waiting(*names), *[NOT_NOW] * count, waiting(), lines_now()]

    _, steps = run(lines(normal=SETTLED), *answers)

    again = [look(), "REMOVE lines#clinic-a normalAt, normalArrivals 7"]
    assert steps == [look(), *map(lease, names), *(again if count == 20 else [])]


# Whether all who wait were seen.


def test_a_mark_is_cleared_where_the_index_must_show_all_and_shows_no_one() -> None:
    mark = Mark(7, NOW - 5)

    done, steps = run(lines(normal=mark), waiting(), lines_now("a"))

    assert done == HandedOn(lines("a"))
    assert steps == [look(), "REMOVE lines#clinic-a normalAt, normalArrivals 7"]


def test_a_mark_stays_where_the_index_shows_someone() -> None:
    marked = lines(normal=SETTLED)

    assert run(marked, waiting("visit-1"), NOT_NOW) == (HandedOn(marked), [look(), lease("visit-1")])


@pytest.mark.parametrize("shown", [(), ("visit-1",)], ids=["no one", "someone"])
def test_while_the_index_may_lag_it_is_looked_at_again_in_a_moment(shown: tuple[str, ...]) -> None:
    marked = lines(normal=Mark(7, NOW - 2))

    done, steps = run(marked, waiting(*shown), *[NOT_NOW] * len(shown), SENT)

    assert done == HandedOn(marked)
    assert steps == [look(), *map(lease, shown), "send {'handOn': {'organization': 'clinic-a'}} after 3"]


def test_without_a_line_left_it_is_not_looked_at_again() -> None:
    answers = [waiting("visit-1"), leased("visit-1"), lines_now("a", "b", normal=Mark(7, NOW)), SENT]

    _, steps = run(lines("a", normal=Mark(7, NOW)), *answers)

    assert steps == [look(), *handed("visit-1")]


# The one that was parked a moment ago.


def test_the_one_that_was_parked_a_moment_ago_may_be_the_only_one() -> None:
    answers = [waiting(), leased("visit-9"), lines_now("r", normal=SETTLED), SENT]

    done, steps = run(lines(normal=SETTLED), *answers, parked=parked("visit-9", version=None))

    assert done.count == 1
    assert steps == [look(), *handed("visit-9")]


@pytest.mark.parametrize(
    ("created_at", "order"), [(4, ["visit-9", "visit-1", "visit-2"]), (6, ["visit-1", "visit-9", "visit-2"])]
)
def test_it_has_the_place_of_its_arrival(created_at: int, order: list[str]) -> None:
    entries = [stored(f"visit-{place}") | {"waitsSince": number(since)} for place, since in ((1, 5), (2, 7))]

    _, steps = run(lines(normal=SETTLED), well(Items=entries), NOT_NOW, parked=parked("visit-9", created_at))

    assert steps == [look(), *map(lease, order)]


def test_it_is_handed_a_line_once_where_the_index_shows_it_already() -> None:
    _, steps = run(lines(normal=SETTLED), waiting("visit-9", "visit-1"), NOT_NOW, parked=parked("visit-9"))

    assert steps == [look(), lease("visit-9"), lease("visit-1")]


def test_it_waits_among_those_of_its_own_priority() -> None:
    marked = lines(normal=SETTLED, low=SETTLED)

    _, steps = run(marked, waiting("visit-1"), NOT_NOW, waiting(), NOT_NOW, parked=parked("visit-9", priority=LOW))

    assert steps == [look(), lease("visit-1"), look("low"), lease("visit-9")]


def test_it_comes_after_as_many_as_are_looked_at() -> None:
    names = [f"visit-{number:02}" for number in range(20)]
    answers = [waiting(*names), *[NOT_NOW] * 20, waiting(), NOT_NOW]

    _, steps = run(lines(normal=SETTLED), *answers, parked=parked("visit-9", 1))

    assert steps == [look(), *map(lease, names), look(), lease("visit-9")]


def test_it_is_handed_a_line_once_even_where_it_is_looked_at_again() -> None:
    names = [f"visit-{number:02}" for number in range(19)]
    answers = [waiting(*names), *[NOT_NOW] * 20, waiting(), lines_now()]

    _, steps = run(lines(normal=SETTLED), *answers, parked=parked("visit-99"))

    assert steps.count(lease("visit-99")) == 1


# Too little time.


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [
        ([8.0], []),
        ([8.1, 8.0], [look()]),
        ([8.1, 8.1, 8.0], [look(), *handed("visit-1", 9)]),
        ([8.1, 8.1, 8.1, 8.0], [look(), *handed("visit-1", 9), *handed("visit-2", 9)]),
    ],
)
def test_nothing_is_begun_in_the_last_eight_seconds(seconds: list[float], steps: list[str]) -> None:
    left = iter(seconds)
    answers = [waiting("visit-1", "visit-2", "visit-3")]
    for name, used in (("visit-1", "a"), ("visit-2", "ab")):
        answers += [leased(name), lines_now(*used, normal=SETTLED), SENT]

    done, found = run(lines(normal=SETTLED), *answers, limit=9, seconds_left=lambda: next(left))

    assert found == steps
    assert done.count == len(steps) // 3
    assert SECONDS_TO_HAND_ON == 8
