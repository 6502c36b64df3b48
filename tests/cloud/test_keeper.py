"""The keeper: what policy held back is looked at again once another policy is in force. It goes when nothing waits."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.due_entries import DueKeeper, due_entry
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.adapters.waiting_attempts import KEEPER_SECONDS, WaitingAttempts
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS
from outbound_calls.use_cases.keep import IN_FORCE_SECONDS, SETTLED_SECONDS
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import Poll, PollResult
from tests.cloud.parts import SampleAttempts, new_attempt
from tests.cloud.reading import index_items
from tests.cloud.world import CloudWorld, key_of
from tests.world import CloudResources

PAUSED = json.dumps({"basedOn": "open", "paused": True})
OPEN = json.dumps({"basedOn": "open"})


class KeeperWorld(CloudWorld):
    """Tables of its own, since one keeper looks at all that waits."""

    def __init__(self, cloud: LocalCloud) -> None:
        resources = CloudResources(cloud)
        super().__init__(resources, SampleAttempts.over(cloud.client("dynamodb"), resources.table_name))
        self.policy = PolicyTable(cloud.client("dynamodb"), resources.policy_table_name)
        self.version = 0

    @property
    def table(self) -> CallsTable:
        return self.attempts.table

    def put_text(self, text: str) -> None:
        self.version = self.policy.set_policy(text, "test", self.clock.now, self.version).number
        self.pass_seconds(IN_FORCE_SECONDS)

    def paused(self) -> AttemptKey:
        request = self.request()
        placement = self.place(request)
        assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.PAUSED)
        return key_of(request)

    def keepers(self) -> list[DueKeeper]:
        """The keepers in the index `due`."""
        found = index_items(self.table.client, self.table.name)
        return [each for each in map(due_entry, found) if isinstance(each, DueKeeper)]

    def keep(self, after: float = KEEPER_SECONDS, seconds_left: float = 60.0) -> Poll:
        """The keeper's next look."""
        self.pass_seconds(after)
        (keeper,) = self.keepers()
        assert keeper.due_at <= self.clock.now
        return self.poll_calls.keep(keeper, lambda: seconds_left)


@pytest.fixture
def world(cloud: LocalCloud) -> Iterator[KeeperWorld]:
    world = KeeperWorld(cloud)
    yield world
    world.close()


def test_what_waits_for_the_end_of_a_pause_is_dialled_once_calls_are_resumed(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    key = world.paused()

    assert world.keep().released == 0
    world.put_text(OPEN)
    assert world.keep().released == 1

    assert [world.place(message).result for message in world.queued()] == [PlaceResult.CALLING]
    assert world.attempts.status(key) == "calling"


def test_what_is_released_and_never_dispatched_comes_due_again(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    key = world.paused()
    world.put_text(OPEN)
    assert world.keep().released == 1
    assert len(world.queued()) == 1  # lost

    world.pass_seconds(DISPATCH_LEASE_SECONDS)
    world.sweep(key)

    assert [world.place(message).result for message in world.queued()] == [PlaceResult.CALLING]


def test_each_sweep_finds_the_keeper_due_however_late_in_the_last_one_it_was_leased(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.keep()

    world.pass_seconds(60 - 9)

    (keeper,) = world.keepers()
    assert keeper.due_at <= world.clock.now


def test_one_keeper_looks_at_all_that_waits(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    keys = [world.paused() for _ in range(5)]

    assert len(world.keepers()) == 1
    world.put_text(OPEN)
    assert world.keep().released == len(keys)
    assert world.keep().released == 0


def test_nothing_is_released_before_a_policy_is_in_force_everywhere(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.pass_seconds(KEEPER_SECONDS - 1)
    world.policy.set_policy(OPEN, "test", world.clock.now, world.version)

    assert world.keep(after=1).released == 0
    assert world.keep().released == 1


@pytest.mark.parametrize("text", ["not JSON", '{"callingWindows": []}'])
def test_nothing_is_released_to_a_policy_that_cannot_be_read(world: KeeperWorld, text: str) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.put_text(text)

    assert world.keep().released == 0
    world.put_text(OPEN)
    assert world.keep().released == 1


def test_what_is_held_back_again_waits_under_the_new_version(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    key = world.paused()
    world.put_text(PAUSED)
    assert world.keep().released == 1
    assert [world.place(message).code for message in world.queued()] == [ParkReason.PAUSED]

    assert world.attempts.read(key).policy_version == world.version
    assert world.keep().released == 0


def test_many_come_due_spread_over_minutes(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    for _ in range(60):
        attempt = replace(new_attempt(), policy_version=world.version)
        world.table.park(attempt, world.clock.now + 86_400, ParkReason.PAUSED)
    WaitingAttempts(world.table).expect_waiting(None, world.clock.now)
    world.put_text(OPEN)

    assert world.keep().released == 60
    due = [int(item["dueAt"]["N"]) - int(world.clock.now) for item in index_items(world.table.client, world.table.name)]
    # Each lease ends some time after its message.
    assert Counter(due) == {DISPATCH_LEASE_SECONDS + second: 10 for second in range(6)} | {KEEPER_SECONDS: 1}


def test_what_is_parked_late_by_the_version_before_is_released_too(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.put_text(OPEN)
    assert world.keep().released == 1
    late = replace(new_attempt(), policy_version=world.version - 1)
    assert world.table.park(late, world.clock.now + 86_400, ParkReason.PAUSED)

    assert world.keep().released == 1


def test_once_all_is_released_the_waiting_attempts_are_not_read_again(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.pass_seconds(SETTLED_SECONDS)

    world.keep()

    item = world.table.client.get_item(
        TableName=world.table.name, Key=to_dynamodb({"requestId": "~~keeper", "attempt": 0})
    )["Item"]
    assert item["releasedVersion"] == {"N": str(world.version)}


def test_the_keeper_goes_when_nothing_waits_at_two_looks(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    key = world.paused()
    assert world.webhook(key).result is not None

    assert world.keep().result is PollResult.KEPT
    assert len(world.keepers()) == 1
    world.keep()
    assert world.keepers() == []


def test_the_keeper_stays_when_one_arrived_between_two_looks(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.webhook(world.paused())
    world.keep()
    # It is about to park, and the index doesn't show it yet
    WaitingAttempts(world.table).expect_waiting(None, world.clock.now)

    world.keep()
    assert len(world.keepers()) == 1
    world.keep()
    assert world.keepers() == []


def test_two_sweeps_at_once_make_one_look(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()
    world.pass_seconds(KEEPER_SECONDS)
    (keeper,) = world.keepers()

    results = [world.poll_calls.keep(keeper, lambda: 60.0).result for _ in range(2)]

    assert results == [PollResult.KEPT, PollResult.SKIPPED]


def test_with_too_little_time_left_it_does_nothing(world: KeeperWorld) -> None:
    world.put_text(PAUSED)
    world.paused()

    assert world.keep(seconds_left=1.0).result is PollResult.SKIPPED
    assert len(world.keepers()) == 1
