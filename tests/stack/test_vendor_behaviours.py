"""Every way in which AlloMia is known to behave, all at once, on the deployed stack.

The simulator's table says for each number how often the person is rung and where the stack must end. Between them the
numbers play each row of what place_call does with an answer, every fate of a webhook and every status answer.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import batched, zip_longest
from typing import Any

import pytest

from local.environment import LocalEnvironment
from local.simulator import MAGIC_NUMBERS
from local.simulator.magic_numbers import MagicNumber
from tests.stack.conftest import bring_forward, every, wait_until

TERMINAL = {"completed", "failed", "busy", "no-answer", "rejected", "unknown"}
NAME = "Canary Quillfeather"
VARIABLE = "canary-variable-9214"
TIMES_SENT = 2


def request_id(row: MagicNumber) -> str:
    return f"number-{row.number[-4:]}"


def mixed() -> Iterator[MagicNumber]:
    """All rows, those with a failing POST between the others: a run of failures would open the circuit breakers."""
    troubled = [row for row in MAGIC_NUMBERS.values() if row.number[-4:].startswith(("03", "05"))]
    others = [row for row in MAGIC_NUMBERS.values() if row not in troubled]
    return (row for pair in zip_longest(troubled, others) for row in pair if row)


@dataclass(frozen=True)
class Ended:
    """The world after all numbers were dialled."""

    calls: Mapping[str, Mapping[str, Any]]
    dials: Mapping[str, tuple[int, int]]
    status_reads: Mapping[str, int]
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def ended(world: LocalEnvironment) -> Ended:
    # Given a request for each number, every one of them sent twice; not all at the same moment, for a webhook whose
    # function cannot start in time is lost, and that is not what these numbers are about
    for rows in batched(mixed(), 6, strict=False):
        for row in rows * TIMES_SENT:
            world.send(
                {
                    "requestId": request_id(row),
                    "phoneNumber": row.number,
                    "customerName": NAME,
                    "dynamicVariables": {"appointment": VARIABLE},
                    "metadata": {"digits": row.number[-4:]},
                }
            )
        time.sleep(2)

    # When everything has ended
    def all_ended() -> bool:
        calls = world.calls()
        return all(calls.get(request_id(row), {}).get("status") == row.status for row in MAGIC_NUMBERS.values())

    ends = {request_id(row) for row in MAGIC_NUMBERS.values() if row.status in TERMINAL}

    def let_time_pass() -> None:
        for name, call in world.calls().items():
            if name in ends and call["status"] == "scheduled":
                bring_forward(world, name)
        world.sweep()

    # In time each number's own test says what is wrong with it.
    with contextlib.suppress(pytest.fail.Exception):
        wait_until(all_ended, 240, meanwhile=every(3, let_time_pass))
    heard: list[dict[str, Any]] = []
    outcomes = sum(row.status in TERMINAL for row in MAGIC_NUMBERS.values())

    def all_heard() -> bool:
        heard.extend(world.outcome_events())
        return len({event["requestId"] for event in heard if event["requestId"].startswith("number-")}) >= outcomes

    with contextlib.suppress(pytest.fail.Exception):
        wait_until(all_heard)
    heard.extend(world.outcome_events())
    reads = {call.callback_url.split("/")[-3]: call.status_reads for call in world.allomia.calls()}
    calls = {name: call for name, call in world.calls().items() if name.startswith("number-")}
    return Ended(calls, world.dials(), reads, [event for event in heard if event["requestId"] in calls])


@pytest.mark.parametrize("row", MAGIC_NUMBERS.values(), ids=lambda row: row.number[-4:])
def test_a_number_ends_where_it_must(ended: Ended, row: MagicNumber) -> None:
    call = ended.calls[request_id(row)]

    # Then the outcome is the one that AlloMia's behaviour leaves, and comes from where it can be learned
    assert (call["status"], call.get("outcomeSource", "")) == (row.status, row.source)
    # And the person was rung as often as must be, although the message was sent twice
    assert ended.dials[request_id(row)][1] == row.dials


@pytest.mark.parametrize("row", MAGIC_NUMBERS.values(), ids=lambda row: row.number[-4:])
def test_a_post_whose_result_is_unknown_is_never_sent_again(ended: Ended, row: MagicNumber) -> None:
    attempted, _ = ended.dials[request_id(row)]

    # Only the answers that prove that nothing was accepted allow a second POST
    if row.status == "scheduled":
        assert attempted >= 1
        return
    refused_once = row.number.endswith(("0306", "0307"))
    assert attempted == (2 if refused_once else 1)


def test_a_finished_record_holds_no_request_and_is_not_due(ended: Ended) -> None:
    finished = [call for call in ended.calls.values() if call["status"] in TERMINAL]

    assert len(finished) == sum(row.status in TERMINAL for row in MAGIC_NUMBERS.values())
    for call in finished:
        assert not {"request", "dueAt", "dueShard", "claimId"} & call.keys()
        assert call["expiresAt"] > call["recordedAt"]
        assert call["metadata"] == {"digits": call["requestId"][-4:]}


def test_an_unfinished_record_is_due(ended: Ended) -> None:
    unfinished = [call for call in ended.calls.values() if call["status"] not in TERMINAL]

    assert unfinished
    for call in unfinished:
        assert call["status"] in {"scheduled", "calling"}
        assert {"request", "dueAt", "dueShard"} <= call.keys()


def test_a_call_whose_webhook_arrives_is_never_polled(ended: Ended) -> None:
    for digits in ("0100", "0101", "0102", "0103", "0201", "0202"):
        assert ended.status_reads[f"number-{digits}"] == 0


def test_each_outcome_is_published(ended: Ended) -> None:
    by_request = {event["requestId"]: event for event in ended.events}  # the last one, where there are two
    for row in MAGIC_NUMBERS.values():
        if row.status not in TERMINAL:
            assert request_id(row) not in by_request
            continue
        event = by_request[request_id(row)]
        call = ended.calls[request_id(row)]
        assert event["version"] == "1"
        assert event["attempt"] == 1
        assert (event["status"], event["outcomeSource"]) == (row.status, row.source)
        assert event["final"] is (row.status != "unknown")
        assert event["outboundCallId"] == call.get("outboundCallId")
        assert event["metadata"] == {"digits": row.number[-4:]}


def test_only_an_unknown_is_followed_by_another_outcome(ended: Ended) -> None:
    # Events come at least once, so what counts is what they say
    said: dict[str, list[str]] = {}
    for event in ended.events:
        statuses = said.setdefault(event["requestId"], [])
        if event["status"] not in statuses:
            statuses.append(event["status"])

    assert said.pop("number-0323") == ["unknown", "completed"]
    assert all(len(statuses) == 1 for statuses in said.values())


def test_nothing_personal_is_logged_published_or_left(world: LocalEnvironment, ended: Ended) -> None:
    # Given what may not be found anywhere
    personal = {NAME, VARIABLE, *(row.number.lstrip("+") for row in MAGIC_NUMBERS.values())}
    signatures = {url.rsplit("/", 1)[-1] for url in world.allomia.dials().attempted}

    # When all logs, all events and all finished records are read
    logs = world.cloud.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate()
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    lines = [
        event["message"]
        for group in groups
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        for event in page["events"]
    ]
    finished = [call for call in ended.calls.values() if call["status"] in TERMINAL]
    everything = "\n".join([*lines, json.dumps(ended.events), json.dumps(finished, default=str)])

    # Then there is something to search, and none of it is in there
    assert len(lines) > len(MAGIC_NUMBERS)
    assert not [value for value in personal | signatures if value in everything]


def test_what_is_logged_names_the_request_and_the_attempt(world: LocalEnvironment, ended: Ended) -> None:
    logs = world.cloud.client("logs")
    page = logs.filter_log_events(logGroupName=f"/aws/lambda/{world.stack.name}/receive-webhook")
    lines = [json.loads(event["message"]) for event in page["events"] if "outcome recorded" in event["message"]]

    assert lines
    assert all({"requestId", "attempt"} <= line.keys() for line in lines)


def test_the_dead_letter_queue_stays_empty(world: LocalEnvironment, ended: Ended) -> None:
    assert world.dead_letters() == []
