"""While Secrets Manager hangs nothing is claimed that can't be dialled, and what was read before stays in use."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from outbound_calls.adapters.secrets import CACHE_SECONDS, FAILURE_SECONDS
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.parts import SampleAttempts, at_once
from tests.cloud.world import CloudWorld, key_of
from tests.world import CloudResources, dispatch_message

GIVES_UP_AFTER_SECONDS = 0.3
WORKERS = 10


@dataclass
class HangingSecrets:
    """The local cloud's Secrets Manager; while it hangs, each read ends when the client gives up."""

    client: Any
    hangs: bool = True
    reads: list[str] = field(default_factory=list)

    def get_secret_value(self, **request: str) -> Any:
        self.reads.append(request["SecretId"])
        if not self.hangs:
            return self.client.get_secret_value(**request)
        threading.Event().wait(GIVES_UP_AFTER_SECONDS)
        raise ReadTimeoutError(endpoint_url="https://secretsmanager.ca-central-1.amazonaws.com")


@pytest.fixture
def secrets(resources: CloudResources) -> HangingSecrets:
    return HangingSecrets(resources.secrets)


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts, secrets: HangingSecrets) -> Iterator[CloudWorld]:
    def client(service: Any, *_: int) -> Any:
        return secrets if service == "secretsmanager" else resources.cloud.client(service)

    world = CloudWorld(resources, attempts, client)
    yield world
    world.close()


def messages(world: CloudWorld, kind: str) -> list[tuple[AttemptKey, Any]]:
    """Ten messages of the queue, each with the attempt that it is about."""
    if kind == "requests":
        requests = [world.request() for _ in range(WORKERS)]
        return [(key_of(request), request) for request in requests]
    parked = [world.attempts.scheduled(due_at=world.clock.now) for _ in range(WORKERS)]
    return [(attempt.key, dispatch_message(attempt.key)) for attempt in parked]


@pytest.mark.parametrize("kind", ["requests", "dispatches"])
def test_a_batch_is_parked_without_claims_and_without_waiting_in_turn(
    world: CloudWorld, secrets: HangingSecrets, kind: str
) -> None:
    batch = messages(world, kind)

    began = time.monotonic()
    placements = at_once(WORKERS, lambda number: world.place(batch[number][1]))
    took = time.monotonic() - began

    assert {(each.result, each.code) for each in placements} == {(PlaceResult.PARKED, ParkReason.POLICY_UNREADABLE)}
    assert {world.attempts.status(key) for key, _ in batch} == {"scheduled"}
    assert all(world.attempts.read(key).dispatched_at is None for key, _ in batch)
    assert world.allomia.posts == []
    # By one thread for all: of the AlloMia key, of the key of number hashes, and for new requests of the signing key
    assert len(secrets.reads) == (3 if kind == "requests" else 2)
    assert took < WORKERS * GIVES_UP_AFTER_SECONDS

    # Once it answers again, each of them is dialled
    secrets.hangs = False
    world.pass_seconds(max(world.due_in(key) for key, _ in batch) + FAILURE_SECONDS)
    for key, _ in batch:
        world.sweep(key)
    while queued := world.queued():
        assert {world.place(message).result for message in queued} == {PlaceResult.CALLING}
    assert {world.attempts.status(key) for key, _ in batch} == {"calling"}
    assert len(world.allomia.posts) == WORKERS


def test_a_batch_is_placed_with_the_secrets_that_were_read_before(world: CloudWorld, secrets: HangingSecrets) -> None:
    secrets.hangs = False
    world.placed()
    secrets.hangs = True
    secrets.reads.clear()
    world.pass_seconds(CACHE_SECONDS)
    batch = messages(world, "requests")

    placements = at_once(WORKERS, lambda number: world.place(batch[number][1]))

    assert {each.result for each in placements} == {PlaceResult.CALLING}
    # Each once
    resources = world.resources
    assert sorted(secrets.reads) == sorted([resources.key_arn, resources.signing_arn, resources.number_hash_arn])


def test_a_genuine_webhook_is_recorded_after_a_forged_one(world: CloudWorld, secrets: HangingSecrets) -> None:
    secrets.hangs = False
    first, second, third = world.placed(), world.placed(), world.placed()
    assert world.webhook(first).status == 200
    forged = world.callback_url(second)[:-5] + "AAAAA"
    assert world.send(forged, "{}").status == 403
    secrets.hangs = True
    world.pass_seconds(CACHE_SECONDS)

    assert world.send(forged, "{}").status == 403
    assert world.webhook(second).status == 200
    world.pass_seconds(CACHE_SECONDS)
    assert world.webhook(third).status == 200
