"""Receiving webhooks on the real table and the real secret: what is accepted, and how each webhook is answered."""

import json
from base64 import b64encode
from http import HTTPStatus
from typing import Any

import pytest

from local.simulator.calls import call_id, contact_id
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.adapters.secrets import REREAD_SECONDS
from outbound_calls.contracts.allomia import MAX_WEBHOOK_BYTES
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.use_cases.placement import OTHER_CALL
from outbound_calls.use_cases.polls import PollResult
from outbound_calls.use_cases.receive import Receipt, Webhook
from tests.cloud.parts import new_key
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import CALL_ID, OTHER_CALL_ID, PHONE_NUMBER
from tests.world import NOW, SIGNING_KEY, WEBHOOK_URL, dispatch_message

FORBIDDEN = Receipt(HTTPStatus.FORBIDDEN, "not a callback URL of this stack")
NOT_AN_OBJECT = "body: a JSON object"
STATUS_RULE = "status: one of completed, failed, busy, no-answer"
TOO_LARGE = f"body: at most {MAX_WEBHOOK_BYTES} bytes"


def body_for(world: CloudWorld, key: AttemptKey, **changes: Any) -> str:
    """AlloMia's webhook for an attempt, without the fields that are changed to None."""
    details = {"startedAt": "2026-04-01T14:30:00Z", "duration": 150, "endedReason": "customer-ended-call"}
    state = world.allomia.state(world.callback_url(key), "completed", callDetails=details)
    return json.dumps({name: value for name, value in (state | changes).items() if value is not None})


def call_id_of(world: CloudWorld, key: AttemptKey) -> str:
    return call_id(world.callback_url(key))


def assert_ok(receipt: Receipt) -> None:
    assert receipt.status == HTTPStatus.OK


def signature_of(world: CloudWorld, key: AttemptKey) -> str:
    return world.callback_url(key).rsplit("/", 1)[-1]


def receive(world: CloudWorld, key: AttemptKey, body: str, **changes: Any) -> Receipt:
    fields = {"request_id": str(key.request), "attempt": str(key.number), "signature": signature_of(world, key)}
    return world.receive_webhooks.receive(Webhook(body=body, **fields | changes))


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_an_outcome_is_recorded_and_acknowledged(world: CloudWorld, status: str) -> None:
    key = world.placed(metadata={"clinic": "7"})
    world.pass_seconds(150)

    receipt = receive(world, key, body_for(world, key, status=status))

    assert (receipt.status, receipt.message) == (HTTPStatus.OK, "outcome recorded")
    assert (receipt.key, receipt.result) == (key, RecordResult.STORED)
    assert receipt.attempt == world.attempts.read(key)
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == (status, "webhook")
    assert item["contactId"] == contact_id(PHONE_NUMBER)
    assert item["callDetails"]["endedReason"] == "customer-ended-call"
    assert item["metadata"] == {"clinic": "7"}


@pytest.mark.parametrize(
    ("changes", "status", "message", "result"),
    [
        ({}, 200, "outcome was recorded before", RecordResult.ALREADY_RECORDED),
        ({"status": "busy"}, 200, "another outcome was recorded before", RecordResult.CONTRADICTS),
        (
            {"outboundCallId": OTHER_CALL_ID},
            400,
            "outboundCallId: not the call of this attempt",
            RecordResult.OTHER_CALL,
        ),
    ],
)
def test_a_second_webhook_changes_nothing(
    world: CloudWorld, changes: dict[str, str], status: int, message: str, result: RecordResult
) -> None:
    key = world.placed()
    world.webhook(key)
    before = world.attempts.item(key)
    world.pass_seconds(60)

    receipt = receive(world, key, body_for(world, key, **changes))

    assert (receipt.status, receipt.message, receipt.result) == (status, message, result)
    assert world.attempts.item(key) == before


def test_the_outcome_of_another_call_is_refused(world: CloudWorld) -> None:
    key = world.placed()

    receipt = receive(world, key, body_for(world, key, outboundCallId=OTHER_CALL_ID))

    assert (receipt.status, receipt.result) == (HTTPStatus.BAD_REQUEST, RecordResult.OTHER_CALL)
    assert world.attempts.status(key) == "calling"


