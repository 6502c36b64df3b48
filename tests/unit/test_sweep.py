"""What a sweep does with a due attempt: what it asks for, what it keeps, and in which words it gives an attempt up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from outbound_calls.adapters.allomia import AllomiaClient, http_client
from outbound_calls.adapters.attempt_items import ended_on
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.adapters.dial_marks import DialMarks
from outbound_calls.adapters.due_entries import DueBatch, DueKeeper
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.adapters.organizations import Organizations
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.adapters.queues import CallQueue
from outbound_calls.adapters.waiting_attempts import WaitingAttempts
from outbound_calls.contracts.vocabulary import OutcomeSource, Preset, Priority, Status
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.lines import LinesSeen
from outbound_calls.domain.timing import PollSchedule, utc_text
from outbound_calls.use_cases.hand_on import HandOnLines
from outbound_calls.use_cases.log_reads import LogReads
from outbound_calls.use_cases.polls import SECONDS_TO_POLL, Poll, PollResult
from outbound_calls.use_cases.sweep import (
    KEY_PATIENCE_SECONDS,
    LOG_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    PollCalls,
)
from tests.unit.dynamodb import Asked, dynamodb_and_sqs, fault, number, well
from tests.unit.parts import (
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    KEY,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Clock,
    SecretsInMemory,
    a_secret,
)

NOW = 1_775_053_800
"""When the attempts were dispatched: the beginning of a piece of the call log."""

GRACE_SECONDS, DEADLINE_SECONDS = 180, 7200
DEADLINE = NOW + DEADLINE_SECONDS
DAY = 86_400
WITH_ID = json.dumps({"apiKey": API_KEY, "organizationId": "org-1"})
DONE, NOT_NOW, SENT = well(Attributes={}), fault("ConditionalCheckFailedException"), well(MessageId="m")
NO_RIVAL, BOUND = well(Items=[]), well()
DUE = DueEntry(KEY, NOW + 1)


def item(status: str = "calling", **more: Any) -> dict[str, Any]:
    """The item of an attempt. A number among `more` becomes one of DynamoDB's, and a text a text."""
    fields = {"createdAt": NOW, "timesParked": 2, "dispatchedAt": NOW, "dueAt": DEADLINE, "claimId": "claim"}
    named = {"requestId": "visit-2031", "attempt": 1, "status": status} | fields | more
    typed = {name: number(value) if isinstance(value, int) else value for name, value in named.items()}
    return {name: {"S": value} if isinstance(value, str) else value for name, value in typed.items() if value}


REQUEST = {"M": {"phoneNumber": {"S": PHONE_NUMBER}, "assistantId": {"S": ASSISTANT_ID}}}
REQUEST["M"]["phoneNumberId"] = {"S": PHONE_NUMBER_ID}


def calling(**more: Any) -> bytes:
    """The answer to the lease of a call that AlloMia accepted."""
    return well(Attributes=item(outboundCallId=CALL_ID, **more))


def lost(**more: Any) -> bytes:
    """The answer to the lease of an attempt that is looked for in the call log."""
    return well(Attributes=item("dispatching", numberHash="hash", request=REQUEST, **more))


NOTED = well(Attributes=item())


def ended(status: str = "unknown") -> bytes:
    """The answer to the write that ends an attempt."""
    return well(Attributes=item(status))


class Allomia:
    """Answers with the status of each call, 404 for others, and with the call log; keeps what it was asked for."""

    def __init__(self, *entries: object, log: int = 200, **states: object) -> None:
        self.log = httpx.Response(log, json={"calls": entries, "pagination": {"total": len(entries)}})
        self.states = {CALL_ID if name == "call" else OTHER_CALL_ID: state for name, state in states.items()}
        self.asked: list[httpx.Request] = []
        self.before_answer: Callable[[], object] = lambda: None

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.before_answer()
        if request.url.path == "/api/calls":
            return self.log if request.url.params["from"] >= utc_text(NOW) else EMPTY
        state = self.states.get(request.url.path.split("/")[3], 404)
        return httpx.Response(state) if isinstance(state, int) else httpx.Response(200, json={"status": state})

    def calls(self) -> list[str]:
        """The calls that it was asked about."""
        return [each.url.path.split("/")[3] for each in self.asked if each.url.path.endswith("/status")]


EMPTY = httpx.Response(200, json={"calls": [], "pagination": {"total": 0}})


def step(asked: Mapping[str, Any]) -> str:
    """What was asked for, in short."""
    if "MessageBody" in asked:
        return f"{asked['QueueUrl'].rpartition('/')[2]} {asked['MessageBody']}"
    if "TransactItems" in asked:
        return "make next"
    values = {name: next(iter(value.values())) for name, value in asked.get("ExpressionAttributeValues", {}).items()}
    change = asked.get("UpdateExpression", "")
    if change.startswith("SET #dueAt = :now"):
        return "lease"
    if ":soughtSince" in values:
        return f"due {values[':due']} since {values[':soughtSince']}"
    if ":due" in values:
        return f"due {values[':due']}"
    if ":outcomeSource" in values:
        return f"{values[':status']} by {values[':outcomeSource']}"
    return f"note {values[':allomiaStatus']}" if ":allomiaStatus" in values else asked.get("IndexName", "marks")


