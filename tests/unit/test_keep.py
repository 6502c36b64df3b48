"""What a keeper's look asks for, which attempts it lets go on and when, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.due_entries import DueKeeper
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.adapters.queues import CallQueue
from outbound_calls.adapters.waiting_attempts import Waiting, WaitingAttempts
from outbound_calls.contracts.vocabulary import Preset, Priority
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.lines import LinesSeen
from outbound_calls.use_cases.hand_on import HandOnLines
from outbound_calls.use_cases.keep import (
    IN_FORCE_SECONDS,
    MOST_RELEASED,
    RELEASED_PER_SECOND,
    SETTLED_SECONDS,
    KeepWaiting,
    Kept,
    _outdated,
)
from outbound_calls.use_cases.polls import SECONDS_TO_POLL
from tests.unit.dynamodb import Asked, dynamodb_and_sqs, fault, number, well
from tests.unit.parts import Clock

NOW = 1_000_000
DUE = DueKeeper("clinic-a", NOW)
DEADLINE_SECONDS = 7200
URGENT, NORMAL, LOW = Priority.URGENT, Priority.NORMAL, Priority.LOW
REQUESTS, HANDED_ON = (f"https://sqs.example/123456789012/{name}" for name in ("requests", "handed-on"))
SENT, DONE, NOT_NOW = well(MessageId="m"), well(Attributes={}), fault("ConditionalCheckFailedException")
SENT_TEN = well(Successful=[], Failed=[])
NO_ONE = well(Items=[])
NO_POLICY = well()


def keeper(*, for_lines: bool = False, empty_at: int | None = None, released_version: int | None = None) -> bytes:
    """The answer to a lease: the keeper."""
    numbers = {"arrivals": 5, "emptyAt": empty_at, "releasedVersion": released_version}
    item = {name: number(value) for name, value in numbers.items() if value is not None}
    return well(Attributes=item | ({"forLines": number(1)} if for_lines else {}))


def policy(version: int = 7, set_at: int = NOW - 60, since: int = 0, text: str | None = None, **says: Any) -> bytes:
    """The answer to a look for the policy in force."""
    item = {
        "version": number(version),
        "document": {"S": text or json.dumps({"basedOn": "open"} | says)},
        "setAt": number(set_at),
        "setBy": {"S": "test"},
        "limitedSince": {"M": {"clinic-a": number(since)}},
    }
    return well(Item=item)


LIMITED: dict[str, Any] = {"organizations": {"clinic-a": {"maxConcurrentCalls": 2}}}


def stored(name: str) -> dict[str, Any]:
    return {"requestId": {"S": f"clinic-a~{name}"}, "attempt": {"N": "1"}}


def waiting(*names: str, version: int = 6, since: int = NOW - 90) -> bytes:
    """The answer to a look at those who wait."""
    more = {"waitsSince": number(since), "policyVersion": number(version)}
    return well(Items=[stored(name) | more for name in names])


def names_of(count: int) -> list[str]:
    return [f"visit-{place:02}" for place in range(count)]


def leased(name: str) -> bytes:
    item = {"status": {"S": "scheduled"}, "createdAt": number(5), "timesParked": number(3)}
    return well(Attributes=stored(name) | item)


def released(names: Iterable[str]) -> list[bytes]:
    """The answers to leases of ten and to their messages."""
    return [*map(leased, names), SENT_TEN]


def lines_item(*used: str, counted_since: int = 0, until: int = NOW + 99, **marks: int) -> dict[str, Any]:
    """The lines of the organization, and the time of each mark."""
    times = {f"{name}At": number(at) for name, at in marks.items()} | {f"{name}Arrivals": number(3) for name in marks}
    return {"lines": {"M": dict.fromkeys(used, number(until))}, "countedSince": number(counted_since), **times}


def lines(*used: str, **more: int) -> bytes:
    return well(Item=lines_item(*used, **more))


def changed(*used: str, **more: int) -> bytes:
    """The answer to a change of the lines."""
    return well(Attributes=lines_item(*used, **more))


def step(asked: Mapping[str, Any]) -> str:
    """What was asked for, in short."""
    if "QueueUrl" in asked:
        return _message(asked)
    values, change = asked.get("ExpressionAttributeValues", {}), asked.get("UpdateExpression", "")
    if "IndexName" in asked:
        what = values[":condition"]["S"].removeprefix("clinic-a~") if ":condition" in values else "due"
        return f"{'count' if 'Select' in asked else 'look'} {what} {asked.get('Limit', 'all')}"
    name = next(iter(asked["Key"].values()))["S"].removeprefix("clinic-a~")
    if not change:
        return f"{'delete' if asked['TableName'] == 'calls' else 'read'} {name}"
    if asked["TableName"] == "policy":
        names = [each for place, each in asked["ExpressionAttributeNames"].items() if place != "#lines"]
        return f"{change.partition(' ')[0]} {name} {', '.join(names)}"
    if name == "~keeper":
        return "lease" if ":due" in values else f"{change} {next(iter(values.values()))['N']}"
    if ":dispatchAt" not in values:
        return f"lease {name}"
    return f"lease {name} by {values[':current']['N']} from {values[':dispatchAt']['N']} to {values[':due']['N']}"


def _message(asked: Mapping[str, Any]) -> str:
    queue = asked["QueueUrl"].rpartition("/")[2]
    sent = asked.get("Entries", [asked])
    bodies = [json.loads(each["MessageBody"])["dispatch"]["requestId"].removeprefix("clinic-a~") for each in sent]
    return f"{queue} " + ", ".join(
        f"{body} in {each.get('DelaySeconds', 0)}" for body, each in zip(bodies, sent, strict=True)
    )


@contextmanager
def answering(
    *answers: bytes, now: float = NOW, clock_step: float = 0.0, preset: Any = Preset.OPEN
) -> Iterator[tuple[KeepWaiting, Asked]]:
    with dynamodb_and_sqs(*answers) as (client, sqs, asked):
        table, clock = CallsTable(client, "calls", 90, 1), Clock(now, clock_step)
        hand_on = HandOnLines(
            WaitingAttempts(table), LinesTable(client, "policy"), CallQueue(sqs, HANDED_ON), Clock(now)
        )
        yield (
            KeepWaiting(
                hand_on, CallQueue(sqs, REQUESTS), PolicyTable(client, "policy"), preset, DEADLINE_SECONDS, clock
            ),
            asked,
        )


def plenty() -> float:
    return 60.0


def look(*answers: bytes, seconds_left: Callable[[], float] = plenty, **world: Any) -> tuple[Kept | None, list[str]]:
    """What a look did, and what it asked for after the lease and the first look at the index, in short."""
    with answering(*answers, **world) as (keep, asked):
        kept = keep.keep(DUE, seconds_left)
    steps = list(map(step, asked.asked))
    assert steps[:2] == ["lease", "look policy 1"][: len(steps)]
    return kept, steps[2:]


FOR_POLICY = (keeper(), waiting("visit-00"))


def test_the_fixed_times_and_numbers() -> None:
    assert (IN_FORCE_SECONDS, SETTLED_SECONDS, MOST_RELEASED, RELEASED_PER_SECOND) == (10, 120, 5000, 10)
    assert (Kept().released, Kept().lines) == (0, None)


# Whether it looks.


@pytest.mark.parametrize(("seconds", "looks"), [(SECONDS_TO_POLL, True), (SECONDS_TO_POLL - 0.1, False)])
def test_a_look_needs_time(seconds: float, looks: bool) -> None:
    with answering(keeper(), NO_ONE, DONE) as (keep, asked):
        assert (keep.keep(DUE, lambda: seconds) is not None) is looks
    assert bool(asked.asked) is looks


def test_a_keeper_that_another_sweep_has_is_left_to_it() -> None:
    assert look(NOT_NOW) == (None, [])


@pytest.mark.parametrize(
    ("empty_at", "rests"), [(None, "SET #emptyAt = :seen 5"), (4, "SET #emptyAt = :seen 5"), (5, "delete ~keeper")]
)
def test_a_keeper_rests_where_no_one_waits(empty_at: int | None, rests: str) -> None:
    assert look(keeper(empty_at=empty_at), NO_ONE, DONE) == (Kept(), [rests])


# Under another version of the policy.


def test_what_waits_under_another_version_is_dispatched() -> None:
    answers = [*FOR_POLICY, policy(), waiting("visit-00", "visit-01"), *released(["visit-00", "visit-01"])]

    kept, steps = look(*answers)

    assert kept == Kept(2)
    lease = f"by 7 from {NOW} to {NOW + 60}"
    assert steps == [
        "read policy",
        "look policy all",
        f"lease visit-00 {lease}",
        f"lease visit-01 {lease}",
        "requests visit-00 in 0, visit-01 in 0",
    ]


def test_what_is_leased_waits_under_the_version_that_the_index_shows() -> None:
    with answering(*FOR_POLICY, policy(), waiting("visit-00"), *released(["visit-00"])) as (keep, asked):
        keep.keep(DUE, plenty)

    assert asked.asked[4]["ExpressionAttributeValues"][":seen"] == number(6)


def test_only_what_waits_under_another_version_is_dispatched() -> None:
    both = [stored("visit-00") | {"policyVersion": number(7)}, stored("visit-01") | {"policyVersion": number(0)}]
    entries = well(Items=[each | {"waitsSince": number(5)} for each in both])

    kept, steps = look(*FOR_POLICY, policy(), entries, *released(["visit-01"]))

    assert kept == Kept(1)
    assert steps[2:] == [f"lease visit-01 by 7 from {NOW} to {NOW + 60}", "requests visit-01 in 0"]


def test_one_that_changed_meanwhile_is_not_dispatched() -> None:
    answers = [*FOR_POLICY, policy(), waiting("visit-00", "visit-01", "visit-02")]

    kept, steps = look(*answers, leased("visit-00"), NOT_NOW, leased("visit-02"), SENT_TEN)

    assert kept == Kept(2)
    assert steps[-1] == "requests visit-00 in 0, visit-02 in 0"


def test_where_all_changed_meanwhile_no_message_is_sent() -> None:
    kept, steps = look(*FOR_POLICY, policy(), waiting("visit-00"), NOT_NOW)

    assert kept == Kept()
    assert steps[2:] == [f"lease visit-00 by 7 from {NOW} to {NOW + 60}"]


def test_what_is_released_is_spread_over_as_many_seconds_as_it_takes() -> None:
    names = names_of(25)
    tens = [names[:10], names[10:20], names[20:]]
    answers = [*FOR_POLICY, policy(), waiting(*names), *(answer for ten in tens for answer in released(ten))]

    # Each look at the clock comes a second later: the first at the keeper, one at each ten
    kept, steps = look(*answers, now=NOW - 0.5, clock_step=1.0)

    assert kept == Kept(25)
    times = [place * 2 // 25 for place in range(25)]
    assert [each for each in steps[2:] if each.startswith("lease")] == [
        f"lease {name} by 7 from {NOW + at} to {NOW + at + 60}" for name, at in zip(names, times, strict=True)
    ]
    sent_at = [1, 2, 3]
    assert [each for each in steps if each.startswith("requests")] == [
        "requests " + ", ".join(f"{name} in {max(0, times[names.index(name)] - after)}" for name in ten)
        for ten, after in zip(tens, sent_at, strict=True)
    ]


MANY = [Waiting(AttemptKey(RequestKey(f"visit-{place:04}", "clinic-a"), 1), 6, place) for place in range(5001)]


def test_each_look_releases_five_thousand() -> None:
    assert _outdated(MANY, 7) == MANY[:5000]
    assert _outdated(MANY, 6) == []


def test_many_are_spread_over_five_minutes() -> None:
    names, left = [each.key.request.request_id for each in MANY[:20]], iter([60.0, 60.0])
    with answering(*released(names[:10]), *released(names[10:])) as (keep, asked):
        assert keep._release(MANY[:5000], 7, NOW, lambda: next(left, 0.0)) == 20

    times = [int(each["ExpressionAttributeValues"][":dispatchAt"]["N"]) for each in asked.asked if "Key" in each]
    assert times == [NOW] * 17 + [NOW + 1] * 3


@pytest.mark.parametrize(("seconds", "count"), [(8.0, 1), (7.9, 0)])
def test_nothing_is_released_in_the_last_eight_seconds(seconds: float, count: int) -> None:
    left = iter([60.0, seconds])

    kept, _ = look(*FOR_POLICY, policy(), waiting("visit-00"), *released(["visit-00"]), seconds_left=lambda: next(left))

    assert kept == Kept(count)


@pytest.mark.parametrize(
    "answer",
    [policy(set_at=NOW - 9), policy(text="no JSON")],
    ids=["not everywhere", "unreadable"],
)
def test_a_policy_that_is_not_in_force_everywhere_releases_no_one(answer: bytes) -> None:
    assert look(*FOR_POLICY, answer) == (Kept(), ["read policy"])


def test_a_policy_is_in_force_everywhere_after_ten_seconds() -> None:
    kept, _ = look(*FOR_POLICY, policy(set_at=NOW - 10), waiting("visit-00"), *released(["visit-00"]))

    assert kept == Kept(1)


def test_without_a_policy_what_waits_under_one_is_released() -> None:
    kept, _ = look(*FOR_POLICY, NO_POLICY, waiting("visit-00"), *released(["visit-00"]))

    assert kept == Kept(1)


def test_without_a_policy_what_waits_under_none_stays() -> None:
    kept, steps = look(keeper(), waiting("visit-00", version=0), NO_POLICY, waiting("visit-00", version=0), DONE)

    assert (kept, steps) == (Kept(), ["read policy", "look policy all", "SET #releasedVersion = :version 0"])


def test_a_version_under_which_all_wait_is_not_looked_at_again() -> None:
    assert look(keeper(released_version=7), waiting("visit-00"), policy()) == (Kept(), ["read policy"])


@pytest.mark.parametrize(("age", "noted"), [(119, []), (120, ["SET #releasedVersion = :version 7"])])
def test_that_all_were_released_is_noted_once_no_one_parks_by_another_version(age: int, noted: list[str]) -> None:
    same = waiting("visit-00", version=7)

    assert look(keeper(), same, policy(set_at=NOW - age), same, DONE) == (
        Kept(),
        ["read policy", "look policy all", *noted],
    )


def test_while_any_is_released_nothing_is_noted() -> None:
    _, steps = look(*FOR_POLICY, policy(set_at=NOW - 999), waiting("visit-00"), *released(["visit-00"]))

    assert not any("releasedVersion" in each for each in steps)


# For a line.

LOOKS = ["look line~urgent 1", "look line~normal 1", "look line~low 1"]
FOR_LINES = (keeper(for_lines=True), NO_ONE)


NO_COUNTS = {URGENT: 0, NORMAL: 0, LOW: 0}
LONG_AGO = NOW - 60
CLEAR = "REMOVE lines#clinic-a {0}At, {0}Arrivals"


def test_a_keeper_hands_on_free_lines_and_reports_who_waits() -> None:
    marked = {"normal": LONG_AGO, "low": LONG_AGO}
    answers = [
        *(policy(**LIMITED), lines("a", **marked)),
        *(NO_ONE, waiting("visit-00", since=NOW - 90), waiting("visit-09", since=NOW - 30)),
        *(well(Count=4), well(Count=2)),
        *(waiting("visit-00"), leased("visit-00"), changed("a", "b", **marked), SENT),
    ]

    kept, steps = look(*FOR_LINES, *answers, now=NOW + 0.5)

    assert kept == Kept(0, LinesSeen(2, {URGENT: 0, NORMAL: 4, LOW: 2}, {NORMAL: 90, LOW: 30}))
    assert steps.pop(9).startswith("SET lines#clinic-a ~")
    assert steps == [
        "read policy",
        "read lines#clinic-a",
        *LOOKS,
        *("count line~normal 20000", "count line~low 20000"),
        *("look line~normal 20", "lease visit-00", "handed-on visit-00 in 0"),
    ]


def test_a_keeper_marks_who_waits_and_was_not_marked() -> None:
    marked = changed("a", "b", normal=LONG_AGO, low=NOW)
    answers = [policy(**LIMITED), lines("a", "b", normal=LONG_AGO), NO_ONE, waiting("visit-00"), waiting("visit-01")]

    kept, steps = look(*FOR_LINES, *answers, well(Count=1), well(Count=1), marked)

    assert kept
    assert steps[7:] == ["SET lines#clinic-a lowAt, lowArrivals"]


def test_what_is_handed_on_is_what_the_mark_has_left() -> None:
    answers = [policy(**LIMITED), lines("a"), NO_ONE, NO_ONE, waiting("visit-00"), well(Count=1)]
    handed = [waiting("visit-00"), leased("visit-00"), changed("a", "b", low=NOW), SENT]

    _, steps = look(*FOR_LINES, *answers, changed("a", low=NOW), *handed)

    assert steps[-1] == "handed-on visit-00 in 0"


def test_no_line_is_handed_on_in_the_last_eight_seconds() -> None:
    left = iter([60.0, 8.0])
    answers = [policy(**LIMITED), lines(low=LONG_AGO), NO_ONE, NO_ONE, waiting("visit-00"), well(Count=1)]

    _, steps = look(*FOR_LINES, *answers, seconds_left=lambda: next(left))

    assert steps[-1] == "count line~low 20000"


def test_lines_that_lapsed_are_not_in_use() -> None:
    kept, _ = look(*FOR_LINES, policy(paused=True, **LIMITED), lines("a", "b", until=NOW), *[NO_ONE] * 3, DONE)

    assert kept == Kept(0, LinesSeen(0, NO_COUNTS, {}))


def test_a_keeper_counts_the_calls_in_progress_whatever_it_takes() -> None:
    since = NOW - 15
    key = stored("visit-07")
    call = key | {"status": {"S": "calling"}, "createdAt": number(NOW - 99), "timesParked": number(0)}
    call |= {"claimId": {"S": "claim"}}
    due = [key | {"dueAt": number(5)}]
    answers = [
        *(policy(since=since, **LIMITED), lines(), *[NO_ONE] * 3),
        *(well(Items=due, LastEvaluatedKey=key), well(Items=[])),
        *(well(Responses={"calls": [call]}), DONE, DONE, well(Attributes=call)),
        *(changed("claim", counted_since=since), DONE),
    ]
    with answering(*FOR_LINES, *answers) as (keep, asked):
        kept = keep.keep(DUE, plenty)

    assert kept == Kept(0, LinesSeen(1, NO_COUNTS, {}))
    put = [each for each in asked.asked if ":until0" in each.get("ExpressionAttributeValues", {})]
    assert [each["ExpressionAttributeValues"][":until0"] for each in put] == [number(NOW - 99 + DEADLINE_SECONDS + 300)]
    noted = asked.asked[-2]
    assert (noted["Key"]["subject"], noted["ExpressionAttributeValues"]) == (
        {"S": "lines#clinic-a"},
        {":since": number(since)},
    )


@pytest.mark.parametrize(
    ("marks", "shown", "rests"),
    [({}, NO_ONE, True), ({"low": LONG_AGO}, NO_ONE, False), ({}, waiting("visit-00"), False)],
    ids=["no one", "marked", "shown"],
)
def test_a_keeper_rests_only_where_no_one_waits_for_a_line(marks: dict[str, int], shown: bytes, rests: bool) -> None:
    answers = [policy(paused=True, **LIMITED), lines("a", **marks), NO_ONE, NO_ONE, shown]
    more = [well(Count=1), changed("a", low=NOW)] if shown != NO_ONE else []

    _, steps = look(*FOR_LINES, *answers, *more, DONE)

    assert (steps[-1] == "SET #emptyAt = :seen 5") is rests


# For a line, where there is no limit any more.


def test_without_a_limit_all_who_wait_for_a_line_are_dispatched() -> None:
    first = [waiting("visit-00"), NO_ONE, waiting("visit-01"), well(Count=1), well(Count=2)]
    all_who_wait = [waiting("visit-00"), waiting("visit-01", "visit-02"), *released(names_of(3))]

    kept, steps = look(*FOR_LINES, policy(), lines("a"), *first, *all_who_wait)

    assert kept == Kept(3, LinesSeen(1, {URGENT: 1, NORMAL: 0, LOW: 2}, {URGENT: 90, LOW: 90}))
    assert steps[7:] == [
        *("look line~urgent all", "look line~low all"),
        *(f"lease {name} by 7 from {NOW} to {NOW + 60}" for name in names_of(3)),
        "requests visit-00 in 0, visit-01 in 0, visit-02 in 0",
    ]


def test_who_waits_for_a_line_under_the_version_in_force_is_not_dispatched() -> None:
    same = waiting("visit-00", version=7)

    kept, steps = look(*FOR_LINES, policy(), lines(), NO_ONE, NO_ONE, same, well(Count=1), same)

    assert kept
    assert (kept.released, steps[-1]) == (0, "look line~low all")


def test_who_waits_for_a_line_is_not_dispatched_before_the_policy_is_in_force_everywhere() -> None:
    kept, steps = look(*FOR_LINES, policy(set_at=NOW - 9), lines(), NO_ONE, NO_ONE, waiting("visit-00"), well(Count=1))

    assert kept
    assert (kept.released, steps[-1]) == (0, "count line~low 20000")


@pytest.mark.parametrize(("age", "cleared"), [(4, []), (5, ["urgent", "normal"])])
def test_without_a_limit_the_marks_of_those_who_do_not_wait_are_cleared(age: int, cleared: list[str]) -> None:
    marks = dict.fromkeys(("urgent", "normal", "low"), NOW - age)
    same = waiting("visit-00", version=7)
    answers = [policy(), lines(**marks), NO_ONE, NO_ONE, same, well(Count=1), same]

    _, steps = look(*FOR_LINES, *answers, changed(low=NOW - age, normal=NOW - age), changed(low=NOW - age))

    assert steps[7:] == list(map(CLEAR.format, cleared))


def test_a_keeper_rests_once_the_last_mark_is_cleared() -> None:
    answers = [policy(), lines(low=LONG_AGO), *[NO_ONE] * 3, changed(), DONE]

    kept, steps = look(*FOR_LINES, *answers)

    assert kept == Kept(0, LinesSeen(0, NO_COUNTS, {}))
    assert steps[-2:] == [CLEAR.format("low"), "SET #emptyAt = :seen 5"]


@pytest.mark.parametrize(
    ("answer", "preset"),
    [(policy(text="no JSON"), Preset.OPEN), (NO_POLICY, "unheard-of")],
    ids=["no policy", "no such preset"],
)
def test_without_rules_a_keeper_only_reports(answer: bytes, preset: str) -> None:
    answers = [answer, lines("a", low=LONG_AGO), NO_ONE, NO_ONE, waiting("visit-00"), well(Count=1)]

    kept, steps = look(*FOR_LINES, *answers, preset=preset)

    assert kept == Kept(0, LinesSeen(1, NO_COUNTS | {LOW: 1}, {LOW: 90}))
    assert steps == ["read policy", "read lines#clinic-a", *LOOKS, "count line~low 20000"]


# For both.


def test_a_look_reports_all_that_it_released() -> None:
    lines_first = [lines(), NO_ONE, NO_ONE, waiting("visit-01"), well(Count=1), waiting("visit-01")]
    then_policy = [waiting("visit-00"), *released(["visit-00"])]
    answers = [policy(), *lines_first, *released(["visit-01"]), *then_policy]

    kept, steps = look(keeper(for_lines=True), waiting("visit-00"), *answers)

    assert kept == Kept(2, LinesSeen(0, NO_COUNTS | {LOW: 1}, {LOW: 90}))
    assert [each for each in steps if each.startswith("requests")] == [
        "requests visit-01 in 0",
        "requests visit-00 in 0",
    ]


def test_a_keeper_of_what_policy_holds_back_does_not_rest() -> None:
    answers = [policy(), lines(), *[NO_ONE] * 3, NO_ONE]

    kept, steps = look(keeper(for_lines=True), waiting("visit-00"), *answers)

    assert kept == Kept(0, LinesSeen(0, NO_COUNTS, {}))
    assert steps[-1] == "look policy all"
