"""A network that loses requests or answers, at every write: never a second dial, and always an outcome."""

import itertools
import json
import random
from contextlib import suppress

import pytest
from botocore.exceptions import BotoCoreError

from local.simulator import PostAnswer, returns
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.secrets import FAILURE_SECONDS, SecretUnreadable
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import PollResult
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, PASS, FaultyNetwork, new_attempt
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import CALL_ID
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, dispatch_message

FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


@pytest.fixture
def world(networked_world: CloudWorld) -> CloudWorld:
    return networked_world


def sweep_until_it_ends(world: CloudWorld, key: AttemptKey) -> str | None:
    """Sweep while AlloMia accepts every call, until the attempt has ended. Returns its status."""
    world.allomia.post = None
    for _ in range(20):
        if not world.attempts.due_entries(key):
            break
        world.pass_seconds(max(1, world.due_in(key)))
        # Where placing the call wrote nothing, the poller meets the fault.
        with suppress(BotoCoreError, WriteUnanswered):
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
    with suppress(BotoCoreError, WriteUnanswered, SecretUnreadable):
        world.place(request)
    world.pass_seconds(FAILURE_SECONDS)
    world.place(request)

    assert sweep_until_it_ends(world, key_of(request)) in {"unknown", "failed", "rejected", "completed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_parked_request_that_could_not_be_read_is_dialled_after_its_redelivery(
    world: CloudWorld, network: FaultyNetwork, fault: str
) -> None:
    parked = world.attempts.scheduled(due_at=world.clock.now)
    network.fail_once("GetItem", fault)
    with pytest.raises(BotoCoreError):
        world.place(dispatch_message(parked.key))

    assert world.place(dispatch_message(parked.key)).result is PlaceResult.CALLING
    assert sweep_until_it_ends(world, parked.key) == "unknown"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_claim_that_is_not_answered_is_repeated_and_dialled_once(
    world: CloudWorld, network: FaultyNetwork, kind: str, fault: str
) -> None:
    request = world.request()
    key, message = key_of(request), json.dumps(request)
    if kind == "parked":
        key = world.attempts.scheduled(due_at=world.clock.now).key
        message = dispatch_message(key)
    network.fail_once("PutItem" if kind == "new" else "UpdateItem", fault)

    assert world.place(message).result is PlaceResult.CALLING

    assert len(world.allomia.posts) == 1
    assert world.place(message).result is PlaceResult.DUPLICATE


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_write_after_the_post_that_is_not_answered_is_repeated(
    world: CloudWorld, network: FaultyNetwork, answer: str, fault: str
) -> None:
    request = world.request()
    world.allomia.post = ANSWERS[answer]
    network.fail_once("UpdateItem", fault)

    world.place(request)

    statuses = {"accepted": "calling", "429": "scheduled", "400": "scheduled", "failed": "failed", "500": "dispatching"}
    assert world.attempts.status(key_of(request)) == statuses[answer]