@contextmanager
def polling(
    *answers: bytes,
    allomia: Allomia | None = None,
    secret: str | None = API_KEY,
    now: float = DEADLINE,
    deadline_seconds: int = DEADLINE_SECONDS,
    secrets: SecretsInMemory | None = None,
    secret_clock: Clock | None = None,
) -> Iterator[tuple[PollCalls, Asked]]:
    transport = httpx.MockTransport((allomia or Allomia()).answer)
    secrets = secrets or SecretsInMemory({"AWSCURRENT": secret})
    with (
        dynamodb_and_sqs(*answers) as (client, sqs, asked),
        http_client("https://allomia.example", transport) as http,
    ):
        table, lines, clock = CallsTable(client, "calls", 90, 1), LinesTable(client, "policy"), Clock(now)
        yield (
            PollCalls(
                table,
                PolicyTable(client, "policy"),
                AllomiaClient(http, Organizations(a_secret(secrets, secret_clock))),
                DialMarks(client, "policy"),
                CallQueue(sqs, "https://sqs.example/123456789012/requests"),
                HandOnLines(WaitingAttempts(table), lines, CallQueue(sqs, "https://sqs.example/1/handed-on"), clock),
                PollSchedule(GRACE_SECONDS, deadline_seconds),
                Preset.OPEN,
                clock,
            ),
            asked,
        )


def plenty() -> float:
    return 60.0


def look(*answers: bytes, reads: LogReads | None = None, **world: Any) -> tuple[Poll, list[str]]:
    """What happened to an attempt, and what was asked for after its lease, in short."""
    with polling(*answers, **world) as (poll_calls, asked):
        poll = poll_calls.poll(DUE, plenty, reads)
    steps = list(map(step, asked.asked))
    assert steps[0] == "lease"
    return poll, steps[1:]


def given_up(*answers: bytes, **world: Any) -> str:
    """The words in which an attempt is given up, after what they always begin with."""
    poll, steps = look(*answers, ended(), **world)
    assert (poll.result, steps[-1]) == (PollResult.RECORDED, "unknown by deadline")
    assert poll.outcome
    assert poll.outcome.reason == poll.detail
    beginning = f"no outcome within {DEADLINE_SECONDS} s of dispatch. "
    assert poll.detail.startswith(beginning)
    return poll.detail.removeprefix(beginning)


WAITING = Poll(PollResult.WAITING, KEY)
SKIPPED = Poll(PollResult.SKIPPED, KEY)


def unavailable(reason: str) -> Poll:
    return Poll(PollResult.UNAVAILABLE, KEY, reason)


def test_the_fixed_times() -> None:
    assert (PATIENCE_SECONDS, KEY_PATIENCE_SECONDS, LOG_PATIENCE_SECONDS) == (3600, DAY, 1800)


# The lease.


def test_without_enough_time_an_attempt_is_not_leased() -> None:
    with polling(calling(), allomia=Allomia(call="calling")) as (poll_calls, asked):
        assert poll_calls.poll(DUE, lambda: SECONDS_TO_POLL - 0.1) == Poll(PollResult.SKIPPED, KEY, "short-of-time")
        assert asked.asked == []
        poll_calls.poll(DUE, lambda: SECONDS_TO_POLL)
    values = asked.asked[0]["ExpressionAttributeValues"]
    assert values == {":now": number(DEADLINE), ":step": number(GRACE_SECONDS), ":seen": number(NOW + 1)}


def test_an_attempt_that_another_sweep_has_is_left_to_it() -> None:
    assert look(NOT_NOW) == (SKIPPED, [])


def test_a_parked_attempt_is_dispatched() -> None:
    poll, steps = look(well(Attributes=item("scheduled")), SENT)

    assert poll == Poll(PollResult.DISPATCHED, KEY)
    assert steps == ['requests {"dispatch":{"requestId":"visit-2031","attempt":1},"timesParked":2}']


# A redial.

