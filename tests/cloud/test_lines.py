"""How many calls are in progress at once: a line for each, handed on as soon as it is free, to the first who waits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, override

import httpx
import pytest

from calls.operations.lines import LinesView
from local.cloud import LocalCloud
from local.simulator import PostAnswer, fails, returns
from outbound_calls.adapters import unlimited_calls
from outbound_calls.adapters.due_entries import DueKeeper, due_entry
from outbound_calls.adapters.unlimited_calls import UnlimitedCalls
from outbound_calls.adapters.waiting_attempts import KEEPER_SECONDS
from outbound_calls.contracts.vocabulary import ParkReason, Priority
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.lines import (
    COUNT_AFTER_SECONDS,
    HELD_AFTER_DEADLINE_SECONDS,
    INDEX_LAG_SECONDS,
    RESERVED_SECONDS,
    Lines,
    line_reserved_for,
)
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS
from outbound_calls.use_cases.decide import CurrentPolicy
from outbound_calls.use_cases.keep import IN_FORCE_SECONDS
from outbound_calls.use_cases.placement import Placement, PlaceResult
from outbound_calls.use_cases.polls import Poll, PollResult
from outbound_calls.use_cases.release_lines import ReleasedLines
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, FaultyNetwork, SampleAttempts, at_once
from tests.cloud.reading import index_items, table_items
from tests.cloud.world import Client, CloudWorld, key_of
from tests.world import DEADLINE_SECONDS, CloudResources, dispatch_message

CALLING, PARKED, DUPLICATE = PlaceResult.CALLING, PlaceResult.PARKED, PlaceResult.DUPLICATE
LIMIT = ParkReason.CONCURRENCY_LIMIT
FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


class LinesWorld(CloudWorld):
    """Tables in which nothing stands, since the lines are those of an organization."""

    def __init__(self, resources: CloudResources, client: Client | None = None) -> None:
        dynamodb = resources.cloud.client("dynamodb")
        attempts = SampleAttempts.over(dynamodb, resources.table_name)
        super().__init__(resources, attempts, client)
        for table, key in (
            (resources.table_name, ("requestId", "attempt")),
            (resources.policy_table_name, ("subject", "entry")),
        ):
            for item in table_items(dynamodb, table):
                dynamodb.delete_item(TableName=table, Key={name: item[name] for name in key})

    @override
    def own_policy_table(self) -> None:
        """It has one already."""

    def limited_to(self, calls: int, **says: Any) -> None:
        """Put a limit in force, as if no call had been in progress before."""
        self.decide_by(maxConcurrentCalls=calls, **says)
        self.release_lines.lines_table.note_counted(None, int(self.clock.now))

    @property
    def lines(self) -> Lines:
        return self.release_lines.lines_table.read_lines(None)

    def at_allomia(self, *keys: AttemptKey) -> int:
        """How many of these attempts may be in progress at AlloMia."""
        return sum(self.attempts.status(key) in {"dispatching", "calling"} for key in keys)

    def many(self, count: int, **fields: Any) -> list[AttemptKey]:
        """The attempts of new requests, one second after the other."""
        keys = []
        for _ in range(count):
            request = self.request(**fields)
            self.place(request, sent_at=self.clock.now)
            keys.append(key_of(request))
            self.clock.pass_seconds(1)
        return keys

    def streamed(self, *keys: AttemptKey) -> ReleasedLines:
        """What the table's stream delivers of these attempts, as far as its filter lets it through."""
        images = [image for key in keys if (image := self.attempts.image(key)) and "line" in image]
        passed = [image for image in images if image["status"]["S"] not in {"dispatching", "calling"}]
        return self.release_lines.release(passed, lambda: 30.0)

    def handed_on(self) -> list[str]:
        """The messages that wait in the queue of attempts that a line was handed on to.

        Except for those that ask to look again: they come when the machine's own clock says.
        """
        taken = []
        while messages := self.resources.take(self.resources.handed_on_queue_url):
            for message in messages:
                taken.append(message["Body"])
                self.resources.sqs.delete_message(
                    QueueUrl=self.resources.handed_on_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return [body for body in taken if "handOn" not in json.loads(body)]

    def place_handed_on(self) -> list[Placement]:
        return [self.place(message) for message in self.handed_on()]

    def ended(self, key: AttemptKey) -> list[Placement]:
        """A call ends, and the stream delivers it. Returns what happened to those that its line was handed on to."""
        self.webhook(key)
        self.streamed(key)
        return self.place_handed_on()

    def keepers(self) -> list[DueKeeper]:
        found = index_items(self.attempts.table.client, self.attempts.table.name)
        return [each for each in map(due_entry, found) if isinstance(each, DueKeeper)]

    def keep(self) -> Poll:
        """The keeper's next look."""
        self.pass_seconds(KEEPER_SECONDS)
        (keeper,) = self.keepers()
        return self.poll_calls.keep(keeper, lambda: 60.0)

    def forget_mark(self) -> None:
        """As if the worker that parked an attempt had ended before it marked it."""
        table = self.release_lines.lines_table
        table.clear_mark(None, Priority.NORMAL, self.lines.marks[Priority.NORMAL])

    def waits(self, key: AttemptKey) -> bool:
        item = self.attempts.existing_item(key)
        return (item["status"], item.get("parkReason")) == ("scheduled", LIMIT) and "waitsFor" in item


@pytest.fixture(scope="module")
def own_resources(cloud: LocalCloud) -> CloudResources:
    return CloudResources(cloud)


@pytest.fixture
def world(own_resources: CloudResources) -> Iterator[LinesWorld]:
    world = LinesWorld(own_resources)
    yield world
    world.handed_on()
    world.close()


# Never too many.


def test_no_more_calls_are_in_progress_than_the_policy_allows(world: LinesWorld) -> None:
    world.limited_to(2)

    keys = world.many(5)

    assert world.at_allomia(*keys) == len(world.allomia.posts) == len(world.lines.used) == 2
    assert [world.waits(key) for key in keys] == [False, False, True, True, True]


def test_of_many_requests_at_once_as_many_are_dialled_as_there_are_lines(world: LinesWorld) -> None:
    world.limited_to(3)
    requests = [world.request() for _ in range(8)]

    placements = at_once(8, lambda number: world.place(requests[number]))

    results = [*placements, *world.place_handed_on()]
    assert len(world.allomia.posts) == len(world.lines.used) == 3
    assert {each.code for each in results if each.result is PARKED} == {LIMIT}


def test_a_waiting_request_says_why_and_is_looked_at_when_it_expires(world: LinesWorld) -> None:
    world.limited_to(1, expireAfterSeconds=600)
    world.placed()

    placement = world.place(world.request())

    assert (placement.result, placement.code) == (PARKED, LIMIT)
    assert placement.detail == "as many calls are in progress as the policy allows at once: 1"
    assert placement.key
    assert world.due_in(placement.key) == 601


def test_a_waiting_request_is_looked_at_when_its_window_closes(world: LinesWorld) -> None:
    # It is 10:30 in Toronto
    world.limited_to(1, callingWindows=[{"days": ["wed"], "from": "10:00", "to": "11:00"}])
    world.placed(timeZone="America/Toronto")
    key = world.placed(timeZone="America/Toronto")
    assert world.waits(key)

    assert world.come_up(key).code == ParkReason.OUTSIDE_CALLING_WINDOW

    assert not world.waits(key)
    assert world.clock.now % 3600 == 0


def test_a_request_expires_that_got_no_line(world: LinesWorld) -> None:
    world.limited_to(1, expireAfterSeconds=600)
    world.placed()
    key = world.placed()

    assert world.come_up(key).code == "expired"

    assert world.attempts.existing_item(key)["reason"].endswith("it waited for concurrency-limit")


# Handed on.


def test_the_line_of_a_call_that_ended_goes_to_the_first_who_waits(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second, third = world.many(3)

    assert [each.key for each in world.ended(first)] == [second]

    assert (world.attempts.status(second), world.waits(third)) == ("calling", True)
    assert [each.key for each in world.ended(second)] == [third]
    assert world.ended(third) == []
    assert world.lines.used == {}


def test_the_more_urgent_go_first_and_then_those_who_came_first(world: LinesWorld) -> None:
    world.limited_to(1)
    (running,) = world.many(1)
    waiting = {priority: world.many(2, priority=priority) for priority in ("low", "normal", "urgent")}

    order = []
    while handed_on := world.ended(running):
        (placement,) = handed_on
        assert placement.key
        running = placement.key
        order.append(running)

    assert order == [*waiting["urgent"], *waiting["normal"], *waiting["low"]]


def test_newcomers_do_not_overtake_those_who_wait(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.webhook(first)
    world.streamed(first)  # the line is reserved for the second

    (third,) = world.many(1)

    assert world.waits(third)
    assert [each.key for each in world.place_handed_on()] == [second]


def test_who_is_more_urgent_overtakes_those_who_wait(world: LinesWorld) -> None:
    world.limited_to(2)
    first, _, third = world.many(3)
    world.webhook(first)
    world.release_lines.lines_table.give_back_lines(None, world.lines.used)  # both, but no one is handed a line yet

    (urgent,) = world.many(1, priority="urgent")

    assert world.attempts.status(urgent) == "calling"
    assert world.waits(third)


def test_what_the_stream_delivers_twice_or_late_frees_no_other_line(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second, _ = world.many(3)
    world.webhook(first)
    world.streamed(first)
    world.streamed(first)
    assert len(world.handed_on()) == 1
    assert world.place(dispatch_message(second)).result is CALLING

    world.streamed(first)

    assert world.handed_on() == []
    assert len(world.lines.used) == 1


def test_a_line_frees_every_waiting_one_if_the_limit_is_raised(world: LinesWorld) -> None:
    world.limited_to(1)
    keys = world.many(4)
    world.limited_to(3)

    world.keep()

    assert len(world.place_handed_on()) == 2
    assert world.at_allomia(*keys) == 3


# AlloMia doesn't take it.

NOT_TAKEN: dict[str, PostAnswer] = {
    "429": returns(429),
    "400": returns(400, {"error": "no"}),
    "401": returns(401),
    "unreachable": fails(httpx.ConnectError),
}


@pytest.mark.parametrize("answer", NOT_TAKEN)
def test_the_line_of_a_call_that_allomia_does_not_take_is_free_at_once(world: LinesWorld, answer: str) -> None:
    world.limited_to(1)
    world.allomia.post = NOT_TAKEN[answer]
    key = world.placed()
    world.allomia.post = None

    assert world.lines.used == {}
    assert "line" in world.attempts.existing_item(key)
    assert world.place(world.request()).result is CALLING


@pytest.mark.parametrize("answer", ["lost answer", "500"])
def test_the_line_of_a_call_that_allomia_may_have_taken_is_held(world: LinesWorld, answer: str) -> None:
    world.limited_to(1)
    world.allomia.post = fails(httpx.ReadTimeout) if answer == "lost answer" else returns(500)
    world.placed()
    world.allomia.post = None

    assert len(world.lines.used) == 1
    assert world.place(world.request()).code == LIMIT


def test_a_line_that_is_not_used_because_the_decision_grew_old_is_free_at_once(world: LinesWorld) -> None:
    world.limited_to(1)
    world.clock.step = MAX_DECISION_AGE_SECONDS / 3

    assert world.place(world.request()).code == "short-of-time"

    assert (world.lines.used, world.allomia.posts) == ({}, [])


def test_a_reserved_line_goes_on_if_its_attempt_is_not_dialled(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second, third = world.many(3)
    world.webhook(first)
    world.streamed(first)
    (message,) = world.handed_on()
    world.place({"cancel": {"requestId": second.request.request_id}})
    world.place({"cancel": {"batch": "unused"}})

    assert world.place(message).result is DUPLICATE
    world.keep()
    world.pass_seconds(RESERVED_SECONDS)
    world.keep()

    assert [each.key for each in world.place_handed_on()] == [third]


def test_a_reserved_line_goes_on_if_policy_holds_its_attempt_back(world: LinesWorld) -> None:
    world.limited_to(1, expireAfterSeconds=600)
    first, second = world.many(2)
    third = world.placed(notAfter="2026-04-02T00:00:00Z")
    world.pass_seconds(700)
    world.webhook(first)
    world.streamed(first)

    (expired,) = world.place_handed_on()

    assert (expired.key, expired.code) == (second, "expired")
    assert [each.key for each in world.place_handed_on()] == [third]


# None forgotten.


def test_the_keeper_frees_lines_at_their_deadline(world: LinesWorld) -> None:
    world.limited_to(1)
    first = world.placed()
    second = world.placed()
    (until,) = world.lines.used.values()
    assert until == world.clock.now + DEADLINE_SECONDS + HELD_AFTER_DEADLINE_SECONDS

    world.pass_seconds(DEADLINE_SECONDS + HELD_AFTER_DEADLINE_SECONDS)
    world.keep()

    assert [each.key for each in world.place_handed_on()] == [second]
    assert world.attempts.status(first) == "calling"


def test_a_newcomer_takes_a_line_that_lapsed(world: LinesWorld) -> None:
    world.limited_to(1)
    world.placed()
    world.pass_seconds(DEADLINE_SECONDS + HELD_AFTER_DEADLINE_SECONDS)

    assert world.place(world.request()).result is CALLING
    assert len(world.lines.used) == 1


def test_a_redelivery_marks_again_what_was_parked_and_not_marked(world: LinesWorld) -> None:
    world.limited_to(1)
    first = world.placed()
    request = world.request()
    world.place(request)
    waiting = key_of(request)
    world.forget_mark()

    assert world.place(request).result is DUPLICATE
    assert list(world.lines.marks) == [Priority.NORMAL]
    world.forget_mark()
    assert world.place(dispatch_message(waiting, 7)).result is DUPLICATE

    assert [each.key for each in world.ended(first)] == [waiting]


def test_the_keeper_hands_on_what_the_stream_lost(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.webhook(first)
    world.release_lines.lines_table.give_back_lines(None, world.lines.used)
    world.forget_mark()

    world.keep()

    assert [each.key for each in world.place_handed_on()] == [second]


def test_what_a_line_was_handed_on_to_and_never_dispatched_comes_due(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.webhook(first)
    world.streamed(first)
    world.handed_on()  # lost
    world.pass_seconds(RESERVED_SECONDS)
    world.keep()

    assert world.come_up(second).result is CALLING


def test_the_keeper_stays_while_anyone_waits_and_goes_after_that(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    assert world.keep().result is PollResult.KEPT
    assert world.keep().result is PollResult.KEPT
    assert len(world.keepers()) == 1

    world.ended(first)
    world.ended(second)
    for _ in range(3):
        if world.keepers():
            world.keep()

    assert world.keepers() == []
    assert world.lines.marks == {}


def test_the_keeper_reports_what_it_sees(world: LinesWorld) -> None:
    world.limited_to(1)
    world.many(1)
    world.many(2, priority="urgent")
    world.many(1, priority="low")

    seen = world.keep().lines

    assert seen
    assert (seen.in_use, dict(seen.waiting)) == (1, {Priority.URGENT: 2, Priority.NORMAL: 0, Priority.LOW: 1})
    assert seen.waited_seconds == {Priority.URGENT: KEEPER_SECONDS + 3, Priority.LOW: KEEPER_SECONDS + 1}


def test_a_mark_is_cleared_once_the_index_must_show_all_who_wait(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.ended(first)
    world.ended(second)
    assert list(world.lines.marks) == [Priority.NORMAL]

    third = world.placed()  # the index could lag
    assert [each.key for each in world.place_handed_on()] == [third]
    world.pass_seconds(INDEX_LAG_SECONDS)
    world.ended(third)

    assert world.lines.marks == {}
    assert world.place(world.request()).result is CALLING


def test_free_lines_are_looked_at_again_because_the_index_may_lag(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.ended(first)
    world.ended(second)
    assert list(world.lines.marks) == [Priority.NORMAL]

    world.pass_seconds(INDEX_LAG_SECONDS)

    assert world.place({"handOn": {}}).result is PlaceResult.HANDED_ON
    assert world.lines.marks == {}


def test_a_mark_stays_if_another_one_waits_meanwhile(world: LinesWorld) -> None:
    table = world.release_lines.lines_table
    seen = table.mark_waiting(None, Priority.LOW, world.clock.now).marks[Priority.LOW]
    table.mark_waiting(None, Priority.LOW, world.clock.now)

    assert list(table.clear_mark(None, Priority.LOW, seen).marks) == [Priority.LOW]


# Another limit.


def test_after_the_limit_is_lowered_no_line_is_taken_until_fewer_are_in_use(world: LinesWorld) -> None:
    world.limited_to(3)
    keys = world.many(5)
    world.webhook(keys[0])
    world.streamed(keys[0])  # reserved for the fourth
    world.limited_to(1)

    assert [each.code for each in world.place_handed_on()] == [LIMIT]
    assert world.ended(keys[1]) == []

    assert world.at_allomia(*keys) == 1
    assert [each.key for each in world.ended(keys[2])] == [keys[3]]
    assert [each.key for each in world.ended(keys[3])] == [keys[4]]


def test_once_there_is_no_limit_all_who_wait_are_dialled(world: LinesWorld) -> None:
    world.limited_to(1)
    keys = world.many(5)
    world.decide_by(basedOn="open")
    world.pass_seconds(IN_FORCE_SECONDS)

    assert world.keep().released == 4
    assert [world.place(message).result for message in world.queued()] == [CALLING] * 4

    for key in keys:
        world.webhook(key)
    world.streamed(*keys)
    assert world.lines.used == {}


def test_while_calls_are_paused_no_line_is_handed_on(world: LinesWorld) -> None:
    world.limited_to(1)
    first, second = world.many(2)
    world.limited_to(1, paused=True)

    assert world.ended(first) == []
    assert world.waits(second)

    world.limited_to(1)
    world.keep()
    assert [each.key for each in world.place_handed_on()] == [second]


def test_a_redial_waits_for_a_line_like_any_other(world: LinesWorld) -> None:
    world.limited_to(1, redial={"on": {"busy": [60]}, "maxAttempts": 2})
    first = world.placed()
    world.webhook(first, "busy")
    world.streamed(first)
    second = world.placed()
    following = world.redialled(first)

    assert world.place_queued().code == LIMIT
    assert [each.key for each in world.ended(second)] == [following]


# A limit where there was none.


def test_calls_that_are_in_progress_when_a_limit_is_set_count(world: LinesWorld) -> None:
    world.decide_by(basedOn="open")
    keys = world.many(3)
    world.decide_by(maxConcurrentCalls=3)
    request = world.request()
    assert "yet to be counted" in world.place(request).detail
    fourth = key_of(request)
    assert world.waits(fourth)
    world.pass_seconds(COUNT_AFTER_SECONDS)

    fifth = world.placed()

    assert world.at_allomia(*keys, fourth, fifth) == len(world.lines.used) == 3
    assert [world.attempts.existing_item(key)["line"] for key in keys] == [
        world.attempts.existing_item(key)["claimId"] for key in keys
    ]
    # Each of them hands its line on at its end.
    assert [each.key for each in world.ended(keys[0])] == [fourth]


def test_the_keeper_counts_calls_in_progress_and_hands_on_what_is_free(world: LinesWorld) -> None:
    world.decide_by(basedOn="open")
    first = world.placed()
    world.decide_by(maxConcurrentCalls=2)
    waiting = world.many(2)
    world.pass_seconds(COUNT_AFTER_SECONDS)

    world.keep()

    assert [each.key for each in world.place_handed_on()] == waiting[:1]
    assert world.at_allomia(first, *waiting) == len(world.lines.used) == 2


def test_a_call_that_ended_before_it_was_counted_holds_no_line(world: LinesWorld) -> None:
    world.decide_by(basedOn="open")
    ended, redialled, held = world.many(3)
    calls = list(UnlimitedCalls(world.attempts.table).in_progress(None, whatever_it_takes=True))
    assert {each.key for each in calls} == {ended, redialled, held}
    world.webhook(ended)

    assert [UnlimitedCalls(world.attempts.table).hold_line(each) for each in calls] == [
        each.key != ended for each in calls
    ]


def test_a_limit_that_is_removed_and_set_again_counts_again(world: LinesWorld) -> None:
    world.limited_to(1)
    first = world.placed()
    world.decide_by(basedOn="open")
    second = world.placed()
    world.decide_by(maxConcurrentCalls=2)
    world.pass_seconds(COUNT_AFTER_SECONDS)

    assert world.place(world.request()).code == LIMIT

    assert world.at_allomia(first, second) == len(world.lines.used) == 2


def test_where_much_is_due_only_the_keeper_counts(world: LinesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlimited_calls, "_DUE_AT_ONCE", 1)
    world.decide_by(basedOn="open")
    world.many(5)
    world.decide_by(maxConcurrentCalls=9)
    world.pass_seconds(COUNT_AFTER_SECONDS)

    waiting = world.placed()

    assert world.waits(waiting)
    world.keep()
    assert [each.key for each in world.place_handed_on()] == [waiting]
    assert len(world.lines.used) == 6


def test_the_stream_frees_the_line_of_a_claim_once_however_often_its_attempt_is_parked(world: LinesWorld) -> None:
    world.limited_to(1)
    world.allomia.post = returns(429)
    key = world.placed()
    assert "line" in world.attempts.existing_item(key)
    world.allomia.post = None
    # Its claim's line is given back before the claim, so the next call has it.
    world.placed()

    world.come_up(key)

    assert world.waits(key)
    assert "line" not in world.attempts.existing_item(key)


def test_one_that_waits_again_keeps_the_line_that_is_handed_on_to_it_then(world: LinesWorld) -> None:
    # Given one that waits, its line free, and nothing reserved for it, as after its reservation ended
    world.limited_to(1)
    first, second = world.many(2)
    world.webhook(first)
    world.streamed(first)
    world.pass_seconds(RESERVED_SECONDS)

    # When it is dispatched, it waits again, and gets the free line
    results = [each.result for each in world.place_handed_on()]
    results += [each.result for each in world.place_handed_on()]

    assert results == [PARKED, CALLING]
    assert world.attempts.status(second) == "calling"


# For operators.


def test_an_operator_sees_the_lines_and_who_waits(
    world: LinesWorld,
) -> None:
    world.limited_to(1)
    first, second, *_ = world.many(3)
    (urgent,) = world.many(1, priority="urgent")
    policy = CurrentPolicy(world.policy_table, "open", world.monotonic)
    view = LinesView(world.attempts.table, world.release_lines.lines_table, policy, world.clock)

    report = view.look("default")

    assert (report.limit, report.in_use, report.reserved, report.paused) == (1, 1, 0, False)
    assert [(each.priority, each.waiting, each.first, each.waited_seconds) for each in report.waiting] == [
        (Priority.URGENT, 1, urgent.request.request_id, 1),
        (Priority.NORMAL, 2, second.request.request_id, 3),
        (Priority.LOW, 0, None, None),
    ]
    world.webhook(first)
    world.streamed(first)
    assert (view.look(None).in_use, view.look(None).reserved) == (0, 1)


def test_the_command_shows_lines(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    operated = OperatedStack(cloud)

    code, shown = operated.calls(capsys, "lines")

    assert (code, shown["organization"], shown["inUse"], "limit" in shown) == (0, "default", 0, False)
    assert operated.run("lines") == 0
    assert "0 lines in use (no limit)" in capsys.readouterr().out


# Over a network that loses a request or an answer.


class TestOverANetwork:
    """A new request puts its claim, then takes its line; AlloMia's answer is settled by the next update."""

    @pytest.fixture
    def world(self, own_resources: CloudResources, network: FaultyNetwork) -> Iterator[LinesWorld]:
        world = LinesWorld(own_resources, lambda service, *_: network.client(service))
        yield world
        world.close()

    @pytest.mark.parametrize("fault", FAULTS)
    def test_without_an_answer_to_its_line_a_call_is_not_made(
        self, world: LinesWorld, network: FaultyNetwork, fault: str
    ) -> None:
        world.limited_to(1)
        network.fail_once("UpdateItem", fault)

        key = world.placed()

        assert world.allomia.posts == []
        assert world.attempts.existing_item(key)["parkReason"] == "policy-unreadable"
        world.streamed(key)
        assert world.lines.used == {}

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_line_that_is_given_back_in_vain_is_freed_by_the_stream(
        self, world: LinesWorld, network: FaultyNetwork, fault: str
    ) -> None:
        world.limited_to(1)
        world.allomia.post = returns(429)
        network.fail_once("UpdateItem", fault, skip=2)

        key = world.placed()

        assert world.attempts.existing_item(key)["parkReason"] == "rate-limited"
        world.streamed(key)
        assert world.lines.used == {}

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_write_that_the_sdk_sends_again_takes_one_line(
        self, own_resources: CloudResources, network: FaultyNetwork, fault: str
    ) -> None:
        world = LinesWorld(own_resources, lambda service, *_: network.client(service, 2))
        world.limited_to(1)
        network.fail_once("UpdateItem", fault)

        key = world.placed()

        assert world.attempts.status(key) == "calling"
        assert len(world.lines.used) == 1

    def test_a_look_of_the_keeper_reads_the_first_of_each_priority_and_counts_the_others(
        self, world: LinesWorld, network: FaultyNetwork
    ) -> None:
        world.limited_to(1)
        world.many(4)
        network.operations.clear()

        seen = world.keep().lines

        assert seen
        assert seen.waiting[Priority.NORMAL] == 3
        # The lease; the policy, the lines; the first for policy and of each priority, and a count.
        assert Counter(network.operations) == {"UpdateItem": 1, "GetItem": 2, "Query": 1 + 3 + 1}

    def test_what_the_keeper_releases_costs_a_write_each_and_a_message_for_ten(
        self, world: LinesWorld, network: FaultyNetwork
    ) -> None:
        world.limited_to(1)
        world.many(13)
        world.decide_by(basedOn="open")
        world.pass_seconds(IN_FORCE_SECONDS)
        network.operations.clear()

        assert world.keep().released == 12

        # The keeper's lease and those of twelve; one query more lists them.
        counts = Counter(network.operations)
        assert counts == {"UpdateItem": 1 + 12, "SendMessageBatch": 2, "GetItem": 2, "Query": 1 + 3 + 1 + 1}

    def test_a_line_is_given_back_before_its_claim(self, world: LinesWorld, network: FaultyNetwork) -> None:
        world.limited_to(1)
        world.placed()
        (line,) = world.lines.used
        world.release_lines.lines_table.give_back_lines(None, [line])
        world.allomia.post = returns(429)
        network.operations.clear()

        key = world.placed()

        writes = [each for each in network.operations if each in {"PutItem", "UpdateItem"}]
        # The claim, the line, the line's return, the release of the claim
        assert writes == ["PutItem", "UpdateItem", "UpdateItem", "UpdateItem"]
        assert line_reserved_for(key) not in world.lines.used
