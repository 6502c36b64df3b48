"""What is taken before a dial and given back after it, what it asks of DynamoDB, and what an attempt waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable, Remembered
from outbound_calls.contracts.vocabulary import ParkReason, Priority, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey, Terms
from outbound_calls.domain.lines import Lines, Mark, line_reserved_for
from outbound_calls.policy.evaluation import Dial, Evaluation, Wait
from outbound_calls.policy.rules import Rules
from outbound_calls.use_cases.decide import CurrentPolicy, JudgeAttempts, Judgement
from outbound_calls.use_cases.limits import Limits, wait_for_line, wait_for_the_table
from tests.unit.dynamodb import Asked, dynamodb, fault, number, well
from tests.unit.parts import Clock, SecretsInMemory, a_request, a_secret
from tests.unit.policy.parts import IN_TORONTO, TOLL_FREE, rules_of

NOW = 1_775_053_800
"""2026-04-01T14:30:00Z, a Wednesday: 10:30 in Toronto."""

SOON = NOW + 2.5
"""When the claim takes what it needs."""

DEADLINE_SECONDS = 7200
KEY = AttemptKey(RequestKey("visit-2031", "clinic-a"), 1)
CLAIM, LINE = "0123456789abcdef-and-more", "0123456789abcdef"
RESERVED = line_reserved_for(KEY)
HELD_UNTIL = number(NOW + 3 + DEADLINE_SECONDS + 300)
ATTEMPT = Attempt(KEY, NOW, Status.SCHEDULED, request=a_request(phone_number=IN_TORONTO))
CLAIMED = replace(ATTEMPT, status=Status.DISPATCHING, claim_id=CLAIM, labels=Labels(purpose="reminder"))
LIMITED: dict[str, Any] = {"maxConcurrentCalls": 2}
ONE_AN_HOUR: dict[str, Any] = {"recipientCaps": [{"calls": 1, "perSeconds": 3600}]}
MORNING = [{"days": ["wed"], "from": "09:00", "to": "11:00"}]
IN_THE_MORNING = LIMITED | {"callingWindows": MORNING}
SETTLED = Mark(7, NOW - 60)

DONE, NOT_NOW = well(Attributes={}), fault("ConditionalCheckFailedException")
BROKEN, DENIED = fault("InternalServerError", "500 Internal Server Error"), fault("ClientError")
NO_HTTP = b"no HTTP\r\n\r\n"


def judged(rules: Rules | None, expires_at: float | None = NOW + 600.5, **changes: Any) -> Judgement:
    evaluation = None if expires_at is None else Evaluation(Dial(), (), expires_at, None)
    return replace(Judgement(Dial(), 7, rules, evaluation, "hash", Remembered(revision=4)), **changes)


@contextmanager
def limits_of(judgement: Judgement, *answers: bytes) -> Iterator[tuple[Limits, Asked]]:
    with dynamodb(*answers) as (client, asked):
        clock, policy = Clock(SOON), PolicyTable(client, "policy")
        judge = JudgeAttempts(
            CurrentPolicy(policy, "open", clock), policy, NumberHashes(a_secret(SecretsInMemory({"AWSCURRENT": "key"})))
        )
        table, lines = CallsTable(client, "calls", 90, 1), LinesTable(client, "policy")
        yield Limits(judge, table, lines, judgement, NOW, DEADLINE_SECONDS, clock), asked


def lines_item(*used: str, until: int = NOW + 99, counted_since: int = 0, **marks: Mark) -> dict[str, Any]:
    times = {f"{name}At": number(mark.at) for name, mark in marks.items()}
    arrivals = {f"{name}Arrivals": number(mark.arrivals) for name, mark in marks.items()}
    lines = {"M": dict.fromkeys(used, number(until))}
    return {"lines": lines, "countedSince": number(counted_since), **times, **arrivals}


def refused(*used: str, until: int = NOW + 99) -> bytes:
    """The answer to a line that is not to be had: these are in use."""
    return fault("ConditionalCheckFailedException", Item=lines_item(*used, until=until))


def dials(*taken: tuple[str, int], revision: int = 5) -> bytes:
    """What is remembered of the number: these dials, each with its attempt and its time."""
    listed = [{"M": {"attempt": {"S": name}, "claimId": {"S": CLAIM}, "at": number(at)}} for name, at in taken]
    item = {"entry": {"S": "dials"}, "dials": {"L": listed}, "revision": number(revision)}
    return well(Items=[item])


def step(asked: Mapping[str, Any]) -> str:
    """What was asked for, in short."""
    if "Item" in asked:
        return "put dials " + ", ".join(each["M"]["attempt"]["S"] for each in asked["Item"]["dials"]["L"])
    if "UpdateExpression" not in asked:
        return "read lines" if "Key" in asked else f"read {asked.get('IndexName', 'dials')}"
    names = asked["ExpressionAttributeNames"]
    return (
        f"{asked['UpdateExpression'].partition(' ')[0]} {', '.join(names[name] for name in names if name != '#lines')}"
    )


def steps(asked: Asked) -> list[str]:
    return list(map(step, asked.asked))


TAKE = f"SET {LINE}, {RESERVED}, urgentAt, normalAt"
GIVE_BACK = f"REMOVE {LINE}"
WORDS = "as many calls are in progress as the policy allows at once: 2"


def no_line(until: int = NOW + 601, words: str = WORDS) -> Wait:
    return Wait(until, ParkReason.CONCURRENCY_LIMIT, words)


# What waits for a line, and for how long.


@pytest.mark.parametrize("rules", [None, rules_of()], ids=["no policy", "no limit"])
def test_without_a_limit_no_line_is_needed(rules: Rules | None) -> None:
    judgement = judged(rules)

    assert wait_for_line(ATTEMPT, judgement, Lines({"a": NOW + 99, "b": NOW + 99, "c": NOW + 99}), NOW) is None
    with limits_of(judgement, BROKEN) as (limits, asked):
        assert (limits.max_concurrent_calls, limits.look(ATTEMPT), limits.take(CLAIMED)) == (None, None, None)
    assert asked.asked == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (Lines({"a": NOW + 1}), None),
        (Lines({"a": NOW + 1, "b": NOW + 1}), WORDS),
        (Lines({"a": NOW + 1, "b": NOW}), None),
        (Lines({"a": NOW + 1, RESERVED: NOW + 1}), None),
        (Lines({"a": NOW + 1}, {Priority.NORMAL: SETTLED}), "others wait for a line, and come first"),
        (Lines({"a": NOW + 1}, {Priority.LOW: SETTLED}), None),
    ],
    ids=["free", "in use", "lapsed", "reserved for it", "waited for", "waited for by the less urgent"],
)
def test_an_attempt_waits_where_no_line_is_free_for_it(lines: Lines, words: str | None) -> None:
    wait = wait_for_line(ATTEMPT, judged(rules_of(IN_THE_MORNING), NOW + 9000), lines, NOW)

    assert wait == (None if words is None else no_line(NOW + 1800, words))


def test_an_attempt_waits_until_the_calls_in_progress_are_counted() -> None:
    judgement = judged(replace(rules_of(IN_THE_MORNING), limited_since=NOW - 60), NOW + 9000)
    words = "the limit of calls at once is new, and the calls in progress are yet to be counted"

    assert wait_for_line(ATTEMPT, judgement, Lines(counted_since=NOW - 61), NOW) == no_line(NOW + 1800, words)
    assert wait_for_line(ATTEMPT, judgement, Lines(counted_since=NOW - 60), NOW) is None


@pytest.mark.parametrize(
    ("windows", "phone_number", "expires_at", "until"),
    [
        (None, IN_TORONTO, NOW + 600.5, NOW + 601),
        (MORNING, IN_TORONTO, NOW + 600.5, NOW + 601),
        (MORNING, IN_TORONTO, NOW + 9000, NOW + 1800),
        (MORNING, IN_TORONTO, None, NOW + 1800),
        (MORNING, TOLL_FREE, NOW + 600.5, NOW + 1),
    ],
    ids=["no window", "expiry", "closing", "no expiry", "no zone"],
)
def test_it_waits_no_longer_than_the_window_is_open_nor_past_its_expiry(
    windows: object, phone_number: str, expires_at: float | None, until: int
) -> None:
    rules = rules_of(LIMITED | ({"callingWindows": windows} if windows else {}))
    attempt = replace(ATTEMPT, request=a_request(phone_number=phone_number))
    full = Lines({"a": NOW + 99, "b": NOW + 99})

    assert wait_for_line(attempt, judged(rules, expires_at), full, NOW + 0.5) == no_line(until)


def test_an_attempt_waits_five_minutes_for_what_policy_remembers() -> None:
    words = "what policy remembers can't be written: TimeoutError"

    assert wait_for_the_table(NOW + 0.9, TimeoutError()) == Wait(NOW + 300, ParkReason.POLICY_UNREADABLE, words)


# The look before the claim.


@pytest.mark.parametrize(
    ("used", "wait"), [(("a",), None), (("a", "b"), no_line())], ids=["a line is free", "none is free"]
)
def test_a_look_reads_the_lines_of_the_organization(used: tuple[str, ...], wait: Wait | None) -> None:
    with limits_of(judged(rules_of(LIMITED)), well(Item=lines_item(*used))) as (limits, asked):
        assert limits.look(ATTEMPT) == wait
        assert limits.max_concurrent_calls == 2
    assert steps(asked) == ["read lines"]
    assert asked.asked[0]["Key"]["subject"] == {"S": "lines#clinic-a"}


def test_a_look_is_by_the_time_of_the_decision() -> None:
    lapses = well(Item=lines_item("a", "b", until=NOW + 1))
    with limits_of(judged(rules_of(LIMITED)), lapses) as (limits, _):
        assert limits.look(ATTEMPT) == no_line()


CALL_KEY = {"requestId": {"S": "clinic-a~visit-1"}, "attempt": {"N": "1"}}
CALL = {**CALL_KEY, "status": {"S": "calling"}, "createdAt": number(NOW), "timesParked": number(0)} | {
    "claimId": {"S": CLAIM}
}
IN_PROGRESS = (well(Items=[CALL_KEY | {"dueAt": number(5)}]), well(Responses={"calls": [CALL]}), DONE, DONE)
"""The answers to the search for the calls in progress, of which there is one, and to its line."""


def test_a_look_counts_the_calls_in_progress_where_the_limit_is_new() -> None:
    since = int(SOON) - 15
    counted = well(Attributes=lines_item(LINE, "b", counted_since=since))
    answers = [well(Item=lines_item()), *IN_PROGRESS, well(Attributes=CALL), counted]
    with limits_of(judged(replace(rules_of(LIMITED), limited_since=since)), *answers) as (limits, asked):
        assert limits.look(ATTEMPT) == no_line()

    assert asked.asked[1]["IndexName"] == "due"
    assert asked.asked[4]["ExpressionAttributeValues"] == {":until0": number(NOW + DEADLINE_SECONDS + 300)}
    assert asked.asked[6]["Key"]["subject"] == {"S": "lines#clinic-a"}
    assert asked.asked[6]["ExpressionAttributeValues"] == {":since": number(since)}


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([DENIED], "ClientError"),
        ([NO_HTTP], "ConnectionClosedError"),
        ([well(Item=lines_item()), *IN_PROGRESS, BROKEN], "WriteUnanswered"),
    ],
    ids=["refused", "no answer", "a write without an answer"],
)
def test_an_attempt_waits_where_the_lines_can_not_be_read(answers: list[bytes], error: str) -> None:
    rules = replace(rules_of(LIMITED), limited_since=NOW - 60)
    with limits_of(judged(rules), *answers) as (limits, _):
        assert limits.look(ATTEMPT) == Wait(
            NOW + 302, ParkReason.POLICY_UNREADABLE, f"the lines in use can't be read or written: {error}"
        )


# The line of a claim.


def test_a_claim_takes_its_line_by_one_write_and_gives_it_back_once() -> None:
    with limits_of(judged(rules_of(LIMITED)), DONE) as (limits, asked):
        assert limits.take(CLAIMED) is None
        limits.give_back()
        limits.give_back()

    assert steps(asked) == [TAKE, GIVE_BACK]
    assert asked.asked[0]["ExpressionAttributeValues"] == {":until": HELD_UNTIL, ":limit": number(2)}
    assert {each["Key"]["subject"]["S"] for each in asked.asked} == {"lines#clinic-a"}


def test_an_urgent_claim_overtakes_the_others() -> None:
    urgent = replace(CLAIMED, terms=Terms(priority=Priority.URGENT))
    with limits_of(judged(rules_of(LIMITED)), DONE) as (limits, asked):
        limits.take(urgent)

    assert steps(asked) == [f"SET {LINE}, {RESERVED}, urgentAt"]


def test_a_claim_takes_a_line_that_lapsed() -> None:
    lapsed = well(Item=lines_item("a", "b", until=int(SOON)))
    with limits_of(judged(rules_of(LIMITED)), refused("a", "b"), lapsed, DONE, DONE, DONE) as (limits, asked):
        assert limits.take(CLAIMED) is None
        limits.give_back()

    assert steps(asked) == [TAKE, "read lines", "REMOVE a", "REMOVE b", TAKE, GIVE_BACK]
    assert {each["Key"]["subject"]["S"] for each in asked.asked} == {"lines#clinic-a"}
    assert asked.asked[4]["ExpressionAttributeValues"] == {":until": HELD_UNTIL, ":limit": number(2)}


@pytest.mark.parametrize("until", [int(SOON) + 1, int(SOON)], ids=["none lapsed", "taken by another"])
def test_without_a_line_a_claim_waits_and_has_taken_nothing(until: int) -> None:
    found = well(Item=lines_item("a", until=until))
    answers = [refused("a", "b"), found, *([NOT_NOW] if until <= SOON else []), refused("a", "b")]
    with limits_of(judged(rules_of(LIMITED)), *answers) as (limits, asked):
        assert limits.take(CLAIMED) == no_line()
        limits.give_back()

    assert steps(asked) == [TAKE, "read lines", *(["REMOVE a", TAKE] if until <= SOON else [])]


def test_a_claim_waits_no_longer_for_its_line_than_the_window_is_open() -> None:
    full = well(Item=lines_item("a", "b"))
    with limits_of(judged(rules_of(IN_THE_MORNING), NOW + 9000), refused("a", "b"), full) as (limits, _):
        assert limits.take(CLAIMED) == no_line(NOW + 1800)


@pytest.mark.parametrize(("answer", "error"), [(DENIED, "ClientError"), (NO_HTTP, "ConnectionClosedError")])
def test_a_claim_waits_where_its_line_can_not_be_written(answer: bytes, error: str) -> None:
    with limits_of(judged(rules_of(LIMITED)), answer) as (limits, asked):
        assert limits.take(CLAIMED) == Wait(
            NOW + 302, ParkReason.POLICY_UNREADABLE, f"the lines in use can't be read or written: {error}"
        )
    assert steps(asked) == [TAKE]


@pytest.mark.parametrize("answer", [DENIED, NO_HTTP], ids=["refused", "no answer"])
def test_a_line_that_can_not_be_given_back_is_left_to_the_stream(answer: bytes) -> None:
    with limits_of(judged(rules_of(LIMITED)), DONE, answer) as (limits, asked):
        limits.take(CLAIMED)
        limits.give_back()
        limits.give_back()

    assert steps(asked) == [TAKE, GIVE_BACK]


# The dial that caps count.

OTHER, TAKEN = ("visit-1/1", NOW - 7200), ("visit-1/1", NOW)
PUT = f"put dials {KEY}"


def test_a_claim_remembers_its_dial_and_forgets_it_again() -> None:
    own = (str(KEY), NOW + 5)
    with limits_of(judged(rules_of(ONE_AN_HOUR)), well(), dials(OTHER, own), well()) as (limits, asked):
        assert limits.take(CLAIMED) is None
        limits.give_back()
        limits.give_back()

    assert steps(asked) == [PUT, "read dials", "put dials visit-1/1"]
    item = asked.asked[0]["Item"]
    assert item["subject"] == {"S": "number#hash"}
    assert item["revision"] == number(5)
    assert item["expiresAt"] == number(int(SOON) + 32 * 86_400)
    assert item["dials"]["L"] == [
        {
            "M": {
                "attempt": {"S": str(KEY)},
                "claimId": {"S": CLAIM},
                # The latest time at which it may be posted
                "at": number(NOW + 5),
                "organization": {"S": "clinic-a"},
                "purpose": {"S": "reminder"},
            }
        }
    ]
    assert asked.asked[1]["ExpressionAttributeValues"] == {":subject": {"S": "number#hash"}}
    assert asked.asked[2]["Item"]["subject"] == {"S": "number#hash"}
    assert asked.asked[2]["Item"]["expiresAt"] == number(int(SOON) + 32 * 86_400)


def test_a_claim_looks_again_where_the_dials_changed_meanwhile() -> None:
    with limits_of(judged(rules_of(ONE_AN_HOUR)), NOT_NOW, dials(OTHER), well()) as (limits, asked):
        assert limits.take(CLAIMED) is None

    assert steps(asked) == [PUT, "read dials", f"put dials visit-1/1, {KEY}"]
    assert asked.asked[1]["ExpressionAttributeValues"] == {":subject": {"S": "number#hash"}}
    assert asked.asked[2]["Item"]["revision"] == number(6)


def test_a_claim_waits_where_another_was_quicker() -> None:
    with limits_of(judged(rules_of(ONE_AN_HOUR)), NOT_NOW, dials(TAKEN)) as (limits, asked):
        wait = limits.take(CLAIMED)

    assert isinstance(wait, Wait)
    assert (wait.until, wait.park_reason) == (NOW + 3600, ParkReason.RECIPIENT_CAP)
    assert steps(asked) == [PUT, "read dials"]


BY_OTHERS = Wait(int(SOON) + 1, ParkReason.RECIPIENT_CAP, "the number is being dialled by others")


def test_a_claim_that_is_rejected_meanwhile_looks_again_in_a_second() -> None:
    rules = rules_of(ONE_AN_HOUR | {"whenCapped": "reject"})
    with limits_of(judged(rules), NOT_NOW, dials(TAKEN)) as (limits, asked):
        assert limits.take(CLAIMED) == BY_OTHERS

    assert steps(asked) == [PUT, "read dials"]


def test_where_too_many_dial_a_number_at_once_a_claim_looks_again_in_a_second() -> None:
    changed = [answer for _ in range(6) for answer in (NOT_NOW, dials(OTHER))]
    with limits_of(judged(rules_of(ONE_AN_HOUR)), *changed) as (limits, asked):
        assert limits.take(CLAIMED) == BY_OTHERS

    assert [each.partition(" ")[0] for each in steps(asked)] == ["put", "read"] * 5


@pytest.mark.parametrize(("answer", "error"), [(DENIED, "ClientError"), (NO_HTTP, "ConnectionClosedError")])
def test_a_claim_waits_where_its_dial_can_not_be_written(answer: bytes, error: str) -> None:
    with limits_of(judged(rules_of(ONE_AN_HOUR)), answer) as (limits, asked):
        assert limits.take(CLAIMED) == Wait(
            NOW + 302, ParkReason.POLICY_UNREADABLE, f"what policy remembers can't be written: {error}"
        )
    assert steps(asked) == [PUT]


# Both.


def test_a_claim_without_a_line_forgets_its_dial() -> None:
    full = lines_item("a", "b")
    answers = [well(), refused("a", "b"), well(Item=full), dials((str(KEY), NOW + 5)), well()]
    with limits_of(judged(rules_of(LIMITED | ONE_AN_HOUR)), *answers) as (limits, asked):
        assert limits.take(CLAIMED) == no_line()

    assert steps(asked) == [PUT, TAKE, "read lines", "read dials", "put dials "]


@pytest.mark.parametrize("answer", [DENIED, NO_HTTP], ids=["refused", "no answer"])
def test_what_can_not_be_given_back_holds_nothing_else_back(answer: bytes) -> None:
    own = (str(KEY), NOW + 5)
    with limits_of(judged(rules_of(LIMITED | ONE_AN_HOUR)), well(), DONE, answer, dials(own), well()) as (
        limits,
        asked,
    ):
        assert limits.take(CLAIMED) is None
        limits.give_back()

    assert steps(asked) == [PUT, TAKE, GIVE_BACK, "read dials", "put dials "]