REDIAL = fault(
    "ConditionalCheckFailedException",
    Item=item("busy", redialAt=NOW + 1, request=REQUEST, batch="recalls", notBefore=5, notAfter=NOW + DAY),
)
CANCELLED = fault("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])


def test_a_redial_that_is_due_makes_the_next_attempt_and_dispatches_it() -> None:
    with polling(REDIAL, well(), SENT) as (poll_calls, asked):
        poll = poll_calls.poll(DUE, plenty)

    assert poll == Poll(PollResult.REDIALLED, AttemptKey(KEY.request, 2))
    _, made, sent = asked.asked
    new = made["TransactItems"][0]["Put"]["Item"]
    assert (new["attempt"], new["createdAt"], new["parkReason"]) == (number(2), number(NOW + 1), {"S": "redial"})
    assert (new["request"], new["batch"], new["notAfter"]) == (REQUEST, {"S": "recalls"}, number(NOW + DAY))
    assert "notBefore" not in new
    assert new["dueAt"] == number(DEADLINE + 60)
    assert made["TransactItems"][1]["Update"]["ExpressionAttributeValues"][":seen"] == number(NOW + 1)
    assert step(sent) == 'requests {"dispatch":{"requestId":"visit-2031","attempt":2},"timesParked":1}'


def test_a_redial_that_another_sweep_made_is_left_to_it() -> None:
    assert look(REDIAL, CANCELLED) == (SKIPPED, ["make next"])


# What AlloMia reports.


def test_an_outcome_is_recorded() -> None:
    with polling(calling(), ended("busy"), allomia=Allomia(call="busy")) as (poll_calls, asked):
        poll = poll_calls.poll(DUE, plenty)

    assert (poll.result, poll.key, poll.detail) == (PollResult.RECORDED, KEY, "")
    assert poll.outcome
    assert (poll.outcome.status, poll.outcome.source) == (Status.BUSY, OutcomeSource.POLL)
    assert poll.attempt
    assert (poll.attempt.key, poll.attempt.status) == (KEY, Status.BUSY)
    assert asked.asked[1]["Key"]["requestId"] == {"S": "visit-2031"}
    assert asked.asked[1]["ExpressionAttributeValues"][":recordedAt"] == number(DEADLINE)


def test_an_outcome_that_came_another_way_meanwhile_is_left_as_it_is() -> None:
    meanwhile = fault("ConditionalCheckFailedException", Item=item("completed"))

    assert look(calling(), meanwhile, allomia=Allomia(call="busy")) == (SKIPPED, ["busy by poll"])


@pytest.mark.parametrize(
    ("due_at", "steps"), [(DEADLINE, []), (DEADLINE + 1, [f"due {DEADLINE}"])], ids=["in time", "too late"]
)
def test_a_call_in_progress_is_looked_at_again_at_its_deadline_at_the_latest(due_at: int, steps: list[str]) -> None:
    allomia = Allomia(call="calling")

    assert look(calling(dueAt=due_at), DONE, now=DEADLINE - 0.5, allomia=allomia) == (WAITING, steps)
    assert allomia.calls() == [CALL_ID]


@pytest.mark.parametrize(
    ("known", "steps"), [("", ["note voicemail"]), ("ringing", ["note voicemail"]), ("voicemail", [])]
)
def test_a_word_that_is_not_documented_is_noted_once(known: str, steps: list[str]) -> None:
    found = look(calling(allomiaStatus=known), NOTED, now=NOW + 999, allomia=Allomia(call="voicemail"))

    assert found == (Poll(PollResult.WAITING, KEY, allomia_status="voicemail"), steps)


def test_a_note_is_of_this_call() -> None:
    with polling(calling(), NOTED, now=NOW + 999, allomia=Allomia(call="voicemail")) as (poll_calls, asked):
        poll_calls.poll(DUE, plenty)

    assert asked.asked[1]["Key"]["requestId"] == {"S": "visit-2031"}
    assert asked.asked[1]["ExpressionAttributeValues"][":outboundCallId"] == {"S": CALL_ID}


def test_a_call_that_is_dialled_again_after_it_was_parked_moves_on_from_now() -> None:
    parked = fault("ConditionalCheckFailedException", Item=item("scheduled"))
    with polling(calling(), parked, NOTED, now=NOW + 999, allomia=Allomia(call="voicemail")) as (poll_calls, asked):
        poll_calls.poll(DUE, plenty)

    assert asked.asked[2]["ExpressionAttributeValues"][":dispatchedAt"] == number(NOW + 999)


def test_an_attempt_without_a_dispatch_has_its_deadline_from_its_creation() -> None:
    undispatched = calling(dispatchedAt=None, createdAt=NOW + 10, dueAt=DEADLINE + 99)

    _, steps = look(undispatched, DONE, now=DEADLINE, allomia=Allomia(call="calling"))

    assert steps == [f"due {DEADLINE + 10}"]


# Nothing is learned.


@pytest.mark.parametrize("status", [500, 429])
def test_before_its_deadline_a_call_without_a_status_only_waits(status: int) -> None:
    found = look(calling(), DONE, now=DEADLINE - 1, allomia=Allomia(call=status))

    assert found == (unavailable(f"HTTP {status}"), [])


@pytest.mark.parametrize(
    ("due_in", "sought_for", "deadline_seconds", "next_look"),
    [
        (DAY, None, DEADLINE_SECONDS, 300),
        (100, None, DEADLINE_SECONDS, 100),
        (DAY, None, 240, 240),
        (DAY, 60, DEADLINE_SECONDS, 300),
        (DAY, 3400, DEADLINE_SECONDS, 200),
        (301, 60, DEADLINE_SECONDS, 300),
        (300, 60, DEADLINE_SECONDS, None),
        (200, 3400, DEADLINE_SECONDS, None),
        (100, 60, DEADLINE_SECONDS, None),
    ],
)
def test_past_its_deadline_a_call_without_a_status_is_asked_about_every_five_minutes(
    due_in: int, sought_for: int | None, deadline_seconds: int, next_look: int | None
) -> None:
    since = DEADLINE if sought_for is None else DEADLINE - sought_for
    leased = calling(dueAt=DEADLINE + due_in, soughtSince=sought_for and since)
    world: dict[str, Any] = {"deadline_seconds": deadline_seconds, "allomia": Allomia(call=500)}

    steps = [] if next_look is None else [f"due {DEADLINE + next_look} since {since}"]
    assert look(leased, DONE, now=DEADLINE + 0.5, **world) == (unavailable("HTTP 500"), steps)


@pytest.mark.parametrize(
    ("secret", "patience", "deadline_seconds"),
    [(API_KEY, 3600, DEADLINE_SECONDS), (API_KEY, 240, 240), (None, DAY, DEADLINE_SECONDS), (None, DAY, 240)],
    ids=["an hour", "a short deadline", "no key", "no key and a short deadline"],
)
def test_a_call_is_given_up_once_it_was_asked_about_for_long_enough(
    secret: str | None, patience: int, deadline_seconds: int
) -> None:
    world: dict[str, Any] = {"secret": secret, "deadline_seconds": deadline_seconds, "allomia": Allomia(call=500)}
    first = calling(soughtSince=DEADLINE)

    before, _ = look(first, DONE, now=DEADLINE + patience - 0.5, **world)
    after, _ = look(first, ended(), now=DEADLINE + patience, **world)

    assert (before.result, after.result) == (PollResult.UNAVAILABLE, PollResult.RECORDED)


def test_without_a_key_allomia_is_not_asked() -> None:
    allomia = Allomia(call="busy")

    assert look(calling(), DONE, now=NOW + 999, secret=None, allomia=allomia) == (unavailable("key-unusable"), [])
    assert allomia.asked == []


# Calls that AlloMia doesn't know.


def missed(poll_calls: PollCalls, *calls: str) -> None:
    for call in calls:
        poll_calls.not_found.add(API_KEY, call)


def test_three_calls_in_a_row_that_allomia_does_not_know_are_the_keys_fault() -> None:
    secrets, clock, allomia = SecretsInMemory({"AWSCURRENT": API_KEY}), Clock(), Allomia()
    allomia.before_answer = lambda: clock.pass_seconds(60)
    world: dict[str, Any] = {"secrets": secrets, "secret_clock": clock, "allomia": allomia}
    with polling(calling(), now=NOW + 999, **world) as (poll_calls, _):
        missed(poll_calls, "a")
        assert poll_calls.poll(DUE, plenty) == unavailable("not-found")
        missed(poll_calls, CALL_ID)  # the same one counts once
        assert poll_calls.poll(DUE, plenty) == unavailable("not-found")
        missed(poll_calls, "b")
        poll_calls.allomia.organization_named(None)
        assert len(secrets.reads) == 1

        assert poll_calls.poll(DUE, plenty) == unavailable("key-of-another-organization")
        poll_calls.allomia.organization_named(None)
        assert len(secrets.reads) == 2  # the key may have been replaced


def test_a_call_that_allomia_knows_ends_the_row() -> None:
    with polling(calling(), now=NOW + 999, allomia=Allomia(call="calling")) as (poll_calls, _):
        missed(poll_calls, "a", "b")
        poll_calls.poll(DUE, plenty)
        assert not poll_calls.not_found.add(API_KEY, "c")


def test_another_fault_is_no_part_of_the_row() -> None:
    with polling(calling(), now=NOW + 999, allomia=Allomia(call=500)) as (poll_calls, _):
        missed(poll_calls, "a", "b")
        assert poll_calls.poll(DUE, plenty) == unavailable("HTTP 500")
        assert poll_calls.not_found.add(API_KEY, "c")


LAST_LOOK = DEADLINE + 3600
GIVEN_UP_IN_VAIN = "AlloMia accepted the call; last poll: not-found"


def last(**more: Any) -> bytes:
    return calling(**{"soughtSince": DEADLINE} | more)


def ended_calls(*calls: tuple[str, str | None]) -> bytes:
    """The answer to a look for attempts that ended: the source of each one's outcome, and its call."""
    return well(
        Items=[
            item("completed", attempt=place + 2, outcomeSource=source, outboundCallId=call or "")
            for place, (source, call) in enumerate(calls)
        ]
    )


def test_the_last_look_asks_whether_the_key_sees_anything_of_its_organization() -> None:
    allomia = Allomia(log=404)
    found = look(last(), DONE, now=LAST_LOOK + 0.5, secret=WITH_ID, allomia=allomia)

    assert found[0] == unavailable("key-of-another-organization")
    parameters = allomia.asked[1].url.params
    assert (parameters["from"], parameters["to"]) == (utc_text(LAST_LOOK - 1), utc_text(LAST_LOOK))
    assert (parameters["organizationId"], parameters["page"], parameters["limit"]) == ("org-1", "1", "1")


@pytest.mark.parametrize("log", [200, 500])
def test_a_key_that_sees_its_organization_has_no_fault(log: int) -> None:
    assert given_up(last(), now=LAST_LOOK, secret=WITH_ID, allomia=Allomia(log=log)) == GIVEN_UP_IN_VAIN


@pytest.mark.parametrize(
    ("more", "now"), [({}, LAST_LOOK - 0.5), ({"soughtSince": None}, LAST_LOOK)], ids=["before it", "the first look"]
)
def test_before_the_last_look_nothing_more_is_asked(more: dict[str, Any], now: float) -> None:
    allomia = Allomia(log=404)
    poll, _ = look(last(**more), DONE, now=now, secret=WITH_ID, allomia=allomia)

    assert poll == unavailable("not-found")
    assert len(allomia.asked) == 1


@pytest.mark.parametrize(("permit", "reason"), [(True, "key-of-another-organization"), (False, "short-of-time")])
def test_the_question_waits_for_the_rate_limit(permit: bool, reason: str) -> None:
    allomia = Allomia(log=404)
    poll, _ = look(last(), DONE, now=LAST_LOOK, secret=WITH_ID, allomia=allomia, reads=LogReads(lambda: permit))

    result = PollResult.UNAVAILABLE if permit else PollResult.SKIPPED
    assert poll == Poll(result, KEY, reason)
    assert len(allomia.asked) == 1 + permit


@pytest.mark.parametrize("source", ["webhook", "poll"])
def test_without_an_id_of_the_organization_another_call_is_asked_about(source: str) -> None:
    known = ended_calls(("operator", "x"), ("deadline", None), (source, OTHER_CALL_ID), (source, "y"))
    allomia = Allomia()
    with polling(last(), known, DONE, now=LAST_LOOK, allomia=allomia) as (poll_calls, asked):
        assert poll_calls.poll(DUE, plenty) == unavailable("key-of-another-organization")

    assert allomia.calls() == [CALL_ID, OTHER_CALL_ID]
    query = asked.asked[1]
    assert (query["IndexName"], query["Limit"], query["ScanIndexForward"]) == ("ended", 100, True)
    assert query["ExpressionAttributeValues"][":since"] == number(NOW)


def test_other_calls_are_looked_for_since_the_creation_of_one_without_a_dispatch() -> None:
    undispatched = last(dispatchedAt=None, createdAt=NOW - 7)
    with polling(undispatched, ended_calls(), ended(), now=LAST_LOOK) as (poll_calls, asked):
        poll_calls.poll(DUE, plenty)

    assert asked.asked[1]["ExpressionAttributeValues"][":since"] == number(NOW - 7)


@pytest.mark.parametrize("state", ["completed", 500])
def test_another_call_that_is_known_or_can_not_be_asked_about_shows_no_fault(state: object) -> None:
    known = ended_calls(("webhook", OTHER_CALL_ID))

    assert given_up(last(), known, now=LAST_LOOK, allomia=Allomia(other=state)) == GIVEN_UP_IN_VAIN


@pytest.mark.parametrize("calls", [[], [("operator", "x")], [("webhook", None)]], ids=["none", "by hand", "no id"])
def test_without_another_call_there_is_no_fault(calls: list[tuple[str, str | None]]) -> None:
    allomia = Allomia()

    assert given_up(last(), ended_calls(*calls), now=LAST_LOOK, allomia=allomia) == GIVEN_UP_IN_VAIN
    assert allomia.calls() == [CALL_ID]


# Giving up.


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (calling(), "calling", "AlloMia accepted the call; last poll: calling"),
        (calling(), "voicemail", "AlloMia accepted the call; last poll: voicemail"),
        (
            calling(allomiaStatus="ringing"),
            "calling",
            "AlloMia accepted the call; last poll: calling; AlloMia's last status: ringing",
        ),
        (calling(allomiaStatus="voicemail"), "voicemail", "AlloMia accepted the call; last poll: voicemail"),
        (
            calling(allomiaStatus="ringing", soughtSince=NOW),
            500,
            "AlloMia accepted the call; last poll: HTTP 500; AlloMia's last status: ringing",
        ),
        (
            well(Attributes=item("dispatching", postResult="ReadTimeout")),
            404,
            "AlloMia's answer to the POST was lost: ReadTimeout",
        ),
        (well(Attributes=item("dispatching")), 404, "claimed, and not known to have been posted"),
    ],
)
def test_an_attempt_that_is_given_up_says_what_is_known(answer: bytes, state: object, words: str) -> None:
    notes = [NOTED] if state == "voicemail" and b"voicemail" not in answer else []

    assert given_up(answer, *notes, allomia=Allomia(call=state)) == words


