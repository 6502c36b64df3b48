"""Placing calls on the real table: each row of what AlloMia may answer, and what becomes of the call afterwards."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from outbound_calls.contracts import AttemptKey
from outbound_calls.lifecycle import PLACE_WITHIN_SECONDS
from outbound_calls.place import SECONDS_TO_PLACE, InvalidMessages, Placed
from outbound_calls.poll import Polled
from outbound_calls.secrets import Secret
from tests.cloud.parts import CLAIM, GRACE, NOW, at_once
from tests.cloud.world import BASE_URL, DEADLINE, Answer, Surroundings, World, fails, says
from tests.unit.parts import (
    ASSISTANT_ID,
    CALL_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Clock,
    SecretsInMemory,
    a_request,
    a_secret,
)

CALLING = {"outboundCallId": CALL_ID, "status": "calling"}


@pytest.fixture
def world(surroundings: Surroundings) -> Iterator[World]:
    world = World(surroundings)
    yield world
    world.close()


def key_of(request: dict[str, Any]) -> AttemptKey:
    return AttemptKey(request_id=request["requestId"], attempt=1)


# What AlloMia does, what becomes of the message, and where that leaves the call, due so many seconds later.
type Row = tuple[Answer | None, Placed, str, int | None]
PARKED: dict[str, Row] = {
    "connect error": (fails(httpx.ConnectError), Placed.PARKED, "scheduled", 30),
    "connect timeout": (fails(httpx.ConnectTimeout), Placed.PARKED, "scheduled", 30),
    "pool timeout": (fails(httpx.PoolTimeout), Placed.PARKED, "scheduled", 30),
    "429": (says(429), Placed.PARKED, "scheduled", 30),
    "429 with Retry-After": (says(429, Retry_After="120"), Placed.PARKED, "scheduled", 120),
    "503 with Retry-After": (says(503, Retry_After="600"), Placed.PARKED, "scheduled", 600),
    "503 with a short Retry-After": (says(503, Retry_After="1"), Placed.PARKED, "scheduled", 30),
    "401": (says(401, {"error": "Unauthorized"}), Placed.PARKED, "scheduled", 300),
    "403": (says(403), Placed.PARKED, "scheduled", 300),
}
ENDED: dict[str, Row] = {
    "400": (says(400, {"error": "Bad number"}), Placed.REJECTED, "rejected", None),
    "404": (says(404, {"error": "No such assistant"}), Placed.REJECTED, "rejected", None),
    "422": (says(422), Placed.REJECTED, "rejected", None),
    "409": (says(409), Placed.REJECTED, "rejected", None),
    "2xx failed": (says(200, CALLING | {"status": "failed"}), Placed.ENDED, "failed", None),
    "2xx failed without an id": (says(200, {"status": "failed"}), Placed.ENDED, "failed", None),
    "2xx busy": (says(201, CALLING | {"status": "busy"}), Placed.ENDED, "busy", None),
}
TAKEN: dict[str, Row] = {
    "2xx calling": (None, Placed.CALLING, "calling", GRACE),
}
AMBIGUOUS: dict[str, Row] = {
    "2xx empty": (says(200), Placed.AMBIGUOUS, "dispatching", GRACE),
    "2xx html": (says(200, "<html>"), Placed.AMBIGUOUS, "dispatching", GRACE),
    "2xx no id": (says(200, {"status": "calling"}), Placed.AMBIGUOUS, "dispatching", GRACE),
    "2xx new status": (says(200, CALLING | {"status": "queued"}), Placed.AMBIGUOUS, "dispatching", GRACE),
    "read timeout": (fails(httpx.ReadTimeout), Placed.AMBIGUOUS, "dispatching", GRACE),
    "write timeout": (fails(httpx.WriteTimeout), Placed.AMBIGUOUS, "dispatching", GRACE),
    "read error": (fails(httpx.ReadError), Placed.AMBIGUOUS, "dispatching", GRACE),
    "write error": (fails(httpx.WriteError), Placed.AMBIGUOUS, "dispatching", GRACE),
    "dropped": (fails(httpx.RemoteProtocolError), Placed.AMBIGUOUS, "dispatching", GRACE),
    "a fault of nobody's": (fails(LookupError), Placed.AMBIGUOUS, "dispatching", GRACE),
    "another": (fails(ZeroDivisionError), Placed.AMBIGUOUS, "dispatching", GRACE),
    "307": (says(307, Location="/"), Placed.AMBIGUOUS, "dispatching", GRACE),
    "408": (says(408), Placed.AMBIGUOUS, "dispatching", GRACE),
    "500": (says(500), Placed.AMBIGUOUS, "dispatching", GRACE),
    "502": (says(502), Placed.AMBIGUOUS, "dispatching", GRACE),
    "503": (says(503), Placed.AMBIGUOUS, "dispatching", GRACE),
    "504": (says(504), Placed.AMBIGUOUS, "dispatching", GRACE),
    "507": (says(507), Placed.AMBIGUOUS, "dispatching", GRACE),
}
ROWS = PARKED | ENDED | TAKEN | AMBIGUOUS


@pytest.mark.parametrize("row", ROWS)
def test_each_answer_leads_where_the_design_says_and_a_redelivery_changes_nothing(world: World, row: str) -> None:
    answer, result, status, due_in = ROWS[row]
    request = world.request()
    world.allomia.post = answer

    assert world.place(request).result is result

    item = world.calls.there(key_of(request))
    assert item["status"] == status
    assert item.get("dueAt") == (NOW + due_in if due_in else None)
    posts = len(world.allomia.posts)
    assert posts <= 1

    # The same message again, with AlloMia in the best of health.
    world.allomia.post = None
    assert world.place(request).result is Placed.DUPLICATE
    assert world.calls.item(key_of(request)) == item
    assert len(world.allomia.posts) == posts


@pytest.mark.parametrize("row", PARKED)
def test_what_was_parked_is_released_when_it_is_due_and_then_dialled_once(world: World, row: str) -> None:
    answer, _, _, due_in = PARKED[row]
    assert due_in
    request = world.request(metadata={"clinic": "7"})
    world.allomia.post = answer
    world.place(request)
    world.allomia.post = None

    world.clock.pass_seconds(due_in - 1)
    assert world.sweep(key_of(request)) == []
    world.clock.pass_seconds(1)
    assert [look.result for look in world.sweep(key_of(request))] == [Polled.RELEASED]
    (release,) = world.queued()
    assert world.place(release).result is Placed.CALLING
    assert world.place(release).result is Placed.DUPLICATE

    item = world.calls.there(key_of(request))
    assert (item["status"], item["metadata"]) == ("calling", {"clinic": "7"})
    assert item["dispatchedAt"] == world.clock.now
    assert world.allomia.posts[-1] == {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": "Ada",
        "callbackUrl": world.callback_url(key_of(request)),
    }


@pytest.mark.parametrize("row", AMBIGUOUS)
def test_what_is_ambiguous_is_never_dialled_again_and_ends(world: World, row: str) -> None:
    request = world.request()
    world.allomia.post = AMBIGUOUS[row][0]
    world.place(request)
    world.allomia.post = None

    while world.clock.now < NOW + DEADLINE:
        world.clock.pass_seconds(600)
        world.sweep(key_of(request))
        assert world.place(request).result is Placed.DUPLICATE

    assert world.calls.status(key_of(request)) == "unknown"
    assert world.queued() == []
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("row", [*AMBIGUOUS, *TAKEN])
def test_whatever_the_answer_was_the_webhook_brings_the_outcome(world: World, row: str) -> None:
    request = world.request()
    world.allomia.post = (AMBIGUOUS | TAKEN)[row][0]
    world.place(request)

    assert world.webhook(key_of(request), "no-answer").status == 200

    assert world.calls.status(key_of(request)) == "no-answer"


# The message.


def test_a_request_without_an_id_goes_by_the_id_of_its_message(world: World) -> None:
    request = world.request(requestId=None)

    placement = world.place(request)

    assert placement.key == AttemptKey(request_id="11111111-message-id", attempt=1)
    world.webhook(placement.key)


def test_what_a_request_names_goes_before_the_defaults_of_the_stack(world: World) -> None:
    world.place(world.request(assistantId=OTHER_CALL_ID, phoneNumberId=CALL_ID))

    assert (world.allomia.posts[0]["assistantId"], world.allomia.posts[0]["phoneNumberId"]) == (OTHER_CALL_ID, CALL_ID)


@pytest.mark.parametrize(
    ("name", "field"), [("default_assistant_id", "assistantId"), ("default_phone_number_id", "phoneNumberId")]
)
def test_without_a_default_the_request_must_name_it(world: World, name: str, field: str) -> None:
    changes: dict[str, Any] = {name: None}
    world.place_calls = replace(world.place_calls, **changes)
    request = world.request()

    assert world.place(request).result is Placed.REFUSED
    (rejected,) = world.rejected()
    assert rejected["field"] == field
    assert world.place(request | {field: CALL_ID}).result is Placed.CALLING


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "body: a JSON object in UTF-8, nested at most 3 deep"),
        ('{"requestId": "a"}', "phoneNumber: required, E.164: a plus sign, then 9 to 15 digits, the first not 0"),
        (
            '{"phoneNumber": "+14155550123", "callbackUrl": "https://elsewhere.example"}',
            (
                "callbackUrl: no field but assistantId, customerName, dynamicVariables, metadata, phoneNumber, "
                "phoneNumberId, requestId"
            ),
        ),
    ],
)
def test_a_message_that_is_no_request_is_kept_with_the_reason_and_makes_no_record(
    world: World, body: str, reason: str
) -> None:
    placement = world.place(body)

    field, _, rule = reason.partition(": ")
    assert (placement.result, placement.key) == (Placed.REFUSED, None)
    assert world.rejected() == [
        {"body": body, "reason": reason, "field": field, "rule": rule, "messageId": "11111111-message-id"}
    ]
    assert world.allomia.posts == []


def test_a_refused_message_can_be_mended_and_sent_again_under_its_id(world: World) -> None:
    request = world.request(phoneNumber="415 555 0123")
    assert world.place(request).result is Placed.REFUSED
    assert world.calls.item(key_of(request)) is None

    assert world.place(request | {"phoneNumber": PHONE_NUMBER}).result is Placed.CALLING


@pytest.mark.parametrize("row", ROWS)
def test_what_is_told_of_a_message_says_nothing_of_the_person(world: World, row: str) -> None:
    world.allomia.post = ROWS[row][0]
    if row in {"400", "404"}:
        world.allomia.post = says(
            400, {"error": f"{PHONE_NUMBER} of Zqx: {{callback}}".replace("{callback}", BASE_URL)}
        )

    placement = world.place(world.request(customerName="Zqx", dynamicVariables={"illness": "Zqx-itis"}))

    assert "Zqx" not in repr(placement)
    assert PHONE_NUMBER[1:] not in repr(placement)
    assert BASE_URL not in repr(placement)


# Duplicates.


def test_of_the_same_message_delivered_eight_times_at_once_one_is_dialled(world: World) -> None:
    request = world.request()

    placements = at_once(8, lambda _: world.place(request).result)

    assert sorted(placements) == [Placed.CALLING] + [Placed.DUPLICATE] * 7
    assert len(world.allomia.posts) == 1


def test_a_request_sent_again_with_other_words_is_still_the_same_request(world: World) -> None:
    request = world.request()
    world.place(request)

    assert world.place(request | {"phoneNumber": "+14155550199"}).result is Placed.DUPLICATE

    assert [post["phoneNumber"] for post in world.allomia.posts] == [PHONE_NUMBER]


def test_of_a_release_delivered_eight_times_at_once_one_is_dialled(world: World) -> None:
    world.allomia.post = says(429)
    key = world.placed()
    world.allomia.post = None
    world.clock.pass_seconds(30)
    world.sweep(key)
    (release,) = world.queued()

    placements = at_once(8, lambda _: world.place(release).result)

    assert sorted(placements) == [Placed.CALLING] + [Placed.DUPLICATE] * 7
    assert len(world.allomia.posts) == 2


@pytest.mark.parametrize("seconds_left", [60, 5], ids=["time to dial", "short of time"])
def test_a_release_from_before_the_last_parking_does_nothing(world: World, seconds_left: float) -> None:
    # Given two releases of one attempt, as when the first waits on the queue for more than a minute
    key = world.calls.scheduled(now=NOW, due_at=NOW + 60)
    releases = []
    for _ in range(2):
        world.clock.pass_seconds(60)
        world.sweep(key)
        releases += world.queued()
    # And that AlloMia asked for an hour's patience when the first was dialled
    world.allomia.post = says(429, Retry_After="3600")
    world.place(releases[0])
    before = world.calls.item(key)

    placement = world.place(releases[1], seconds_left=seconds_left)

    # Then the second neither dials nor brings the attempt forward
    assert placement.result is Placed.DUPLICATE
    assert world.calls.item(key) == before
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("status", [None, "dispatching", "calling", "completed", "rejected", "unknown"])
def test_a_release_of_what_is_not_parked_does_nothing(world: World, status: str | None) -> None:
    key = world.calls.in_status(status)
    before = world.calls.item(key)

    placement = world.place(json.dumps({"release": key.wire()}))

    assert placement.result is Placed.DUPLICATE
    assert world.calls.item(key) == before
    assert world.allomia.posts == []


# Faults in between.


class Killed(BaseException):
    """The function is gone, as when Lambda ends it."""


def test_a_function_that_is_killed_under_the_post_leaves_a_claim_that_the_poller_ends(world: World) -> None:
    request = world.request()
    world.allomia.post = fails(Killed)
    with pytest.raises(Killed):
        world.place(request)
    world.allomia.post = None

    assert world.calls.status(key_of(request)) == "dispatching"
    assert world.place(request).result is Placed.DUPLICATE
    world.clock.pass_seconds(DEADLINE)
    world.sweep(key_of(request))

    assert world.calls.status(key_of(request)) == "unknown"
    assert len(world.allomia.posts) == 1


def killed_at(looks: int) -> Callable[[], float]:
    """A clock that ends the function when it is looked at for that time."""
    left = iter(range(looks))

    def clock() -> float:
        if next(left, None) is None:
            raise Killed
        return float(NOW)

    return clock


def test_a_function_that_is_killed_after_an_answer_that_proves_nothing_was_taken_does_not_dial_again(
    world: World,
) -> None:
    """The proof died with it, so the attempt is treated as one of which nothing is known."""
    request = world.request()
    world.allomia.post = says(429)
    world.place_calls = replace(world.place_calls, clock=killed_at(1))
    with pytest.raises(Killed):
        world.place(request)
    world.place_calls = replace(world.place_calls, clock=world.clock)
    world.allomia.post = None

    assert world.place(request).result is Placed.DUPLICATE
    assert world.calls.status(key_of(request)) == "dispatching"


def test_when_the_keys_secret_is_out_of_reach_the_call_is_parked_and_nothing_is_sent(world: World) -> None:
    fault = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
    unreadable = a_secret(SecretsInMemory(fault=fault))
    world.place_calls = replace(world.place_calls, allomia=replace(world.place_calls.allomia, key=unreadable))
    request = world.request()

    placement = world.place(request)

    assert (placement.result, placement.key_refused) == (Placed.PARKED, True)
    assert placement.reason == "the secret cannot be read: AccessDeniedException"
    item = world.calls.there(key_of(request))
    assert (item["status"], item["dueAt"]) == ("scheduled", NOW + 300)
    assert world.allomia.posts == []


def test_when_the_signing_secret_is_out_of_reach_the_message_is_delivered_again(world: World) -> None:
    missing = Secret(
        world.surroundings.secrets, "arn:aws:secretsmanager:ca-central-1:123456789012:secret:none-AbCdEf", Clock()
    )
    broken = replace(world.place_calls, callbacks=replace(world.place_calls.callbacks, secret=missing))
    whole, request = world.place_calls, world.request()

    world.place_calls = broken
    with pytest.raises(ClientError):
        world.place(request)
    assert world.calls.item(key_of(request)) is None
    world.place_calls = whole

    assert world.place(request).result is Placed.CALLING


def test_when_the_invalid_messages_queue_is_out_of_reach_the_message_is_delivered_again(world: World) -> None:
    nowhere = InvalidMessages(world.surroundings.sqs, world.surroundings.invalid_messages_queue_url + "-none")
    world.place_calls = replace(world.place_calls, rejected=nowhere)

    with pytest.raises(ClientError):
        world.place("not JSON")


# Time.


@pytest.mark.parametrize(("seconds_left", "result"), [(SECONDS_TO_PLACE, Placed.CALLING), (31.9, Placed.PARKED)])
def test_without_the_time_to_post_and_settle_a_call_is_parked(
    world: World, seconds_left: float, result: Placed
) -> None:
    request = world.request()

    placement = world.place(request, seconds_left)

    assert placement.result is result
    assert len(world.allomia.posts) == (result is Placed.CALLING)
    if result is Placed.PARKED:
        item = world.calls.there(key_of(request))
        assert (item["status"], item["parkReason"], item["dueAt"]) == ("scheduled", "short-of-time", NOW + 30)


def test_a_released_call_without_time_is_parked_again(world: World) -> None:
    key = world.calls.scheduled(now=NOW)
    world.clock.pass_seconds(60)

    placement = world.place(json.dumps({"release": key.wire()}), seconds_left=5)

    assert (placement.result, placement.reason) == (Placed.PARKED, "short-of-time")
    item = world.calls.there(key)
    assert (item["status"], item["dueAt"], item["timesParked"]) == ("scheduled", NOW + 90, 2)


@pytest.mark.parametrize(
    ("waited", "result", "status"),
    [(PLACE_WITHIN_SECONDS, Placed.CALLING, "calling"), (PLACE_WITHIN_SECONDS + 1, Placed.REJECTED, "rejected")],
)
def test_a_request_that_could_not_be_dialled_for_a_day_is_rejected(
    world: World, waited: int, result: Placed, status: str
) -> None:
    key = world.calls.scheduled(now=NOW)
    world.clock.pass_seconds(waited)

    placement = world.place(json.dumps({"release": key.wire()}))

    assert placement.result is result
    item = world.calls.there(key)
    assert item["status"] == status
    assert len(world.allomia.posts) == (result is Placed.CALLING)
    if result is Placed.REJECTED:
        assert item["reason"] == placement.reason == "expired: not placed within 24 hours"
        assert item["outcomeSource"] == "dispatch"


def test_what_allomia_cannot_take_is_asked_for_ever_less_often(world: World) -> None:
    world.allomia.post = says(429)
    key = world.placed()
    waits = [world.due_in(key)]
    for _ in range(5):
        world.clock.pass_seconds(waits[-1])
        world.sweep(key)
        (release,) = world.queued()
        # Held back by the breaker it would not reach AlloMia.
        world.breaker.record(world.place_calls.breaker.admit() or pytest.fail("held back"), healthy=True)
        assert world.place(release).result is Placed.PARKED
        waits.append(world.due_in(key))

    assert waits == [30, 60, 120, 240, 300, 300]


# The circuit breaker.


@pytest.mark.parametrize("row", ["connect error", "429", "401", "500", "read timeout", "2xx html"])
def test_after_five_failures_the_next_call_is_parked_without_being_dialled(world: World, row: str) -> None:
    world.allomia.post = ROWS[row][0]
    for _ in range(5):
        world.place(world.request())
    posts = len(world.allomia.posts)

    request = world.request()
    placement = world.place(request)

    assert (placement.result, placement.reason) == (Placed.PARKED, "circuit-open")
    assert world.calls.there(key_of(request))["dueAt"] == NOW + 30
    assert len(world.allomia.posts) == posts


def test_while_the_circuit_stays_open_longer_calls_are_parked_for_longer(world: World) -> None:
    world.allomia.post = says(500)
    for _ in range(5):
        world.place(world.request())
    for seconds in (30, 60, 120):
        world.clock.pass_seconds(seconds)
        world.place(world.request())
    world.clock.pass_seconds(40)

    request = world.request()
    world.place(request)

    assert world.due_in(key_of(request)) == 240 - 40


@pytest.mark.parametrize("row", ["400", "404", "422", "2xx failed", "2xx failed without an id", "2xx busy"])
def test_an_answer_about_the_one_call_is_no_failure_of_allomia(world: World, row: str) -> None:
    world.allomia.post = ROWS[row][0]

    results = {world.place(world.request()).result for _ in range(12)}

    assert results == {ROWS[row][1]}


def test_after_half_a_minute_one_call_tries_and_its_success_lets_all_pass(world: World) -> None:
    world.allomia.post = says(500)
    for _ in range(5):
        world.place(world.request())
    world.clock.pass_seconds(30)
    trying: list[Placed] = []

    def meanwhile(request: httpx.Request) -> httpx.Response:
        # While the one call tries, the others are parked.
        trying.extend(world.place(world.request()).result for _ in range(3))
        return httpx.Response(200, json=world.allomia.state(json.loads(request.content)["callbackUrl"]))

    world.allomia.post = meanwhile
    assert world.place(world.request()).result is Placed.CALLING
    assert trying == [Placed.PARKED] * 3
    world.allomia.post = None

    assert [world.place(world.request()).result for _ in range(3)] == [Placed.CALLING] * 3


def test_a_duplicate_uses_up_no_try(world: World) -> None:
    duplicate = world.request()
    world.place(duplicate)
    world.allomia.post = says(500)
    for _ in range(5):
        world.place(world.request())
    world.clock.pass_seconds(30)
    world.allomia.post = None

    assert world.place(duplicate).result is Placed.DUPLICATE
    assert world.place(world.request()).result is Placed.CALLING


def test_a_duplicate_of_a_placed_call_is_not_parked_while_the_circuit_is_open(world: World) -> None:
    request = world.request()
    world.place(request)
    world.allomia.post = says(500)
    for _ in range(5):
        world.place(world.request())

    assert world.place(request).result is Placed.DUPLICATE
    assert world.calls.status(key_of(request)) == "calling"


def test_a_released_call_is_parked_again_while_the_circuit_is_open(world: World) -> None:
    key = world.calls.scheduled(now=NOW)
    world.allomia.post = says(500)
    for _ in range(5):
        world.place(world.request())
    world.clock.pass_seconds(10)

    placement = world.place(json.dumps({"release": key.wire()}))

    assert (placement.result, placement.reason) == (Placed.PARKED, "circuit-open")
    assert world.calls.there(key)["dueAt"] == NOW + 10 + 30


# What is told to be counted.


def test_an_outcome_that_the_webhook_brought_first_is_not_told_twice(world: World) -> None:
    request = world.request()

    def webhook_first(post: httpx.Request) -> httpx.Response:
        url = json.loads(post.content)["callbackUrl"]
        assert world.webhook(key_of(request), "failed").status == 200
        return httpx.Response(200, json=world.allomia.state(url, "failed"))

    world.allomia.post = webhook_first
    placement = world.place(request)

    assert (placement.result, placement.outcome) == (Placed.ENDED, None)
    assert world.calls.there(key_of(request))["outcomeSource"] == "webhook"


def test_a_webhook_before_the_answer_is_not_undone_by_it(world: World) -> None:
    request = world.request()

    def webhook_first(post: httpx.Request) -> httpx.Response:
        url = json.loads(post.content)["callbackUrl"]
        assert world.webhook(key_of(request), "completed").status == 200
        return httpx.Response(200, json=world.allomia.state(url))

    world.allomia.post = webhook_first

    assert world.place(request).result is Placed.CALLING
    assert world.calls.status(key_of(request)) == "completed"
    assert world.calls.due(key_of(request)) == []


@pytest.mark.parametrize("answered", ["calling", "failed"])
def test_an_answer_that_names_another_call_than_the_webhook_did_is_told(world: World, answered: str) -> None:
    request = world.request()

    def webhook_first(post: httpx.Request) -> httpx.Response:
        url = json.loads(post.content)["callbackUrl"]
        assert world.webhook(key_of(request), "completed").status == 200
        return httpx.Response(200, json=world.allomia.state(url, answered) | {"outboundCallId": OTHER_CALL_ID})

    world.allomia.post = webhook_first
    placement = world.place(request)

    assert (placement.reason, placement.outbound_call_id) == ("another-call-recorded", OTHER_CALL_ID)
    assert placement.outcome is None
    assert world.calls.status(key_of(request)) == "completed"


def test_an_answer_after_the_deadline_is_no_other_call(world: World) -> None:
    request = world.request()

    def too_late(post: httpx.Request) -> httpx.Response:
        world.clock.pass_seconds(DEADLINE)
        world.sweep(key_of(request))
        return httpx.Response(200, json=world.allomia.state(json.loads(post.content)["callbackUrl"]))

    world.allomia.post = too_late
    placement = world.place(request)

    assert (placement.result, placement.reason) == (Placed.CALLING, "")
    assert world.calls.status(key_of(request)) == "unknown"


@pytest.mark.parametrize("code", [400, 401, 429])
def test_a_webhook_before_an_answer_that_says_no_is_believed(world: World, code: int) -> None:
    """It came over a URL that only AlloMia has: the person was called, whatever the answer says."""
    request = world.request()

    def webhook_first(_post: httpx.Request) -> httpx.Response:
        world.webhook(key_of(request), "completed")
        return httpx.Response(code, headers={"Retry-After": "60"})

    world.allomia.post = webhook_first
    placement = world.place(request)

    assert placement.outcome is None
    assert world.calls.status(key_of(request)) == "completed"
    assert world.calls.due(key_of(request)) == []


def test_the_claim_is_in_the_table_before_the_post_leaves(world: World) -> None:
    request = world.request()
    seen: list[dict[str, Any]] = []

    def look(post: httpx.Request) -> httpx.Response:
        seen.append(world.calls.there(key_of(request)))
        return httpx.Response(200, json=world.allomia.state(json.loads(post.content)["callbackUrl"]))

    world.allomia.post = look
    world.place(request)

    assert (seen[0]["status"], seen[0]["dueAt"]) == ("dispatching", NOW + GRACE)


def test_the_claim_of_a_parked_call_is_in_the_table_before_the_post_leaves(world: World) -> None:
    key = world.calls.scheduled(now=NOW)
    seen: list[dict[str, Any]] = []

    def look(post: httpx.Request) -> httpx.Response:
        seen.append(world.calls.there(key))
        return httpx.Response(200, json=world.allomia.state(json.loads(post.content)["callbackUrl"]))

    world.allomia.post = look
    world.place(json.dumps({"release": key.wire()}))

    assert (seen[0]["status"], seen[0]["dueAt"]) == ("dispatching", NOW + GRACE)


def test_a_worker_that_lost_its_claim_to_no_one_knows_whom_settles_nothing(world: World) -> None:
    request = world.request()
    key = key_of(request)

    def replaced(post: httpx.Request) -> httpx.Response:
        world.calls.put_raw(world.calls.there(key) | {"claimId": CLAIM})
        return httpx.Response(200, json=world.allomia.state(json.loads(post.content)["callbackUrl"]))

    world.allomia.post = replaced
    world.place(request)

    assert world.calls.status(key) == "dispatching"
    assert "outboundCallId" not in world.calls.there(key)


def test_a_claim_for_a_new_request_is_made_under_an_id_of_its_own(world: World) -> None:
    first, second = world.placed(), world.placed()

    assert world.calls.there(first)["claimId"] != world.calls.there(second)["claimId"]
    assert world.calls.there(first)["request"]["phoneNumber"] == a_request().phone_number
