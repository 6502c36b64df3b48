"""What an operator looks up, follows and watches, on the real table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calls.operations.following import Follower, Following
from calls.operations.records import Records
from calls.operations.watching import Watch
from local.cloud import LocalCloud
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt, new_key
from tests.world import NOW, CloudResources, create_calls_table


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

    result = Records(own_attempts.table).search((), None, 10)

    assert len(result.calls) == 1
    assert "phoneNumber" not in result.model_dump_json()
    assert "Ada" not in result.model_dump_json()


def test_open_attempts_come_from_the_index_and_others_from_a_scan(own_attempts: SampleAttempts) -> None:
    scheduled, calling = own_attempts.scheduled().key, own_attempts.calling().key
    ended = own_attempts.ended(Status.BUSY)
    records = Records(own_attempts.table)

    assert {each.key for each in records.open_attempts(10).calls} == {scheduled, calling}
    assert [each.key for each in records.open_attempts(10, {Status.CALLING}).calls] == [calling]
    limited = records.open_attempts(1)
    assert (len(limited.calls), limited.more, limited.records_read) == (1, True, 2)

    assert [each.key for each in records.search({Status.BUSY}, None, 10).calls] == [ended]
    assert len(records.search((), NOW, 10).calls) == 3
    assert records.search((), NOW + 1, 10).calls == []
    assert records.search((), None, 2).more


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

    assert first.open == {"scheduled": 1, "dispatching": 0, "calling": 1}
    assert first.ended == []
    assert [(queue.queue, queue.waiting) for queue in first.queues] == [("dead letters", 1)]
    assert second.open == {"scheduled": 1, "dispatching": 0, "calling": 0}
    assert [(found.key, found.status) for found in second.ended] == [(calling, Status.UNKNOWN)]
    assert third.ended == second.ended
    assert ended_before.request.request_id not in third.model_dump_json()
