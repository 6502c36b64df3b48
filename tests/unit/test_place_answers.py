"""What follows from AlloMia's answer to a POST: what is written of it, and what is reported."""

from __future__ import annotations

import math
from typing import Any

import pytest

from local.simulator import PostAnswer, fails, returns
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import OutcomeSource, ReasonCode, Status
from outbound_calls.domain.attempts import Outcome
from outbound_calls.domain.timing import (
    KEY_DECLINED_BACKOFF_SECONDS,
)
from outbound_calls.policy.refusals import MOST_ACCEPTED, MOST_REFUSED
from outbound_calls.use_cases.placement import OTHER_CALL, Placement, PlaceResult
from tests.unit.dynamodb import fault, well
from tests.unit.parts import (
    CALL_ID,
    OTHER_CALL_ID,
)
from tests.unit.placing import (
    CALLING,
    CIRCUIT_NAME,
    CLAIM,
    CLAIM_MADE,
    CLAIMED,
    DENIED,
    DISPATCH,
    DUPLICATE,
    JITTER,
    KEY,
    PARKED,
    REQUEST,
    SCHEDULED,
    UNANSWERED,
    Item,
    World,
    open_circuit,
    served,
    world,
)
from tests.world import NOW

__all__ = ["served", "world"]


# What AlloMia answers.


def settled(world: World, answer: PostAnswer) -> Placement:
    """Place a parked attempt, which AlloMia answers so."""
    world.parked()
    world.allomia.post = answer
    world.clock.step = 0.5
    return world.place(DISPATCH)


@pytest.mark.parametrize(
    ("answer", "code", "detail", "due"),
    [
        (returns(429, Retry_After="120"), "rate-limited", "HTTP 429", 120 + JITTER),
        (returns(429, Retry_After="1"), "rate-limited", "HTTP 429", 30 + JITTER),
        (returns(401), "key-declined", "HTTP 401", KEY_DECLINED_BACKOFF_SECONDS + JITTER),
        (returns(307, Location="/"), "allomia-unreachable", "HTTP 307", 30 + JITTER),
    ],
    ids=["throttled", "throttled for a moment", "key declined", "moved"],
)
def test_what_allomia_does_not_accept_waits_for_its_backoff(
    world: World, answer: PostAnswer, code: str, detail: str, due: float
) -> None:
    assert settled(world, answer) == Placement(PARKED, KEY, code, detail)

    parked = world.written[-1]
    assert (parked["parkReason"], parked["dueAt"]) == (code, math.ceil(NOW + 2 + due))
    assert parked["expectedClaimId"] == CLAIM


def test_each_try_that_failed_lengthens_the_backoff(world: World) -> None:
    world.parked(failedTries=2)
    world.allomia.post = returns(429)

    world.place(DISPATCH)

    assert world.written[-1]["dueAt"] == NOW + 120 + 60


@pytest.mark.parametrize("note_lost", [False, True])
def test_an_answer_that_says_nothing_is_noted_and_not_settled(world: World, note_lost: bool) -> None:
    if note_lost:
        world.tables.answers["UpdateItem calls"] = [CLAIM_MADE, UNANSWERED]

    assert settled(world, returns(500)) == Placement(PlaceResult.AMBIGUOUS, KEY, detail="HTTP 500")

    assert world.written[-1] == {"detail": "HTTP 500", "dispatching": "dispatching", "claim": CLAIM}


def test_an_error_during_the_post_counts_as_no_answer(world: World) -> None:
    world.allomia.post = fails(LookupError)

    assert world.place(REQUEST) == Placement(PlaceResult.AMBIGUOUS, KEY, detail="LookupError")


@pytest.mark.parametrize("call", [{"outboundCallId": CALL_ID}, {}], ids=["with an id", "without an id"])
def test_a_call_that_ended_at_once_is_recorded(world: World, call: Item) -> None:
    placement = settled(world, returns(200, {"status": "busy"} | call))

    call_id = call.get("outboundCallId")
    outcome = Outcome(Status.BUSY, OutcomeSource.DISPATCH, call_id)
    assert placement == Placement(PlaceResult.ENDED, KEY, outbound_call_id=call_id, outcome=outcome)
    ended = world.written[-1]
    assert (ended["status"], ended["recordedAt"]) == ("busy", NOW + 2)


