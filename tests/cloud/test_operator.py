"""What a person does by hand, on the real table and queues: an attempt more, and messages put back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import BotoCoreError

from calls.following import Follower, Following
from calls.masking import masked
from calls.queues import Redrive, held, read_mended
from calls.records import Records
from calls.requests_file import Row
from calls.resolving import Finding, NotAllowed, Resolving
from calls.sending import Sender
from calls.watching import Watch, depth
from outbound_calls.contracts import AttemptKey, CallRequest
from outbound_calls.lifecycle import Status
from outbound_calls.place import Message, Placed
from outbound_calls.reports import Reports
from tests.cloud.parts import (
    LOSE,
    METADATA,
    NOW,
    PASS,
    REFUSE,
    Calls,
    Network,
    an_outcome,
    at_once,
    create_calls_table,
)
from tests.cloud.world import DEADLINE, Surroundings, World, fails
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID


@pytest.fixture
def world(surroundings: Surroundings) -> Iterator[World]:
    world = World(surroundings)
    yield world
    world.close()


def completed(request: CallRequest) -> CallRequest:
    return request.completed(ASSISTANT_ID, PHONE_NUMBER_ID)


def resolving(calls: Calls, clock: Callable[[], float] = lambda: NOW + 9000) -> Resolving:
    return Resolving(calls.ledger, Reports(calls.dynamodb, calls.table), completed, clock)


def given(**changes: Any) -> CallRequest:
    return CallRequest(phone_number=PHONE_NUMBER, **changes)


# An attempt more.


def test_a_request_is_dialled_again_through_the_same_claim_as_any(world: World) -> None:
    # Given a call of which nobody knows what became, and a person who decides to call again
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed(metadata=METADATA)
    world.clock.pass_seconds(DEADLINE + 1)
    world.sweep(key)
    assert world.calls.status(key) == "unknown"
    world.allomia.post = None
    settle = resolving(world.calls, world.clock)
    redial, request = settle.prepare(key.request_id, given(customer_name="Ada"), False, masked)

    # When the further attempt is made and the poller sweeps, and its message comes twice
    second = settle.dial_again(redial, request)
    world.sweep(second)
    (message,) = world.queued()
    results = [world.place(message).result for _ in range(2)]

    # Then it is dialled once, with the stack's defaults and the metadata of the record
    assert second == AttemptKey(request_id=key.request_id, attempt=2)
    assert results == [Placed.CALLING, Placed.DUPLICATE]
    assert world.allomia.posts[-1]["callbackUrl"] == world.callback_url(second)
    assert world.allomia.posts[-1]["assistantId"] == ASSISTANT_ID
    item = world.calls.there(second)
    assert item["metadata"] == METADATA
    assert item["createdAt"] == int(world.clock.now)
    world.webhook(second)
    assert (world.calls.status(key), world.calls.status(second)) == ("unknown", "completed")


def test_of_two_people_who_dial_again_at_once_one_does(calls: Calls) -> None:
    key = calls.ended(Status.UNKNOWN)
    settle = resolving(calls)
    redial, request = settle.prepare(key.request_id, given(), False, masked)

    def dial(_number: int) -> bool:
        try:
            return bool(settle.dial_again(redial, request))
        except NotAllowed:
            return False

    assert at_once(6, dial).count(True) == 1


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DISPATCHING, Status.CALLING])
def test_what_has_not_ended_is_not_dialled_again(calls: Calls, status: Status) -> None:
    key = calls.in_status(status)

    with pytest.raises(NotAllowed, match=f"attempt 1 is {status}"):
        resolving(calls).prepare(key.request_id, given(), True, masked)


def test_a_call_that_took_place_is_dialled_again_only_on_demand(calls: Calls) -> None:
    key = calls.ended(Status.COMPLETED)

    with pytest.raises(NotAllowed, match="completed"):
        resolving(calls).prepare(key.request_id, given(), False, masked)
    assert resolving(calls).prepare(key.request_id, given(), True, masked)[0].attempt == 2


@pytest.mark.parametrize("status", [Status.FAILED, Status.BUSY, Status.NO_ANSWER, Status.REJECTED, Status.UNKNOWN])
def test_what_reached_nobody_is_dialled_again(calls: Calls, status: Status) -> None:
    key = calls.ended(status)

    redial, request = resolving(calls).prepare(key.request_id, given(), False, masked)

    assert (redial.attempt, redial.last_status, redial.metadata_kept) == (2, status, True)
    assert redial.phone_number == masked(PHONE_NUMBER)
    assert request.metadata == METADATA
    assert request.assistant_id == ASSISTANT_ID


def test_other_metadata_takes_the_place_of_the_records(calls: Calls) -> None:
    key = calls.ended(Status.BUSY)

    redial, request = resolving(calls).prepare(key.request_id, given(metadata={"visit": "2"}), False, masked)

    assert (redial.metadata_kept, request.metadata) == (False, {"visit": "2"})


def test_an_outcome_that_comes_while_the_person_thinks_stops_the_redial(calls: Calls) -> None:
    key = calls.ended(Status.UNKNOWN)
    settle = resolving(calls)
    redial, request = settle.prepare(key.request_id, given(), False, masked)

    calls.ledger.record(key, an_outcome(Status.COMPLETED), NOW + 8000)

    with pytest.raises(NotAllowed, match="changed"):
        settle.dial_again(redial, request)
    assert calls.item(AttemptKey(request_id=key.request_id, attempt=2)) is None


def test_there_are_no_more_attempts_than_a_key_can_name(calls: Calls) -> None:
    item = calls.there(calls.ended(Status.BUSY))
    calls.put_raw(item | {"attempt": 99})

    with pytest.raises(NotAllowed, match="99"):
        resolving(calls).prepare(item["requestId"], given(), False, masked)


def test_nobody_settles_a_request_that_has_no_record(calls: Calls) -> None:
    with pytest.raises(NotAllowed, match="no record"):
        resolving(calls).prepare("never-asked", given(), False, masked)
    with pytest.raises(NotAllowed, match="no record"):
        resolving(calls).record("never-asked", Finding.BUSY)


def test_what_a_person_found_out_is_recorded_of_the_last_attempt(calls: Calls) -> None:
    first = calls.ended(Status.UNKNOWN)
    second = AttemptKey(request_id=first.request_id, attempt=2)
    item = calls.there(first)
    calls.put_raw(item | {"attempt": 2})

    resolved = resolving(calls).record(first.request_id, Finding.NO_ANSWER)

    assert (resolved.attempt, resolved.status) == (2, Status.NO_ANSWER)
    assert (calls.status(first), calls.status(second)) == ("unknown", "no-answer")


def test_only_what_is_unknown_is_recorded(calls: Calls) -> None:
    key = calls.calling().key

    with pytest.raises(NotAllowed, match="is calling"):
        resolving(calls).record(key.request_id, Finding.COMPLETED)


# What is looked up.


def test_attempts_are_found_by_their_keys_however_many(calls: Calls) -> None:
    keys = [calls.ended(Status.BUSY) for _ in range(3)]
    nobody = [AttemptKey(request_id=f"nobody-{number}", attempt=1) for number in range(200)]
    records = Records(calls.dynamodb, calls.table, 4)

    assert records.statuses([*nobody, *keys, *keys]) == dict.fromkeys(keys, Status.BUSY)


def test_what_is_under_way_is_found_by_the_index(surroundings: Surroundings) -> None:
    dynamodb = surroundings.cloud.client("dynamodb")
    calls = Calls.over(dynamodb, create_calls_table(dynamodb))
    waiting, calling, ended = calls.scheduled(), calls.calling().key, calls.ended(Status.BUSY)
    records = Records(dynamodb, calls.table, 4)

    found = {call.request_id for call in records.under_way(10).calls}

    assert found == {waiting.request_id, calling.request_id}
    assert [call.status for call in records.under_way(10, {Status.CALLING}).calls] == [Status.CALLING]
    assert (len(records.under_way(1).calls), records.under_way(1).more) == (1, True)
    assert [call.request_id for call in records.search({Status.BUSY}, None, 10).calls] == [ended.request_id]
    assert len(records.search((), NOW, 10).calls) == 3
    assert records.search((), NOW + 1, 10).calls == []
    assert records.search((), None, 2).more
    assert records.overdue_since(NOW) is None
    assert records.overdue_since(NOW + 400) == 340


# Messages put back.


HOLD_SECONDS = 2
"""Long enough to put messages back, and not long to wait for."""


class Queues:
    """A call queue and one whose messages wait for a person."""

    def __init__(self, surroundings: Surroundings, client: Any) -> None:
        self.surroundings = surroundings
        self.url, self.call_queue_url = surroundings.new_queue(), surroundings.new_queue()
        self.client = client
        self.redrive = Redrive(client, self.url, Sender(client, self.call_queue_url, lambda _seconds: None))

    def put(self, body: str, **attributes: str) -> str:
        return self.surroundings.sqs.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
        )["MessageId"]

    def sent(self) -> list[Any]:
        """What is on the call queue; it is taken from there."""
        found = []
        while messages := self.surroundings.take(self.call_queue_url):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.surroundings.sqs.delete_message(
                    QueueUrl=self.call_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return found

    def waiting(self) -> set[str]:
        with held(self.surroundings.sqs, self.url, 100) as messages:
            return {message.id for message in messages}

    def let_the_hold_pass(self) -> None:
        """Wait until no message is hidden any more, as one is by a look that died."""
        deadline = time.monotonic() + 30
        while depth(self.surroundings.sqs, "", self.url).held:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def put_back_all(self) -> None:
        with held(self.client, self.url, 100, HOLD_SECONDS) as messages:
            self.redrive.as_they_are(messages)

    def put_back(self, *rows: Row) -> None:
        mended, refused = read_mended(rows, completed)
        assert refused == []
        with held(self.client, self.url, 100, HOLD_SECONDS) as messages:
            self.redrive.mended(messages, mended)


@pytest.fixture
def queues(surroundings: Surroundings) -> Queues:
    return Queues(surroundings, surroundings.sqs)


def mended_row(number: int, message_id: str, **fields: Any) -> Row:
    return Row(number, json.dumps({"id": message_id, "reason": "…", "request": {"phoneNumber": PHONE_NUMBER} | fields}))


def test_a_look_takes_nothing(queues: Queues) -> None:
    ids = {queues.put(f"message {number}") for number in range(23)}

    with held(queues.surroundings.sqs, queues.url, 100) as messages:
        assert {message.id for message in messages} == ids
        assert queues.surroundings.take(queues.url) == []
    assert queues.waiting() == ids


def test_a_look_that_fails_takes_nothing_either(queues: Queues) -> None:
    ids = {queues.put("message")}

    with pytest.raises(ZeroDivisionError), held(queues.surroundings.sqs, queues.url, 100):
        raise ZeroDivisionError
    assert queues.waiting() == ids


def test_a_look_stops_at_its_limit(queues: Queues) -> None:
    for number in range(12):
        queues.put(f"message {number}")

    with held(queues.surroundings.sqs, queues.url, 11) as messages:
        assert len(messages) == 11


def test_what_is_shown_of_a_message_is_not_the_person(queues: Queues) -> None:
    queues.put(json.dumps({"requestId": "a-1", "phoneNumber": "+15145550199", "customerName": "Ada"}), reason="x: y")
    queues.put("not JSON, +15145550199")

    with held(queues.surroundings.sqs, queues.url, 10) as messages:
        shown = [message.waiting(masked, 2e9) for message in messages]

    text = "".join(each.model_dump_json() for each in shown)
    assert "0199" not in text
    assert "Ada" not in text
    assert {(each.request_id, each.phone_number, each.reason) for each in shown} == {
        ("a-1", "+1514•••••99", "x: y"),
        (None, None, None),
    }


def test_exactly_the_mended_messages_are_put_back(queues: Queues) -> None:
    one, other = queues.put("bad", messageId="11111111-aaaa"), queues.put("bad as well")

    mended, _ = read_mended([mended_row(1, one, requestId="a-1"), mended_row(2, "gone", requestId="b")], completed)
    with held(queues.client, queues.url, 100) as messages:
        redriven = queues.redrive.mended(messages, mended)

    assert (redriven.sent, redriven.not_found, redriven.still_there) == (1, ["gone"], 1)
    assert queues.sent() == [{"requestId": "a-1", "phoneNumber": PHONE_NUMBER}]
    assert queues.waiting() == {other}


def test_a_mended_request_without_an_id_goes_by_the_one_that_the_stack_would_have_called_it(queues: Queues) -> None:
    with_first = queues.put("bad", messageId="11111111-aaaa")
    without = queues.put("bad")

    queues.put_back(mended_row(1, with_first), mended_row(2, without))

    assert {message["requestId"] for message in queues.sent()} == {"11111111-aaaa", without}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{}", "id"),
        ("not JSON", "id"),
        ('{"id": "a"}', "request"),
        ('{"id": "a", "request": {"phoneNumber": "5145550199"}}', "phoneNumber"),
        ('{"id": "a", "request": {"phoneNumber": "+15145550199", "callbackUrl": "x"}}', "unknown field"),
        ('{"id": "a", "request": {"release": {"requestId": "a", "attempt": 1}}}', "release"),
    ],
)
def test_a_line_that_is_not_mended_is_refused_with_its_rule(line: str, field: str) -> None:
    mended, refused = read_mended([Row(7, line)], completed)

    assert mended == []
    assert [(each.row, each.field) for each in refused] == [(7, field)]
    assert "0199" not in refused[0].model_dump_json()


def test_a_message_is_mended_once(queues: Queues) -> None:
    _, refused = read_mended([mended_row(1, "a"), mended_row(2, "a", customerName="Eve")], completed)

    assert [(each.row, each.field) for each in refused] == [(2, "id")]


def test_dead_letters_go_back_as_they_came_but_never_without_an_id(queues: Queues) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "named": {"requestId": "a-1", "phoneNumber": PHONE_NUMBER},
        "nameless": {"phoneNumber": PHONE_NUMBER, "customerName": "Zoë"},
        "null": {"requestId": None, "phoneNumber": PHONE_NUMBER},
        "newer": {"phoneNumber": PHONE_NUMBER, "aFieldOfTomorrow": 1},
        "release": {"release": {"requestId": "a-2", "attempt": 2}, "timesParked": 1},
    }
    ids = {name: queues.put(json.dumps(body)) for name, body in bodies.items()}

    queues.put_back_all()

    sent = queues.sent()
    expected = [
        bodies["named"],
        bodies["nameless"] | {"requestId": ids["nameless"]},
        bodies["null"] | {"requestId": ids["null"]},
        bodies["newer"] | {"requestId": ids["newer"]},
        bodies["release"],
    ]
    assert sorted(map(repr, sent)) == sorted(map(repr, expected))
    assert queues.waiting() == set()


def test_a_dead_letter_that_was_claimed_already_rings_nobody_again(world: World, queues: Queues) -> None:
    # Given a message without an id whose call was placed before its worker died, again and again
    body = json.dumps({"phoneNumber": PHONE_NUMBER})
    message_id = queues.put(body)
    world.place_calls.place(_message(message_id, body))
    assert len(world.allomia.posts) == 1

    # When it is put back, under whatever message id SQS gives it now
    queues.put_back_all()
    (again,) = queues.sent()
    result = world.place_calls.place(_message("another-message-id", json.dumps(again))).result

    # Then it is known for what it is
    assert result is Placed.DUPLICATE
    assert len(world.allomia.posts) == 1


def _message(message_id: str, body: str) -> Any:
    return Message(message_id, body, lambda: 45.0)


# Every point at which putting back can break off. A message may then be in both queues, never in neither; and when
# somebody runs the command again, it is on the call queue under one id.

CRASHES = {
    "before the look": ("ReceiveMessage", REFUSE),
    "the look's answer is lost": ("ReceiveMessage", LOSE),
    "before the sending": ("SendMessageBatch", REFUSE),
    "sent, and the answer is lost": ("SendMessageBatch", LOSE),
    "before the deleting": ("DeleteMessageBatch", REFUSE),
    "deleted, and the answer is lost": ("DeleteMessageBatch", LOSE),
    "before they are shown again": ("ChangeMessageVisibilityBatch", REFUSE),
}


@pytest.mark.parametrize(
    ("way", "crash"),
    [("dead letters", crash) for crash in CRASHES]
    + [("mended", crash) for crash, (operation, _) in CRASHES.items() if operation.startswith(("Send", "Delete"))],
)
def test_nothing_is_lost_wherever_it_breaks_off(
    surroundings: Surroundings, network: Network, crash: str, way: str
) -> None:
    # Given messages that wait, none of which names its request
    queues = Queues(surroundings, network.client("sqs"))
    ids = [queues.put(json.dumps({"phoneNumber": PHONE_NUMBER})) for _ in range(3)]
    rows = [mended_row(number, message_id) for number, message_id in enumerate(ids)]
    operation, fate = CRASHES[crash]

    def put_back() -> None:
        queues.put_back_all() if way == "dead letters" else queues.put_back(*rows)

    # When putting them back breaks off
    network.plan = lambda name, _before: fate if name == operation else PASS
    with contextlib.suppress(BotoCoreError):
        put_back()
    network.heal()

    # Then each is on the call queue, or still here
    sent = {message["requestId"] for message in queues.sent()}
    queues.let_the_hold_pass()
    assert sent | queues.waiting() == set(ids)

    # And when it is run again, all are on the call queue under the ids that they had, and none is left
    put_back()
    assert sent | {message["requestId"] for message in queues.sent()} == set(ids)
    assert queues.waiting() == set()


# Following and watching.


class Follow:
    """Somebody who follows calls, on a clock that only the waiting moves; `meanwhile` happens at each wait."""

    def __init__(self, calls: Calls, *meanwhile: Callable[[], object]) -> None:
        self.now = 0.0
        self.meanwhile = list(meanwhile)
        self.looks: list[int] = []
        self.follower = Follower(Records(calls.dynamodb, calls.table, 4), lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def follow(self, *keys: AttemptKey, timeout: float = 60) -> Following:
        return self.follower.follow(dict.fromkeys(keys), timeout, lambda now: self.looks.append(now.ended))


def test_calls_are_followed_until_each_has_its_outcome(calls: Calls) -> None:
    one, other = calls.calling().key, calls.calling().key
    follow = Follow(
        calls,
        lambda: calls.ledger.record(one, an_outcome(Status.BUSY), NOW + 9),
        lambda: calls.ledger.record(other, an_outcome(Status.COMPLETED), NOW + 9),
    )

    following = follow.follow(one, other)

    assert follow.looks == [0, 1, 2]
    assert (following.all_ended, following.needs_a_person) == (True, False)
    assert [(call.status, call.outcome_source) for call in following.calls] == [
        ("busy", "webhook"),
        ("completed", "webhook"),
    ]


def test_following_ends_when_the_time_is_over(calls: Calls) -> None:
    following = Follow(calls).follow(calls.calling().key, calls.new_key(), timeout=5)

    assert not following.all_ended
    assert [call.status for call in following.calls] == ["calling", "queued"]


@pytest.mark.parametrize("status", [Status.REJECTED, Status.UNKNOWN])
def test_an_end_that_needs_a_person_is_told(calls: Calls, status: Status) -> None:
    following = Follow(calls).follow(calls.ended(status), calls.ended(Status.COMPLETED))

    assert (following.all_ended, following.needs_a_person) == (True, True)


def test_nothing_to_follow_has_ended(calls: Calls) -> None:
    assert Follow(calls).follow().all_ended


def test_a_watch_sees_what_is_under_way_and_what_ends_under_its_eyes(surroundings: Surroundings) -> None:
    dynamodb = surroundings.cloud.client("dynamodb")
    calls = Calls.over(dynamodb, create_calls_table(dynamodb))
    ended_before, call = calls.ended(Status.COMPLETED), calls.calling()
    calls.scheduled()
    url = surroundings.new_queue()
    surroundings.sqs.send_message(QueueUrl=url, MessageBody="waits")
    watch = Watch(Records(dynamodb, calls.table, 4), surroundings.sqs, {"rejected": url})

    first = watch.look()
    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 9)
    second, third = watch.look(), watch.look()

    assert first.under_way == {"scheduled": 1, "dispatching": 0, "calling": 1}
    assert first.ended == []
    assert [(queue.queue, queue.waiting) for queue in first.queues] == [("rejected", 1)]
    assert second.under_way == {"scheduled": 1, "dispatching": 0, "calling": 0}
    assert [(found.request_id, found.status) for found in second.ended] == [(call.key.request_id, Status.UNKNOWN)]
    assert third.ended == second.ended
    assert ended_before.request_id not in third.model_dump_json()
