"""Receiving webhooks on the real table and the real secret: who gets in, with what, and what is answered."""

import json
from base64 import b64encode
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from outbound_calls.callbacks import CallbackUrls, sign
from outbound_calls.contracts import MAX_WEBHOOK_BYTES, AttemptKey
from outbound_calls.ledger import Recorded
from outbound_calls.receive import Receipt, ReceiveWebhooks, Webhook
from outbound_calls.secrets import REREAD_SECONDS, Secret
from tests.cloud.world import BASE_URL, SIGNING_KEY, Surroundings, World
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID, PHONE_NUMBER, Clock

FORBIDDEN = Receipt(HTTPStatus.FORBIDDEN, "not a callback URL of this stack")


@pytest.fixture
def world(surroundings: Surroundings) -> Iterator[World]:
    world = World(surroundings)
    yield world
    world.close()


def body(world: World, key: AttemptKey, **changes: Any) -> str:
    details = {"startedAt": "2026-04-01T14:30:00Z", "duration": 150, "endedReason": "customer-ended-call"}
    state = world.allomia.state(world.callback_url(key), "completed", callDetails=details)
    return json.dumps({name: value for name, value in (state | changes).items() if value != "absent"})


def webhook(world: World, key: AttemptKey, content: str, **changes: Any) -> Webhook:
    signature = world.callback_url(key).rsplit("/", 1)[-1]
    fields = {"request_id": key.request_id, "attempt": str(key.attempt), "signature": signature, "body": content}
    return Webhook(**fields | changes)


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_an_outcome_is_recorded_and_acknowledged(world: World, status: str) -> None:
    key = world.placed(metadata={"clinic": "7"})
    world.clock.pass_seconds(150)

    receipt = world.send(world.callback_url(key), body(world, key, status=status))

    assert (receipt.status, receipt.words, receipt.result) == (HTTPStatus.OK, "recorded", Recorded.STORED)
    assert receipt.key == key
    assert receipt.call
    assert receipt.call.dispatched_at == receipt.call.created_at
    item = world.calls.there(key)
    assert (item["status"], item["outcomeSource"], item["contactId"]) == (status, "webhook", CONTACT_ID)
    assert item["callDetails"]["endedReason"] == "customer-ended-call"
    assert item["metadata"] == {"clinic": "7"}


def test_the_same_webhook_twice_is_acknowledged_twice_and_stored_once(world: World) -> None:
    key = world.placed()
    world.webhook(key)
    before = world.calls.item(key)
    world.clock.pass_seconds(60)

    receipt = world.webhook(key)

    assert (receipt.status, receipt.words) == (HTTPStatus.OK, "already recorded")
    assert receipt.result is Recorded.ALREADY_THERE
    assert world.calls.item(key) == before


def test_a_webhook_that_contradicts_is_acknowledged_and_changes_nothing(world: World) -> None:
    key = world.placed()
    world.webhook(key, "completed")

    receipt = world.webhook(key, "busy")

    assert (receipt.status, receipt.result) == (HTTPStatus.OK, Recorded.CONTRADICTS)
    assert world.calls.status(key) == "completed"


def test_the_outcome_of_another_call_is_refused(world: World) -> None:
    key = world.placed()

    receipt = world.send(world.callback_url(key), body(world, key, outboundCallId=OTHER_CALL_ID))

    assert (receipt.status, receipt.words) == (
        HTTPStatus.BAD_REQUEST,
        "outboundCallId: not the call of this attempt",
    )
    assert world.calls.status(key) == "calling"


