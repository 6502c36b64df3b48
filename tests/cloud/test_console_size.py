"""The console with thousands of calls and many organizations: what its pages read is bounded, and they say so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from calls.operations.overview import MAX_ENDED, MAX_OPEN, MAX_ORGANIZATIONS, Overview
from calls.operations.pausing import Pausing
from calls.operations.reporting import Most, Period, Reporting, Selection
from outbound_calls.contracts.vocabulary import ParkReason, Priority, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey, Terms
from tests.cloud.many_attempts import write_many
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import an_outcome, new_attempt, operations_asked
from tests.cloud.test_console import client
from tests.world import DUE_SHARDS, NOW

if TYPE_CHECKING:
    from local.cloud import LocalCloud

ENDED, WAITING = 2_400, 600
ORGANIZATIONS = [f"clinic-{number:02}" for number in range(40)]
LAST = ORGANIZATIONS[-1]


@pytest.fixture(scope="module")
def large(cloud: LocalCloud) -> OperatedStack:
    """Thousands of calls, of which one in a hundred needs a person."""
    operated = OperatedStack(cloud)
    write_many(operated.attempts, ENDED, WAITING)
    return operated


@pytest.fixture(scope="module")
def shared(cloud: LocalCloud) -> OperatedStack:
    """Forty organizations with lines, of which the last has a call that needs a person."""
    operated = OperatedStack(cloud)
    document = {"organizations": {each: {"maxConcurrentCalls": 3} for each in ORGANIZATIONS}}
    policies = operated.stack.policies
    policies.set(*policies.propose(json.dumps(document).encode(), None), "alice")
    claimed = operated.attempts.claim(new_attempt(AttemptKey(RequestKey("lost", LAST), 1)))
    assert claimed is not None
    assert operated.stack.table.record(claimed.key, an_outcome(Status.UNKNOWN), NOW + 200).stored
    assert operated.stack.lines_table.take_line(LAST, "a-claim", "~lost/1", Priority.NORMAL, 3, NOW + 9000)
    return operated


@contextmanager
def records_read(operated: OperatedStack) -> Iterator[Counter[str]]:
    """Count the records that DynamoDB read for its answers, by operation; without those that it only counted."""
    read: Counter[str] = Counter()

    def count(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if "Responses" in parsed:
            read[model.name] += sum(map(len, parsed["Responses"].values()))
        elif "Items" in parsed:
            read[model.name] += parsed["ScannedCount"]

    events = operated.stack.table.client.meta.events
    events.register_last("after-call.dynamodb", count, "records-read")
    try:
        yield read
    finally:
        events.unregister("after-call.dynamodb", unique_id="records-read")


@pytest.mark.parametrize(
    ("path", "requests", "records"),
    [
        # The index `due` takes a query for each shard, the index `ended` one, and each hundred attempts a request.
        ("/", {"Query": DUE_SHARDS + 1, "BatchGetItem": 2}, {"Query": WAITING + 1 + MAX_ENDED, "BatchGetItem": 200}),
        ("/to-do", {"Query": 1}, {"Query": MAX_ENDED}),
        ("/waiting", {"Query": DUE_SHARDS, "BatchGetItem": 2}, {"Query": WAITING + 1, "BatchGetItem": MAX_OPEN}),
    ],
)
def test_a_view_of_thousands_of_calls_reads_exactly_a_bounded_part(
    large: OperatedStack, path: str, requests: dict[str, int], records: dict[str, int]
) -> None:
    browser = client(large)

    with operations_asked(large.stack.table.client) as asked, records_read(large) as read:
        page = browser.get(path)

    assert page.status_code == 200
    # The policy is read too, and then kept for some seconds.
    assert asked.pop("GetItem", 0) <= 3
    assert asked == requests
    assert read == records
    assert len(page.content) < 64_000


def test_what_is_beyond_the_first_page_is_counted_without_being_sent(large: OperatedStack) -> None:
    with operations_asked(large.stack.table.client) as asked, records_read(large) as read:
        found, total = large.stack.records.first_open(50, count=10_000, page=100)
    _, counted_no_further = large.stack.records.first_open(50, count=450, page=100)

    assert (len(found), total) == (50, WAITING + 1)
    assert [each.due_at for each in found] == sorted(each.due_at or "" for each in found)
    assert (asked, read) == ({"Query": 2 * DUE_SHARDS, "BatchGetItem": 1}, {"Query": 400, "BatchGetItem": 50})
    assert 450 <= counted_no_further < WAITING


def test_a_list_that_is_not_whole_says_so(large: OperatedStack) -> None:
    browser = client(large)

    assert "There may be more than these." in browser.get("/to-do").text
    assert f"Open: {WAITING + 1}. Those that are due first are shown." in browser.get("/waiting").text


def test_the_numbers_of_today_stop_at_a_bound_and_say_so(large: OperatedStack) -> None:
    day = datetime.fromtimestamp(NOW, UTC).date()
    today = Period(day, day, UTC)
    reporting = Reporting(large.stack.records, NOW + 300)

    whole = reporting.of_days(Selection([None]), today, trend=False)
    part = reporting.of_days(Selection([None]), today, trend=False, most=Most(ended=500, open=100))

    assert (whole.stopped, whole.requests) == (False, ENDED + WAITING + 3)
    assert (part.stopped, part.records_read) == (True, 600)


def test_no_more_organizations_are_looked_at_than_the_page_says(shared: OperatedStack) -> None:
    browser = client(shared)
    left = len(ORGANIZATIONS) + 1 - MAX_ORGANIZATIONS

    with operations_asked(shared.stack.table.client) as asked:
        page = browser.get("/to-do").text

    assert asked["Query"] <= 4 * MAX_ORGANIZATIONS
    assert f"Only {MAX_ORGANIZATIONS} organizations are looked at." in page
    assert f"{left} more" in page
    assert "lost" not in page


@pytest.mark.parametrize("path", ["/", "/to-do", "/report"])
def test_any_organization_can_be_chosen(shared: OperatedStack, path: str) -> None:
    page = client(shared).get(f"{path}?organization={LAST}").text

    assert f"<option selected>{LAST}</option>" in page
    assert f"Only {MAX_ORGANIZATIONS}" not in page
    assert "Result unknown" in page
    assert client(shared).get(f"{path}?organization=none").status_code == 404


def test_one_organization_does_not_hide_the_calls_of_another(large: OperatedStack) -> None:
    claimed = large.attempts.claim(new_attempt(AttemptKey(RequestKey("alone", "other"), 1)))
    assert claimed is not None
    assert large.stack.table.record(claimed.key, an_outcome(Status.UNKNOWN), NOW + 200).stored

    to_do = Overview(large.stack.records, NOW + 300).to_do([None, "other"])

    assert "alone" in [each.request_id for each in to_do.calls]


def waiting(count: int) -> str:
    return f'<td class="number">{count}</td>'


def test_a_pause_counts_a_bounded_part_of_what_is_open_and_says_so(large: OperatedStack) -> None:
    pausing = Pausing(large.stack.policies, large.stack.records, most=200)

    with records_read(large) as read:
        report = pausing.set_paused(False, None, "alice")

    assert (report.changed, report.in_progress + report.waiting, report.at_least) == (False, 200, True)
    assert read["BatchGetItem"] == 200
    assert read["Query"] <= (DUE_SHARDS + 1) * 200


def test_the_overview_shows_lines_where_there_is_a_limit(shared: OperatedStack, large: OperatedStack) -> None:
    for name, priority in (("first", Priority.URGENT), ("second", Priority.NORMAL), ("third", Priority.NORMAL)):
        attempt = replace(new_attempt(AttemptKey(RequestKey(name, LAST), 1)), terms=Terms(priority=priority))
        assert shared.stack.table.park(attempt, NOW + 900, ParkReason.CONCURRENCY_LIMIT)

    page = client(shared).get(f"/?organization={LAST}").text

    assert f"<td>urgent</td>{waiting(1)}" in page
    assert f"<td>normal</td>{waiting(2)}" in page
    assert f'<tr><th scope="row">{LAST}</th><td class="number">1</td><td class="number">3</td></tr>' in page
    assert 'id="lines"' not in client(large).get("/").text