def test_a_webhook_for_an_attempt_without_a_record_is_answered_like_a_forged_one(world: CloudWorld) -> None:
    key = new_key()

    receipt = world.webhook(key)

    assert (receipt.status, receipt.message) == (FORBIDDEN.status, FORBIDDEN.message)
    assert world.attempts.item(key) is None


def test_a_webhook_ends_a_parked_attempt_and_it_is_not_dialled(world: CloudWorld) -> None:
    """AlloMia answered that it accepted nothing, and then reports an outcome: it did place the call."""
    key = world.attempts.scheduled().key

    assert world.webhook(key).result is RecordResult.STORED

    world.pass_seconds(600)
    assert world.sweep(key) == []
    world.place(dispatch_message(key))
    assert world.allomia.posts == []
    assert world.attempts.status(key) == "completed"


# Only the holder of an attempt's URL can report its outcome.


@pytest.mark.parametrize(
    "changes",
    [
        *({"signature": text} for text in ("", "A" * 43, "é", "\ud800")),
        *({"attempt": text} for text in ("2", "0", "01", "100", "-1", "1.0", "\u0661", "", "1\n", " 1")),
        *({"request_id": text} for text in ("", "x" * 129, "a/b", "a\nb", "é", "another-request", "~a", "..", "A~b")),
    ],
)
def test_a_webhook_without_the_url_of_its_attempt_is_forbidden(world: CloudWorld, changes: dict[str, str]) -> None:
    key = world.placed()
    before = world.attempts.item(key)

    assert receive(world, key, body_for(world, key), **changes) == FORBIDDEN

    assert world.attempts.item(key) == before


@pytest.mark.parametrize("body", ["", "not JSON", "x" * 10**6], ids=["empty", "not JSON", "too large"])
def test_the_body_of_a_forged_webhook_is_not_read(world: CloudWorld, body: str) -> None:
    assert receive(world, world.placed(), body, signature="forged") == FORBIDDEN


def test_the_url_that_allomia_gets_leads_back_to_the_attempt(world: CloudWorld) -> None:
    key = world.placed()

    url = str(world.allomia.posts[0]["callbackUrl"])

    assert url.startswith(f"{WEBHOOK_URL}/{key.request}/1/")
    assert world.send(url, body_for(world, key)).status == HTTPStatus.OK


# Bodies.


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", NOT_AN_OBJECT),
        ("not JSON", NOT_AN_OBJECT),
        ("[]", NOT_AN_OBJECT),
        ("{}", STATUS_RULE),
        ("\ud800", NOT_AN_OBJECT),
        ("[" * 10_000, NOT_AN_OBJECT),
    ],
    ids=["empty", "not JSON", "an array", "an empty object", "half a character", "nested"],
)
def test_a_body_without_an_outcome_is_refused_by_its_rule(world: CloudWorld, body: str, message: str) -> None:
    key = world.placed()

    assert receive(world, key, body) == Receipt(HTTPStatus.BAD_REQUEST, message, key)
    assert world.attempts.status(key) == "calling"


@pytest.mark.parametrize("status", ["calling", "rejected", "unknown", "voicemail", "canceled", "no_answer"])
def test_a_status_that_is_not_an_outcome_changes_none(world: CloudWorld, status: str) -> None:
    key = world.placed()

    receipt = receive(world, key, body_for(world, key, status=status))

    assert (receipt.status, receipt.message) == (HTTPStatus.OK, "noted, not an outcome")
    assert (receipt.outcome, receipt.allomia_status) == (None, None if status == "calling" else status)
    item = world.attempts.existing_item(key)
    assert (item["status"], item.get("allomiaStatus")) == ("calling", receipt.allomia_status)


@pytest.mark.parametrize("status", [None, 7, "no answer!", "x" * 33])
def test_a_status_that_is_not_a_word_is_refused(world: CloudWorld, status: object) -> None:
    key = world.placed()

    receipt = receive(world, key, body_for(world, key, status=status))

    assert (receipt.status, receipt.message, receipt.allomia_status) == (HTTPStatus.BAD_REQUEST, STATUS_RULE, "")
    assert world.attempts.status(key) == "calling"