def test_an_attempt_is_given_up_as_unknown_by_the_deadline() -> None:
    with polling(calling(), ended(), allomia=Allomia(call="calling")) as (poll_calls, asked):
        poll = poll_calls.poll(DUE, plenty)

    assert poll.outcome
    assert (poll.outcome.status, poll.outcome.reason_code) == (Status.UNKNOWN, "no-outcome")
    assert (poll.outcome.outbound_call_id, poll.outcome.call_log_id) == (CALL_ID, None)
    values = asked.asked[1]["ExpressionAttributeValues"]
    assert (values[":recordedAt"], values[":expectedDueAt"]) == (number(DEADLINE), number(DEADLINE))


# A look into the call log.

ENTRY = {
    "id": OTHER_CALL_ID,
    "callType": "Outbound",
    "agentId": ASSISTANT_ID,
    "userPhoneNumber": PHONE_NUMBER,
    "createdAt": utc_text(NOW),
}
LOST_ANSWER = {"postResult": "ReadTimeout"}
SAID = "AlloMia's answer to the POST was lost: ReadTimeout; "


def test_a_call_that_is_found_in_the_log_has_its_outcome() -> None:
    reads = LogReads()
    poll, steps = look(
        lost(), NO_RIVAL, BOUND, ended("busy"), reads=reads, secret=WITH_ID, allomia=Allomia(ENTRY, other="busy")
    )

    assert (poll.result, steps) == (PollResult.RECORDED, ["marks", "marks", "busy by call-log"])
    assert poll.outcome
    assert poll.outcome.call_log_id == OTHER_CALL_ID
    assert reads.pages == {"org-1": 2}