@pytest.mark.parametrize(("known", "code"), [(CALL_ID, ""), (OTHER_CALL_ID, OTHER_CALL)], ids=["same", "other"])
@pytest.mark.parametrize("status", ["calling", "busy"])
def test_a_call_whose_webhook_came_first_is_counted_once_and_compared(
    world: World, status: str, known: str, code: str
) -> None:
    ended = SCHEDULED | {"status": "completed", "outboundCallId": known}
    refused = fault("ConditionalCheckFailedException", Item=to_dynamodb(ended))
    world.tables.answers["UpdateItem calls"] = [CLAIM_MADE, refused, refused]

    placement = settled(world, returns(200, {"status": status, "outboundCallId": CALL_ID}))

    result = CALLING if status == "calling" else PlaceResult.ENDED
    assert placement == Placement(result, KEY, code, outbound_call_id=CALL_ID)


def test_a_status_that_is_not_documented_is_noted(world: World) -> None:
    placement = settled(world, returns(200, {"status": "transferred", "outboundCallId": CALL_ID}))

    assert placement == Placement(CALLING, KEY, outbound_call_id=CALL_ID, allomia_status="transferred")
    assert world.written[-1].items() >= {"outboundCallId": CALL_ID, "allomiaStatus": "transferred"}.items()


def test_a_status_that_is_no_word_is_reported_and_not_noted(world: World) -> None:
    placement = settled(world, returns(200, {"status": 7, "outboundCallId": CALL_ID}))

    assert placement == Placement(CALLING, KEY, outbound_call_id=CALL_ID, allomia_status="")
    assert len(world.written) == 2


# AlloMia refuses.


REFUSED = "HTTP 400: credit"


def refused_before(world: World, times: int, **changes: Any) -> None:
    """Let the table have a parked attempt that AlloMia has refused so often, for the first time a minute ago."""
    refusal = {"firstAt": NOW - 60, "times": times, "words": "HTTP 400: first"}
    world.parked(refusal=refusal, **changes)
    world.allomia.post = returns(400, {"error": "No credit"})


def accepted(world: World, count: int, at: int = NOW - 60) -> None:
    """Let so many others have been accepted, one after the other."""
    other = SCHEDULED | {"status": "completed", "outboundCallId": CALL_ID, "dispatchedAt": at, "recordedAt": NOW}
    world.tables.found["ended"] = [other | {"requestId": f"visit-{place}"} for place in range(count)]


def test_what_allomia_refuses_is_tried_again_after_a_minute(world: World) -> None:
    assert settled(world, returns(400, {"error": "No such number"})) == Placement(
        PARKED, KEY, "refused-by-allomia", "HTTP 400: not found"
    )

    parked = world.written[-1]
    assert parked["refusal"] == {"firstAt": NOW + 2, "times": 1, "words": "HTTP 400: not found"}
    assert (parked["dueAt"], parked["expectedClaimId"]) == (NOW + 2 + 60, CLAIM)


def test_a_second_refusal_counts_from_the_first(world: World) -> None:
    refused_before(world, 1)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "refused-by-allomia", REFUSED)

    parked = world.written[-1]
    assert parked["refusal"] == {"firstAt": NOW - 60, "times": 2, "words": REFUSED}
    assert parked["dueAt"] == NOW - 60 + 180
    assert "Query calls" not in world.operations


@pytest.mark.parametrize(
    ("count", "refused", "at", "final"),
    [
        (2, 0, NOW - 60, False),
        (6, 1, NOW - 60, True),
        (5, 1, NOW - 60, False),
        (3, 0, NOW - 70, True),
        (3, 0, NOW - 71, False),
    ],
)
def test_a_refusal_is_final_where_three_times_as_many_are_accepted(
    world: World, count: int, refused: int, at: int, final: bool
) -> None:
    refused_before(world, 3)
    accepted(world, count, at)
    world.tables.found["waiting"] = [{}] * refused

    placement = world.place(DISPATCH)

    outcome = Outcome(
        Status.REJECTED, OutcomeSource.DISPATCH, reason_code=ReasonCode.REFUSED_BY_ALLOMIA, reason=REFUSED
    )
    rejected = Placement(PlaceResult.REJECTED, KEY, "refused-by-allomia", REFUSED, outcome=outcome)
    assert placement == (rejected if final else Placement(PARKED, KEY, "refused-by-allomia", REFUSED))
    assert world.written[-1].get("recordedAt") == (NOW if final else None)
    limits = [asked["Limit"] for name, asked in world.tables.asked if name == "Query calls"]
    assert limits == [MOST_ACCEPTED, *[MOST_ACCEPTED] * 4, MOST_REFUSED]


def test_nothing_is_final_while_the_others_are_unreadable(world: World) -> None:
    refused_before(world, 3)
    world.tables.answers["Query calls"] = [DENIED]

    assert world.place(DISPATCH).code == "refused-by-allomia"
    assert world.written[-1]["dueAt"] == NOW + 300


