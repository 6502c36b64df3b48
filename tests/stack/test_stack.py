"""The deployed stack as its neighbours meet it: upstream with its messages, AlloMia with its webhooks, the schedule."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

from local.environment import API_KEY, KEY_WITH_ID, SIGNING_KEY, LocalEnvironment
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.stack.conftest import bring_forward, every, wait_until

STUCK = "+15005550400"
ANSWER_AND_WEBHOOK_LOST = "+15005550501"
OUTCOME: dict[str, object] = {
    "outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234",
    "contactId": "d4e5f6a7-b8c9-0123-defa-456789012345",
    "status": "completed",
    "callDetails": {
        "startedAt": "2026-04-01T14:30:00Z",
        "endedAt": "2026-04-01T14:32:30Z",
        "duration": 150,
        "endedReason": "customer-ended-call",
    },
}


def status_of(world: LocalEnvironment, request_id: str) -> str | None:
    return world.calls().get(request_id, {}).get("status")


def post(
    world: LocalEnvironment, request_id: str, attempt: int | str, signature: str, body: str | Mapping[str, object]
) -> int:
    text = body if isinstance(body, str) else json.dumps(body)
    url = f"{world.stack.api_url}/webhooks/allomia/{request_id}/{attempt}/{signature}"
    return httpx.post(url, content=text, trust_env=False, timeout=30).status_code


def signature_of(request_id: str, attempt: int = 1, key: str = SIGNING_KEY) -> str:
    return sign(key, AttemptKey(RequestKey(request_id), attempt))


# First, while no circuit breaker has seen a failure.
def test_an_outage_that_refuses_connections_loses_no_call(world: LocalEnvironment) -> None:
    # Given that AlloMia cannot be reached
    world.allomia.stop()
    try:
        world.send({"requestId": "outage", "phoneNumber": "+15005550100"})
        wait_until(lambda: status_of(world, "outage") == "scheduled")
    finally:
        world.allomia.start()

    # When it can be again, then the call is placed, once
    def let_it_be_due() -> None:
        bring_forward(world, "outage")
        world.sweep()

    wait_until(lambda: status_of(world, "outage") == "completed", meanwhile=every(3, let_it_be_due))
    assert world.dials()["outage"] == (1, 1)


def test_a_message_sent_many_times_at_once_rings_once(world: LocalEnvironment) -> None:
    # Given the same message twenty times, from several senders
    message: dict[str, object] = {"requestId": "many", "phoneNumber": "+15005550100"}
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda _: world.send(message), range(20)))

    # When its call has ended
    wait_until(lambda: status_of(world, "many") == "completed")

    # Then AlloMia was asked once
    assert world.dials()["many"] == (1, 1)


def test_a_request_without_an_id_goes_by_the_messages(world: LocalEnvironment) -> None:
    message_id = world.send({"phoneNumber": "+15005550100"})

    wait_until(lambda: status_of(world, message_id) == "completed")


def test_a_message_that_cannot_be_read_is_kept_with_field_and_rule(world: LocalEnvironment) -> None:
    # Given messages that break the contract
    bodies: dict[str, str | dict[str, str]] = {
        "phoneNumber": {"requestId": "bad-1", "phoneNumber": "5145551234"},
        "callbackUrl": {"requestId": "bad-2", "phoneNumber": "+15005550100", "callbackUrl": "https://evil.test"},
        "body": "not JSON",
    }
    ids = {world.send(body): field for field, body in bodies.items()}

    # When they have been looked at
    kept = []

    def all_kept() -> bool:
        kept.extend(world.invalid_messages())
        return len(kept) >= len(bodies)

    wait_until(all_kept)

    # Then each is kept unchanged, with the field and the rule; and there is no record, so it can be sent again
    assert {message.attributes["messageId"]: message.attributes["field"] for message in kept} == ids
    assert all(message.attributes["rule"] for message in kept)
    assert {"bad-1", "bad-2"}.isdisjoint(world.calls())
    world.send({"requestId": "bad-1", "phoneNumber": "+15005550100"})
    wait_until(lambda: status_of(world, "bad-1") == "completed")


# Before the forged webhooks of the next test, after which a function doesn't read the secret again for 30 s.
def test_calls_under_way_survive_the_rotation_of_the_signing_key(world: LocalEnvironment) -> None:
    # Given two attempts, one dialled before and one after a rotation, and functions that have read the old key
    secrets = world.cloud.client("secretsmanager")
    secret = world.stack.resources["SigningSecret"]
    world.send({"requestId": "before-rotation", "phoneNumber": ANSWER_AND_WEBHOOK_LOST})
    wait_until(lambda: status_of(world, "before-rotation") == "dispatching")
    try:
        secrets.put_secret_value(SecretId=secret, SecretString="rotated-signing-key")

        # Then both the current and the previous key open, and no other. A function rereads the secret when a
        # signature fails, but not more often than every 30 s.
        fresh = signature_of("before-rotation", key="rotated-signing-key")
        wait_until(lambda: post(world, "before-rotation", 1, fresh, "") == 400)
        assert post(world, "before-rotation", 1, signature_of("before-rotation"), OUTCOME) == 200
    finally:
        secrets.put_secret_value(SecretId=secret, SecretString=SIGNING_KEY)


def test_only_this_stacks_own_signature_for_this_very_attempt_counts(world: LocalEnvironment) -> None:
    # Given an attempt that waits for its outcome
    world.send({"requestId": "guarded", "phoneNumber": ANSWER_AND_WEBHOOK_LOST})
    wait_until(lambda: status_of(world, "guarded") == "dispatching")
    good = signature_of("guarded")

    # When outcomes come with other signatures
    forged = {
        "another key": post(world, "guarded", 1, signature_of("guarded", key="guess"), OUTCOME),
        "another request's": post(world, "guarded", 1, signature_of("other"), OUTCOME),
        "another attempt's": post(world, "guarded", 2, good, OUTCOME),
        "truncated": post(world, "guarded", 1, good[:-1], OUTCOME),
        "longer": post(world, "guarded", 1, good + "A", OUTCOME),
        "not canonical": post(world, "guarded", "01", good, OUTCOME),
        "no such attempt": post(world, "no-one", 1, signature_of("no-one"), OUTCOME),
    }
    malformed = {
        "not JSON": post(world, "guarded", 1, good, "completed"),
        "no status": post(world, "guarded", 1, good, {"message": "completed"}),
        "no word": post(world, "guarded", 1, good, OUTCOME | {"status": 7}),
        "too large": post(world, "guarded", 1, good, OUTCOME | {"more": "x" * 300_000}),
    }
    noted = {
        "not terminal": post(world, "guarded", 1, good, OUTCOME | {"status": "calling"}),
        "unknown status": post(world, "guarded", 1, good, OUTCOME | {"status": "transferred"}),
    }

    # Then none of them is an outcome
    assert forged == dict.fromkeys(forged, 403)
    assert malformed == dict.fromkeys(malformed, 400)
    assert noted == dict.fromkeys(noted, 200)
    assert status_of(world, "guarded") in {"dispatching", "unknown"}

    # And the good one is stored, and stored once
    assert post(world, "guarded", 1, good, OUTCOME) == 200
    assert status_of(world, "guarded") == "completed"
    assert post(world, "guarded", 1, good, OUTCOME) == 200
    assert post(world, "guarded", 1, good, OUTCOME | {"status": "failed"}) == 200
    assert status_of(world, "guarded") == "completed"


def test_an_outcome_of_another_call_is_refused(world: LocalEnvironment) -> None:
    world.send({"requestId": "mixed-up", "phoneNumber": STUCK})
    wait_until(lambda: status_of(world, "mixed-up") == "calling")

    assert post(world, "mixed-up", 1, signature_of("mixed-up"), OUTCOME) == 400
    assert status_of(world, "mixed-up") == "calling"


def test_a_new_allomia_key_is_picked_up_without_a_deploy(world: LocalEnvironment) -> None:
    # Given that AlloMia no longer takes the key
    secrets = world.cloud.client("secretsmanager")
    secret = f"{world.stack.name}/allomia-api-key"
    world.allomia.configure(accepted_keys=("new-key",))
    try:
        world.send({"requestId": "new-key", "phoneNumber": "+15005550100"})
        wait_until(lambda: status_of(world, "new-key") == "scheduled")
        parked = world.calls()["new-key"]
        assert parked["parkReason"] == "key-declined"
        assert parked["dueAt"] - time.time() > 240

        # When the secret holds the new one, and the attempt's time comes: again and again, for a function that has
        # read the secret just now does not read it again within 30 s
        secrets.put_secret_value(SecretId=secret, SecretString=KEY_WITH_ID.replace(API_KEY, "new-key"))

        def let_it_be_due() -> None:
            bring_forward(world, "new-key")
            world.sweep()

        # Then the call is placed, once
        wait_until(lambda: status_of(world, "new-key") == "completed", meanwhile=every(5, let_it_be_due))
        assert world.dials()["new-key"][1] == 1
    finally:
        secrets.put_secret_value(SecretId=secret, SecretString=KEY_WITH_ID)
        # A function that keeps the other key for a while yet must not be declined in other tests.
        world.allomia.configure(accepted_keys=(API_KEY, "new-key"))


def test_the_schedule_finds_a_lost_webhook_by_itself(scheduled_world: LocalEnvironment) -> None:
    # Given a stack that is reached at its own API URL and that only the schedule sweeps
    assert ".execute-api." in scheduled_world.stack.webhook_url

    # When a minute or two have passed since its requests came
    wait_until(lambda: status_of(scheduled_world, "by-webhook") == "completed")
    wait_until(lambda: status_of(scheduled_world, "by-poll") == "completed")

    # Then each outcome came its own way
    calls = scheduled_world.calls()
    assert calls["by-webhook"]["outcomeSource"] == "webhook"
    assert calls["by-poll"]["outcomeSource"] == "poll"