def test_a_webhook_for_an_attempt_that_does_not_exist_is_answered_like_a_forged_one(world: World) -> None:
    key = world.calls.new_key()

    receipt = world.webhook(key)

    assert (receipt.status, receipt.words) == (FORBIDDEN.status, FORBIDDEN.words)
    assert world.calls.item(key) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "A" * 43},
        {"signature": "é"},
        {"signature": "\ud800"},
        {"attempt": "2"},
        {"attempt": "0"},
        {"attempt": "01"},
        {"attempt": "100"},
        {"attempt": "-1"},
        {"attempt": "1.0"},
        {"attempt": "\u0661"},
        {"attempt": ""},
        {"attempt": "1\n"},
        {"attempt": " 1"},
        {"request_id": ""},
        {"request_id": "x" * 129},
        {"request_id": "a/b"},
        {"request_id": "a\nb"},
        {"request_id": "é"},
        {"request_id": "another-request"},
    ],
)
def test_whoever_does_not_hold_the_url_of_this_very_attempt_is_kept_out(world: World, changes: dict[str, str]) -> None:
    key = world.placed()
    before = world.calls.item(key)

    assert world.receive_webhooks.receive(webhook(world, key, body(world, key), **changes)) == FORBIDDEN

    assert world.calls.item(key) == before


def test_a_forged_request_is_refused_before_its_body_is_looked_at(world: World) -> None:
    key = world.placed()

    for content in ("", "not JSON", "x" * 10**6):
        assert world.receive_webhooks.receive(webhook(world, key, content, signature="forged")) == FORBIDDEN


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "body: a JSON object in UTF-8"),
        ("not JSON", "body: a JSON object in UTF-8"),
        ("[]", "body: a JSON object in UTF-8"),
        ("{}", "outboundCallId: required: AlloMia's UUID of the call"),
        ("\ud800", "body: a JSON object in UTF-8"),
        ("[" * 10_000, "body: a JSON object in UTF-8"),
    ],
)
def test_a_body_that_is_no_outcome_is_refused_by_its_rule(world: World, content: str, words: str) -> None:
    key = world.placed()

    receipt = world.send(world.callback_url(key), content)

    assert (receipt.status, receipt.words, receipt.result) == (HTTPStatus.BAD_REQUEST, words, None)
    assert receipt.key == key
    assert world.calls.status(key) == "calling"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "calling"}, "status: one of completed, failed, busy, no-answer"),
        ({"status": "rejected"}, "status: required: one of calling, completed, failed, busy, no-answer"),
        ({"status": "unknown"}, "status: required: one of calling, completed, failed, busy, no-answer"),
        ({"status": "absent"}, "status: required: one of calling, completed, failed, busy, no-answer"),
        ({"outboundCallId": "absent"}, "outboundCallId: required: AlloMia's UUID of the call"),
        ({"outboundCallId": "Zqx"}, "outboundCallId: required: AlloMia's UUID of the call"),
    ],
)
def test_a_status_that_is_no_outcome_is_refused(world: World, changes: dict[str, Any], words: str) -> None:
    key = world.placed()

    receipt = world.send(world.callback_url(key), body(world, key, **changes))

    assert (receipt.status, receipt.words) == (HTTPStatus.BAD_REQUEST, words)
    assert world.calls.status(key) == "calling"


def test_details_that_cannot_be_read_do_not_cost_the_outcome(world: World) -> None:
    key = world.placed()

    receipt = world.send(
        world.callback_url(key),
        body(world, key, callDetails={"duration": "long", "endedReason": 7}, contactId=None, new={"a": 1}),
    )

    assert receipt.result is Recorded.STORED
    assert world.calls.there(key)["callDetails"] == {}


