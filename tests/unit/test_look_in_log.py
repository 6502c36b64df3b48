"""What a look into AlloMia's call log asks for and finds, where a call's answer and webhook were both lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import httpx
import pytest

from outbound_calls.adapters.allomia import AllomiaClient, http_client
from outbound_calls.adapters.dial_marks import RIVALS_KNOWN_SECONDS, DialMarks
from outbound_calls.adapters.organizations import Organization
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.attempts import Attempt, CallDetails, Outcome
from outbound_calls.domain.log_matches import NoMatch
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.log_reads import LogReads
from outbound_calls.use_cases.look_in_log import (
    DISPATCH_TO_ANSWER_SECONDS,
    LogFinding,
    LookInLog,
    NotRead,
)
from tests.unit.dynamodb import Asked, dynamodb, fault, well
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    KEY,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    a_request,
    organizations_in,
)

NOW = 1_775_053_800
LATER = NOW + 7200.5
ORGANIZATION = Organization(API_KEY, "Org-1")
ATTEMPT = Attempt(KEY, NOW, Status.DISPATCHING, request=a_request(), dispatched_at=NOW, number_hash="hash-of-number")
ENTRY = {
    "id": CALL_ID,
    "callType": "Outbound",
    "agentId": ASSISTANT_ID,
    "userPhoneNumber": PHONE_NUMBER,
    "createdAt": utc_text(NOW),
}
TALKED = {"callStartedAt": utc_text(NOW), "callEndedAt": utc_text(NOW + 60), "callDurationSeconds": "60.12345678"}
EMPTY = httpx.Response(200, json={"calls": [], "pagination": {"total": 0}})
NO_RIVAL, BOUND = well(Items=[]), well()
RIVAL = well(Items=[{"entry": {"S": f"{NOW}#visit-1/1"}}])
NOT_BOUND = fault("ConditionalCheckFailedException")


class Allomia:
    """Answers with entries of the call log, from the piece of it that begins at `NOW`, and with a call's status."""

    def __init__(self, *entries: object, log: int = 200, status: object = None, code: int = 200) -> None:
        self.log = httpx.Response(log, json={"calls": entries, "pagination": {"total": len(entries)}})
        self.status = httpx.Response(code, json=status)
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path != "/api/calls":
            return self.status
        return self.log if request.url.params["from"] == utc_text(NOW) else EMPTY


@contextmanager
def looking(allomia: Allomia, *answers: bytes) -> Iterator[tuple[LookInLog, Asked]]:
    with (
        dynamodb(*answers) as (client, table),
        http_client("https://allomia.example", httpx.MockTransport(allomia.answer)) as http,
    ):
        yield LookInLog(AllomiaClient(http, organizations_in()), DialMarks(client, "policy")), table


def found(allomia: Allomia, *answers: bytes, reads: LogReads | None = None, now: float = LATER) -> LogFinding | NotRead:
    with looking(allomia, *(answers or (NO_RIVAL, BOUND))) as (look, _):
        return look.look(ATTEMPT, ORGANIZATION, reads or LogReads(), now)


def paths(*ids: str) -> list[str]:
    """What AlloMia is asked for: the two pieces of the log, and these calls."""
    return ["/api/calls", "/api/calls", *(f"/api/outbound/{each}/status" for each in ids)]


def state(status: str, **more: object) -> dict[str, Any]:
    return {"status": status, **more}


def test_a_finding_says_no_more_than_it_knows() -> None:
    assert asdict(LogFinding()) == {"outcome": None, "words": "", "outbound_call_id": None, "call_log_id": None}
    assert asdict(NotRead("HTTP 500")) == {"reason": "HTTP 500", "call_log_id": None}


def test_the_longest_time_from_a_dispatch_to_its_answer() -> None:
    assert DISPATCH_TO_ANSWER_SECONDS == 29


# What is looked for, and how long.


@pytest.mark.parametrize(
    "missing",
    [
        {"number_hash": None},
        {"request": None},
        {"request": a_request(assistant_id=None)},
        {"dispatched_at": None},
    ],
    ids=["number", "request", "assistant", "dispatch"],
)
def test_what_lacks_what_it_is_looked_for_by_is_a_mistake(missing: dict[str, Any]) -> None:
    with looking(Allomia(), NO_RIVAL) as (look, _), pytest.raises(ValueError, match=r"^not looked for$"):
        look.look(replace(ATTEMPT, **missing), ORGANIZATION, LogReads(), LATER)


def test_an_organization_without_an_id_has_no_log_to_look_into() -> None:
    with looking(Allomia(), NO_RIVAL) as (look, _), pytest.raises(ValueError, match=r"^not looked for$"):
        look.look(ATTEMPT, Organization(API_KEY), LogReads(), LATER)


def test_once_its_rivals_are_forgotten_nothing_is_looked_for() -> None:
    allomia, last = Allomia(ENTRY, status=state("busy")), NOW + RIVALS_KNOWN_SECONDS

    assert isinstance(found(allomia, now=last - 1), LogFinding)
    assert len(allomia.asked) == 3
    late = found(allomia, now=last)

    assert late == LogFinding(words="the call log is read too late to tell whose calls it shows")
    assert len(allomia.asked) == 3


def test_a_log_that_can_not_be_read_says_why() -> None:
    assert found(Allomia(log=500)) == NotRead("HTTP 500")


