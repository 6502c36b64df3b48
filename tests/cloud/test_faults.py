"""A network that loses requests or answers, at every write: never a second dial, and always an outcome."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from botocore.exceptions import BotoCoreError

from local.simulator import PostAnswer, returns
from outbound_calls.adapters.secrets import FAILURE_SECONDS, SecretUnreadable
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.use_cases.place import PlaceResult
from outbound_calls.use_cases.sweep import PollResult
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, FaultyNetwork, SampleAttempts
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import CALL_ID
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, CloudResources, dispatch_message

FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts, network: FaultyNetwork) -> Iterator[CloudWorld]:
    """The use cases behind that network, with clients that send everything once."""
    world = CloudWorld(resources, attempts, lambda service, _connections: network.client(service))
    yield world
    world.close()


def sweep_until_it_ends(world: CloudWorld, key: AttemptKey) -> str | None:
    """Sweep while AlloMia accepts every call, until the attempt has ended. Returns its status."""
    world.allomia.post = None
    for _ in range(20):
        if not world.attempts.due_entries(key):
            break
        world.pass_seconds(max(1, world.due_in(key)))
        # Where placing the call wrote nothing, the poller meets the fault.
        with suppress(BotoCoreError):
            world.sweep(key)
        for message in world.queued():
            world.place(message)
    assert world.attempts.due_entries(key) == []
    return world.attempts.status(key)


ANSWERS: dict[str, PostAnswer | None] = {
    "accepted": None,
    "429": returns(429),
    "400": returns(400, {"error": "no"}),
    "failed": returns(200, {"outboundCallId": CALL_ID, "status": "failed"}),
    "500": returns(500),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["GetSecretValue", "PutItem", "UpdateItem"])
def test_a_new_request_is_dialled_at_most_once_and_ends(
    world: CloudWorld, network: FaultyNetwork, operation: str, fault: str, answer: str
) -> None:
    request = world.request()
    world.allomia.post = ANSWERS[answer]
    network.fail_once(operation, fault)

    # The queue delivers the message until it is acknowledged. The fixture checks that no attempt is dialled twice.
    with suppress(BotoCoreError, SecretUnreadable):
        world.place(request)
    world.pass_seconds(FAILURE_SECONDS)
    world.place(request)

    assert sweep_until_it_ends(world, key_of(request)) in {"unknown", "failed", "rejected", "completed"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("operation", "skip"), [("GetItem", 0), ("UpdateItem", 0), ("UpdateItem", 1)])
def test_a_parked_request_is_dialled_at_most_once_and_ends(
    world: CloudWorld, network: FaultyNetwork, operation: str, skip: int, fault: str
) -> None:
    """The read fails, the claim, or what settles it."""
    parked = world.attempts.scheduled(due_at=world.clock.now)
    network.fail_once(operation, fault, skip)
    with pytest.raises(BotoCoreError):
        world.place(dispatch_message(parked.key))
    world.place(dispatch_message(parked.key))

    assert sweep_until_it_ends(world, parked.key) == "unknown"


@pytest.mark.parametrize(
    ("fault", "result", "posts"), [(LOSE_ANSWER, PlaceResult.DUPLICATE, 0), (LOSE_REQUEST, PlaceResult.CALLING, 1)]
)
def test_a_redelivery_dials_only_if_the_lost_claim_was_not_written(
    world: CloudWorld, network: FaultyNetwork, fault: str, result: PlaceResult, posts: int
) -> None:
    """A claim that was written may be that of another worker, which is dialling now."""
    request = world.request()
    network.fail_once("PutItem", fault)
    with pytest.raises(BotoCoreError):
        world.place(request)

    assert world.place(request).result is result
    assert len(world.allomia.posts) == posts


def test_a_call_that_could_not_be_settled_gets_its_outcome_from_the_webhook(
    world: CloudWorld, network: FaultyNetwork
) -> None:
    request = world.request()
    network.fail_once("UpdateItem", LOSE_REQUEST)
    with pytest.raises(BotoCoreError):
        world.place(request)
    assert world.place(request).result is PlaceResult.DUPLICATE

    assert world.webhook(key_of(request)).status == 200

    assert world.attempts.status(key_of(request)) == "completed"
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_webhook_that_could_not_be_stored_can_be_sent_again(
    world: CloudWorld, network: FaultyNetwork, fault: str
) -> None:
    key = world.placed()
    network.fail_once("UpdateItem", fault)
    with pytest.raises(BotoCoreError):
        world.webhook(key)

    assert world.webhook(key).status == 200
    assert world.attempts.status(key) == "completed"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("write", ["lease", "outcome"])
def test_a_poll_that_fails_loses_only_time(world: CloudWorld, network: FaultyNetwork, write: str, fault: str) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    world.allomia.status = returns(200, world.allomia.state(world.callback_url(key), "completed"))
    network.fail_once("UpdateItem", fault, skip=0 if write == "lease" else 1)

    with pytest.raises(BotoCoreError):
        world.sweep(key)

    recorded = (write, fault) == ("outcome", LOSE_ANSWER)
    assert world.attempts.status(key) == ("completed" if recorded else "calling")
    assert sweep_until_it_ends(world, key) == "completed"


def test_the_next_poll_gives_up_an_attempt_where_the_last_one_could_not(
    world: CloudWorld, network: FaultyNetwork
) -> None:
    key = world.placed()
    world.pass_seconds(DEADLINE_SECONDS)
    network.fail_once("UpdateItem", LOSE_REQUEST, skip=1)
    with pytest.raises(BotoCoreError):
        world.sweep(key)
    assert world.attempts.status(key) == "calling"

    world.pass_seconds(world.due_in(key))

    assert world.poll(key).result is PollResult.RECORDED
    assert world.attempts.status(key) == "unknown"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dispatch_message_that_could_not_be_sent_is_sent_by_a_later_poll(
    world: CloudWorld, network: FaultyNetwork, fault: str
) -> None:
    key = world.attempts.scheduled(due_at=world.clock.now).key
    network.fail_once("SendMessage", fault)
    with pytest.raises(BotoCoreError):
        world.sweep(key)
    sent = world.queued()
    assert len(sent) == (fault == LOSE_ANSWER)

    world.pass_seconds(world.due_in(key))
    world.sweep(key)
    results = [world.place(message).result for message in (*sent, *world.queued())]

    assert results == [PlaceResult.CALLING, PlaceResult.DUPLICATE][: len(results)]
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_message_that_could_not_be_kept_is_delivered_again(
    world: CloudWorld, network: FaultyNetwork, fault: str
) -> None:
    network.fail_once("SendMessage", fault)
    with pytest.raises(BotoCoreError):
        world.place("not JSON")

    assert world.place("not JSON").result is PlaceResult.INVALID
    # It may be kept twice, but it is never lost.
    assert {message["body"] for message in world.invalid_messages()} == {"not JSON"}