def test_a_redial_whose_refusal_is_final_is_dropped(world: World) -> None:
    refused_before(world, 3, isRedial=True)
    accepted(world, 3)

    placement = world.place(DISPATCH)

    assert placement == Placement(PlaceResult.REDIAL_DROPPED, KEY, "refused-by-allomia", REFUSED)
    assert world.operations[-1] == "TransactWriteItems"


def test_a_final_refusal_that_a_webhook_disproved_is_not_counted(world: World) -> None:
    refused_before(world, 3)
    accepted(world, 3)
    claimed = CLAIMED | {"refusal": world.tables.items["visit-2031", 1]["refusal"]}
    ended = fault("ConditionalCheckFailedException", Item=to_dynamodb(SCHEDULED | {"status": "completed"}))
    world.tables.answers["UpdateItem calls"] = [well(Attributes=to_dynamodb(claimed)), ended]

    assert world.place(DISPATCH) == Placement(PlaceResult.REJECTED, KEY, "refused-by-allomia", REFUSED)


@pytest.mark.parametrize(
    ("status", "refused", "opens"),
    [(400, False, True), (400, True, False), (500, True, True)],
    ids=["refused", "refused again", "lost again"],
)
def test_what_opens_the_circuit(world: World, status: int, refused: bool, opens: bool) -> None:
    refusal = {"refusal": {"firstAt": NOW - 60, "times": 1, "words": "HTTP 400"}} if refused else {}
    world.allomia.post = returns(status)
    for place in range(5):
        item = world.parked(requestId=f"visit-{place}", **refusal)
        world.place({"dispatch": {"requestId": item["requestId"], "attempt": 1}, "timesParked": 1})

    assert (world.place_calls.dial.circuit_breakers.of(CIRCUIT_NAME).acquire() is None) is opens


@pytest.mark.parametrize(("status", "closed"), [(400, False), (200, True)])
def test_a_probe_says_whether_the_circuit_closes(world: World, status: int, closed: bool) -> None:
    open_circuit(world)
    world.monotonic.pass_seconds(60)
    refused_before(world, 1)
    if closed:
        world.allomia.post = None

    world.place(DISPATCH)

    assert world.place_calls.dial.circuit_breakers.of(CIRCUIT_NAME).closed is closed


# Stopped while it was in progress.


def stopped(world: World, stop: Item, is_redial: bool = False) -> None:
    """Let the attempt have been stopped by the time AlloMia doesn't take it."""
    world.parked(isRedial=is_redial)
    claimed = CLAIMED | {"isRedial": is_redial}
    refused = fault("ConditionalCheckFailedException", Item=to_dynamodb(claimed))
    world.tables.answers["UpdateItem calls"] = [well(Attributes=to_dynamodb(claimed)), refused]
    world.allomia.post = returns(429)

    def stop_it(_post: object) -> None:
        world.tables.items["visit-2031", 1] = claimed | stop
        world.clock.pass_seconds(3)

    world.allomia.before_answer = stop_it


CANCEL = {"cancelRequestedAt": NOW, "cancelRequestedBy": "operator"}


def test_an_attempt_that_was_cancelled_during_the_post_ends_there(world: World) -> None:
    stopped(world, CANCEL)

    assert world.place(DISPATCH) == Placement(PlaceResult.CANCELLED, KEY, "cancelled", "HTTP 429")

    ended = world.written[-1]
    assert (ended["status"], ended["outcomeSource"], ended["recordedAt"]) == ("cancelled", "operator", NOW + 3)
    assert ended["claim"] == CLAIM


def test_an_attempt_that_was_stopped_and_has_moved_on_is_a_duplicate(world: World) -> None:
    stopped(world, CANCEL)
    world.tables.answers["UpdateItem calls"].append(fault("ConditionalCheckFailedException"))

    assert world.place(DISPATCH) == Placement(DUPLICATE, KEY)


def test_a_redial_that_was_cancelled_during_the_post_is_dropped(world: World) -> None:
    stopped(world, CANCEL, is_redial=True)

    assert world.place(DISPATCH) == Placement(PlaceResult.REDIAL_DROPPED, KEY, "cancelled")
    assert world.operations[-3:] == ["UpdateItem calls", "GetItem calls", "TransactWriteItems"]


def test_a_redial_whose_person_answered_meanwhile_is_cancelled(world: World) -> None:
    stopped(world, {"answeredAt": NOW}, is_redial=True)

    placement = world.place(DISPATCH)

    assert placement == Placement(PlaceResult.CANCELLED, KEY, "answered-meanwhile", "HTTP 429")