def test_an_outcome_from_the_log_is_recorded_now_for_the_holder_of_the_lease() -> None:
    allomia = Allomia(ENTRY, other="busy")
    answers = [lost(), NO_RIVAL, BOUND, ended("busy")]
    with polling(*answers, secret=WITH_ID, allomia=allomia, now=DEADLINE + 7) as (poll_calls, asked):
        poll_calls.poll(DUE, plenty)

    values = asked.asked[3]["ExpressionAttributeValues"]
    assert (values[":recordedAt"], values[":expectedDueAt"]) == (number(DEADLINE + 7), number(DEADLINE))
    bound = asked.asked[2]["Item"]
    assert (bound["boundTo"], bound["expiresAt"]) == ({"S": str(KEY)}, number(DEADLINE + 7 + 30 * DAY))


def test_a_call_that_rang_is_given_up_with_its_ids() -> None:
    allomia = Allomia(ENTRY, other="calling")
    poll, _ = look(lost(**LOST_ANSWER), NO_RIVAL, BOUND, ended(), secret=WITH_ID, allomia=allomia)

    assert poll.outcome
    assert (poll.outcome.outbound_call_id, poll.outcome.call_log_id) == (OTHER_CALL_ID, OTHER_CALL_ID)
    words = "the call log shows that the phone rang, and AlloMia reports no outcome: calling"
    assert poll.detail.endswith(f"{SAID}{words}")