@pytest.mark.parametrize("kind", ["new", "parked"])
@pytest.mark.parametrize(("lost", "seconds_left"), [(5, 45.0), (6, 45.0), (1, 7.0), (3, 7.0)])
def test_a_claim_that_is_never_answered_is_given_back_and_not_posted(
    world: CloudWorld, network: FaultyNetwork, lost: int, seconds_left: float, kind: str
) -> None:
    """DynamoDB makes the claim, but its answers come too late; so do those to the first writes that give it back."""
    request = world.request()
    key, message = key_of(request), json.dumps(request)
    if kind == "parked":
        key = world.attempts.scheduled(due_at=world.clock.now).key
        message = dispatch_message(key)
    answers = iter([LOSE_ANSWER] * lost)
    network.plan = lambda operation, _: next(answers, PASS) if operation in {"PutItem", "UpdateItem"} else PASS
    left = iter([45.0])

    with pytest.raises(WriteUnanswered):
        world.place_calls.place(Message("an-id", message, lambda: next(left, seconds_left)))

    assert world.allomia.posts == []
    assert world.attempts.status(key) == "scheduled"
    network.heal()
    assert sweep_until_it_ends(world, key) == "unknown"
    assert len(world.allomia.posts) == 1


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_a_claim_that_may_still_be_made_is_forestalled(world: CloudWorld, network: FaultyNetwork, kind: str) -> None:
    """DynamoDB gets the claim late: after the worker gave it back, and found that there was nothing to give back."""
    request = world.request()
    key, message = key_of(request), json.dumps(request)
    attempt = new_attempt(key)
    if kind == "parked":
        attempt = world.attempts.scheduled(due_at=world.clock.now)
        key, message = attempt.key, dispatch_message(attempt.key)
    lost = iter([LOSE_REQUEST] * 5)
    network.plan = lambda operation, _: next(lost, PASS) if operation in {"PutItem", "UpdateItem"} else PASS
    with pytest.raises(WriteUnanswered):
        world.place(message)

    assert world.attempts.claim(attempt, now=world.clock.now) is None

    assert world.attempts.status(key) == "scheduled"
    assert world.place(message).result is PlaceResult.DUPLICATE
    network.heal()
    assert sweep_until_it_ends(world, key) == "unknown"
    assert len(world.allomia.posts) == 1


def test_a_claim_whose_decision_has_grown_old_is_given_back(world: CloudWorld) -> None:
    request = world.request()
    world.clock.step = MAX_DECISION_AGE_SECONDS

    placement = world.place(request)

    assert (placement.result, placement.code) == (PlaceResult.PARKED, "short-of-time")
    assert world.allomia.posts == []
    assert world.attempts.existing_item(key_of(request)).keys().isdisjoint({"claimId", "failedTries"})
    world.clock.step = 0
    assert sweep_until_it_ends(world, key_of(request)) == "unknown"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_webhook_that_could_not_be_stored_can_be_sent_again(
    world: CloudWorld, network: FaultyNetwork, fault: str
) -> None:
    key = world.placed()
    network.fail_once("UpdateItem", fault)
    with pytest.raises(WriteUnanswered):
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

    with pytest.raises(WriteUnanswered):
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
    with pytest.raises(WriteUnanswered):
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


@pytest.mark.parametrize("calls", [100, pytest.param(300, marks=pytest.mark.proof)])
def test_no_call_that_was_not_posted_stays_claimed(world: CloudWorld, network: FaultyNetwork, calls: int) -> None:
    """Many calls, while DynamoDB's answers to a third of the writes come too late, and some writes never arrive."""
    chance = random.Random(20261127)  # noqa: S311 - the same each time
    faults = [LOSE_ANSWER] * 6 + [LOSE_REQUEST] * 2 + [PASS] * 12
    network.plan = lambda operation, _: chance.choice(faults) if operation in {"PutItem", "UpdateItem"} else PASS
    requests = [world.request() for _ in range(calls)]
    for request in requests:
        # The queue delivers a message five times at most. Some workers run out of time within their claim.
        for _ in range(5):
            left = itertools.chain([45.0], itertools.repeat(chance.choice([5.0, 45.0, 45.0])))
            with suppress(WriteUnanswered):
                world.place_calls.place(Message("an-id", json.dumps(request), left.__next__))
                break
    network.heal()

    posted = {str(post["callbackUrl"]) for post in world.allomia.posts}
    not_posted = [key for request in requests if world.callback_url(key := key_of(request)) not in posted]
    assert len(posted) > calls / 2
    assert len(not_posted) > calls / 10
    # Their claims were given back, so they are dialled now, and don't end as unknown.
    for key in not_posted:
        item = world.attempts.existing_item(key)
        assert item["status"] == "scheduled"
        assert world.place(dispatch_message(key, int(item["timesParked"]))).result is PlaceResult.CALLING
