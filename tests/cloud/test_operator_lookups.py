"""What an operator looks up, follows and watches, on the real table."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calls.operations.following import Follower, Following
from calls.operations.records import OPEN, Records, Search
from calls.operations.watching import Watch
from local.cloud import LocalCloud
from outbound_calls.adapters.dynamodb import to_dynamodb
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.transitions import TERMINAL
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt, new_key, operations_asked
from tests.unit.parts import CALL_ID
from tests.world import DUE_SHARDS, NOW, CloudResources, create_calls_table


@pytest.fixture
def own_attempts(cloud: LocalCloud) -> SampleAttempts:
    """Attempts in a table of their own."""
    dynamodb = cloud.client("dynamodb")
    return SampleAttempts.over(dynamodb, create_calls_table(dynamodb))


# Look up.


def test_any_number_of_attempts_is_found_by_key(attempts: SampleAttempts) -> None:
    keys = [attempts.ended(Status.BUSY) for _ in range(3)]
    unknown_keys = [new_key() for _ in range(200)]

    assert Records(attempts.table).statuses([*unknown_keys, *keys, *keys]) == dict.fromkeys(keys, Status.BUSY)


def test_an_attempt_of_an_organization_is_found_by_its_whole_key(attempts: SampleAttempts) -> None:
    key = AttemptKey(RequestKey(new_key().request.request_id, "north"), 1)
    attempts.table.park(new_attempt(key), NOW, ParkReason.RATE_LIMITED)

    found = Records(attempts.table).find([key])

    assert [(each.key, each.organization) for each in found.values()] == [(key, "north")]


def test_no_personal_data_is_looked_up(own_attempts: SampleAttempts) -> None:
    own_attempts.scheduled()

    result = Records(own_attempts.table).search(everything())

    assert len(result.calls) == 1
    assert "phoneNumber" not in result.model_dump_json()
    assert "Ada" not in result.model_dump_json()


def test_open_attempts_and_those_that_ended_come_from_the_indexes(own_attempts: SampleAttempts) -> None:
    later, calling = own_attempts.scheduled(due_at=NOW + 9000).key, own_attempts.calling().key
    pending = own_attempts.redial_pending(NOW + 600)
    busy, unknown = own_attempts.ended(Status.BUSY), own_attempts.ended(Status.UNKNOWN)
    records = Records(own_attempts.table)

    def found(**wanted: Any) -> list[AttemptKey]:
        return [each.key for each in records.search(everything(**wanted)).calls]

    # Open ones, first what is due next; one whose redial is pending is scheduled
    assert found(statuses=OPEN) == [calling, pending, later]
    assert found(statuses={Status.CALLING}) == [calling]
    assert found(statuses={Status.SCHEDULED}) == [pending, later]
    limited = records.search(everything(statuses=OPEN, limit=1))
    assert (limited.more, limited.open, limited.by_status) == (True, 3, {"calling": 1})

    # What ended, newest first, each attempt once
    assert set(found(statuses={Status.BUSY})) == {busy, pending}
    assert found(statuses={Status.UNKNOWN}) == [unknown]
    assert sorted(map(str, found())) == sorted(map(str, {busy, unknown, pending, calling, later}))
    assert set(found()[:3]) == {busy, unknown, pending}
    assert found(since=NOW + 201, statuses=TERMINAL) == []
    assert records.search(everything(limit=2)).more


def test_the_order_does_not_depend_on_that_of_a_batch(own_attempts: SampleAttempts) -> None:
    """DynamoDB answers with the items of a batch in any order. The local cloud keeps that of the keys."""
    keys = [own_attempts.scheduled(due_at=NOW + 1000 * number).key for number in range(1, 6)]
    client = own_attempts.table.client

    def reverse(parsed: dict[str, Any], **_: Any) -> None:
        for items in parsed["Responses"].values():
            items.reverse()

    client.meta.events.register("after-call.dynamodb.BatchGetItem", reverse)
    try:
        found = Records(own_attempts.table).search(everything(statuses=OPEN))
    finally:
        client.meta.events.unregister("after-call.dynamodb.BatchGetItem", reverse)

    assert [each.key for each in found.calls] == keys


def everything(**changes: Any) -> Search:
    return replace(Search(frozenset(Status), [None], NOW - 1, NOW + 300, 10, of_all=True), **changes)


def test_newest_is_first_over_days_and_organizations(own_attempts: SampleAttempts) -> None:
    keys: list[AttemptKey] = []
    for days, organization in ((3, None), (2, "north"), (1, None), (0, "north")):
        at = NOW - days * 86_400
        key = AttemptKey(RequestKey(f"visit-{days}", organization), 1)
        claimed = own_attempts.claim(new_attempt(key, at), now=at)
        assert claimed is not None
        own_attempts.table.record(key, an_outcome(Status.BUSY), at)
        keys.insert(0, key)
    records = Records(own_attempts.table)

    def found(**wanted: Any) -> list[AttemptKey]:
        wanted = {"since": NOW - 4 * 86_400, "organizations": [None, "north"], "statuses": TERMINAL} | wanted
        return [each.key for each in records.search(everything(**wanted)).calls]

    assert found() == keys
    assert found(organizations=["north"]) == [keys[0], keys[2]]
    assert found(limit=2) == keys[:2]
    assert found(since=NOW - 86_400) == keys[:2]


def test_a_list_reads_no_more_than_its_limit_takes(own_attempts: SampleAttempts) -> None:
    # Given 500 open calls
    image = own_attempts.image(own_attempts.scheduled().key)
    assert image is not None
    copies = [image | to_dynamodb({"requestId": f"copy-{number}", "dueShard": number % 4}) for number in range(499)]
    for start in range(0, len(copies), 25):
        batch: Any = [{"PutRequest": {"Item": copy}} for copy in copies[start : start + 25]]
        own_attempts.table.client.batch_write_item(RequestItems={own_attempts.table.name: batch})

    # When ten are listed, from the index, and the others are counted in it
    with operations_asked(own_attempts.table.client) as asked:
        result = Records(own_attempts.table).search(everything(statuses=OPEN))

    # Then no other record is read
    assert (len(result.calls), result.more, result.open, result.records_read) == (10, True, 500, 11)
    assert asked == {"Query": 2 * DUE_SHARDS, "BatchGetItem": 1}


def test_overdue_attempts_are_found(own_attempts: SampleAttempts) -> None:
    own_attempts.scheduled(due_at=NOW + 60)
    records = Records(own_attempts.table)

    assert records.seconds_overdue(NOW) is None
    assert records.seconds_overdue(NOW + 400) == 340


# Follow.


class FollowedBy:
    """A person who follows calls. Only waiting moves the clock, and something `meanwhile` happens at each wait."""

    def __init__(self, attempts: SampleAttempts, *meanwhile: Callable[[], object]) -> None:
        self.now = 0.0
        self.meanwhile = list(meanwhile)
        self.ended: list[int] = []
        self.follower = Follower(Records(attempts.table), lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def follow(self, *keys: AttemptKey, timeout_seconds: float = 60) -> Following:
        return self.follower.follow(dict.fromkeys(keys), timeout_seconds, lambda now: self.ended.append(now.ended))


def test_calls_are_followed_until_each_has_its_outcome(attempts: SampleAttempts) -> None:
    one, other = attempts.calling().key, attempts.calling().key
    person = FollowedBy(
        attempts,
        lambda: attempts.table.record(one, an_outcome(Status.BUSY), NOW + 9),
        lambda: attempts.table.record(other, an_outcome(Status.COMPLETED), NOW + 9),
    )

    following = person.follow(one, other)

    assert person.ended == [0, 1, 2]
    assert (following.all_ended, following.needs_a_person) == (True, False)
    assert [(call.status, call.outcome_source) for call in following.calls] == [
        ("busy", "webhook"),
        ("completed", "webhook"),
    ]


def test_following_ends_with_the_timeout(attempts: SampleAttempts) -> None:
    keys = [attempts.calling().key, attempts.scheduled().key, new_key()]

    following = FollowedBy(attempts).follow(*keys, timeout_seconds=5)

    assert not following.all_ended
    assert [call.status for call in following.calls] == ["calling", "scheduled", "queued"]
    assert following.calls[1].park_reason is ParkReason.RATE_LIMITED


@pytest.mark.parametrize("status", [Status.REJECTED, Status.UNKNOWN])
def test_an_outcome_that_needs_a_person_is_reported(attempts: SampleAttempts, status: Status) -> None:
    following = FollowedBy(attempts).follow(attempts.ended(status), attempts.ended(Status.COMPLETED))

    assert (following.all_ended, following.needs_a_person) == (True, True)


def test_following_nothing_ends_at_once(attempts: SampleAttempts) -> None:
    assert FollowedBy(attempts).follow().all_ended


# Watch.


def test_a_watch_shows_open_calls_and_those_that_ended_during_it(
    own_attempts: SampleAttempts, resources: CloudResources
) -> None:
    ended_before, calling = own_attempts.ended(Status.COMPLETED), own_attempts.calling().key
    own_attempts.scheduled()
    url = resources.new_queue()
    resources.sqs.send_message(QueueUrl=url, MessageBody="waits")
    watch = Watch(Records(own_attempts.table), resources.sqs, {"dead letters": url})

    first = watch.look()
    own_attempts.table.record(calling, an_outcome(Status.UNKNOWN), NOW + 9)
    second, third = watch.look(), watch.look()

    assert (first.total, first.open) == (2, {"calling": 1, "dispatching": 0, "scheduled": 1})
    assert first.ended == []
    assert [(queue.queue, queue.waiting) for queue in first.queues] == [("dead letters", 1)]
    assert second.open == {"calling": 0, "dispatching": 0, "scheduled": 1}
    assert second.ended_by_status == third.ended_by_status == {"unknown": 1}
    assert [(found.key, found.status) for found in second.ended] == [(calling, Status.UNKNOWN)]
    assert third.ended == second.ended
    assert ended_before.request.request_id not in third.model_dump_json()


def test_a_look_reads_only_what_has_changed(own_attempts: SampleAttempts, resources: CloudResources) -> None:
    calling, dispatching = own_attempts.calling().key, own_attempts.dispatching()
    own_attempts.scheduled()
    watch = Watch(Records(own_attempts.table), resources.sqs, {})

    def look() -> tuple[dict[str, int], int]:
        with operations_asked(own_attempts.table.client) as asked:
            state = watch.look()
        assert asked["Query"] == DUE_SHARDS
        return state.open, asked["BatchGetItem"]

    assert look() == ({"calling": 1, "dispatching": 1, "scheduled": 1}, 1)
    own_attempts.table.settle(dispatching, CALL_ID, None)
    # A dial in progress is read each time: the index doesn't say that it became a call.
    assert look() == ({"calling": 2, "dispatching": 0, "scheduled": 1}, 1)
    assert look() == ({"calling": 2, "dispatching": 0, "scheduled": 1}, 0)
    own_attempts.table.record(calling, an_outcome(Status.COMPLETED), NOW + 9)
    assert look() == ({"calling": 1, "dispatching": 0, "scheduled": 1}, 1)
    assert look()[1] == 0
    pending = own_attempts.redial_pending()
    assert look() == ({"calling": 1, "dispatching": 0, "scheduled": 2}, 1)
    assert pending not in [each.key for each in watch.look().ended]


def test_outcomes_of_every_organization_are_published_again_or_those_of_one(
    operated: OperatedStack, calls: Calls
) -> None:
    operated.stack.policy_table.set_policy(json.dumps({"organizations": {"north": {"paused": False}}}), "test", NOW, 0)
    now = int(time.time()) - 60
    for organization in (None, "north"):
        attempt = new_attempt(AttemptKey(RequestKey("visit-1", organization), 1), now)
        assert operated.attempts.claim(attempt, now=now)
        assert operated.attempts.table.record(attempt.key, an_outcome(Status.BUSY), now).stored

    def to_publish(*options: str) -> int:
        code, report = calls("republish", "--since", "1h", "--dry-run", *options)
        assert code == 0
        return int(report["found"]["toPublish"])

    assert to_publish() == 2
    assert [to_publish("--organization", name) for name in ("default", "north", "south")] == [1, 1, 0]