def test_a_log_without_the_call_says_so() -> None:
    assert given_up(lost(**LOST_ANSWER), secret=WITH_ID) == f"{SAID}the call log shows no such call"


def test_without_an_id_of_the_organization_the_log_is_not_looked_into() -> None:
    allomia = Allomia(ENTRY)

    assert given_up(lost(**LOST_ANSWER), allomia=allomia) == SAID.removesuffix("; ")
    assert allomia.asked == []


@pytest.mark.parametrize(
    ("leased", "words"),
    [
        (calling(numberHash="hash"), "AlloMia accepted the call; last poll: calling"),
        (well(Attributes=item("dispatching", **LOST_ANSWER)), SAID.removesuffix("; ")),
    ],
    ids=["accepted", "not marked"],
)
def test_a_call_with_an_id_or_without_a_mark_is_not_looked_for(leased: bytes, words: str) -> None:
    allomia = Allomia(ENTRY, call="calling")

    assert given_up(leased, secret=WITH_ID, allomia=allomia) == words
    assert [each.url.path for each in allomia.asked if each.url.path == "/api/calls"] == []


TWO = json.dumps(
    {
        "organizations": {
            "default": {"apiKey": "another-key", "organizationId": "another-one"},
            "clinic-a": {"apiKey": API_KEY, "organizationId": "org-1"},
        }
    }
)


