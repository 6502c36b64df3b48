"""The rule that finds a call in AlloMia's call log, against an oracle that knows which call each entry is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.adapters.allomia import MAX_EXCHANGE_SECONDS
from outbound_calls.contracts.call_log import LogEntry
from outbound_calls.contracts.wire import validate
from outbound_calls.domain.log_matches import (
    BEFORE_SECONDS,
    CLOCKS_APART_SECONDS,
    NoMatch,
    Sought,
    Window,
    match,
    took_place,
)
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS, utc_text
from outbound_calls.use_cases.look_in_log import DISPATCH_TO_ANSWER_SECONDS
from tests.unit.parts import ASSISTANT_ID, CALL_ID, OTHER_CALL_ID, PHONE_NUMBER
from tests.world import NOW

OTHER_NUMBER, OTHER_ASSISTANT = "+15145550142", "99999999-2222-4333-8444-555555555555"
WINDOW = Window.around(NOW, DISPATCH_TO_ANSWER_SECONDS)
SOUGHT = Sought(PHONE_NUMBER, ASSISTANT_ID, WINDOW)


def entry(id_: str = CALL_ID, at: float = NOW, **changes: Any) -> LogEntry:
    time = utc_text(int(at))
    fields = {
        "id": id_,
        "callType": "Outbound",
        "agentId": ASSISTANT_ID,
        "phoneNumber": "+15145550199",
        "userPhoneNumber": PHONE_NUMBER,
        "callStartedAt": time,
        "callEndedAt": None,
        "callDurationSeconds": None,
        "createdAt": time,
    }
    return validate(LogEntry, fields | changes)


def verdict(*entries: LogEntry, unreadable: int = 0) -> str:
    found = match(SOUGHT, entries, unreadable)
    return found.name if isinstance(found, NoMatch) else str(found.id)


def test_the_one_entry_that_fits_is_the_call() -> None:
    others = [entry("a", userPhoneNumber=OTHER_NUMBER), entry("b", at=WINDOW.until + 1), entry("c", callType="Web")]

    assert verdict(entry(), *others) == CALL_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"userPhoneNumber": "+1 (415) 555-0123"},
        {"agentId": ASSISTANT_ID.upper()},
        {"callStartedAt": None},
        {"callType": None},
        {"callStartedAt": utc_text(NOW + 3600)},
    ],
)
def test_how_an_entry_is_written_does_not_matter(changes: dict[str, Any]) -> None:
    assert verdict(entry(**changes)) == CALL_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"agentId": OTHER_ASSISTANT},
        {"agentId": None},
        {"userPhoneNumber": None},
        {"userPhoneNumber": "4155550123"},
        {"userPhoneNumber": "5550123"},
        {"userPhoneNumber": OTHER_NUMBER, "phoneNumber": PHONE_NUMBER},
        {"createdAt": None},
        {"createdAt": None, "callStartedAt": None},
        {"createdAt": "yesterday", "callStartedAt": "2026-04-01T14:30:00"},
        {"callStartedAt": utc_text(WINDOW.since - 1)},
        {"createdAt": utc_text(WINDOW.since - 1)},
    ],
)
def test_an_entry_that_may_be_the_call_and_may_not_decides_nothing(changes: dict[str, Any]) -> None:
    assert verdict(entry(**changes)) == "IN_DOUBT"
    # And it keeps another one from being taken for the call
    assert verdict(entry(OTHER_CALL_ID), entry(**changes)) in {"SEVERAL", "IN_DOUBT"}


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"])
def test_a_time_at_either_end_of_the_calendar_is_not_in_the_window(time: str) -> None:
    assert verdict(entry(createdAt=time, callStartedAt=None)) == "NONE"


def test_an_assistants_id_is_compared_without_case() -> None:
    assistant = "99999999-aaaa-4BBB-8ccc-EEEEEEEEEEEE"
    its = entry(agentId=assistant.swapcase())

    assert match(Sought(PHONE_NUMBER, assistant, WINDOW), [its]) is its


def test_two_entries_decide_nothing_but_one_that_is_listed_twice_does() -> None:
    assert verdict(entry(), entry(OTHER_CALL_ID, at=NOW + 5)) == "SEVERAL"
    assert verdict(entry(), entry()) == CALL_ID
    assert verdict(entry(), entry(agentId=OTHER_ASSISTANT)) == "IN_DOUBT"


def test_an_entry_of_which_nothing_can_be_read_decides_nothing() -> None:
    assert verdict(entry(), unreadable=1) == "SEVERAL"
    assert verdict(unreadable=1) == "IN_DOUBT"
    assert verdict() == "NONE"


def test_only_a_conversation_shows_in_an_entry_alone() -> None:
    ended = utc_text(NOW + 60)

    assert took_place(entry(callEndedAt=ended, callDurationSeconds="60"))
    assert took_place(entry(callEndedAt=ended, callDurationSeconds="1"))
    assert not took_place(entry(callEndedAt=ended, callDurationSeconds="0"))
    assert not took_place(entry(callEndedAt=None, callDurationSeconds="60"))
    assert not took_place(entry(callEndedAt=ended))


def test_the_window_ends_after_the_longest_exchange_of_a_post_that_may_still_be_made() -> None:
    assert DISPATCH_TO_ANSWER_SECONDS == MAX_DECISION_AGE_SECONDS + MAX_EXCHANGE_SECONDS
    assert Window(NOW - BEFORE_SECONDS, NOW + int(DISPATCH_TO_ANSWER_SECONDS) + 60) == WINDOW


def test_the_window_of_an_attempt_and_of_its_rivals() -> None:
    window = Window.around(1000, 50.9)

    assert window == Window(1000 - 30, 1000 + 50 + 60)
    assert [window.has(time) for time in (969.9, 970, 1110.9, 1111)] == [False, True, True, False]
    # As long as the window, and as far apart as the clocks may be
    assert window.rivals == Window(1000 - 140 - 300, 1000 + 140 + 300)


def test_the_words_of_a_reason() -> None:
    assert [each.value for each in NoMatch] == [
        "the call log shows no such call",
        "the call log shows several calls that it may be",
        "the call log shows a call that may be another one",
    ]


def test_too_few_digits_say_nothing() -> None:
    assert verdict(entry(userPhoneNumber="550123")) == "NONE"


@dataclass(frozen=True)
class Dial:
    """An attempt, and the entry that its call got, if AlloMia placed one."""

    name: str
    number: str
    assistant: str
    dispatched_at: int
    entry: LogEntry | None
    seconds_to_entry: int


@st.composite
def dials(draw: st.DrawFn, name: str, skew: int) -> Dial:
    number = draw(st.sampled_from([PHONE_NUMBER, OTHER_NUMBER]))
    assistant = draw(st.sampled_from([ASSISTANT_ID, OTHER_ASSISTANT]))
    at = NOW + draw(st.integers(-900, 900))
    seconds = draw(st.integers(0, int(DISPATCH_TO_ANSWER_SECONDS)))
    starts = draw(st.sampled_from([None, 0, 40, 700]))
    made = at + seconds + skew
    its = entry(
        f"call-{name}",
        made,
        userPhoneNumber=number,
        agentId=assistant,
        callStartedAt=None if starts is None else utc_text(made + starts),
        createdAt=draw(st.sampled_from([utc_text(made), utc_text(made), None])),
    )
    return Dial(name, number, assistant, at, draw(st.sampled_from([its, its, None])), seconds)


@st.composite
def worlds(draw: st.DrawFn) -> list[Dial]:
    """Attempts to two numbers, and AlloMia's clock as far from ours as it may be."""
    skew = draw(st.integers(-CLOCKS_APART_SECONDS, CLOCKS_APART_SECONDS))
    return [draw(dials(str(place), skew)) for place in range(draw(st.integers(1, 4)))]


