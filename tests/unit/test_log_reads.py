"""What a sweep reads of AlloMia's call logs: whole or not at all, each piece once, and no more pages than its share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from outbound_calls.adapters.allomia import AllomiaClient, http_client
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.organizations import Organization
from outbound_calls.domain.log_matches import Window
from outbound_calls.use_cases.log_reads import (
    MAX_PAGES,
    PAGES_CHANGED,
    PIECE_SECONDS,
    TOO_MANY_PAGES,
    Entries,
    LogReads,
    pages_of_shard,
)
from tests.unit.parts import API_KEY, organizations_in

ONE, OTHER = Organization(API_KEY, "one"), Organization(API_KEY, "other")
FIRST_PIECE, TWO_PIECES = Window(130, 239), Window(239, 240)


class Log:
    """AlloMia's call log. The pages that it answers with, in turn, the last again; and what it was asked for."""

    def __init__(self, *pages: httpx.Response) -> None:
        self.pages = pages
        self.asked: list[httpx.QueryParams] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        position = min(len(self.asked), len(self.pages) - 1)
        self.asked.append(request.url.params)
        return self.pages[position]

    def times_and_pages(self) -> list[tuple[str, str, str]]:
        """The minutes from and to which it was asked, and the page."""
        return [(each["from"][14:19], each["to"][14:19], each["page"]) for each in self.asked]


def page(*ids: str, more: bool | None = False, total: int | None = None, unreadable: int = 0) -> httpx.Response:
    pagination = {"hasNextPage": more, "total": total}
    calls = [*({"id": each} for each in ids), *([7] * unreadable)]
    return httpx.Response(200, content=json.dumps({"calls": calls, "pagination": pagination}))


@contextmanager
def reading(*pages: httpx.Response) -> Iterator[tuple[CallLog, Log]]:
    log = Log(*pages)
    with http_client("https://allomia.example", httpx.MockTransport(log.answer)) as http:
        yield CallLog(AllomiaClient(http, organizations_in())), log


def ids_of(found: Entries | str) -> list[str | None]:
    assert isinstance(found, Entries)
    return [each.id for each in found.entries]


# The share of a shard.


@pytest.mark.parametrize(
    ("swept_until", "shares"),
    [
        (0, [6, 6, 6]),
        (59, [0, 0, 20]),
        (60, [20, 0, 0]),
        (61, [6, 6, 6]),
        (120, [6, 6, 6]),
        (121, [0, 20, 0]),
        (180, [0, 20, 0]),
        (300, [0, 0, 20]),
        (420, [20, 0, 0]),
    ],
)
def test_the_shards_share_the_pages_or_one_has_all(swept_until: int, shares: list[int]) -> None:
    assert [pages_of_shard(shard, 3, swept_until) for shard in range(3)] == shares
    assert (MAX_PAGES, PIECE_SECONDS) == (20, 120)


# Whether all is read.


@pytest.mark.parametrize(
    ("pages", "more", "total", "whole"),
    [
        (1, False, None, True),
        (1, None, None, False),
        (1, True, None, False),
        (2, False, None, False),
        (1, False, 3, True),
        (2, True, 3, True),
        (1, False, 2, False),
        (1, False, 4, False),
    ],
)
def test_entries_are_whole_if_they_are_as_many_as_allomia_counts(
    pages: int, more: bool | None, total: int | None, whole: bool
) -> None:
    with reading(page("a", "b", unreadable=1)) as (log, _):
        entries = LogReads().window(log, ONE, FIRST_PIECE)

    assert isinstance(entries, Entries)
    assert entries.is_whole(pages, more, total) is whole


# What is read.


def test_each_piece_of_the_time_is_read_page_by_page() -> None:
    pages = [page("a", more=True, total=4, unreadable=1), page("b", total=4, unreadable=1), page("c", unreadable=2)]
    with reading(*pages) as (log, asked):
        reads = LogReads()
        found = reads.window(log, ONE, TWO_PIECES)

    assert ids_of(found) == ["a", "b", "c"]
    assert isinstance(found, Entries)
    assert found.unreadable == 4
    assert asked.times_and_pages() == [("02:00", "04:00", "1"), ("02:00", "04:00", "2"), ("04:00", "06:00", "1")]
    assert {each["organizationId"] for each in asked.asked} == {"one"}
    assert reads.pages == {"one": 3}


def test_a_piece_is_read_once_for_each_organization() -> None:
    with reading(page("a"), page("b")) as (log, asked):
        reads = LogReads()
        found = [ids_of(reads.window(log, each, FIRST_PIECE)) for each in (ONE, OTHER, ONE, OTHER)]

    assert found == [["a"], ["b"], ["a"], ["b"]]
    assert [each["organizationId"] for each in asked.asked] == ["one", "other"]
    assert reads.pages == {"one": 1, "other": 1}


