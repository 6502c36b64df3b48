"""Placing calls on the real table: each answer that AlloMia may give, and what follows for the attempt."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.simulator import PostAnswer, call_id, fails, returns
from outbound_calls.adapters.secrets import CACHE_SECONDS, SecretUnreadable
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.contracts.wire import ORGANIZATION_RULE
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.dial import SECONDS_TO_PLACE
from outbound_calls.use_cases.placement import OTHER_CALL, Placement, PlaceResult
from outbound_calls.use_cases.polls import PollResult
from outbound_calls.use_cases.receive import Receipt
from tests.cloud.parts import OTHER_CLAIM, at_once
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import ASSISTANT_ID, CALL_ID, CIRCUIT, OTHER_CALL_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, NOW, SIGNING_KEY, WEBHOOK_URL, dispatch_message

PARKED, REJECTED, ENDED = PlaceResult.PARKED, PlaceResult.REJECTED, PlaceResult.ENDED
CALLING, AMBIGUOUS, DUPLICATE = PlaceResult.CALLING, PlaceResult.AMBIGUOUS, PlaceResult.DUPLICATE
INVALID = PlaceResult.INVALID
STATE = {"outboundCallId": CALL_ID, "status": "calling"}

# What AlloMia does, the result of the message, the code, the status of the attempt, and in how many seconds it is due.
type Row = tuple[PostAnswer | str | None, PlaceResult, str, str, int | None]
NOT_ACCEPTED: dict[str, Row] = {
    "connect error": (fails(httpx.ConnectError), PARKED, "allomia-unreachable", "scheduled", 30),
    "connect timeout": (fails(httpx.ConnectTimeout), PARKED, "allomia-unreachable", "scheduled", 30),
    "pool timeout": (fails(httpx.PoolTimeout), PARKED, "allomia-unreachable", "scheduled", 30),
    "307": (returns(307, Location="/"), PARKED, "allomia-unreachable", "scheduled", 30),
    "429": (returns(429), PARKED, "rate-limited", "scheduled", 30),
    "429 with Retry-After": (returns(429, Retry_After="120"), PARKED, "rate-limited", "scheduled", 120),
    "429 with an absurd Retry-After": (
        returns(429, Retry_After="1775053800"),
        PARKED,
        "rate-limited",
        "scheduled",
        900,
    ),
    "503 with Retry-After": (returns(503, Retry_After="600"), PARKED, "rate-limited", "scheduled", 600),
    "503 with a short Retry-After": (returns(503, Retry_After="1"), PARKED, "rate-limited", "scheduled", 30),
    "401": (returns(401, {"error": "Unauthorized"}), PARKED, "key-declined", "scheduled", 300),
    "403": (returns(403), PARKED, "key-declined", "scheduled", 300),
}
REFUSED: dict[str, Row] = {
    "400": (returns(400, {"error": "Bad number"}), PARKED, "refused-by-allomia", "scheduled", 60),
    "404": (returns(404, {"error": "No such assistant"}), PARKED, "refused-by-allomia", "scheduled", 60),
    "422": (returns(422), PARKED, "refused-by-allomia", "scheduled", 60),
    "409": (returns(409), PARKED, "refused-by-allomia", "scheduled", 60),
}
ABOUT_THIS_CALL: dict[str, Row] = {
    "2xx failed": (returns(200, STATE | {"status": "failed"}), ENDED, "", "failed", None),
    "2xx failed without an id": (returns(200, {"status": "failed"}), ENDED, "", "failed", None),
    "2xx busy": (returns(201, STATE | {"status": "busy"}), ENDED, "", "busy", None),
}
ACCEPTED: dict[str, Row] = {
    "2xx calling": (None, CALLING, "", "calling", GRACE_SECONDS),
    "2xx new status": ("unknown-status-after-accept", CALLING, "", "calling", GRACE_SECONDS),
    "2xx no status": ("no-status-after-accept", CALLING, "", "calling", GRACE_SECONDS),
    "2xx with odd values": ("odd-after-accept", CALLING, "", "calling", GRACE_SECONDS),
}
LOST: dict[str, PostAnswer] = {
    "2xx empty": returns(200),
    "2xx html": returns(200, "<html>"),
    "2xx no id": returns(200, {"status": "calling"}),
    "read timeout": fails(httpx.ReadTimeout),
    "write timeout": fails(httpx.WriteTimeout),
    "read error": fails(httpx.ReadError),
    "write error": fails(httpx.WriteError),
    "dropped": fails(httpx.RemoteProtocolError),
    "an unforeseen error": fails(LookupError),
    "another unforeseen error": fails(ZeroDivisionError),
    "302": returns(302, Location="/"),
    "408": returns(408),
    "500": returns(500),
    "502": returns(502),
    "503": returns(503),
    "504": returns(504),
    "507": returns(507),
}
MAYBE_ACCEPTED: dict[str, Row] = {
    name: (answer, AMBIGUOUS, "", "dispatching", GRACE_SECONDS) for name, answer in LOST.items()
}
ROWS = NOT_ACCEPTED | REFUSED | ABOUT_THIS_CALL | ACCEPTED | MAYBE_ACCEPTED


@pytest.mark.parametrize("row", ROWS)
def test_each_answer_has_its_result_and_a_redelivery_changes_nothing(world: CloudWorld, row: str) -> None:
    answer, result, code, status, due_in = ROWS[row]
    request = world.request()
    world.allomia.post = answer

    placement = world.place(request)

    assert (placement.result, placement.code) == (result, code)
    item = world.attempts.existing_item(key_of(request))
    assert (item["status"], item.get("reasonCode", item.get("parkReason", ""))) == (status, code)
    assert item.get("dueAt") == (NOW + due_in if due_in else None)
    posts = len(world.allomia.posts)
    assert posts <= 1

    # The same message again, while AlloMia accepts every call.
    world.allomia.post = None
    assert world.place(request).result is DUPLICATE
    assert world.attempts.item(key_of(request)) == item
    assert len(world.allomia.posts) == posts


@pytest.mark.parametrize("row", NOT_ACCEPTED | REFUSED)
def test_a_parked_attempt_is_dispatched_when_it_is_due_and_dialled_once(world: CloudWorld, row: str) -> None:
    answer, *_, due_in = ROWS[row]
    assert due_in
    world.allomia.post = answer
    key = world.placed(metadata={"clinic": "7"}, batch="monday")
    world.allomia.post = None

    world.pass_seconds(due_in - 1)
    assert world.sweep(key) == []
    world.pass_seconds(1)
    assert world.poll(key).result is PollResult.DISPATCHED
    (message,) = world.queued()
    assert world.place(message).result is CALLING
    assert world.place(message).result is DUPLICATE

    item = world.attempts.existing_item(key)
    assert (item["status"], item["metadata"], item["batch"]) == ("calling", {"clinic": "7"}, "monday")
    assert item["dispatchedAt"] == world.clock.now
    assert world.allomia.posts[-1] == {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": "Ada",
        "callbackUrl": world.callback_url(key),
    }


@pytest.mark.parametrize("row", MAYBE_ACCEPTED)
def test_an_ambiguous_answer_is_never_followed_by_another_dial(world: CloudWorld, row: str) -> None:
    request = world.request()
    world.allomia.post = LOST[row]
    world.place(request)
    world.allomia.post = None

    while world.clock.now < NOW + DEADLINE_SECONDS:
        world.pass_seconds(600)
        world.sweep(key_of(request))
        assert world.place(request).result is DUPLICATE

    assert world.attempts.status(key_of(request)) == "unknown"
    assert world.queued() == []
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("row", MAYBE_ACCEPTED | ACCEPTED)
def test_a_webhook_brings_the_outcome_whatever_the_answer_was(world: CloudWorld, row: str) -> None:
    world.allomia.post = ROWS[row][0]
    key = world.placed()

    assert world.webhook(key, "no-answer").status == 200

    assert world.attempts.status(key) == "no-answer"


@pytest.mark.parametrize("row", ROWS)
def test_a_placement_holds_nothing_personal(world: CloudWorld, row: str) -> None:
    world.allomia.post = ROWS[row][0]
    if row in {"400", "404"}:
        world.allomia.post = returns(400, {"error": f"{PHONE_NUMBER} of Zqx: {WEBHOOK_URL}"})

    placement = world.place(world.request(customerName="Zqx", dynamicVariables={"illness": "Zqx-itis"}))

    for private in ("Zqx", PHONE_NUMBER[1:], WEBHOOK_URL):
        assert private not in repr(placement)


def test_an_undocumented_status_is_kept_and_the_call_polled(world: CloudWorld) -> None:
    world.allomia.post = "unknown-status-after-accept"
    request = world.request()

    placement = world.place(request)

    key = key_of(request)
    assert (placement.outbound_call_id, placement.allomia_status) == (call_id(world.callback_url(key)), "transferred")
    item = world.attempts.existing_item(key)
    assert (item["outboundCallId"], item["allomiaStatus"]) == (placement.outbound_call_id, "transferred")
    world.allomia.status = returns(200, world.allomia.state(world.callback_url(key), "completed"))
    world.pass_seconds(GRACE_SECONDS)
    assert world.poll(key).result is PollResult.RECORDED
    assert (world.attempts.status(key), "allomiaStatus" in world.attempts.existing_item(key)) == ("completed", False)


def test_undocumented_statuses_do_not_open_the_circuit(world: CloudWorld) -> None:
    world.allomia.post = "unknown-status-after-accept"
    for _ in range(6):
        assert world.place(world.request()).result is CALLING


# The message.


def test_a_request_without_an_id_gets_that_of_its_message(world: CloudWorld) -> None:
    placement = world.place(world.request(requestId=None))

    assert placement.key == AttemptKey(RequestKey("11111111-message-id"), 1)
    world.webhook(placement.key)


def test_a_requests_own_ids_come_before_the_defaults_of_the_stack(world: CloudWorld) -> None:
    world.place(world.request(assistantId=OTHER_CALL_ID, phoneNumberId=CALL_ID))

    assert (world.allomia.posts[0]["assistantId"], world.allomia.posts[0]["phoneNumberId"]) == (OTHER_CALL_ID, CALL_ID)


@pytest.mark.parametrize(
    ("variable", "field"), [("DEFAULT_ASSISTANT_ID", "assistantId"), ("DEFAULT_PHONE_NUMBER_ID", "phoneNumberId")]
)
def test_a_request_must_name_what_has_no_default(world: CloudWorld, variable: str, field: str) -> None:
    world.configure(**{variable: ""})
    request = world.request()

    assert world.place(request).result is INVALID
    (invalid,) = world.invalid_messages()
    assert invalid["field"] == field
    assert world.place(request | {field: CALL_ID}).result is CALLING


@pytest.mark.parametrize("organization", [None, "default"])
def test_the_default_organization_need_not_be_named(world: CloudWorld, organization: str | None) -> None:
    request = world.request(organization=organization)

    assert world.place(request).key == key_of(request)
    assert world.attempts.status(key_of(request)) == "calling"


FIELDS = (
    "assistantId, batch, callingWindows, customerName, dynamicVariables, metadata, notAfter, notBefore, organization, "
    "phoneNumber, phoneNumberId, priority, purpose, redial, requestId, timeZone"
)


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ("not JSON", "body", "a JSON object in UTF-8"),
        ('{"requestId": "a"}', "phoneNumber", "required, E.164: a plus sign, then 9 to 15 digits, the first not 0"),
        (
            '{"phoneNumber": "+14155550123", "callbackUrl": "https://elsewhere.example"}',
            "callbackUrl",
            f"no field but {FIELDS}",
        ),
        (
            '{"phoneNumber": "+14155550123", "organization": "north"}',
            "organization",
            f"{ORGANIZATION_RULE}, configured in this stack; required where there is no default organization",
        ),
    ],
)
def test_an_invalid_message_is_kept_with_the_rule_it_breaks_and_makes_no_attempt(
    world: CloudWorld, body: str, field: str, rule: str
) -> None:
    placement = world.place(body)

    assert (placement.result, placement.key) == (INVALID, None)
    assert world.invalid_messages() == [
        {
            "body": body,
            "reason": f"{field}: {rule}",
            "field": field,
            "rule": rule,
            "messageId": "11111111-message-id",
        }
    ]
    assert world.allomia.posts == []


def test_an_invalid_message_keeps_the_time_at_which_it_was_sent(world: CloudWorld) -> None:
    world.place("not JSON", sent_at=NOW - 3600.125)

    (kept,) = world.invalid_messages()
    assert kept["sentAt"] == str(1000 * NOW - 3_600_125)


def test_an_invalid_message_can_be_corrected_and_sent_again_under_its_id(world: CloudWorld) -> None:
    request = world.request(phoneNumber="415 555 0123")
    assert world.place(request).result is INVALID
    assert world.attempts.item(key_of(request)) is None

    assert world.place(request | {"phoneNumber": PHONE_NUMBER}).result is CALLING


# Duplicates.


def test_one_of_many_deliveries_is_dialled(world: CloudWorld) -> None:
    request = world.request()

    results = at_once(8, lambda _: world.place(request).result)

    assert sorted(results) == [CALLING] + [DUPLICATE] * 7
    assert len(world.allomia.posts) == 1


def test_one_of_many_dispatch_messages_is_dialled(world: CloudWorld) -> None:
    key = world.attempts.scheduled().key

    results = at_once(8, lambda _: world.place(dispatch_message(key)).result)

    assert sorted(results) == [CALLING] + [DUPLICATE] * 7
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize(
    "change",
    [{"phoneNumber": "+14155550199"}, {"customerName": "Eve"}, {"metadata": {"visit": "2"}}, {"batch": "monday"}],
    ids=str,
)
@pytest.mark.parametrize("first", ["called", "parked", "ended", "expired"])
def test_another_request_under_a_used_id_is_an_invalid_message(
    world: CloudWorld, change: dict[str, Any], first: str
) -> None:
    request = world.request()
    world.place(request, seconds_left=5.0 if first == "parked" else 45.0)
    if first == "ended":
        world.webhook(key_of(request))
    if first == "expired":
        world.pass_seconds(EXPIRE_AFTER_SECONDS + 1)

    placement = world.place(request | change, sent_at=NOW)

    assert (placement.result, placement.detail) == (INVALID, "requestId: used for another request")
    (kept,) = world.invalid_messages()
    assert json.loads(kept["body"]) == request | change
    assert (kept["field"], kept["rule"]) == ("requestId", "used for another request")
    assert {post["phoneNumber"] for post in world.allomia.posts} <= {PHONE_NUMBER}


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_the_same_request_is_a_duplicate_whenever_it_may_be_dialled(world: CloudWorld, rotations: int) -> None:
    request = world.request(notAfter="2026-04-02T09:00:00-04:00")
    world.place(request)
    for number in range(rotations):
        secret, text = world.resources.signing_arn, f"rotated-{number}-{SIGNING_KEY}"
        world.resources.secrets.put_secret_value(SecretId=secret, SecretString=text)
    world.pass_seconds(CACHE_SECONDS)

    assert world.place(request | {"notAfter": None}).result is DUPLICATE
    world.resources.secrets.put_secret_value(SecretId=world.resources.signing_arn, SecretString=SIGNING_KEY)


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_request_waits_until_its_not_before(world: CloudWorld, kind: str) -> None:
    opens = NOW + 7200
    request = world.request(notBefore="2026-04-01T12:30:00-04:00")
    world.place(request)
    if kind == "parked":
        assert world.place(dispatch_message(key_of(request))).code == "not-before"

    item = world.attempts.existing_item(key_of(request))
    assert (item["status"], item["parkReason"], item["dueAt"]) == ("scheduled", "not-before", opens)
    world.pass_seconds(opens - world.clock.now)
    assert world.place(dispatch_message(key_of(request), int(item["timesParked"]))).result is CALLING
    assert "failedTries" not in item


def test_a_request_is_rejected_after_its_not_after(world: CloudWorld) -> None:
    request = world.request(notAfter="2026-04-01T10:30:05-04:00")
    world.place(request, seconds_left=5.0)

    assert world.due_in(key_of(request)) == 6
    world.pass_seconds(6)
    placement = world.place(dispatch_message(key_of(request)))

    assert (placement.result, placement.code) == (REJECTED, "expired")
    assert placement.detail == "not dialled by 2026-04-01T14:30:05Z; it waited for short-of-time"
    assert world.allomia.posts == []


@pytest.mark.parametrize(
    ("field", "times"),
    [
        ("notBefore", {"notBefore": "2026-05-01T14:30:01Z"}),
        ("notAfter", {"notBefore": "2026-04-02T00:00:00Z", "notAfter": "2026-04-01T20:00:00-04:00"}),
    ],
)
def test_times_that_leave_no_time_are_invalid(world: CloudWorld, field: str, times: dict[str, str]) -> None:
    placement = world.place(world.request(**times), sent_at=NOW)

    assert placement.result is INVALID
    assert [message["field"] for message in world.invalid_messages()] == [field]


@pytest.mark.parametrize("seconds_left", [60, 5], ids=["time to dial", "short of time"])
def test_a_dispatch_message_from_before_the_last_parking_does_nothing(world: CloudWorld, seconds_left: float) -> None:
    # Given two dispatch messages for one attempt, as when the first waits on the queue for more than a minute
    key = world.attempts.scheduled(due_at=NOW + 60).key
    messages = []
    for _ in range(2):
        world.pass_seconds(60)
        world.sweep(key)
        messages += world.queued()
    # And AlloMia asked to wait for an hour when the first was dialled
    world.allomia.post = returns(429, Retry_After="3600")
    world.place(messages[0])
    before = world.attempts.item(key)

    placement = world.place(messages[1], seconds_left=seconds_left)

    # Then the second neither dials nor brings the attempt forward
    assert placement.result is DUPLICATE
    assert world.attempts.item(key) == before
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("status", [None, *(status for status in Status if status is not Status.SCHEDULED)])
def test_a_dispatch_message_for_an_attempt_that_is_not_parked_does_nothing(
    world: CloudWorld, status: Status | None
) -> None:
    key = world.attempts.in_status(status)
    before = world.attempts.item(key)

    assert world.place(dispatch_message(key)).result is DUPLICATE
    assert world.attempts.item(key) == before
    assert world.allomia.posts == []


# The function is killed, or a service is out of reach.


class Killed(BaseException):
    """Ends the function, as Lambda does at its timeout."""


def test_a_function_that_is_killed_during_the_post_leaves_a_claim_for_the_poller(world: CloudWorld) -> None:
    request = world.request()
    world.allomia.post = fails(Killed)
    with pytest.raises(Killed):
        world.place(request)
    world.allomia.post = None

    assert world.attempts.status(key_of(request)) == "dispatching"
    assert world.place(request).result is DUPLICATE
    world.pass_seconds(DEADLINE_SECONDS)
    world.sweep(key_of(request))

    assert world.attempts.status(key_of(request)) == "unknown"
    assert len(world.allomia.posts) == 1


def test_a_function_that_is_killed_before_it_can_park_does_not_dial_again(world: CloudWorld) -> None:
    """The proof that AlloMia accepted nothing is lost with it, so the answer counts as ambiguous."""
    request, alive = world.request(), True

    def clock() -> float:
        if not alive:
            raise Killed
        return NOW

    def die(_post: httpx.Request) -> None:
        nonlocal alive
        alive = False

    world.allomia.before_answer = die
    world.allomia.post = returns(429)
    world.place_calls = replace(world.place_calls, dial=replace(world.place_calls.dial, clock=clock))
    with pytest.raises(Killed):
        world.place(request)
    world.configure()
    world.allomia.post = None

    assert world.place(request).result is DUPLICATE
    assert world.attempts.status(key_of(request)) == "dispatching"


def test_an_attempt_is_parked_when_the_key_cannot_be_read(world: CloudWorld) -> None:
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=world.resources.key_arn + "-none")
    request = world.request()

    placement = world.place(request)

    assert (placement.result, placement.code) == (PARKED, ParkReason.KEY_UNREADABLE)
    assert placement.detail == "the secret can't be read: ResourceNotFoundException"
    item = world.attempts.existing_item(key_of(request))
    assert (item["status"], item["dueAt"]) == ("scheduled", NOW + 300)
    assert world.allomia.posts == []


def test_the_message_is_delivered_again_when_the_signing_secret_cannot_be_read(world: CloudWorld) -> None:
    request = world.request()
    world.configure(SIGNING_SECRET_ARN=world.resources.signing_arn + "-none")
    with pytest.raises(SecretUnreadable):
        world.place(request)
    assert world.attempts.item(key_of(request)) is None

    world.configure()

    assert world.place(request).result is CALLING


def test_the_message_is_delivered_again_when_the_queue_of_invalid_messages_is_out_of_reach(world: CloudWorld) -> None:
    world.configure(INVALID_MESSAGES_QUEUE_URL=world.resources.invalid_messages_queue_url + "-none")

    with pytest.raises(ClientError):
        world.place("not JSON")


# Time.


def test_a_new_attempt_is_parked_when_there_is_no_time_to_dial_it(world: CloudWorld) -> None:
    request = world.request()

    placement = world.place(request, SECONDS_TO_PLACE - 0.1)

    assert (placement.result, placement.code) == (PARKED, ParkReason.SHORT_OF_TIME)
    item = world.attempts.existing_item(key_of(request))
    assert (item["status"], item["parkReason"], item["dueAt"]) == ("scheduled", "short-of-time", NOW + 30)
    assert world.allomia.posts == []
    assert world.place(world.request(), SECONDS_TO_PLACE).result is CALLING


def test_a_parked_attempt_is_parked_again_when_there_is_no_time_to_dial_it(world: CloudWorld) -> None:
    key = world.attempts.scheduled().key
    world.pass_seconds(60)

    placement = world.place(dispatch_message(key), seconds_left=5)

    assert (placement.result, placement.code) == (PARKED, ParkReason.SHORT_OF_TIME)
    item = world.attempts.existing_item(key)
    assert (item["status"], item["dueAt"], item["timesParked"]) == ("scheduled", NOW + 90, 2)


def test_an_attempt_begins_when_the_queue_gets_its_request(world: CloudWorld) -> None:
    request = world.request()

    world.place(request, sent_at=NOW - 3600.5)

    item = world.attempts.existing_item(key_of(request))
    assert (item["createdAt"], item["dispatchedAt"]) == (NOW - 3601, NOW)


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_request_that_was_not_dialled_within_a_day_is_rejected_without_a_claim(world: CloudWorld, kind: str) -> None:
    request = world.request()
    key, message = key_of(request), json.dumps(request)
    if kind == "parked":
        key = world.attempts.scheduled().key
        message = dispatch_message(key)
    world.pass_seconds(EXPIRE_AFTER_SECONDS + 1)

    placement = world.place(message, sent_at=NOW)

    assert (placement.result, placement.code) == (REJECTED, "expired")
    assert placement.outcome
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"], item["reasonCode"]) == ("rejected", "policy", "expired")
    waited = "; it waited for rate-limited" if kind == "parked" else ""
    assert item["reason"] == placement.detail == f"not dialled by 2026-04-02T14:30:00Z{waited}"
    assert item.keys().isdisjoint({"dispatchedAt", "request", "dueAt", "parkReason"})
    assert world.allomia.posts == []
    # And a redelivery changes nothing
    assert world.place(message, sent_at=NOW).result is DUPLICATE
    assert world.attempts.item(key) == item


def test_a_request_is_still_dialled_at_the_end_of_its_day(world: CloudWorld) -> None:
    parked, request = world.attempts.scheduled(), world.request()
    world.pass_seconds(EXPIRE_AFTER_SECONDS)

    assert world.place(dispatch_message(parked.key)).result is CALLING
    assert world.place(json.dumps(request), sent_at=NOW).result is CALLING


def test_an_old_message_for_a_placed_call_does_not_reject_it(world: CloudWorld) -> None:
    request = world.request()
    world.place(request, sent_at=NOW)
    world.pass_seconds(EXPIRE_AFTER_SECONDS + 1)

    assert world.place(request, sent_at=NOW).result is DUPLICATE
    assert world.attempts.status(key_of(request)) == "calling"


def test_an_attempt_that_allomia_does_not_accept_is_tried_less_and_less_often(world: CloudWorld) -> None:
    world.allomia.post = returns(429)
    key = world.placed()
    waits = [world.due_in(key)]
    for _ in range(5):
        world.pass_seconds(waits[-1])
        world.sweep(key)
        (message,) = world.queued()
        # The circuit stays closed, so that the attempt reaches AlloMia.
        permit = world.place_calls.dial.circuit_breakers.of(CIRCUIT).acquire()
        assert permit
        permit.report(healthy=True)
        assert world.place(message).result is PARKED
        waits.append(world.due_in(key))

    assert waits == [30, 60, 120, 240, 300, 300]


# The circuit breaker.


@pytest.mark.parametrize("row", ["connect error", "429", "401", "500", "read timeout", "2xx html"])
def test_the_circuit_opens_after_five_failures(world: CloudWorld, row: str) -> None:
    world.allomia.post = ROWS[row][0]
    for _ in range(5):
        world.place(world.request())
    posts = len(world.allomia.posts)

    request = world.request()
    placement = world.place(request)

    assert (placement.result, placement.code) == (PARKED, ParkReason.CIRCUIT_OPEN)
    assert world.due_in(key_of(request)) == 30
    assert len(world.allomia.posts) == posts


def test_an_attempt_is_parked_until_the_circuit_closes(world: CloudWorld) -> None:
    world.open_circuit()
    for seconds in (30, 60, 120):
        world.pass_seconds(seconds)
        world.place(world.request())
    world.pass_seconds(40)

    key = world.placed()

    assert world.due_in(key) == 240 - 40


@pytest.mark.parametrize("row", ABOUT_THIS_CALL)
def test_an_answer_about_one_call_does_not_open_the_circuit(world: CloudWorld, row: str) -> None:
    world.allomia.post = ROWS[row][0]

    results = {world.place(world.request()).result for _ in range(12)}

    assert results == {ROWS[row][1]}


def test_one_probe_closes_the_circuit_while_other_attempts_are_parked(world: CloudWorld) -> None:
    world.open_circuit()
    world.pass_seconds(30)
    meanwhile: list[PlaceResult] = []

    def place_others(_post: httpx.Request) -> None:
        meanwhile.extend(world.place(world.request()).result for _ in range(3))

    world.allomia.post, world.allomia.before_answer = None, place_others
    assert world.place(world.request()).result is CALLING
    assert meanwhile == [PARKED] * 3
    world.allomia.before_answer = lambda _post: None

    assert [world.place(world.request()).result for _ in range(3)] == [CALLING] * 3


@pytest.mark.parametrize("waited", [0, 30], ids=["circuit open", "probe due"])
def test_a_duplicate_is_neither_parked_nor_a_probe(world: CloudWorld, waited: int) -> None:
    request = world.request()
    world.place(request)
    world.open_circuit()
    world.pass_seconds(waited)
    world.allomia.post = None

    assert world.place(request).result is DUPLICATE
    assert world.attempts.status(key_of(request)) == "calling"
    assert world.place(world.request()).result is (CALLING if waited else PARKED)


def test_a_parked_attempt_is_parked_again_while_the_circuit_is_open(world: CloudWorld) -> None:
    key = world.attempts.scheduled().key
    world.open_circuit()
    world.pass_seconds(10)

    placement = world.place(dispatch_message(key))

    assert (placement.result, placement.code) == (PARKED, ParkReason.CIRCUIT_OPEN)
    assert world.attempts.existing_item(key)["dueAt"] == NOW + 10 + 30


# Races between AlloMia's answer and its webhook.


def place_after_webhook(world: CloudWorld, outcome: str, code: int = 200, **state: str) -> Placement:
    """Place a call whose webhook comes before AlloMia's answer, which has this code and state."""
    request = world.request()
    url = world.callback_url(key_of(request))
    receipts: list[Receipt] = []
    world.allomia.before_answer = lambda _post: receipts.append(world.webhook(key_of(request), outcome))
    world.allomia.post = returns(code, world.allomia.state(url, **state), Retry_After="60")

    placement = world.place(request)

    assert [receipt.status for receipt in receipts] == [200]
    assert placement.key == key_of(request)
    return placement