@pytest.mark.parametrize("leased", [calling, lost])
def test_allomia_is_asked_with_the_key_of_the_attempts_organization(leased: Callable[..., bytes]) -> None:
    allomia = Allomia(call="calling")
    look(leased(requestId="clinic-a~visit-2031"), ended(), secret=TWO, allomia=allomia)

    assert {each.headers["Authorization"] for each in allomia.asked} == {f"Bearer {API_KEY}"}


def test_other_calls_are_looked_for_in_the_attempts_organization() -> None:
    of_clinic = last(requestId="clinic-a~visit-2031")
    secret = json.dumps({"organizations": {"clinic-a": {"apiKey": API_KEY}}})
    with polling(of_clinic, ended_calls(), ended(), now=LAST_LOOK, secret=secret) as (poll_calls, asked):
        poll_calls.poll(DUE, plenty)

    assert asked.asked[1]["ExpressionAttributeValues"][":day"] == {"S": ended_on("clinic-a", NOW)}


@pytest.mark.parametrize(
    ("secret", "reason", "patience"),
    [(WITH_ID, "HTTP 500", 1800), (None, "key-unusable", DAY), ("404", "key-of-another-organization", DAY)],
    ids=["500", "no key", "404"],
)
def test_a_log_that_can_not_be_read_is_read_again_in_each_sweep(secret: str | None, reason: str, patience: int) -> None:
    def world() -> dict[str, Any]:
        return {"secret": secret and WITH_ID, "allomia": Allomia(log=404 if secret == "404" else 500)}

    last_try = DEADLINE + patience
    first = look(lost(), DONE, now=DEADLINE + 0.5, **world())
    before = look(lost(soughtSince=DEADLINE), DONE, now=last_try - 0.5, **world())

    assert first == (unavailable(reason), [f"due {DEADLINE + 10} since {DEADLINE}"])
    assert before == (unavailable(reason), [f"due {last_try + 9}"])
    said = given_up(lost(soughtSince=DEADLINE, **LOST_ANSWER), now=last_try, **world())
    assert said == f"{SAID}the call log can't be read: {reason}"


def test_a_log_for_which_there_is_no_time_is_read_for_a_day_after_the_deadline() -> None:
    def world() -> dict[str, Any]:
        return {"secret": WITH_ID, "reads": LogReads(lambda: False)}

    short, last_try = Poll(PollResult.SKIPPED, KEY, "short-of-time"), DEADLINE + DAY

    assert look(lost(), DONE, now=DEADLINE + 5, **world()) == (short, [f"due {DEADLINE + 15}"])
    assert look(lost(), DONE, now=last_try - 1, **world()) == (short, [f"due {last_try + 9}"])
    assert look(lost(), ended(), now=last_try, **world())[0].detail.endswith("can't be read: short-of-time")
    sought = lost(soughtSince=DEADLINE + 60)
    assert look(sought, DONE, now=last_try + 59, **world()) == (short, [f"due {last_try + 69}"])
    assert look(sought, ended(), now=last_try + 60, **world())[0].result is PollResult.RECORDED


def test_a_call_in_the_log_that_can_not_be_asked_about_rang() -> None:
    allomia = Allomia(ENTRY, other=500)
    sought = lost(soughtSince=DEADLINE, **LOST_ANSWER)
    poll, _ = look(sought, NO_RIVAL, BOUND, ended(), now=DEADLINE + 1800, secret=WITH_ID, allomia=allomia)

    assert poll.outcome
    assert (poll.outcome.call_log_id, poll.outcome.outbound_call_id) == (OTHER_CALL_ID, None)
    words = "the call log shows that the phone rang; AlloMia can't be asked about it: HTTP 500"
    assert poll.detail.endswith(f"{SAID}{words}")


# Keepers and batches.

KEEPER = DueKeeper("clinic-a", NOW)
BATCH = DueBatch("clinic-a", "recalls", NOW)


def stored(name: str) -> dict[str, Any]:
    return {"requestId": {"S": f"clinic-a~{name}"}, "attempt": number(1)}


def policy(since: int, **says: Any) -> bytes:
    numbers = {"version": number(7), "setAt": number(NOW), "limitedSince": {"M": {"clinic-a": number(since)}}}
    return well(Item={**numbers, "document": {"S": json.dumps(says)}, "setBy": {"S": "test"}})


def test_a_keeper_that_another_sweep_has_is_left_to_it() -> None:
    with polling(NOT_NOW) as (poll_calls, _):
        assert poll_calls.keep(KEEPER, plenty) == Poll(PollResult.SKIPPED, None, organization="clinic-a")


def test_a_keeper_without_time_is_left_to_another_sweep() -> None:
    with polling(DONE) as (poll_calls, asked):
        assert poll_calls.keep(KEEPER, lambda: 0.0).result is PollResult.SKIPPED
    assert asked.asked == []