ENTRIES: dict[str, tuple[list[Any], NoMatch]] = {
    "none": ([], NoMatch.NONE),
    "two": ([ENTRY, ENTRY | {"id": OTHER_CALL_ID}], NoMatch.SEVERAL),
    "one and an unreadable one": ([ENTRY, 7], NoMatch.SEVERAL),
    "an unreadable one": ([7], NoMatch.IN_DOUBT),
    "another assistant's": ([ENTRY | {"agentId": OTHER_CALL_ID}], NoMatch.IN_DOUBT),
    "another number's": ([ENTRY | {"userPhoneNumber": "+14155550199"}], NoMatch.NONE),
    "too early": ([ENTRY | {"createdAt": utc_text(NOW - 31)}], NoMatch.NONE),
    "too late": ([ENTRY | {"createdAt": utc_text(NOW + 90)}], NoMatch.NONE),
}


@pytest.mark.parametrize("row", ENTRIES)
def test_without_one_entry_that_fits_there_is_no_call(row: str) -> None:
    entries, words = ENTRIES[row]
    allomia = Allomia(*entries)

    assert found(allomia) == LogFinding(words=words)
    assert allomia.asked == paths()


# Whose call it is.


def test_rivals_are_looked_for_and_the_entry_is_bound_to_the_attempt() -> None:
    with looking(Allomia(ENTRY, status=state("busy")), NO_RIVAL, BOUND) as (look, table):
        look.look(ATTEMPT, ORGANIZATION, LogReads(), LATER)

    rivals, bound = table.asked
    # As long before and after the dispatch as the entry may be from it, and 300 seconds for clocks that differ
    assert rivals["ExpressionAttributeValues"] == {
        ":subject": {"S": "call-log#org-1#hash-of-number"},
        ":since": {"S": f"{NOW - 419}"},
        ":until": {"S": f"{NOW + 420}"},
    }
    assert bound["Item"] == {
        "subject": {"S": "call-log#org-1"},
        "entry": {"S": CALL_ID},
        "boundTo": {"S": str(KEY)},
        "expiresAt": {"N": str(int(LATER) + 30 * 86_400)},
    }


@pytest.mark.parametrize("answers", [(RIVAL, BOUND), (NO_RIVAL, NOT_BOUND)], ids=["a rival", "bound to another"])
def test_a_call_that_may_be_another_attempts_is_not_asked_about(answers: tuple[bytes, ...]) -> None:
    allomia = Allomia(ENTRY, status=state("busy"))

    assert found(allomia, *answers) == LogFinding(words="the call log shows a call that another attempt may have made")
    assert allomia.asked == paths()


def test_the_attempts_own_dial_is_no_rival() -> None:
    own = well(Items=[{"entry": {"S": f"{NOW}#{KEY}"}}])
    look = found(Allomia(ENTRY, status=state("busy")), own, BOUND)

    assert isinstance(look, LogFinding)
    assert look.outcome


# What AlloMia reports of it.


def test_an_outcome_has_the_entry_as_its_source() -> None:
    allomia = Allomia(ENTRY, status=state("busy", contactId=OTHER_CALL_ID, callDetails={"duration": 7}))

    assert found(allomia) == LogFinding(
        Outcome(
            Status.BUSY,
            OutcomeSource.CALL_LOG,
            CALL_ID,
            OTHER_CALL_ID,
            CallDetails(duration=7),
            call_log_id=CALL_ID,
        ),
        call_log_id=CALL_ID,
    )
    assert allomia.asked == paths(CALL_ID)


def test_an_outcome_without_an_id_has_the_logs() -> None:
    look = found(Allomia(ENTRY, status=state("busy")))

    assert isinstance(look, LogFinding)
    assert look.outcome
    assert look.outcome.outbound_call_id == CALL_ID


@pytest.mark.parametrize(
    ("log_id", "asked", "call_id"),
    [(CALL_ID.upper(), CALL_ID, CALL_ID), ("call-7", "call-7", None)],
    ids=["a UUID in capitals", "no UUID"],
)
@pytest.mark.parametrize("status", ["busy", "calling"])
def test_a_call_has_the_logs_id_where_that_can_be_one(
    log_id: str, asked: str, call_id: str | None, status: str
) -> None:
    allomia = Allomia(ENTRY | {"id": log_id}, status=state(status))
    look = found(allomia)

    assert isinstance(look, LogFinding)
    assert look.call_log_id == log_id
    assert (look.outcome.outbound_call_id if look.outcome else look.outbound_call_id) == call_id
    assert allomia.asked == paths(asked)


@pytest.mark.parametrize("word", ["calling", "voicemail"])
def test_a_call_without_an_outcome_rang(word: str) -> None:
    assert found(Allomia(ENTRY, status=state(word))) == LogFinding(
        words=f"the call log shows that the phone rang, and AlloMia reports no outcome: {word}",
        outbound_call_id=CALL_ID,
        call_log_id=CALL_ID,
    )


def test_a_call_that_can_not_be_asked_about_says_why() -> None:
    assert found(Allomia(ENTRY, code=500)) == NotRead("HTTP 500", CALL_ID)


def test_without_time_a_call_is_not_asked_about() -> None:
    allomia, left = Allomia(ENTRY, status=state("busy")), iter([True, True])

    assert found(allomia, reads=LogReads(lambda: next(left, False))) == NotRead("short-of-time", CALL_ID)
    assert allomia.asked == paths()


# A call that AlloMia doesn't know by the log's id.


def test_an_entry_with_a_conversation_is_the_outcome() -> None:
    assert found(Allomia(ENTRY | TALKED, code=404)) == LogFinding(
        Outcome(
            Status.COMPLETED,
            OutcomeSource.CALL_LOG,
            call_details=CallDetails(utc_text(NOW), utc_text(NOW + 60), 60.123457),
            call_log_id=CALL_ID,
        ),
        call_log_id=CALL_ID,
    )


def test_an_entry_without_a_conversation_shows_that_the_phone_rang() -> None:
    assert found(Allomia(ENTRY, code=404)) == LogFinding(
        words="the call log shows that the phone rang, and AlloMia reports no outcome", call_log_id=CALL_ID
    )