@pytest.mark.parametrize("call_id", [None, "Zqx", 7])
def test_an_outcome_without_a_readable_id_is_recorded(world: CloudWorld, call_id: object) -> None:
    """The signature names the attempt."""
    key = world.placed()
    known = world.attempts.existing_item(key)["outboundCallId"]

    assert receive(world, key, body_for(world, key, outboundCallId=call_id)).result is RecordResult.STORED

    item = world.attempts.existing_item(key)
    assert (item["status"], item["outboundCallId"]) == ("completed", known)


@pytest.mark.parametrize("status", ["calling", "voicemail", 7])
def test_the_id_in_a_webhook_makes_a_lost_answer_a_call_that_is_polled(world: CloudWorld, status: object) -> None:
    world.allomia.post = "fail-500-after-accept"
    key = world.placed()
    assert "outboundCallId" not in world.attempts.existing_item(key)

    receive(world, key, body_for(world, key, status=status))

    assert world.attempts.status(key) == "dispatching"
    world.pass_seconds(86_400)
    assert world.poll(key).result is PollResult.RECORDED
    assert (world.attempts.status(key), len(world.allomia.posts)) == ("completed", 1)


@pytest.mark.parametrize("status", ["calling", "voicemail"])
def test_a_parked_attempt_with_a_call_is_not_dialled_again(world: CloudWorld, status: str) -> None:
    """AlloMia answered that it accepted nothing, and then reports the call: only AlloMia knows the attempt's URL."""
    world.allomia.post = "decline-429"
    key = world.placed()
    assert world.attempts.status(key) == "scheduled"
    world.allomia.post = None

    assert receive(world, key, body_for(world, key, status=status)).status == HTTPStatus.OK

    world.place(dispatch_message(key))
    assert len(world.allomia.posts) == 1
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outboundCallId"], item["dispatchedAt"]) == (
        "dispatching",
        call_id_of(world, key),
        NOW,
    )
    assert "parkReason" not in item
    # Whatever was sent before, it is dialled no more.
    world.pass_seconds(600)
    assert [poll.result for poll in world.sweep(key)] == [PollResult.UNAVAILABLE]
    assert world.queued() == []


def test_a_webhook_during_the_post_keeps_the_attempt_from_being_parked(world: CloudWorld) -> None:
    """AlloMia answers 429 and reports the call anyway."""
    request = world.request()
    key = key_of(request)
    world.allomia.post = "decline-429"
    world.allomia.before_answer = lambda _: assert_ok(receive(world, key, body_for(world, key, status="calling")))

    world.place(request)

    assert (world.attempts.status(key), len(world.allomia.posts)) == ("dispatching", 1)
    assert world.attempts.existing_item(key)["outboundCallId"] == call_id_of(world, key)


def test_a_webhook_of_one_call_and_an_answer_of_another_are_two_calls(world: CloudWorld) -> None:
    request = world.request()
    key = key_of(request)
    body = body_for(world, key, status="calling", outboundCallId=OTHER_CALL_ID)
    world.allomia.before_answer = lambda _: assert_ok(receive(world, key, body))

    assert world.place(request).code == OTHER_CALL

    assert world.attempts.existing_item(key)["outboundCallId"] == OTHER_CALL_ID


def test_an_unknown_attempt_learns_the_id_of_its_call(world: CloudWorld) -> None:
    key = world.attempts.ended(Status.UNKNOWN)
    before = world.attempts.existing_item(key)

    assert receive(world, key, body_for(world, key, status="voicemail")).status == HTTPStatus.OK

    learned = {"outboundCallId": call_id_of(world, key), "allomiaStatus": "voicemail"}
    assert world.attempts.existing_item(key) == before | learned


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.REJECTED, Status.CANCELLED])
def test_what_has_ended_is_not_noted_on(world: CloudWorld, status: Status) -> None:
    key = world.attempts.ended(status)
    before = world.attempts.existing_item(key)

    receipt = receive(world, key, body_for(world, key, status="voicemail"))

    assert (receipt.status, receipt.message) == (HTTPStatus.OK, "an outcome was recorded before")
    assert world.attempts.existing_item(key) == before


def test_a_status_of_another_call_is_refused(world: CloudWorld) -> None:
    key = world.placed()
    before = world.attempts.item(key)

    receipt = receive(world, key, body_for(world, key, status="voicemail", outboundCallId=OTHER_CALL_ID))

    assert (receipt.status, receipt.result) == (HTTPStatus.BAD_REQUEST, RecordResult.OTHER_CALL)
    assert world.attempts.item(key) == before