def test_an_organization_without_an_id_has_no_name() -> None:
    with reading(page("a")) as (log, asked):
        reads = LogReads()
        reads.window(log, Organization(API_KEY), FIRST_PIECE)

    assert asked.asked[0]["organizationId"] == ""
    assert reads.pages == {"": 1}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(404), "key-of-another-organization"),
        (httpx.Response(500), "HTTP 500"),
        (httpx.Response(401), "key-unusable"),
    ],
    ids=["404", "500", "401"],
)
def test_a_read_that_failed_says_why_and_is_not_repeated(answer: httpx.Response, reason: str) -> None:
    with reading(answer) as (log, asked):
        reads = LogReads()
        assert [reads.window(log, ONE, TWO_PIECES) for _ in range(2)] == [reason, reason]

    assert len(asked.asked) == reads.pages["one"] == 1


PAGES: dict[str, list[httpx.Response]] = {
    "fewer at the second page": [page("a", more=True, total=3), page("b", "c", total=2)],
    "more at the second page": [page("a", more=True, total=2), page("b", "c", total=3)],
    "none counted at the second page": [page("a", more=True, total=2), page("b")],
    "fewer than counted": [page("a", total=2)],
    "more than counted": [page("a", "b", total=1)],
    "a second page without a count": [page("a", more=True), page("b")],
    "one page that may not be the last": [page("a", more=None)],
}


@pytest.mark.parametrize("row", PAGES)
def test_pages_that_are_not_of_one_log_decide_nothing(row: str) -> None:
    with reading(*PAGES[row]) as (log, asked):
        assert LogReads().window(log, ONE, TWO_PIECES) == PAGES_CHANGED == "pages-changed"

    assert len(asked.asked) == len(PAGES[row])


def test_a_second_page_that_can_not_be_read_says_why() -> None:
    with reading(page("a", more=True, total=2), httpx.Response(500)) as (log, _):
        assert LogReads().window(log, ONE, FIRST_PIECE) == "HTTP 500"


# No more than its share.


def test_a_log_of_more_pages_than_a_sweep_reads_is_too_long() -> None:
    with reading(page("a", more=True, total=99)) as (log, asked):
        assert LogReads().window(log, ONE, FIRST_PIECE) == TOO_MANY_PAGES == "too-many-pages"

    assert [each["page"] for each in asked.asked] == [str(number) for number in range(1, MAX_PAGES + 1)]


def test_a_log_of_as_many_pages_as_a_sweep_reads_is_read() -> None:
    pages = [page(str(number), more=number < MAX_PAGES, total=MAX_PAGES) for number in range(1, MAX_PAGES + 1)]
    with reading(*pages) as (log, _):
        assert len(ids_of(LogReads().window(log, ONE, FIRST_PIECE))) == MAX_PAGES


@pytest.mark.parametrize("most", [0, 1, MAX_PAGES - 1])
def test_a_log_of_more_pages_than_its_share_waits_for_its_turn(most: int) -> None:
    with reading(page("a", more=True, total=99)) as (log, asked):
        assert LogReads(max_pages=most).window(log, ONE, FIRST_PIECE) == "not-its-turn"

    assert len(asked.asked) == most


@pytest.mark.parametrize("most", [MAX_PAGES - 1, MAX_PAGES])
@pytest.mark.parametrize("organization", [ONE, Organization(API_KEY)], ids=["with an id", "without an id"])
def test_what_was_read_before_leaves_fewer_pages(organization: Organization, most: int) -> None:
    with reading(page("a"), page("b", more=True, total=99)) as (log, asked):
        reads = LogReads(max_pages=most)
        reads.window(log, organization, FIRST_PIECE)
        assert reads.window(log, organization, TWO_PIECES) == "not-its-turn"

    assert len(asked.asked) == most


@pytest.mark.parametrize("permits", [0, 1])
def test_each_page_waits_for_the_rate_limit(permits: int) -> None:
    left = iter([True] * permits)
    with reading(page("a", more=True, total=2), page("b", total=2)) as (log, asked):
        reads = LogReads(lambda: next(left, False))
        assert reads.window(log, ONE, FIRST_PIECE) == "short-of-time"

    assert len(asked.asked) == reads.pages["one"] == permits


# Several threads.


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    found: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        found[place] = works[place]()

    threads = [threading.Thread(target=run, args=[place], daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return found


def test_two_organizations_are_read_at_once_and_one_is_not() -> None:
    together = threading.Barrier(2)

    def permit() -> bool:
        together.wait(5)
        return True

    with reading(page("a")) as (log, asked):
        reads = LogReads(permit)
        found = in_threads(*(lambda each=each: reads.window(log, each, FIRST_PIECE) for each in (ONE, OTHER)))
        assert [ids_of(each) for each in found] == [["a"], ["a"]]
        alone = LogReads()
        in_threads(*[lambda: alone.window(log, ONE, FIRST_PIECE)] * 4)

    assert (len(asked.asked), alone.pages["one"]) == (3, 1)
