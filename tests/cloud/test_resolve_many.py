"""`calls resolve` for many calls: what is asked first, what is recorded, and what is known when it stops."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calls.cli.output import Exit
from calls.operations.requests_file import Row
from calls.operations.resolving import Finding
from calls.operations.resolving_many import read_findings
from local.cloud import LocalCloud
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import AttemptKey, Labels
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import CONFLICT, PASS, FaultyNetwork, an_outcome, new_attempt

type Calls = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def operated(cloud: LocalCloud) -> OperatedStack:
    return OperatedStack(cloud)


@contextmanager
def through(operated: OperatedStack, network: FaultyNetwork) -> Iterator[None]:
    direct, operated.endpoint_url = operated.endpoint_url, network.url
    try:
        yield
    finally:
        operated.endpoint_url = direct


def unknown(operated: OperatedStack, batch: str | None = None) -> AttemptKey:
    """A call that became unknown a minute ago."""
    now = int(time.time()) - 60
    attempt = operated.attempts.claim(replace(new_attempt(created_at=now), labels=Labels(batch=batch)), now=now)
    assert attempt is not None
    assert operated.stack.table.record(attempt.key, an_outcome(Status.UNKNOWN), now).stored
    return attempt.key


def a_file(folder: Path, *lines: str) -> str:
    path = folder / "found.csv"
    path.write_text("\n".join(["requestId,outcome", *lines]), encoding="utf-8")
    return str(path)


def test_the_outcomes_of_a_file_are_counted_then_recorded_and_again_change_nothing(
    operated: OperatedStack, calls: Calls, tmp_path: Path
) -> None:
    keys = [unknown(operated) for _ in range(3)]
    ended = operated.attempts.ended(Status.COMPLETED)
    named = [str(key.request) for key in keys]
    file = a_file(
        tmp_path,
        f"{named[0]},busy",
        f"{named[1]},no-answer",
        f"{named[2]},",
        f"{ended.request},busy",
        "never-sent,busy",
    )

    # Given no answer to the question, nothing is recorded
    assert calls("resolve", "--file", file, "--as", "no-answer")[0] == Exit.REFUSED
    assert {operated.attempts.status(key) for key in keys} == {"unknown"}

    code, document = calls("resolve", "--file", file, "--as", "no-answer", "--yes")

    assert (code, document["toRecord"], document["recorded"]) == (Exit.REFUSED, 3, 3)
    assert document["byOutcome"] == {"no-answer": 2, "busy": 1}
    assert {each["row"]: each["reason"] for each in document["left"]} == {
        5: "attempt 1 is completed; only an unknown call can be resolved",
        6: "there is no record of this request",
    }
    assert [operated.attempts.status(key) for key in keys] == ["busy", "no-answer", "no-answer"]
    assert operated.attempts.existing_item(keys[0])["resolvedBy"] == operated.stack.operator_arn
    assert calls("resolve", "--file", file, "--as", "no-answer", "--yes")[1]["toRecord"] == 0


def test_a_filter_resolves_what_became_unknown_in_that_time(operated: OperatedStack, calls: Calls) -> None:
    wanted, other = unknown(operated, "december"), unknown(operated, "november")

    assert calls("resolve", "--as", "failed", "--since", "1h", "--until", "30m", "--yes")[1]["toRecord"] == 0
    code, document = calls("resolve", "--as", "failed", "--since", "1h", "--batch", "december", "--yes")

    assert (code, document["recorded"]) == (Exit.DONE, 1)
    assert (operated.attempts.status(wanted), operated.attempts.status(other)) == ("failed", "unknown")


def test_what_a_person_leaves_unknown_needs_no_one_until_a_result_comes(operated: OperatedStack, calls: Calls) -> None:
    left, other = unknown(operated, "january"), unknown(operated, "january")
    now, table = time.time(), operated.stack.table
    before = operated.attempts.existing_item(left)

    code, document = calls("resolve", left.request.request_id, "--as", "unknown", "--yes")

    assert (code, document["status"]) == (Exit.DONE, "unknown")
    after = operated.attempts.existing_item(left)
    assert (after["status"], after["outcomeSource"], after["resolvedBy"]) == (
        "unknown",
        "operator",
        operated.stack.operator_arn,
    )
    assert (after["recordedAt"], after["endedOn"]) == (before["recordedAt"], before["endedOn"])
    # It is counted as nothing to do, and found by no filter
    report = calls("report", "--batch", "january")[1]
    needing = {line["needsAPerson"]: line["requests"] for line in report["lines"]}
    assert needing == {True: 1, False: 1}
    assert report["byStatus"] == {"unknown": 2}
    assert calls("resolve", "--as", "busy", "--since", "1h", "--batch", "january", "--yes")[1]["recorded"] == 1
    assert (operated.attempts.status(left), operated.attempts.status(other)) == ("unknown", "busy")
    # But AlloMia's result still replaces it
    assert table.record(left, an_outcome(Status.COMPLETED), now).stored
    assert operated.attempts.status(left) == "completed"
    assert calls("resolve", left.request.request_id, "--as", "unknown", "--yes")[0] == Exit.REFUSED


def test_a_fault_on_the_way_reports_what_was_recorded(
    operated: OperatedStack, network: FaultyNetwork, calls: Calls, tmp_path: Path
) -> None:
    keys = [unknown(operated) for _ in range(3)]
    file = a_file(tmp_path, *(f"{key.request},busy" for key in keys))
    # The table is in conflict for one of them, as often as it is asked.
    network.plan = lambda name, before: CONFLICT if name == "UpdateItem" and before >= 2 else PASS

    with through(operated, network):
        code, document = calls("resolve", "--file", file, "--yes")

    assert code == Exit.NOT_ALL_SENT
    assert (document["recorded"], len(document["notRecorded"])) == (2, 1)
    assert [operated.attempts.status(key) for key in keys].count("busy") == 2


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--as", "busy"],
        ["--since", "1h"],
        ["--file", "found.csv", "--since", "1h"],
        ["--file", "found.csv", "--batch", "december"],
        ["--dial-again", "--file", "found.csv"],
        ["visit-1", "--as", "busy", "--since", "1h"],
        ["visit-1", "--as", "busy", "--file", "found.csv"],
        ["visit-1", "--as", "busy", "--time-zone", "America/Toronto"],
        ["visit-1", "--dial-again"],
        ["visit-1", "--dial-again", "--file", "found.csv", "--phone-number", "+15005550100"],
        ["visit-1", "--dial-again", "--file", "found.csv", "--time-zone", "America/Toronto"],
        ["--as", "busy", "--since", "1h", "--purpose", "reminder"],
    ],
)
def test_options_that_contradict_each_other_are_declined(calls: Calls, options: list[str]) -> None:
    assert calls("resolve", *options, "--yes")[0] == Exit.USAGE


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"outcome": "busy"}, "requestId"),
        ({"requestId": "a"}, "outcome"),
        ({"requestId": "a", "outcome": "rejected"}, "outcome"),
        ({"requestId": "a", "outcome": ["busy"]}, "outcome"),
        ({"requestId": "a", "outcome": "busy", "attempt": "0"}, "attempt"),
        ({"requestId": "a", "outcome": "busy", "attempt": "x"}, "attempt"),
        ({"requestId": "a b", "outcome": "busy"}, "requestId"),
        ([], "row"),
    ],
)
def test_a_row_without_a_valid_outcome_is_named_with_its_field(row: object, field: str) -> None:
    _, invalid = read_findings([Row(2, json.dumps(row))], None)

    assert [(each.row, each.field) for each in invalid] == [(2, field)]


def test_two_rows_that_contradict_each_other_are_invalid_and_two_that_agree_are_one() -> None:
    rows = [Row(2, '{"requestId": "a", "outcome": "busy"}'), Row(3, '{"requestId": "a", "attempt": 1}')]

    assert len(read_findings([rows[0], rows[0], rows[1]], Finding.BUSY)[0]) == 2
    assert [each.row for each in read_findings([rows[0], Row(4, '{"requestId": "a"}')], Finding.FAILED)[1]] == [4]
