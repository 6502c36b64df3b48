"""Polling calls that are due, on the real table: every call ends, and a poll that fails loses nothing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from outbound_calls.contracts import AttemptKey, Release, read_message
from outbound_calls.ledger import DueItem
from outbound_calls.lifecycle import PLACE_WITHIN_SECONDS, PollSchedule
from outbound_calls.poll import SECONDS_TO_POLL, CallQueue, Look, Polled
from tests.cloud.parts import GRACE, NOW, at_once
from tests.cloud.world import DEADLINE, Answer, Surroundings, World, fails, says
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID, PHONE_NUMBER, SecretsInMemory, a_secret


@pytest.fixture
def world(surroundings: Surroundings) -> Iterator[World]:
    world = World(surroundings)
    yield world
    world.close()


def poll(world: World, key: AttemptKey) -> Look:
    (look,) = world.sweep(key)
    return look


def word(world: World, key: AttemptKey, status: str, **changes: Any) -> Answer:
    """AlloMia's answer about this call."""
    return says(200, world.allomia.state(world.callback_url(key), status, **changes))


def test_a_healthy_call_costs_the_poller_nothing(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(GRACE - 1)
    assert world.webhook(key).status == 200

    world.clock.pass_seconds(DEADLINE)

    assert world.sweep(key) == []
    assert world.allomia.asked == []


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_when_the_webhook_never_comes_the_outcome_is_asked_for(world: World, status: str) -> None:
    key = world.placed(metadata={"clinic": "7"})
    world.clock.pass_seconds(GRACE)
    world.allomia.status = word(world, key, status, callDetails={"duration": 150, "endedReason": "a reason of 2031"})

    look = poll(world, key)

    assert (look.result, look.reason) == (Polled.RECORDED, "")
    assert look.outcome
    assert look.call
    assert (look.call.dispatched_at, look.call.recorded_at) == (NOW, NOW + GRACE)
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status, "poll", NOW + GRACE)
    assert item["callDetails"] == {"duration": 150, "endedReason": "a reason of 2031"}
    assert item["metadata"] == {"clinic": "7"}
    assert "request" not in item
    assert world.sweep(key) == []


def test_a_call_that_goes_on_is_looked_at_ever_less_often_until_its_deadline(world: World) -> None:
    key = world.placed()
    looks = []
    for _ in range(10):
        world.clock.pass_seconds(world.due_in(key))
        looks.append(int(world.clock.now - NOW))
        poll(world, key)

    assert looks == [180, 360, 720, 1260, 1980, 2880, 3960, 5220, 6660, 7200]
    assert len(world.allomia.asked) == 10
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"]) == ("unknown", "deadline")
    assert item["reason"] == ("no outcome within 7200 s of the dispatch. AlloMia took the call; last poll: calling")


UNAVAILABLE: dict[str, tuple[Answer, str]] = {
    "404": (says(404, {"error": "Outbound call not found"}), "not-found"),
    "401": (says(401, {"error": "Unauthorized"}), "key-refused"),
    "403": (says(403), "key-refused"),
    "429": (says(429, Retry_After="60"), "HTTP 429"),
    "500": (says(500), "HTTP 500"),
    "503": (says(503), "HTTP 503"),
    "read timeout": (fails(httpx.ReadTimeout), "ReadTimeout"),
    "connect error": (fails(httpx.ConnectError), "ConnectError"),
    "dropped": (fails(httpx.RemoteProtocolError), "RemoteProtocolError"),
    "html": (says(200, "<html>"), "unreadable-answer"),
    "new status": (says(200, {"outboundCallId": CALL_ID, "status": "ringing"}), "unreadable-answer"),
    "another call": (says(200, {"outboundCallId": OTHER_CALL_ID, "status": "completed"}), "unreadable-answer"),
}


@pytest.mark.parametrize("row", UNAVAILABLE)
def test_when_nothing_was_learned_the_call_is_looked_at_again_and_the_cause_is_told(world: World, row: str) -> None:
    key = world.placed()
    world.clock.pass_seconds(GRACE)
    world.allomia.status, reason = UNAVAILABLE[row]

    look = poll(world, key)

    assert (look.result, look.reason, look.outcome) == (Polled.UNAVAILABLE, reason, None)
    assert world.calls.status(key) == "calling"
    assert world.due_in(key) == GRACE


