"""Cancelling a batch by message: the next sweep finds what is open of it, and leaves everything else as it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import batched
from typing import Any
from uuid import uuid4

import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.batch_searches import BATCH_LEASE_SECONDS, BatchSearches
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.due_entries import DueBatch, due_entry
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import Poll, PollResult
from tests.cloud.parts import LOSE_REQUEST, FaultyNetwork, SampleAttempts
from tests.cloud.reading import index_items
from tests.cloud.test_cancel import published
from tests.cloud.world import CloudWorld, key_of
from tests.world import DUE_SHARDS, CloudResources

LATER = "2026-04-20T00:00:00Z"
AFTER_BUSY = {"on": {"busy": [600]}, "maxAttempts": 3}
SWEEP_SECONDS = 60


class BatchWorld(CloudWorld):
    """A world with a table of its own, in which the poller searches for batches."""

    def __init__(self, cloud: LocalCloud, network: FaultyNetwork) -> None:
        resources = CloudResources(cloud)
        attempts = SampleAttempts.over(cloud.client("dynamodb"), resources.table_name)
        super().__init__(resources, attempts, lambda service, *_: network.client(service))

    def due_batches(self) -> list[DueBatch]:
        found = index_items(
            self.attempts.table.client,
            self.attempts.table.name,
            FilterExpression="attempt = :none",
            ExpressionAttributeValues=to_dynamodb({":none": 0}),
        )
        return [each for each in map(due_entry, found) if isinstance(each, DueBatch)]

    def cancel_batch(self, batch: str = "monday") -> None:
        assert self.place({"cancel": {"batch": batch}}).result is PlaceResult.CANCELLATION

    def search(self, *seconds_left: float) -> Poll:
        """The next sweep's search. So much time is left, one after the other; then there is plenty."""
        self.pass_seconds(SWEEP_SECONDS)
        (due,) = self.due_batches()
        assert due.due_at <= self.clock.now
        left = iter(seconds_left)
        return self.poll_calls.cancel_batch(due, lambda: next(left, 60.0))

    def put_parked(self, count: int, batch: str) -> list[AttemptKey]:
        """Put parked attempts into the table, many at a time."""
        item = self.attempts.existing_item(self.placed(notBefore=LATER, batch=batch))
        ids = [f"parked-{uuid4().hex}" for _ in range(count)]
        client, name = self.attempts.table.client, self.attempts.table.name
        for chunk in batched(enumerate(ids), 25, strict=False):
            items = [item | {"requestId": each, "dueShard": number % DUE_SHARDS} for number, each in chunk]
            puts: list[Any] = [{"PutRequest": {"Item": to_dynamodb(each)}} for each in items]
            client.batch_write_item(RequestItems={name: puts})
        return [AttemptKey(RequestKey(each), 1) for each in ids]

    def statuses(self) -> list[tuple[str | None, str]]:
        """The batch and the status of every attempt."""
        pages = self.attempts.table.client.get_paginator("scan").paginate(TableName=self.attempts.table.name)
        items = [item for page in pages for item in page["Items"]]
        return [(item.get("batch", {}).get("S"), item["status"]["S"]) for item in items if "status" in item]


@pytest.fixture
def world(cloud: LocalCloud, network: FaultyNetwork) -> Iterator[BatchWorld]:
    world = BatchWorld(cloud, network)
    yield world
    world.close()


