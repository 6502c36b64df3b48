"""Messages that wait for a person are listed, exported and sent again, and none is lost wherever that stops."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from calls.operations.expiring import LastMoments
from calls.operations.masking import masked
from calls.operations.redriving import Moved, Redrive, RedrivePlan, RedriveReport, read_fixed, redrive_report
from calls.operations.requests_file import Row, read_rows
from calls.operations.sending import Sender
from calls.operations.waiting_messages import HeldMessage, export, held_messages, last_moment
from calls.operations.watching import queue_depth
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS, utc_text
from outbound_calls.use_cases.decide import CACHE_SECONDS
from outbound_calls.use_cases.new_attempt import Defaults
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, PASS, FaultyNetwork
from tests.cloud.world import CloudWorld
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID, Clock
from tests.world import NOW, CloudResources

DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)
DAY = EXPIRE_AFTER_SECONDS
HOLD_SECONDS = 2
"""Long enough for a redrive, and short enough to wait for."""


class Queues:
    """A call queue, and a queue whose messages wait for a person. The redrive uses `client`."""

    def __init__(self, resources: CloudResources, client: Any) -> None:
        self.resources = resources
        self.sqs = resources.sqs
        self.url, self.call_queue_url = resources.new_queue(), resources.new_queue()
        self.client = client
        self.clock = Clock(time.time())
        sender = Sender(client, self.call_queue_url, lambda _seconds: None)
        self.redrive = Redrive(client, self.url, sender, last_moment, clock=self.clock)

    def put(self, body: str, **attributes: str) -> str:
        return self.sqs.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
        )["MessageId"]

    def take_sent(self, *, with_expiry: bool = False) -> list[Any]:
        """Remove and return the messages on the call queue."""
        bodies = []
        while messages := self.resources.take(self.call_queue_url):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                if not with_expiry:
                    bodies[-1].pop("notAfter", None)
                self.sqs.delete_message(QueueUrl=self.call_queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    @contextmanager
    def held(
        self, limit: int = 100, hold_seconds: int = HOLD_SECONDS, *, kept: bool = False
    ) -> Iterator[list[HeldMessage]]:
        """Its messages, as those of the dead-letter queue, or as those that place_call `kept`."""
        with held_messages(self.client, self.url, limit, kept_by_stack=kept, hold_seconds=hold_seconds) as messages:
            yield messages

    def waiting(self) -> set[str]:
        with self.held(hold_seconds=600) as messages:
            return {message.id for message in messages}

    def wait_until_released(self) -> None:
        """Wait until no message is hidden, as after a reader that died."""
        deadline = time.monotonic() + 30
        while queue_depth(self.sqs, "", self.url).held:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def redrive_all(self, late: bool = False) -> RedriveReport:
        redrive = replace(self.redrive, late=late)
        with self.held() as messages:
            return send(redrive, redrive.plan_unchanged(messages))

    def redrive_fixed(self, *rows: Row) -> RedriveReport:
        fixed, invalid = read_fixed(rows, DEFAULTS)
        assert invalid == []
        with self.held(kept=True) as messages:
            return send(self.redrive, self.redrive.plan_fixed(messages, fixed))


def send(redrive: Redrive, plan: RedrivePlan) -> RedriveReport:
    moved = Moved()
    redrive.send(plan, moved)
    return redrive_report(plan, moved)


@pytest.fixture
def queues(resources: CloudResources) -> Queues:
    return Queues(resources, resources.sqs)


def fixed_row(number: int, message_id: str, **fields: Any) -> Row:
    return Row(number, json.dumps({"id": message_id, "reason": "…", "request": {"phoneNumber": PHONE_NUMBER} | fields}))


# List and export.


def test_listing_removes_nothing(queues: Queues) -> None:
    ids = {queues.put(f"message {number}") for number in range(23)}

    with queues.held() as messages:
        assert {message.id for message in messages} == ids
        assert queues.resources.take(queues.url) == []
    with pytest.raises(ZeroDivisionError), queues.held():
        raise ZeroDivisionError
    assert queues.waiting() == ids


def test_listing_stops_at_its_limit(queues: Queues) -> None:
    for number in range(12):
        queues.put(f"message {number}")

    with queues.held(11) as messages:
        assert len(messages) == 11


def test_a_listed_message_shows_no_personal_data(queues: Queues) -> None:
    queues.put(json.dumps({"requestId": "a-1", "phoneNumber": "+15145550199", "customerName": "Ada"}), reason="x: y")
    queues.put("not JSON, +15145550199")
    queues.put(json.dumps({"requestId": "+15145550199"}), messageId="+15145550199", sentAt="yesterday")

    with queues.held(kept=True) as messages:
        shown = [message.summary(masked, 2e9, last_moment) for message in messages]

    text = "".join(each.model_dump_json() for each in shown)
    assert "0199" not in text
    assert "Ada" not in text
    assert {(each.request_id, each.phone_number, each.reason) for each in shown} == {
        ("a-1", "+1514•••••99", "x: y"),
        (None, None, None),
    }


def test_an_export_is_private_and_can_be_fixed(queues: Queues, tmp_path: Path) -> None:
    message_id = queues.put(json.dumps({"phoneNumber": "15005550100"}), reason="phoneNumber: required")
    queues.put("not JSON")
    path = tmp_path / "export.jsonl"

    with queues.held(kept=True) as messages:
        export(messages, path)

    lines = {line["id"]: line for line in map(json.loads, path.read_text().splitlines())}
    request = {"phoneNumber": "15005550100"}
    assert lines.pop(message_id) == {"id": message_id, "reason": "phoneNumber: required", "request": request}
    assert [line["body"] for line in lines.values()] == ["not JSON"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [row.field for row in read_fixed(read_rows(path), DEFAULTS)[1]] in (
        ["phoneNumber", "request"],
        ["request", "phoneNumber"],
    )
    with pytest.raises(FileExistsError):
        export([], path)


# Fixed messages.


def test_exactly_the_fixed_messages_are_sent(queues: Queues) -> None:
    one, other = queues.put("bad", messageId="11111111-aaaa"), queues.put("also bad")

    report = queues.redrive_fixed(fixed_row(1, one, requestId="a-1"), fixed_row(2, "gone", requestId="b"))

    assert (report.sent, report.not_found, report.still_there) == (1, ["gone"], 1)
    assert queues.take_sent() == [{"requestId": "a-1", "phoneNumber": PHONE_NUMBER}]
    assert queues.waiting() == {other}


def test_a_fixed_request_without_an_id_gets_its_message_id(queues: Queues) -> None:
    with_first_id = queues.put("bad", messageId="11111111-aaaa")
    without = queues.put("bad")

    queues.redrive_fixed(fixed_row(1, with_first_id), fixed_row(2, without))

    assert {message["requestId"] for message in queues.take_sent()} == {"11111111-aaaa", without}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{}", "id"),
        ("not JSON", "id"),
        ('{"id": "a"}', "request"),
        ('{"id": "a", "request": {"phoneNumber": "5145550199"}}', "phoneNumber"),
        ('{"id": "a", "request": {"phoneNumber": "+15145550199", "callbackUrl": "x"}}', "unknown field"),
        ('{"id": "a", "request": {"dispatch": {"requestId": "a", "attempt": 1}, "timesParked": 1}}', "dispatch"),
    ],
)
def test_a_line_that_is_still_invalid_is_reported_with_its_rule(line: str, field: str) -> None:
    fixed, invalid = read_fixed([Row(7, line)], DEFAULTS)

    assert fixed == []
    assert [(each.row, each.field) for each in invalid] == [(7, field)]
    assert "0199" not in invalid[0].model_dump_json()


def test_two_lines_for_one_message_are_invalid() -> None:
    _, invalid = read_fixed([fixed_row(1, "a"), fixed_row(2, "a", customerName="Eve")], DEFAULTS)

    assert [(each.row, each.field) for each in invalid] == [(2, "id")]


# Dead letters.


def test_dead_letters_are_sent_unchanged_but_never_without_an_id(queues: Queues) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "named": {"requestId": "a-1", "phoneNumber": PHONE_NUMBER},
        "nameless": {"phoneNumber": PHONE_NUMBER, "customerName": "Zoë"},
        "null": {"requestId": None, "phoneNumber": PHONE_NUMBER},
        "newer": {"phoneNumber": PHONE_NUMBER, "aFieldOfTomorrow": 1},
        "dispatch": {"dispatch": {"requestId": "a-2", "attempt": 2}, "timesParked": 1},
    }
    ids = {name: queues.put(json.dumps(body)) for name, body in bodies.items()}

    queues.redrive_all()

    identified = {name: bodies[name] | {"requestId": ids[name]} for name in ("nameless", "null", "newer")}
    expected = (bodies | identified).values()
    assert sorted(map(repr, queues.take_sent())) == sorted(map(repr, expected))
    assert queues.waiting() == set()


def test_a_dead_letter_that_was_already_claimed_is_not_dialled_again(world: CloudWorld, queues: Queues) -> None:
    # Given a message without an id whose call was placed before its worker died
    body = json.dumps({"phoneNumber": PHONE_NUMBER})
    message_id = queues.put(body)
    world.place_calls.place(Message(message_id, body, lambda: 45.0))
    assert len(world.allomia.posts) == 1

    # When it is sent again, and SQS gives it another message id
    queues.redrive_all()
    (sent,) = queues.take_sent()
    result = world.place_calls.place(Message("another-message-id", json.dumps(sent), lambda: 45.0)).result

    # Then it is a duplicate
    assert result is PlaceResult.DUPLICATE
    assert len(world.allomia.posts) == 1


def test_the_attributes_of_a_dead_letter_are_its_senders_and_are_not_trusted(queues: Queues) -> None:
    # Given a sender that puts the same attributes on every message
    body = json.dumps({"phoneNumber": PHONE_NUMBER})
    attributes = {"messageId": "the-same", "reason": "call me: +15145550199", "sentAt": "1"}
    ids = {queues.put(body, **attributes) for _ in range(2)}

    with queues.held() as messages:
        shown = [message.summary(masked, queues.clock(), last_moment) for message in messages]
    report = queues.redrive_all()

    # Then each is a call of its own, as place_call knows it
    assert report.sent == 2
    assert {message["requestId"] for message in queues.take_sent()} == ids
    assert {each.reason for each in shown} == {None}
    assert max(each.age_seconds for each in shown) < 600


def test_a_dead_letter_with_attributes_that_was_already_claimed_is_not_dialled_again(
    world: CloudWorld, queues: Queues
) -> None:
    body = json.dumps({"phoneNumber": PHONE_NUMBER})
    message_id = queues.put(body, messageId="a-trace-id")
    world.place_calls.place(Message(message_id, body, lambda: 45.0))

    queues.redrive_all()
    (sent,) = queues.take_sent()

    assert world.place_calls.place(Message("another", json.dumps(sent), lambda: 45.0)).result is PlaceResult.DUPLICATE
    assert len(world.allomia.posts) == 1


# Age.


def utc(seconds: float) -> str:
    return utc_text(int(seconds))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, DAY),
        ({"notAfter": 3600}, 3600),
        ({"notAfter": 2 * DAY}, 2 * DAY),
        ({"notBefore": 5 * DAY}, 6 * DAY),
        ({"notBefore": -5 * DAY}, DAY),
        ({"notBefore": 5 * DAY, "notAfter": 5 * DAY + 60}, 5 * DAY + 60),
    ],
)
def test_a_request_that_is_sent_again_expires_when_it_would_have(own: dict[str, int], expected: int) -> None:
    fields = {name: utc(NOW + seconds) for name, seconds in own.items()}

    assert last_moment(fields, NOW) == NOW + expected


@pytest.mark.parametrize("value", [7, None, "tomorrow", "2026-04-01T14:30:00", "9999-12-31T23:59:59-12:00", "", "0"])
def test_what_is_not_a_time_is_left_to_the_contract(value: object) -> None:
    assert last_moment({"notBefore": value, "notAfter": value}, NOW) == NOW + DAY


class TestByPolicy:
    """Requests of Friday evening, at an office that is closed until Monday."""

    FRIDAY = datetime(2026, 11, 27, 23, tzinfo=UTC).timestamp()

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            ({}, "2026-11-30T15:00:00Z"),
            ({"purpose": "marketing"}, "2026-11-30T14:10:00Z"),
            ({"callingWindows": [{"days": ["tue"], "from": "09:00", "to": "12:00"}]}, "2026-12-01T15:00:00Z"),
            ({"notBefore": "2026-12-02T15:30:00Z"}, "2026-12-02T16:30:00Z"),
            ({"notAfter": "2026-11-28T00:00:00Z"}, "2026-11-28T00:00:00Z"),
        ],
    )
    def test_a_request_expires_when_the_policy_says(
        self, world: CloudWorld, own: dict[str, Any], expected: str
    ) -> None:
        office = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}]
        world.decide_by(
            callingWindows=office, expireAfterSeconds=3600, purposes={"marketing": {"expireAfterSeconds": 600}}
        )
        expires = LastMoments(world.place_calls.judge.policy)

        request = world.request(timeZone="America/Toronto", **own)

        assert utc(expires(request, self.FRIDAY)) == expected

    def test_what_the_policy_says_nothing_of_has_a_day(self, world: CloudWorld) -> None:
        world.decide_by(expireAfterSeconds=3600)
        expires = LastMoments(world.place_calls.judge.policy)

        assert expires({"phoneNumber": "invalid"}, NOW) == NOW + DAY
        world.policy_table.set_policy("not JSON", "test", NOW, seen=1)
        world.pass_seconds(CACHE_SECONDS)
        assert expires(world.request(), NOW) == NOW + DAY


def test_dead_letters_are_sent_with_the_time_at_which_they_expire(queues: Queues) -> None:
    ids = {queues.put(json.dumps({"phoneNumber": PHONE_NUMBER})) for _ in range(2)}
    own, dispatch = utc(queues.clock() + 60), {"dispatch": {"requestId": "a-2", "attempt": 2}, "timesParked": 1}
    queues.put(json.dumps({"requestId": "a-1", "phoneNumber": PHONE_NUMBER, "notAfter": own}))
    queues.put(json.dumps(dispatch))
    with queues.held() as messages:
        sent_at = {message.id: message.sent_at for message in messages}

    queues.clock.pass_seconds(30)
    queues.redrive_all()

    sent = queues.take_sent(with_expiry=True)
    assert [each for each in sent if "dispatch" in each] == [dispatch]
    expected = {message_id: utc(sent_at[message_id] + DAY) for message_id in ids} | {"a-1": own}
    assert {each["requestId"]: each["notAfter"] for each in sent if "dispatch" not in each} == expected


def test_expired_dead_letters_stay_and_are_named_unless_they_are_asked_for(queues: Queues) -> None:
    # Given two old requests, one of which says itself when it is too late, and a parked attempt's dispatch
    old = queues.put(json.dumps({"phoneNumber": PHONE_NUMBER}))
    own = queues.put(json.dumps({"phoneNumber": PHONE_NUMBER, "notAfter": utc(queues.clock() - 60)}))
    queues.put(json.dumps({"dispatch": {"requestId": "a-2", "attempt": 2}, "timesParked": 1}))
    queues.clock.pass_seconds(DAY + 60)

    report = queues.redrive_all()

    assert (report.sent, set(report.expired), report.still_there) == (1, {old, own}, 2)
    assert ["dispatch" in each for each in queues.take_sent()] == [True]
    assert queues.waiting() == {old, own}

    # When they are asked for, then only what the sender said still holds
    assert queues.redrive_all(late=True).sent == 2
    assert {each["requestId"]: "notAfter" in each for each in queues.take_sent(with_expiry=True)} == {
        old: False,
        own: True,
    }


def test_an_old_request_is_not_dialled_after_a_redrive(world: CloudWorld, queues: Queues) -> None:
    # Given a request of 23 hours ago that became a dead letter
    body = json.dumps({"phoneNumber": PHONE_NUMBER})
    queues.put(body)
    queues.clock.pass_seconds(23 * 3600)

    # When it is sent again, and waits on the call queue for another hour and a half
    queues.redrive_all()
    (sent,) = queues.take_sent(with_expiry=True)
    world.clock.now = queues.clock() + 5400
    placement = world.place(sent, sent_at=queues.clock())

    # Then it has expired
    assert (placement.result, placement.code) == (PlaceResult.REJECTED, "expired")
    assert world.allomia.posts == []


def test_the_age_of_an_invalid_message_counts_from_the_call_queue(queues: Queues) -> None:
    # Given a message that lay on the call queue for 23 hours before it was found invalid
    now = queues.clock()
    sent_at = int(now - 23 * 3600)
    young, old = (
        queues.put("bad", messageId=f"m-{age}", sentAt=str(1000 * (sent_at - age)), reason="x: y") for age in (0, 7200)
    )

    with queues.held(kept=True) as messages:
        shown = {each.id: each for each in (message.summary(masked, now, last_moment) for message in messages)}
    report = queues.redrive_fixed(fixed_row(1, young), fixed_row(2, old))

    assert (shown[young].expired, shown[old].expired, shown[young].reason) == (False, True, "x: y")
    assert shown[young].age_seconds in {23 * 3600, 23 * 3600 + 1}
    assert (report.sent, report.expired) == (1, [old])
    (sent,) = queues.take_sent(with_expiry=True)
    assert (sent["requestId"], sent["notAfter"]) == ("m-0", utc(sent_at + DAY))


# One bad message among others.

UNREADABLE = {
    "half an emoji": r"""{"phoneNumber": "+14155550123", "customerName": "Zo\u00eb \ud83d"}""",
    "half an emoji beside other characters": r"""{"phoneNumber": "+14155550123", "customerName": "Zoë \ude00"}""",
    "half an emoji in an id": r"""{"requestId": "\ud83d", "phoneNumber": "+14155550123"}""",
    "a giant number": '{"phoneNumber": "+14155550123", "n": ' + "9" * 5000 + "}",
    "a number out of range": '{"phoneNumber": "+14155550123", "n": 1e400}',
    "not a number": '{"phoneNumber": "+14155550123", "n": NaN}',
    "deep nesting": '{"phoneNumber": "+14155550123", "n": ' + "[" * 5000 + "]" * 5000 + "}",
    "no JSON": "call +14155550123",
    "no object": "[1]",
}


def test_bad_messages_hinder_no_other(queues: Queues, tmp_path: Path) -> None:
    # Given unreadable messages between two others
    good = {queues.put(json.dumps({"phoneNumber": PHONE_NUMBER, "customerName": "Zoë"}, ensure_ascii=False))}
    bad = {queues.put(body): body for body in UNREADABLE.values()}
    good.add(queues.put(json.dumps({"phoneNumber": PHONE_NUMBER, "customerName": "😀"})))
    path = tmp_path / "export.jsonl"

    # When they are listed, exported and sent again
    with queues.held() as messages:
        export(messages, path)
        shown = {message.summary(masked, queues.clock(), last_moment).id for message in messages}
        report = send(queues.redrive, queues.redrive.plan_unchanged(messages))

    # Then the others are sent, and the bad ones stay and are named
    exported = {line["id"]: line for line in map(json.loads, path.read_text("utf-8").splitlines())}
    assert shown == exported.keys() == good | bad.keys()
    assert {message_id: exported[message_id]["body"] for message_id in bad} == bad
    assert (report.sent, set(report.unreadable), report.still_there) == (2, set(bad), len(bad))
    assert {message["requestId"] for message in queues.take_sent()} == good
    assert queues.waiting() == bad.keys()


# Every point at which a redrive can stop. A message may then be in both queues, never in neither. When the command runs
# again, it is on the call queue under one id.

STOPS = {
    "before receiving": ("ReceiveMessage", LOSE_REQUEST),
    "received, and the answer is lost": ("ReceiveMessage", LOSE_ANSWER),
    "before sending": ("SendMessageBatch", LOSE_REQUEST),
    "sent, and the answer is lost": ("SendMessageBatch", LOSE_ANSWER),
    "before deleting": ("DeleteMessageBatch", LOSE_REQUEST),
    "deleted, and the answer is lost": ("DeleteMessageBatch", LOSE_ANSWER),
    "before releasing": ("ChangeMessageVisibilityBatch", LOSE_REQUEST),
}


@pytest.mark.parametrize(
    ("way", "stop"),
    [("dead letters", stop) for stop in STOPS]
    + [("fixed", stop) for stop, (operation, _) in STOPS.items() if operation.startswith(("Send", "Delete"))],
)
def test_nothing_is_lost_wherever_a_redrive_stops(
    resources: CloudResources, network: FaultyNetwork, stop: str, way: str
) -> None:
    # Given messages that name no request
    queues = Queues(resources, network.client("sqs"))
    ids = [queues.put(json.dumps({"phoneNumber": PHONE_NUMBER})) for _ in range(3)]
    rows = [fixed_row(number, message_id) for number, message_id in enumerate(ids)]
    operation, fault = STOPS[stop]

    def redrive() -> None:
        queues.redrive_all() if way == "dead letters" else queues.redrive_fixed(*rows)

    # When a redrive stops
    network.plan = lambda name, _before: fault if name == operation else PASS
    with contextlib.suppress(BotoCoreError):
        redrive()
    network.heal()

    # Then each message is on the call queue, or still waiting
    sent = {message["requestId"] for message in queues.take_sent()}
    queues.wait_until_released()
    assert sent | queues.waiting() == set(ids)

    # And after another run all of them are on the call queue under the same ids
    redrive()
    assert sent | {message["requestId"] for message in queues.take_sent()} == set(ids)
    assert queues.waiting() == set()