@pytest.mark.parametrize("row", UNAVAILABLE)
def test_when_nothing_is_learned_until_the_deadline_the_call_is_unknown(world: World, row: str) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)
    world.allomia.status, reason = UNAVAILABLE[row]

    look = poll(world, key)

    assert look.result is Polled.RECORDED
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"]) == ("unknown", "deadline")
    assert item["reason"].endswith(f"AlloMia took the call; last poll: {reason}")
    assert item["outboundCallId"] == world.allomia.id_of(world.callback_url(key))
    assert world.calls.due(key) == []


def test_an_outcome_that_is_learned_after_the_deadline_is_the_outcome(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE * 3)
    world.allomia.status = word(world, key, "completed")

    assert poll(world, key).result is Polled.RECORDED
    assert world.calls.status(key) == "completed"


def test_a_second_before_the_deadline_it_is_not_unknown_yet(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE - 1)

    assert poll(world, key).result is Polled.WAITING
    assert world.calls.status(key) == "calling"
    # The next look is brought forward to the deadline itself.
    assert world.due_in(key) == 1


# A call of which AlloMia's answer was lost.


def test_a_call_without_an_id_waits_for_its_webhook_and_is_not_asked_for(world: World) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed()
    world.clock.pass_seconds(GRACE)

    look = poll(world, key)

    assert (look.result, look.reason) == (Polled.WAITING, "")
    assert world.allomia.asked == []
    assert world.due_in(key) == GRACE


def test_a_call_whose_fate_stays_unknown_is_unknown_and_says_why(world: World) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)

    look = poll(world, key)

    assert look.result is Polled.RECORDED
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == ("unknown", "deadline", NOW + DEADLINE)
    assert (
        item["reason"]
        == look.reason
        == ("no outcome within 7200 s of the dispatch. AlloMia's answer to the POST was lost or never came")
    )
    assert "request" not in item
    assert "expiresAt" in item


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_a_late_webhook_makes_unknown_what_really_happened(world: World, status: str) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)
    poll(world, key)

    assert world.webhook(key, status).status == 200

    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"]) == (status, "webhook")
    assert "reason" not in item
    assert world.webhook(key, "busy" if status != "busy" else "failed").words == "another outcome was recorded before"
    assert world.calls.status(key) == status


def test_the_deadline_counts_from_the_dispatch_and_not_from_when_the_request_came(world: World) -> None:
    key = world.calls.scheduled(now=NOW)
    world.clock.pass_seconds(DEADLINE * 2)
    world.place(json.dumps({"release": key.wire()}))
    world.clock.pass_seconds(GRACE)

    assert poll(world, key).result is Polled.WAITING
    assert world.calls.status(key) == "calling"


# A parked call.


def test_a_parked_call_that_is_due_goes_back_to_the_queue_without_its_request(world: World) -> None:
    key = world.calls.scheduled(now=NOW, due_at=NOW + 60)
    world.clock.pass_seconds(60)

    look = poll(world, key)

    assert look.result is Polled.RELEASED
    (body,) = world.queued()
    assert read_message(body) == Release(release=key, times_parked=1)
    assert json.loads(body) == {"release": {"requestId": key.request_id, "attempt": 1}, "timesParked": 1}
    assert PHONE_NUMBER not in body
    assert world.calls.status(key) == "scheduled"


def test_a_release_that_got_lost_is_sent_again(world: World) -> None:
    key = world.calls.scheduled(now=NOW, due_at=NOW + 60)
    world.clock.pass_seconds(60)
    poll(world, key)
    assert len(world.queued()) == 1

    world.clock.pass_seconds(59)
    assert world.sweep(key) == []
    world.clock.pass_seconds(1)

    assert poll(world, key).result is Polled.RELEASED
    assert len(world.queued()) == 1


def test_a_parked_call_has_no_deadline_of_a_dispatch(world: World) -> None:
    key = world.calls.scheduled(now=NOW, due_at=NOW + 60)
    world.clock.pass_seconds(DEADLINE + PLACE_WITHIN_SECONDS)

    assert poll(world, key).result is Polled.RELEASED
    (release,) = world.queued()
    world.place(release)

    assert world.calls.status(key) == "rejected"


def test_when_the_queue_is_out_of_reach_the_call_comes_due_again(world: World) -> None:
    key = world.calls.scheduled(now=NOW, due_at=NOW + 60)
    world.clock.pass_seconds(60)
    whole = world.poll_calls
    world.poll_calls = replace(
        whole, queue=CallQueue(world.surroundings.sqs, world.surroundings.call_queue_url + "-none")
    )
    with pytest.raises(ClientError):
        world.sweep(key)
    world.poll_calls = whole

    world.clock.pass_seconds(60)

    assert poll(world, key).result is Polled.RELEASED