def test_a_body_of_the_greatest_size_is_read_and_one_byte_more_is_refused(world: World) -> None:
    key = world.placed()
    content = body(world, key)
    greatest = content + " " * (MAX_WEBHOOK_BYTES - len(content))

    assert world.send(world.callback_url(key), greatest + " ").words == "body: at most 16384 bytes"
    assert world.send(world.callback_url(key), "é" * (MAX_WEBHOOK_BYTES // 2 + 1)).words == "body: at most 16384 bytes"
    assert world.send(world.callback_url(key), " " * 10**6).words == "body: at most 16384 bytes"
    assert world.send(world.callback_url(key), greatest).result is Recorded.STORED


def test_a_body_may_come_in_base64(world: World) -> None:
    key = world.placed()
    content = body(world, key)
    greatest = content + " " * (MAX_WEBHOOK_BYTES - len(content))

    def send(raw: bytes) -> Receipt:
        encoded = b64encode(raw).decode()
        return world.receive_webhooks.receive(webhook(world, key, encoded, is_base64=True))

    assert send(greatest.encode() + b" ").words == "body: at most 16384 bytes"
    broken = "!" + b64encode(content.encode()).decode()
    receipt = world.receive_webhooks.receive(webhook(world, key, broken, is_base64=True))
    assert receipt.words == "body: a JSON object in UTF-8"
    assert send(b"\xff\xfe").words == "body: a JSON object in UTF-8"
    assert send(greatest.encode()).result is Recorded.STORED


@pytest.mark.parametrize("content", ["not base64!", "e30", "é", "\ud800"])
def test_a_body_that_only_claims_to_be_base64_is_refused(world: World, content: str) -> None:
    key = world.placed()

    receipt = world.receive_webhooks.receive(webhook(world, key, content, is_base64=True))

    assert (receipt.status, receipt.words) == (HTTPStatus.BAD_REQUEST, "body: a JSON object in UTF-8")


def test_what_is_told_of_a_webhook_says_nothing_of_the_person(world: World) -> None:
    key = world.placed(customerName="Zqx")

    for content in ('{"customerName": "Zqx"}', f'{{"status": "{PHONE_NUMBER}"}}', "Zqx", body(world, key)):
        receipt = world.send(world.callback_url(key), content)

        assert "Zqx" not in repr(receipt)
        assert PHONE_NUMBER not in repr(receipt)
        assert world.callback_url(key).rsplit("/", 1)[-1] not in repr(receipt)


# The signing key is rotated in the real Secrets Manager of the local cloud.


def test_a_call_that_was_placed_before_a_rotation_still_gets_its_webhook(world: World) -> None:
    key, later, third = world.placed(), world.placed(), world.placed()
    clock, secrets = Clock(), world.surroundings.secrets
    arn = world.surroundings.new_secret(SIGNING_KEY)
    receiver = ReceiveWebhooks(world.place_calls.ledger, CallbackUrls(Secret(secrets, arn, clock)), world.clock)

    def send(signing_key: str, of: AttemptKey) -> HTTPStatus:
        content = json.dumps({"outboundCallId": CALL_ID, "status": "completed"})
        if (item := world.calls.item(of)) and "outboundCallId" in item:
            content = content.replace(CALL_ID, str(item["outboundCallId"]))
        return receiver.receive(Webhook(of.request_id, "1", sign(signing_key, of), content)).status

    assert send("second-signing-key", key) == HTTPStatus.FORBIDDEN
    secrets.put_secret_value(SecretId=arn, SecretString="second-signing-key")
    assert send("second-signing-key", key) == HTTPStatus.FORBIDDEN
    clock.pass_seconds(REREAD_SECONDS)

    assert send("second-signing-key", key) == HTTPStatus.OK
    assert send(SIGNING_KEY, later) == HTTPStatus.OK
    secrets.put_secret_value(SecretId=arn, SecretString="third-signing-key")
    clock.pass_seconds(REREAD_SECONDS)
    assert send("third-signing-key", third) == HTTPStatus.OK
    assert send(SIGNING_KEY, third) == HTTPStatus.FORBIDDEN


def test_the_url_that_allomia_is_given_leads_back_to_the_attempt(world: World) -> None:
    key = world.placed()

    url = world.allomia.posts[0]["callbackUrl"]

    assert url.startswith(f"{BASE_URL}/{key.request_id}/1/")
    assert world.send(url, body(world, key)).status == HTTPStatus.OK


def test_a_webhook_for_a_parked_call_ends_it_and_it_is_not_dialled_again(world: World) -> None:
    """AlloMia answered that it took nothing, and then reports how the call went: it did place it."""
    key = world.calls.scheduled()

    assert world.webhook(key).result is Recorded.STORED

    world.clock.pass_seconds(600)
    assert world.sweep(key) == []
    world.place(json.dumps({"release": key.wire()}))
    assert world.allomia.posts == []
    assert world.calls.status(key) == "completed"