def test_a_status_for_an_attempt_without_a_record_is_answered_like_a_forged_one(world: CloudWorld) -> None:
    key = new_key()

    for status in ("calling", 7):
        receipt = receive(world, key, body_for(world, key, status=status))
        assert (receipt.status, receipt.message) == (FORBIDDEN.status, FORBIDDEN.message)
    assert world.attempts.item(key) is None


def test_unreadable_details_do_not_lose_the_outcome(world: CloudWorld) -> None:
    key = world.placed()
    details = {"duration": "long", "endedReason": 7}

    receipt = receive(world, key, body_for(world, key, callDetails=details, contactId=7, new={"a": 1}))

    assert receipt.result is RecordResult.STORED
    assert world.attempts.existing_item(key)["callDetails"] == {}


@pytest.mark.parametrize("is_base64", [False, True], ids=["text", "base64"])
def test_the_largest_body_is_read_and_one_byte_more_is_refused(world: CloudWorld, is_base64: bool) -> None:
    key = world.placed()

    def send(body: str) -> Receipt:
        return receive(world, key, b64encode(body.encode()).decode() if is_base64 else body, is_base64=is_base64)

    largest = body_for(world, key).ljust(MAX_WEBHOOK_BYTES)
    for body in (largest + " ", "é" * (MAX_WEBHOOK_BYTES // 2 + 1), " " * 10**6):
        assert send(body).message == TOO_LARGE
    assert send(largest).result is RecordResult.STORED


@pytest.mark.parametrize("body", ["not base64!", "e30", "é", "\ud800", "!e30=", "//8="])
def test_a_body_that_is_not_base64_of_text_is_refused(world: CloudWorld, body: str) -> None:
    key = world.placed()

    assert receive(world, key, body, is_base64=True) == Receipt(HTTPStatus.BAD_REQUEST, NOT_AN_OBJECT, key)


def test_a_receipt_holds_nothing_personal(world: CloudWorld) -> None:
    key = world.placed(customerName="Zqx")
    signature = signature_of(world, key)

    for body in ('{"customerName": "Zqx"}', f'{{"status": "{PHONE_NUMBER}"}}', "Zqx", body_for(world, key)):
        receipt = receive(world, key, body)

        for private in ("Zqx", PHONE_NUMBER, signature):
            assert private not in repr(receipt)


# The signing key is rotated in the local cloud's Secrets Manager.


def test_webhooks_are_accepted_through_one_rotation_of_the_signing_key(world: CloudWorld) -> None:
    arn, secrets = world.resources.new_secret(SIGNING_KEY), world.resources.secrets
    world.configure(SIGNING_SECRET_ARN=arn)
    keys = [world.placed() for _ in range(3)]

    def send(signing_key: str, key: AttemptKey) -> HTTPStatus:
        return receive(world, key, body_for(world, key), signature=sign(signing_key, key)).status

    # The new key is accepted once the cached one may be outdated, and the old one beside it.
    assert send("second-signing-key", keys[0]) == HTTPStatus.FORBIDDEN
    secrets.put_secret_value(SecretId=arn, SecretString="second-signing-key")
    assert send("second-signing-key", keys[0]) == HTTPStatus.FORBIDDEN
    world.pass_seconds(REREAD_SECONDS)
    assert send("second-signing-key", keys[0]) == HTTPStatus.OK
    assert send(SIGNING_KEY, keys[1]) == HTTPStatus.OK

    # After another rotation the first key is no longer accepted.
    secrets.put_secret_value(SecretId=arn, SecretString="third-signing-key")
    world.pass_seconds(REREAD_SECONDS)
    assert send("third-signing-key", keys[2]) == HTTPStatus.OK
    assert send(SIGNING_KEY, keys[2]) == HTTPStatus.FORBIDDEN


def test_a_webhook_need_not_name_a_contact(world: CloudWorld) -> None:
    key = world.attempts.dispatching().key

    assert receive(world, key, json.dumps({"outboundCallId": CALL_ID, "status": "busy"})).status == HTTPStatus.OK
    assert "contactId" not in world.attempts.existing_item(key)