@pytest.mark.parametrize(
    ("answered", "result"), [("calling", CALLING), ("failed", ENDED)], ids=["calling", "the same outcome"]
)
def test_an_outcome_that_the_webhook_brought_first_is_kept_and_counted_once(
    world: CloudWorld, answered: str, result: PlaceResult
) -> None:
    placement = place_after_webhook(world, "failed", status=answered)

    assert (placement.result, placement.code, placement.outcome) == (result, "", None)
    assert placement.key
    item = world.attempts.existing_item(placement.key)
    assert (item["status"], item["outcomeSource"]) == ("failed", "webhook")
    assert world.attempts.due_entries(placement.key) == []


@pytest.mark.parametrize("answered", ["calling", "failed"])
def test_an_answer_that_names_another_call_than_the_webhook_is_reported(world: CloudWorld, answered: str) -> None:
    placement = place_after_webhook(world, "completed", status=answered, outboundCallId=OTHER_CALL_ID)

    assert (placement.code, placement.outbound_call_id, placement.outcome) == (OTHER_CALL, OTHER_CALL_ID, None)
    assert placement.key
    assert world.attempts.status(placement.key) == "completed"


@pytest.mark.parametrize("code", [400, 401, 429])
def test_a_webhook_outweighs_an_answer_that_nothing_was_accepted(world: CloudWorld, code: int) -> None:
    """It came over a URL that only AlloMia has, so the person was called."""
    placement = place_after_webhook(world, "completed", code)

    assert placement.outcome is None
    assert placement.key
    assert world.attempts.status(placement.key) == "completed"
    assert world.attempts.due_entries(placement.key) == []