def test_the_next_sweep_ends_each_request_of_the_batch_as_the_contract_says(world: BatchWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    parked = world.placed(batch="monday", notBefore=LATER)
    calling = world.placed(batch="monday")
    pending = world.placed(batch="monday")
    world.webhook(pending, "busy")
    provisional = published(world, pending)
    ended = world.placed(batch="monday")
    world.webhook(ended)
    others = [world.placed(batch="tuesday", notBefore=LATER), world.placed(notBefore=LATER), world.placed()]
    before = [world.attempts.item(key) for key in (ended, *others)]
    world.cancel_batch()

    poll = world.search()

    assert (poll.result, poll.key) == (PollResult.BATCH_CANCELLED, None)
    assert poll.detail == "monday: 1 cancelled, 1 redial-dropped, 1 too-late"
    event = published(world, parked)
    assert event
    assert (event["status"], event["reasonCode"], event["outcomeSource"]) == ("cancelled", "cancelled", "upstream")
    assert provisional
    assert provisional["final"] is False
    event = published(world, pending)
    assert event
    assert (event["status"], event["attempt"], event["final"]) == ("busy", 1, True)
    item = world.attempts.existing_item(calling)
    assert (item["status"], item["cancelRequestedAt"]) == ("calling", world.clock.now)
    world.webhook(calling, "busy")
    assert "redialAt" not in world.attempts.existing_item(calling)
    assert [world.attempts.item(key) for key in (ended, *others)] == before
    assert world.due_batches() == []


def test_only_the_organizations_own_batch_is_cancelled(world: BatchWorld) -> None:
    key = world.placed(batch="monday", notBefore=LATER)
    item = world.attempts.existing_item(key)
    other = AttemptKey(RequestKey(key.request.request_id, "north"), 1)
    world.attempts.put_item(item | {"requestId": str(other.request)})
    world.cancel_batch()

    world.search()

    assert (world.attempts.status(key), world.attempts.status(other)) == ("cancelled", "scheduled")


def test_a_thousand_others_are_left_as_they_were_over_several_sweeps(world: BatchWorld) -> None:
    # Many are due at the same second, more than are read at once
    world.put_parked(1000, "tuesday")
    world.put_parked(60, "monday")
    world.cancel_batch()

    # Each time, there is time for three pages
    while (poll := world.search(*[60.0] * 4, 5.0)).detail.endswith("the next sweep continues"):
        assert world.due_batches()[0].due_at == world.clock.now + BATCH_LEASE_SECONDS

    assert poll.result is PollResult.BATCH_CANCELLED
    assert world.due_batches() == []
    assert sorted(set(world.statuses())) == [("monday", "cancelled"), ("tuesday", "scheduled")]
    assert world.statuses().count(("tuesday", "scheduled")) == 1001


def test_after_a_crash_the_next_sweep_goes_on(world: BatchWorld, network: FaultyNetwork) -> None:
    keys = world.put_parked(8, "monday")
    world.cancel_batch()
    # The lease, and two requests; the third write is lost.
    network.heal()
    network.fail_once("UpdateItem", LOSE_REQUEST, skip=3)
    with pytest.raises(WriteUnanswered):
        world.search()
    assert {world.attempts.status(key) for key in keys} == {"cancelled", "scheduled"}
    network.heal()

    assert world.search().result is PollResult.BATCH_CANCELLED

    assert {world.attempts.status(key) for key in keys} == {"cancelled"}
    assert world.due_batches() == []


def test_a_message_that_is_repeated_changes_nothing(world: BatchWorld) -> None:
    calling, parked = world.placed(batch="monday"), world.placed(batch="monday", notBefore=LATER)
    world.cancel_batch()
    (due,) = world.due_batches()
    world.pass_seconds(5)
    world.cancel_batch()
    assert world.due_batches() == [due]
    world.search()
    items = [world.attempts.item(key) for key in (calling, parked)]

    world.cancel_batch()
    assert world.search().detail == "monday: 1 too-late"

    assert [world.attempts.item(key) for key in (calling, parked)] == items


def test_a_message_that_comes_again_after_a_lost_write_makes_the_search_due(
    world: BatchWorld, network: FaultyNetwork
) -> None:
    key = world.placed(batch="monday", notBefore=LATER)
    network.heal()
    # The batch is marked, and then the worker ends
    network.fail_once("UpdateItem", LOSE_REQUEST, skip=1)
    with pytest.raises(WriteUnanswered):
        world.cancel_batch()
    assert world.due_batches() == []
    network.heal()

    world.cancel_batch()
    world.search()

    assert world.attempts.status(key) == "cancelled"


def test_of_two_sweeps_at_once_one_searches(world: BatchWorld) -> None:
    world.placed(batch="monday", notBefore=LATER)
    world.cancel_batch()
    world.pass_seconds(SWEEP_SECONDS)
    (due,) = world.due_batches()

    results = [world.poll_calls.cancel_batch(due, lambda: 60.0).result for _ in range(2)]

    assert results == [PollResult.BATCH_CANCELLED, PollResult.SKIPPED]


def test_a_request_that_comes_after_the_search_is_cancelled_by_the_mark(world: BatchWorld) -> None:
    world.cancel_batch()
    assert world.search().detail == "monday: nothing open"

    request = world.request(batch="monday")
    assert world.place(request).result is PlaceResult.CANCELLED

    assert world.attempts.status(key_of(request)) == "cancelled"


@pytest.mark.parametrize("batch", ["keeper", "a.b_c-1"])
@pytest.mark.parametrize("organization", [None, "north"])
def test_no_batch_is_taken_for_a_keeper_or_a_request(world: BatchWorld, organization: str | None, batch: str) -> None:
    BatchSearches(world.attempts.table).expect_batch(organization, batch, world.clock.now)

    (due,) = world.due_batches()

    assert (due.organization, due.batch) == (organization, batch)