def test_a_look_of_a_keeper_says_what_it_released() -> None:
    waiting = stored("visit-1") | {"waitsSince": number(5), "policyVersion": number(6)}
    leased = stored("visit-1") | {"status": {"S": "scheduled"}, "createdAt": number(5), "timesParked": number(1)}
    answers = [well(Attributes={"arrivals": number(5)}), well(Items=[waiting]), policy(0), well(Items=[waiting])]
    with polling(*answers, well(Attributes=leased), well(Successful=[], Failed=[])) as (poll_calls, asked):
        poll = poll_calls.keep(KEEPER, plenty)

    assert poll == Poll(PollResult.KEPT, None, organization="clinic-a", released=1)
    assert asked.asked[0]["Key"]["requestId"] == {"S": "clinic-a~~keeper"}
    assert asked.asked[-1]["QueueUrl"].endswith("/requests")


def test_a_look_of_a_keeper_says_which_lines_it_saw() -> None:
    call = stored("visit-1") | {"status": {"S": "calling"}, "createdAt": number(NOW), "timesParked": number(0)}
    call |= {"claimId": {"S": "claim"}}
    none = well(Items=[])
    counted = {"lines": {"M": {"claim": number(DEADLINE + 99)}}, "countedSince": number(NOW)}
    answers = [
        *(well(Attributes={"arrivals": number(5), "forLines": number(1)}), none),
        *(policy(NOW, maxConcurrentCalls=2), well(), none, none, none),
        *(well(Items=[stored("visit-1") | {"dueAt": number(5)}]), well(Responses={"calls": [call]}), DONE, DONE),
        *(well(Attributes=call), well(Attributes=counted), DONE),
    ]
    with polling(*answers) as (poll_calls, asked):
        poll = poll_calls.keep(KEEPER, plenty)

    seen = LinesSeen(1, dict.fromkeys((Priority.URGENT, Priority.NORMAL, Priority.LOW), 0), {})
    assert poll == Poll(PollResult.KEPT, None, organization="clinic-a", lines=seen)
    until = [
        values[":until0"] for each in asked.asked if ":until0" in (values := each.get("ExpressionAttributeValues", {}))
    ]
    assert until == [number(NOW + DEADLINE_SECONDS + 300)]


def test_a_batch_that_another_sweep_has_is_left_to_it() -> None:
    with polling(NOT_NOW) as (poll_calls, _):
        assert poll_calls.cancel_batch(BATCH, plenty) == Poll(PollResult.SKIPPED, None, organization="clinic-a")


def cancelled(*seconds_left: float, names: tuple[str, ...] = (), more: bool = False) -> Poll:
    """What a search says of a batch with these requests, the last of which is parked and the others in progress."""
    entries = [stored(name) | {"dueShard": number(0), "dueAt": number(5)} for name in names]
    found = [{"requestId": each["requestId"], "batch": {"S": "recalls"}} for each in entries]
    answers = [DONE, well(Items=entries, **({"LastEvaluatedKey": entries[-1]} if more else {}))]
    answers += [well(Responses={"calls": found})] if names else []
    for name in names:
        status = "scheduled" if name == names[-1] else "calling"
        attempt = stored(name) | {"status": {"S": status}, "createdAt": number(5), "timesParked": number(0)}
        answers += [well(Items=[attempt]), well(Attributes=attempt)]
    left = iter(seconds_left)
    with polling(*answers, DONE) as (poll_calls, asked):
        poll = poll_calls.cancel_batch(BATCH, lambda: next(left, 60.0))
    assert asked.asked[0]["Key"]["requestId"] == {"S": "clinic-a~~batch~recalls"}
    return poll


def test_a_batch_says_what_happened_to_its_requests() -> None:
    def done(detail: str) -> Poll:
        return Poll(PollResult.BATCH_CANCELLED, None, f"recalls: {detail}", organization="clinic-a")

    assert cancelled() == done("nothing open")
    assert cancelled(names=("visit-1", "visit-2", "visit-3")) == done("1 cancelled, 2 too-late")
    assert cancelled(60.0, 60.0, 0.0, names=("visit-1",), more=True) == done("1 cancelled; the next sweep continues")


def test_what_a_batch_changes_is_of_now() -> None:
    parked = stored("visit-1") | {"status": {"S": "scheduled"}, "createdAt": number(5), "timesParked": number(0)}
    entry = stored("visit-1") | {"dueShard": number(0), "dueAt": number(5)}
    found = {"requestId": entry["requestId"], "batch": {"S": "recalls"}}
    answers = [DONE, well(Items=[entry]), well(Responses={"calls": [found]}), well(Items=[parked])]
    with polling(*answers, well(Attributes=parked), DONE) as (poll_calls, asked):
        poll_calls.cancel_batch(BATCH, plenty)

    assert asked.asked[4]["ExpressionAttributeValues"][":recordedAt"] == number(DEADLINE)
