"""What a change of the policy means, in words: nothing that becomes allowed or forbidden is left out."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.operations.policy_changes import PolicyChanges, policy_changes
from outbound_calls.domain.recipients import PastDial, Recipient
from outbound_calls.policy.evaluation import Dial, evaluate
from outbound_calls.policy.rules import Rules
from tests.unit.policy.parts import (
    TOLL_FREE,
    TORONTO,
    VANCOUVER,
    WEEKDAYS_9_TO_17,
    Document,
    candidate,
    rules_of,
    stored,
)
from tests.unit.policy.test_widening import FIELDS, START, documents, presets

TODAY = date(2026, 11, 22)
OFFICE = {"callingWindows": [WEEKDAYS_9_TO_17]}
LATER = {"callingWindows": [WEEKDAYS_9_TO_17 | {"from": "10:00", "to": "18:30"}]}
IN_TORONTO = {"timeZone": TORONTO}
CHRISTMAS = {"exceptions": [{"name": "Christmas", "from": "2026-12-24", "to": "2027-01-01"}]}


def changes(before: Document, after: Document, preset: str = "open") -> PolicyChanges:
    return policy_changes(stored(before), stored(after), preset, TODAY)


def words(before: Document, after: Document, preset: str = "open") -> tuple[list[str], list[str], list[str]]:
    found = changes(before, after, preset)
    return found.allowed, found.forbidden, found.other


def test_a_document_that_means_the_same_has_no_changes() -> None:
    said = {"callingWindows": "always", "whenCapped": "wait", "maxAttemptsCeiling": 5, "paused": False}

    assert changes({}, said).nothing
    assert changes({}, {"organizations": {"north": {}}, "purposes": {}}).nothing
    assert not changes({}, OFFICE).nothing


def test_hours_that_move_are_named_on_both_sides() -> None:
    assert words(OFFICE, LATER) == (
        ["calls on Mon, Tue, Wed, Thu, Fri, 17:00 to 18:30"],
        ["calls on Mon, Tue, Wed, Thu, Fri, 09:00 to 10:00"],
        [],
    )


def test_an_opening_of_everything_is_short() -> None:
    allowed, forbidden, other = words(OFFICE | IN_TORONTO, {"callingWindows": "always"})

    assert allowed == [
        "calls on Mon, Tue, Wed, Thu, Fri, 00:00 to 09:00 and 17:00 to 24:00",
        "calls on Sat, Sun, all day",
    ]
    assert (forbidden, other) == ([], [])


def test_dates_are_named_where_they_differ_from_their_weekday() -> None:
    assert words(OFFICE, OFFICE | CHRISTMAS) == (
        [],
        [
            "calls on 2026-12-24 to 2026-12-25, 09:00 to 17:00",
            "calls on 2026-12-28 to 2027-01-01, 09:00 to 17:00",
        ],
        [],
    )
    assert words(OFFICE | CHRISTMAS, OFFICE)[0] == words(OFFICE, OFFICE | CHRISTMAS)[1]


def test_many_dates_are_summed_up() -> None:
    holidays = {"until": "2031-12-31", "dates": [f"2026-12-{day:02}" for day in range(1, 25, 2)]}
    after = IN_TORONTO | {"holidays": {"country": "CA"}, "holidayDates": {"CA": holidays}}

    allowed, forbidden, other = words({}, after)

    assert (len(forbidden), forbidden[0]) == (9, "calls on Tue 2026-12-01, all day")
    assert forbidden[-1] == "calls on 4 more dates until 2026-12-23, at some hours"
    assert (allowed, other) == ([], ["holidays are known until 2031-12-31"])


@pytest.mark.parametrize(
    ("narrow", "wide", "allowed", "forbidden"),
    [
        (
            {"recipientCaps": [{"calls": 1, "perDays": 1}]},
            {},
            "more than 1 call to a number on one day",
            "more than 1 call to a number on one day",
        ),
        (
            {"recipientCaps": [{"calls": 1, "perSeconds": 604800}]},
            {"recipientCaps": [{"calls": 3, "perSeconds": 604800}, {"calls": 4, "perSeconds": 604800}]},
            "3 calls to a number within 7 days, instead of 1",
            "1 call to a number within 7 days, instead of 3",
        ),
        (
            {"expireAfterSeconds": 5400},
            {"expireAfterSeconds": 7200},
            "waiting for 2 hours until a request expires; before: waiting for 90 minutes until a request expires",
            "waiting for 90 minutes until a request expires; before: waiting for 2 hours until a request expires",
        ),
        (
            {"maxConcurrentCalls": 4},
            {},
            "any number of calls in progress at once; before: up to 4 calls in progress at once",
            "up to 4 calls in progress at once; before: any number of calls in progress at once",
        ),
        ({"paused": True}, {}, "calls, resumed", "all calls: they are paused"),
        (
            {"whenCapped": "reject"},
            {},
            "waiting at a recipient cap, instead of being rejected",
            "waiting at a recipient cap: such requests are rejected",
        ),
        (
            {"maxAttemptsCeiling": 1},
            {"maxAttemptsCeiling": 2},
            "up to 2 attempts if a request asks for them; before: up to 1 attempt if a request asks for them",
            "up to 1 attempt if a request asks for them; before: up to 2 attempts if a request asks for them",
        ),
        (
            {},
            {"redial": {"maxAttempts": 2, "on": {"busy": [600, 5401]}}},
            "another attempt after busy, 10 minutes, then 5401 seconds later",
            "another attempt after busy",
        ),
        (
            OFFICE | {"timeZone": TORONTO},
            OFFICE | {"timeZone": VANCOUVER},
            "calls to toll-free numbers, by the clock of America/Vancouver instead of America/Toronto",
            "calls to toll-free numbers, by the clock of America/Toronto instead of America/Vancouver",
        ),
    ],
)
def test_each_limit_has_its_words(narrow: Document, wide: Document, allowed: str, forbidden: str) -> None:
    assert allowed in changes(narrow, wide).allowed
    assert forbidden in changes(wide, narrow).forbidden


def test_what_only_differs_is_neither_allowed_nor_forbidden() -> None:
    def redial(delay: int) -> Document:
        return {"redial": {"maxAttempts": 3, "on": {"busy": [delay]}}}

    assert words(redial(60), redial(120)) == (
        [],
        [],
        ["another attempt after busy follows 2 minutes later, instead of 1 minute"],
    )
    assert words({}, {"basedOn": "canada"} | {"callingWindows": "always", "timeZone": TORONTO})[2] == [
        "it is based on the preset canada, not open"
    ]


def test_numbers_of_no_place_are_named_where_a_clock_counts() -> None:
    rejected = "calls to toll-free numbers: no timeZone says which clock counts"
    allowed = "calls to toll-free numbers, by the clock of America/Toronto"
    with_zone = OFFICE | IN_TORONTO

    assert words(with_zone, OFFICE) == ([], [rejected], [])
    assert words(OFFICE, with_zone) == ([allowed], [], [])
    assert rejected in words({}, OFFICE)[1]
    assert "calls to toll-free numbers" in words(OFFICE, {})[0]
    assert words({}, {"timeZone": TORONTO}) == ([], [], [])
    assert words(OFFICE, OFFICE | {"recipientCaps": [{"calls": 9, "perDays": 9}]})[1] == [
        "more than 9 calls to a number in 9 calendar days"
    ]


def test_a_change_says_for_which_requests_it_holds() -> None:
    purposes: dict[str, Any] = {"purposes": {"results": {}, "marketing": {}}}
    north: dict[str, Any] = {"organizations": {"north": {}}}
    paused = {"paused": True}
    rejected = "requests for this purpose: they are rejected (unknown-purpose)"

    assert words(purposes, purposes | paused)[1] == ["all calls: they are paused"]
    assert words(purposes, {"purposes": {"results": {}, "marketing": paused}})[1] == [
        "purpose marketing: all calls: they are paused"
    ]
    assert words(north, {"organizations": {"north": paused}})[1] == ["organization north: all calls: they are paused"]
    assert words(north | purposes, {"organizations": {"north": {}}, "purposes": {"results": {}}})[1] == [
        f"organization default, purpose marketing; organization north, purpose marketing: {rejected}"
    ]
    assert words(purposes, purposes | {"purposes": {"results": {}, "marketing": {}, "reminder": {}}})[0] == [
        "purpose reminder: requests for this purpose, which were rejected (unknown-purpose)"
    ]


HOURS = [START + hour * 3600 for hour in range(0, 9 * 24, 7)]
CALLED_BEFORE = Recipient(dials=tuple(PastDial(START - hours * 3600) for hours in (1, 30, 100)))
NAMES: list[dict[str, str | None]] = [{}, {"organization": "north"}, {"purpose": "results"}]
one_field = st.sampled_from(sorted(FIELDS)).flatmap(lambda name: FIELDS[name].map(lambda value: {name: value}))


def dialled(rules: Rules) -> list[bool]:
    """At which hours two numbers may be dialled, one of them dialled before."""
    asked = candidate(created_at=START, not_after=START + 30 * 86_400)
    toll_free = replace(asked, phone_number=TOLL_FREE)
    cases = [(asked, Recipient()), (asked, CALLED_BEFORE), (toll_free, Recipient())]
    return [evaluate(each, rules, recipient, hour).decision == Dial() for each, recipient in cases for hour in HOURS]


@given(documents, one_field, presets)
@settings(max_examples=12, deadline=None)
def test_nothing_that_becomes_allowed_or_forbidden_is_left_out(
    before: Document, changed: Document, preset: str
) -> None:
    after = before | changed
    found = changes(before, after, preset)

    for names in NAMES:
        was, now = dialled(rules_of(before, preset, **names)), dialled(rules_of(after, preset, **names))
        assert found.allowed or all(old for old, new in zip(was, now, strict=True) if new)
        assert found.forbidden or all(new for old, new in zip(was, now, strict=True) if old)


@given(documents, presets)
@settings(max_examples=15, deadline=None)
def test_the_way_back_undoes_the_same(document: Document, preset: str) -> None:
    there, back = changes({}, document, preset), changes(document, {}, preset)

    assert bool(there.allowed) == bool(back.forbidden)
    assert bool(there.forbidden) == bool(back.allowed)
    assert changes(document, document, preset).nothing