# Time and others.


def test_without_time_for_an_exchange_nothing_is_begun(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(GRACE)
    before = world.calls.item(key)

    (look,) = world.sweep(key, seconds_left=SECONDS_TO_POLL - 0.1)

    assert (look.result, look.reason) == (Polled.SKIPPED, "short-of-time")
    assert world.calls.item(key) == before
    assert world.allomia.asked == []
    (look,) = world.sweep(key, seconds_left=SECONDS_TO_POLL)
    assert look.result is Polled.WAITING


def test_of_sweeps_that_overlap_one_asks(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(GRACE)
    (due,) = world.calls.due(key)

    looks = at_once(8, lambda _: world.poll_calls.poll(due, lambda: 60.0).result)

    assert sorted(looks) == [Polled.SKIPPED] * 7 + [Polled.WAITING]
    assert len(world.allomia.asked) == 1


def test_an_entry_that_is_not_there_any_more_is_passed_over(world: World) -> None:
    key = world.placed()
    (due,) = world.calls.due(key)
    world.webhook(key)
    world.clock.pass_seconds(GRACE)

    assert world.poll_calls.poll(due, lambda: 60.0) == Look(Polled.SKIPPED, key)
    assert world.poll_calls.poll(DueItem(world.calls.new_key(), NOW), lambda: 60.0).result is Polled.SKIPPED


def test_a_webhook_during_the_poll_is_not_overwritten(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(GRACE)

    def webhook_first(request: httpx.Request) -> httpx.Response:
        assert world.webhook(key, "completed").status == 200
        return httpx.Response(200, json=world.allomia.state(world.callback_url(key), "failed"))

    world.allomia.status = webhook_first

    assert poll(world, key).result is Polled.SKIPPED
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"]) == ("completed", "webhook")


@pytest.mark.parametrize("answer", [None, says(500)])
def test_a_webhook_during_the_last_poll_is_not_overwritten_by_unknown(world: World, answer: Answer | None) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)

    def webhook_first(request: httpx.Request) -> httpx.Response:
        world.webhook(key, "completed")
        body = {"outboundCallId": request.url.path.split("/")[-2], "contactId": CONTACT_ID, "status": "calling"}
        return answer(request) if answer else httpx.Response(200, json=body)

    world.allomia.status = webhook_first

    assert poll(world, key).result is Polled.SKIPPED
    assert world.calls.status(key) == "completed"


def test_who_lost_its_lease_during_the_last_poll_does_not_give_up(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)

    def slow(_request: httpx.Request) -> httpx.Response:
        world.clock.pass_seconds(world.due_in(key))
        (due,) = world.calls.due(key)
        assert world.calls.ledger.lease(due, world.clock.now, GRACE)
        return httpx.Response(500)

    world.allomia.status = slow

    assert poll(world, key).result is Polled.SKIPPED
    assert world.calls.status(key) == "calling"


def test_a_webhook_while_the_call_goes_on_is_not_undone_by_bringing_the_next_look_forward(world: World) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE - 1)

    def webhook_first(request: httpx.Request) -> httpx.Response:
        world.webhook(key, "completed")
        return httpx.Response(200, json=world.allomia.state(world.callback_url(key)))

    world.allomia.status = webhook_first

    assert poll(world, key).result is Polled.WAITING
    assert world.calls.due(key) == []


def test_without_a_key_the_call_waits_and_still_ends(world: World) -> None:
    fault = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
    key = world.placed()
    unreadable = replace(world.poll_calls.allomia, key=a_secret(SecretsInMemory(fault=fault)))
    world.poll_calls = replace(world.poll_calls, allomia=unreadable)

    world.clock.pass_seconds(GRACE)
    look = poll(world, key)
    assert (look.result, look.reason) == (Polled.UNAVAILABLE, "key-refused")
    world.clock.pass_seconds(DEADLINE)
    poll(world, key)

    assert world.calls.status(key) == "unknown"
    assert world.allomia.asked == []


def test_a_deadline_before_the_second_poll_is_kept_to(world: World) -> None:
    world.poll_calls = replace(world.poll_calls, schedule=PollSchedule(grace=GRACE, deadline=200))
    key = world.placed()
    world.clock.pass_seconds(GRACE)
    poll(world, key)
    assert world.due_in(key) == 20
    world.clock.pass_seconds(20)
    poll(world, key)

    assert world.calls.status(key) == "unknown"