def looked_up(dial: Dial, world: list[Dial]) -> LogEntry | None:
    """The entry that the log gives an attempt, as the use case looks for it."""
    window = Window.around(dial.dispatched_at, DISPATCH_TO_ANSWER_SECONDS)
    entries = [each.entry for each in world if each.entry]
    found = match(Sought(dial.number, dial.assistant, window), entries)
    rivals = [each for each in world if each is not dial and each.number == dial.number]
    if isinstance(found, NoMatch) or any(window.rivals.has(each.dispatched_at) for each in rivals):
        return None
    return found


@settings(max_examples=150)
@given(world=worlds())
def test_an_entry_is_never_given_to_an_attempt_whose_call_it_is_not(world: list[Dial]) -> None:
    found = {dial.name: looked_up(dial, world) for dial in world}

    for dial in world:
        its = found[dial.name]
        # The oracle knows whose call each entry is
        assert its is None or its is dial.entry
    given_away = [each.id for each in found.values() if each]
    assert len(given_away) == len(set(given_away))


@settings(max_examples=60)
@given(dial=dials("0", 0))
def test_a_call_that_no_other_may_be_is_found(dial: Dial) -> None:
    expected = dial.entry if dial.entry and dial.entry.created_at else None

    assert looked_up(dial, [dial]) is expected


@settings(max_examples=60)
@given(world=worlds(), hidden=st.integers(0, 3))
def test_what_can_not_be_read_only_takes_outcomes_away(world: list[Dial], hidden: int) -> None:
    dial = world[0]
    window = Window.around(dial.dispatched_at, DISPATCH_TO_ANSWER_SECONDS)
    sought = Sought(dial.number, dial.assistant, window)
    entries = [each.entry for each in world if each.entry]
    blind = [
        each.model_copy(update={"user_phone_number": None, "created_at": None, "call_started_at": None})
        if place == hidden
        else each
        for place, each in enumerate(entries)
    ]

    whole, less = match(sought, entries), match(sought, blind)

    assert isinstance(less, NoMatch) or less is whole
