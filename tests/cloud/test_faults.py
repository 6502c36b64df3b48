"""A network that loses requests or answers, at every write: never a second dial, and always an outcome."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from botocore.exceptions import BotoCoreError

from outbound_calls.contracts import AttemptKey
from outbound_calls.place import Placed
from outbound_calls.poll import Polled
from tests.cloud.parts import GRACE, LOSE, PASS, REFUSE, Network
from tests.cloud.world import DEADLINE, Answer, Surroundings, World, says
from tests.unit.parts import CALL_ID


@pytest.fixture
def world(surroundings: Surroundings, network: Network) -> Iterator[World]:
    """The stack with that network between it and the cloud, and clients that send everything once."""
    world = World(surroundings, network.client)
    yield world
    world.close()


def fail_once(network: Network, operation: str, fate: str) -> None:
    """Let the next request of this operation fail, and no other."""
    done = network.operations.count(operation)
    network.plan = lambda asked, before: fate if (asked, before) == (operation, done) else PASS


def settle_whatever_happened(world: World, key: AttemptKey) -> str:
    """Sweep until the call has ended, with AlloMia in the best of health; its status."""
    world.allomia.post = None
    for _ in range(20):
        if not world.calls.due(key):
            break
        world.clock.pass_seconds(max(1, world.due_in(key)))
        # Where nothing was written when the call was placed, it is the poller that meets the fault.
        with suppress(BotoCoreError):
            world.sweep(key)
        for release in world.queued():
            world.place(release)
    status = world.calls.status(key)
    assert status
    return status


ANSWERS: dict[str, Answer | None] = {
    "taken": None,
    "429": says(429),
    "400": says(400, {"error": "no"}),
    "failed": says(200, {"outboundCallId": CALL_ID, "status": "failed"}),
    "500": says(500),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("fate", [LOSE, REFUSE])
@pytest.mark.parametrize("operation", ["GetSecretValue", "PutItem", "UpdateItem"])
def test_a_new_request_is_dialled_at_most_once_and_ends_whatever_is_lost(
    world: World, network: Network, operation: str, fate: str, answer: str
) -> None:
    request = world.request()
    key = AttemptKey(request_id=request["requestId"], attempt=1)
    world.allomia.post = ANSWERS[answer]
    fail_once(network, operation, fate)

    # The queue delivers the message until it is acknowledged.
    with suppress(BotoCoreError):
        world.place(request)
    world.place(request)

    assert settle_whatever_happened(world, key) in {"unknown", "failed", "rejected", "completed"}
    # World holds every test to it: no two POSTs of an attempt that may have been accepted.
    assert world.calls.due(key) == []


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
def test_a_parked_request_is_dialled_at_most_once_and_ends_whatever_is_lost(
    world: World, network: Network, fate: str
) -> None:
    for nth in range(2):  # the claim, and what settles it
        key = world.calls.scheduled(now=world.clock.now, due_at=world.clock.now)
        before = network.operations.count("UpdateItem")
        network.plan = lambda asked, so_far, at=before + nth: (  # type: ignore[misc]
            fate if (asked, so_far) == ("UpdateItem", at) else PASS
        )
        release = json.dumps({"release": key.wire()})
        with pytest.raises(BotoCoreError):
            world.place(release)
        world.place(release)

        assert settle_whatever_happened(world, key) == "unknown"
        assert world.allomia.may_have_rung[world.callback_url(key)] <= 1


def test_a_claim_whose_answer_was_lost_is_not_dialled_by_the_redelivery(world: World, network: Network) -> None:
    """Nobody dialled, but nobody can know: the claim may be another worker's, who is dialling now."""
    request = world.request()
    fail_once(network, "PutItem", LOSE)
    with pytest.raises(BotoCoreError):
        world.place(request)

    assert world.place(request).result is Placed.DUPLICATE
    assert world.allomia.posts == []


def test_a_claim_that_never_arrived_is_made_by_the_redelivery(world: World, network: Network) -> None:
    request = world.request()
    fail_once(network, "PutItem", REFUSE)
    with pytest.raises(BotoCoreError):
        world.place(request)

    assert world.place(request).result is Placed.CALLING
    assert len(world.allomia.posts) == 1


def test_a_call_that_could_not_be_settled_gets_its_outcome_from_the_webhook(world: World, network: Network) -> None:
    request = world.request()
    key = AttemptKey(request_id=request["requestId"], attempt=1)
    fail_once(network, "UpdateItem", REFUSE)
    with pytest.raises(BotoCoreError):
        world.place(request)
    assert world.place(request).result is Placed.DUPLICATE

    assert world.webhook(key).status == 200

    assert world.calls.status(key) == "completed"
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
def test_a_webhook_that_could_not_be_stored_is_not_acknowledged_and_can_come_again(
    world: World, network: Network, fate: str
) -> None:
    key = world.placed()
    fail_once(network, "UpdateItem", fate)
    with pytest.raises(BotoCoreError):
        world.webhook(key)

    assert world.webhook(key).status == 200
    assert world.calls.status(key) == "completed"


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
@pytest.mark.parametrize("nth", [0, 1])
def test_a_poll_that_fails_loses_nothing_but_time(world: World, network: Network, fate: str, nth: int) -> None:
    """At its first write, the lease, and at its second, the outcome."""
    key = world.placed()
    world.clock.pass_seconds(GRACE)
    world.allomia.status = says(200, world.allomia.state(world.callback_url(key), "completed"))
    before = network.operations.count("UpdateItem")
    network.plan = lambda asked, so_far: fate if (asked, so_far) == ("UpdateItem", before + nth) else PASS

    with pytest.raises(BotoCoreError):
        world.sweep(key)

    if (fate, nth) == (LOSE, 1):
        assert world.calls.status(key) == "completed"
    else:
        assert world.calls.status(key) == "calling"
        assert settle_whatever_happened(world, key) == "completed"


def test_a_give_up_that_is_lost_is_made_by_the_next_poll(world: World, network: Network) -> None:
    key = world.placed()
    world.clock.pass_seconds(DEADLINE)
    before = network.operations.count("UpdateItem")
    network.plan = lambda asked, so_far: REFUSE if (asked, so_far) == ("UpdateItem", before + 1) else PASS
    with pytest.raises(BotoCoreError):
        world.sweep(key)
    assert world.calls.status(key) == "calling"

    world.clock.pass_seconds(world.due_in(key))
    (look,) = world.sweep(key)

    assert look.result is Polled.RECORDED
    assert world.calls.status(key) == "unknown"


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
def test_a_release_that_could_not_be_sent_is_sent_by_a_later_poll(world: World, network: Network, fate: str) -> None:
    key = world.calls.scheduled(now=world.clock.now, due_at=world.clock.now)
    fail_once(network, "SendMessage", fate)
    with pytest.raises(BotoCoreError):
        world.sweep(key)
    sent = world.queued()
    assert len(sent) == (fate == LOSE)

    world.clock.pass_seconds(world.due_in(key))
    world.sweep(key)
    results = [world.place(release).result for release in (*sent, *world.queued())]

    assert results == [Placed.CALLING, Placed.DUPLICATE][: len(results)]
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("fate", [LOSE, REFUSE])
def test_a_refused_message_that_could_not_be_kept_is_delivered_again(world: World, network: Network, fate: str) -> None:
    fail_once(network, "SendMessage", fate)
    with pytest.raises(BotoCoreError):
        world.place("not JSON")

    assert world.place("not JSON").result is Placed.REFUSED
    # It may be kept twice, but never lost.
    assert {message["body"] for message in world.rejected()} == {"not JSON"}