def test_an_answer_after_the_deadline_is_not_another_call(world: CloudWorld) -> None:
    request = world.request()

    def pass_the_deadline(_post: httpx.Request) -> None:
        # The function's own time stands still, as when its execution environment is frozen.
        world.clock.pass_seconds(DEADLINE_SECONDS)
        world.sweep(key_of(request))

    world.allomia.before_answer = pass_the_deadline
    placement = world.place(request)

    assert (placement.result, placement.code) == (CALLING, "")
    assert world.attempts.status(key_of(request)) == "unknown"


# The claim.


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_the_claim_is_in_the_table_before_the_post_leaves(world: CloudWorld, kind: str) -> None:
    request = world.request()
    key = key_of(request) if kind == "new" else world.attempts.scheduled().key
    seen: list[dict[str, Any]] = []

    world.allomia.before_answer = lambda _post: seen.append(world.attempts.existing_item(key))
    world.place(request if kind == "new" else dispatch_message(key))

    (item,) = seen
    assert (item["status"], item["dueAt"]) == ("dispatching", NOW + GRACE_SECONDS)


def test_a_worker_without_its_claim_settles_nothing(world: CloudWorld) -> None:
    request = world.request()

    def lose_claim(_post: httpx.Request) -> None:
        world.attempts.put_item(world.attempts.existing_item(key_of(request)) | {"claimId": OTHER_CLAIM})

    world.allomia.before_answer = lose_claim
    world.place(request)

    item = world.attempts.existing_item(key_of(request))
    assert item["status"] == "dispatching"
    assert "outboundCallId" not in item


def test_each_claim_has_an_id_of_its_own(world: CloudWorld) -> None:
    first, second = (world.attempts.existing_item(world.placed()) for _ in range(2))

    assert first["claimId"] != second["claimId"]
