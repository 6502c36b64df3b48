"""AlloMia's call log before `unknown`: answer and webhook are lost, and the sweep finds the call or decides nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.simulator import organization_id, returns
from local.simulator.call_log import LogEntry
from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.dial_marks import DIAL_KEPT_SECONDS, DialMarks
from outbound_calls.contracts.vocabulary import Dialled, ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.log_matches import Window
from outbound_calls.use_cases.log_reads import MAX_PAGES, PIECE_SECONDS, LogReads, pages_of_shard
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import Poll, PollResult
from outbound_calls.use_cases.publish import outcome_event
from outbound_calls.use_cases.sweep import KEY_PATIENCE_SECONDS, LOG_PATIENCE_SECONDS
from tests.cloud.parts import LOSE_REQUEST, FaultyNetwork, SampleAttempts
from tests.cloud.reading import table_items
from tests.cloud.world import CloudWorld, key_of
from tests.unit.parts import API_KEY, ASSISTANT_ID
from tests.world import DEADLINE_SECONDS, NOW, CloudResources

ORGANIZATION = organization_id("own")
LOST, NOT_ACCEPTED = "drop-after-accept", "drop-before-accept"
_numbers = itertools.count(14155560000)


class LogWorld(CloudWorld):
    """The use cases with an organization whose id is configured. Each call has a number of its own."""

    def lost(self, post: str = LOST, **changes: Any) -> AttemptKey:
        """An attempt whose answer was lost, and that AlloMia may have placed."""
        self.allomia.post = post
        key = self.placed(**{"phoneNumber": new_number()} | changes)
        self.allomia.post = None
        assert self.attempts.status(key) == "dispatching"
        return key

    def given_up(self, key: AttemptKey, reads: LogReads | None = None) -> dict[str, Any]:
        """The record of an attempt after the look at its deadline."""
        dispatched_at = int(self.attempts.existing_item(key)["dispatchedAt"])
        self.pass_seconds(max(0, dispatched_at + DEADLINE_SECONDS - self.clock.now))
        self.look(key, reads)
        return self.attempts.existing_item(key)

    def look(self, key: AttemptKey, reads: LogReads | None = None) -> Poll:
        (due,) = (each for each in self.attempts.due_entries(key) if each.due_at <= self.clock.now)
        return self.poll_calls.poll(due, lambda: 60.0, reads)

    def reported(self, key: AttemptKey) -> dict[str, Any]:
        """The only attempt of a request, as the status API reports it."""
        (attempt,) = request_report(self.attempts.table.read_all(key.request)).wire()["attempts"]
        return dict(attempt)

    def log_reads(self) -> int:
        return sum(path == "/api/calls" for path in self.asked)

    def add_entry(self, number: str, at: float = NOW, **changes: Any) -> LogEntry:
        """An entry of the log for a call that no attempt of this test made."""
        entry = LogEntry(
            id=f"other-{next(_numbers)}",
            organization="own",
            agent_id=ASSISTANT_ID,
            user_phone_number=number,
            user_name="",
            outcome="completed",
            created_at=moment(at),
            ends_at=moment(at + 30),
            visible_at=moment(at),
        ).model_copy(update=changes)
        self.allomia.allomia.memory.log.append(entry)
        return entry

    asked: list[str]


def new_number() -> str:
    return f"+{next(_numbers)}"


def moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)


@pytest.fixture(scope="module")
def secret_arn(resources: CloudResources) -> str:
    return resources.new_secret(json.dumps({"apiKey": API_KEY, "organizationId": ORGANIZATION}))


def opened(world: LogWorld, secret_arn: str) -> LogWorld:
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=secret_arn)
    world.allomia.configure(ring_seconds=60)
    world.asked = []
    world.allomia.before_answer = lambda request: world.asked.append(request.url.path)
    return world


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts, secret_arn: str) -> Iterator[LogWorld]:
    world = opened(LogWorld(resources, attempts), secret_arn)
    yield world
    world.close()


@pytest.mark.parametrize("outcome", ["completed", "busy", "no-answer", "failed"])
def test_a_call_whose_answer_and_webhook_are_lost_is_found(world: LogWorld, outcome: str) -> None:
    key = world.lost(metadata={"clinic": "7"})
    (call,) = world.allomia.allomia.memory.calls.values()
    call.outcome = outcome

    item = world.given_up(key)

    assert (item["status"], item["outcomeSource"]) == (outcome, "call-log")
    assert item["outboundCallId"] == item["callLogId"] == call.outbound_call_id
    assert item["callDetails"]["endedReason"]
    assert item["metadata"] == {"clinic": "7"}
    assert not {"request", "numberHash", "reason", "dueAt", "claimId", "postResult"} & item.keys()
    assert attempt_from_item(item).dialled is Dialled.YES
    assert world.sweep(key) == []


def test_it_is_looked_for_once_and_not_before_the_deadline(world: LogWorld) -> None:
    key = world.lost()
    world.pass_seconds(DEADLINE_SECONDS - 1)
    world.poll(key)
    assert "/api/calls" not in world.asked

    world.pass_seconds(1)
    world.poll(key)

    assert world.log_reads() == 2  # two pieces of two minutes
    assert world.sweep(key) == []


def test_without_an_id_of_the_organization_nothing_is_looked_for(world: LogWorld, resources: CloudResources) -> None:
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=resources.key_arn)
    key = world.lost()
    assert "numberHash" not in world.attempts.existing_item(key)

    item = world.given_up(key)

    assert (item["status"], item["reason"].rpartition(": ")[2]) == ("unknown", "RemoteProtocolError")
    assert "/api/calls" not in world.asked


def test_an_id_that_was_configured_or_removed_meanwhile_changes_nothing(
    world: LogWorld, resources: CloudResources, secret_arn: str
) -> None:
    with_id = world.lost()
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=resources.key_arn)
    without = world.lost()
    assert world.given_up(with_id)["status"] == "unknown"

    world.configure(ALLOMIA_API_KEY_SECRET_ARN=secret_arn)

    assert world.given_up(without)["status"] == "unknown"
    assert "/api/calls" not in world.asked


# What the log shows of it.

SHOWS_NO_CALL = "the call log shows no such call"
SHOWS_SEVERAL = "the call log shows several calls that it may be"
RANG = "the call log shows that the phone rang, and AlloMia reports no outcome"


@pytest.mark.parametrize(
    ("entries", "reason", "dialled"),
    [
        ("never", SHOWS_NO_CALL, Dialled.MAYBE),
        ("clock-apart", SHOWS_NO_CALL, Dialled.MAYBE),
        ("by-hand", SHOWS_SEVERAL, Dialled.MAYBE),
        ("open", RANG, Dialled.YES),
    ],
)
def test_in_doubt_nothing_is_decided(world: LogWorld, entries: str, reason: str, dialled: Dialled) -> None:
    world.allomia.configure(log_entries=entries)
    key = world.lost()

    item = world.given_up(key)

    assert (item["status"], item["outcomeSource"], item["reasonCode"]) == ("unknown", "deadline", "no-outcome")
    assert item["reason"].endswith(f"RemoteProtocolError; {reason}")
    assert attempt_from_item(item).dialled is dialled
    assert ("callLogId" in item) is (dialled is Dialled.YES)
    # A missing entry never allows another dial, and a late webhook still brings the outcome
    assert world.queued() == []
    assert world.webhook(key).status == 200
    assert world.attempts.status(key) == "completed"


@pytest.mark.parametrize(("after", "status"), [(100, "completed"), (DEADLINE_SECONDS, "unknown")])
def test_an_entry_that_appears_late_counts_if_it_is_there_at_the_deadline(
    world: LogWorld, after: int, status: str
) -> None:
    world.allomia.configure(log_entries="late", late_entry_seconds=after)

    assert world.given_up(world.lost())["status"] == status


def test_an_entry_that_is_listed_twice_is_one_call(world: LogWorld) -> None:
    world.allomia.configure(log_entries="twice")

    assert world.given_up(world.lost())["outcomeSource"] == "call-log"


def test_the_id_in_the_log_may_be_another_one(world: LogWorld) -> None:
    world.allomia.configure(log_entries="other-id")
    key = world.lost()
    (entry,) = world.allomia.allomia.memory.log

    item = world.given_up(key)

    # AlloMia has no call with that id; the entry shows a conversation
    assert (item["status"], item["outcomeSource"], item["callLogId"]) == ("completed", "call-log", entry.id)
    assert "outboundCallId" not in item
    report = world.reported(key)
    assert (report["callLogId"], report.get("outboundCallId")) == (entry.id, None)
    assert item["callDetails"] == {
        "startedAt": "2026-04-01T14:30:00Z",
        "endedAt": "2026-04-01T14:31:00Z",
        "duration": 60,
    }
    assert world.webhook(key).status == 200


def test_an_entry_without_a_conversation_and_another_id_shows_that_the_phone_rang(world: LogWorld) -> None:
    world.allomia.configure(log_entries="other-id")
    key = world.lost()
    world.allomia.allomia.memory.log[0].outcome = "no-answer"

    item = world.given_up(key)

    assert (item["status"], item["reason"].rpartition("; ")[2]) == ("unknown", RANG)
    assert attempt_from_item(item).dialled is Dialled.YES


@pytest.mark.parametrize("word", ["calling", "voicemail"])
def test_a_call_that_is_found_and_has_no_outcome_is_unknown_with_its_id(world: LogWorld, word: str) -> None:
    key = world.lost()
    world.allomia.status = returns(200, world.allomia.state(world.callback_url(key), word))

    item = world.given_up(key)

    assert (item["status"], item["reason"].rpartition("; ")[2]) == ("unknown", f"{RANG}: {word}")
    assert item["outboundCallId"] == item["callLogId"]


@pytest.mark.parametrize("status", ["completed", "calling"])
@pytest.mark.parametrize("is_uuid", [True, False])
def test_an_id_that_is_written_otherwise_still_makes_an_event(world: LogWorld, status: str, is_uuid: bool) -> None:
    id_ = str(uuid4()).upper() if is_uuid else f"call-{next(_numbers)}"
    world.allomia.configure(log_entries="other-id")
    key = world.lost()
    world.allomia.allomia.memory.log[0].id = id_
    world.allomia.status = returns(200, {"status": status, "callDetails": {"duration": 7}})

    item = world.given_up(key)

    assert item["callLogId"] == id_
    event = outcome_event(attempt_from_item(item))
    assert event.outbound_call_id == (id_.lower() if is_uuid else None)
    assert (event.status, event.dialled) == ("completed" if status == "completed" else "unknown", Dialled.YES)


# Whose call it is.


def test_an_entry_that_another_attempt_may_have_made_is_given_to_none(world: LogWorld) -> None:
    number = new_number()
    world.placed(phoneNumber=number)  # a healthy call, half a minute earlier
    world.pass_seconds(30)
    key = world.lost(NOT_ACCEPTED, phoneNumber=number)

    item = world.given_up(key)

    assert item["status"] == "unknown"
    assert item["reason"].endswith("the call log shows a call that another attempt may have made")
    assert attempt_from_item(item).dialled is Dialled.MAYBE


@pytest.mark.parametrize("seconds", [-420, 420])
def test_an_attempt_long_before_or_after_cannot_have_made_the_call(world: LogWorld, seconds: int) -> None:
    number = new_number()
    if seconds > 0:
        key = world.lost(phoneNumber=number)
        world.pass_seconds(seconds)
        world.placed(phoneNumber=number)
    else:
        world.placed(phoneNumber=number)
        world.pass_seconds(-seconds)
        key = world.lost(phoneNumber=number)
        world.pass_seconds(-seconds)

    assert world.given_up(key)["outcomeSource"] == "call-log"


def test_two_attempts_whose_answers_were_lost_get_no_entry(world: LogWorld) -> None:
    number = new_number()
    keys = [world.lost(phoneNumber=number), world.lost(NOT_ACCEPTED, phoneNumber=number)]

    assert [world.given_up(key)["status"] for key in keys] == ["unknown", "unknown"]


def test_calls_to_other_numbers_do_not_matter(world: LogWorld) -> None:
    keys = [world.lost() for _ in range(3)]
    world.lost(NOT_ACCEPTED)

    assert [world.given_up(key)["status"] for key in keys] == ["completed"] * 3


def test_an_entry_is_the_call_of_one_attempt_only(world: LogWorld) -> None:
    marks, name = world.poll_calls.marks, f"entry-{next(_numbers)}"

    assert marks.bind_entry(ORGANIZATION, name, "visit-1/1", NOW)
    assert marks.bind_entry(ORGANIZATION.upper(), name, "visit-1/1", NOW + 60)
    assert not marks.bind_entry(ORGANIZATION, name, "visit-2/1", NOW)
    assert marks.bind_entry("another-organization", name, "visit-2/1", NOW)


def test_an_entry_that_is_another_attempts_is_not_taken(world: LogWorld) -> None:
    key = world.lost()
    (entry,) = world.allomia.allomia.memory.log
    assert world.poll_calls.marks.bind_entry(ORGANIZATION, entry.id, "visit-1/1", NOW)

    assert world.given_up(key)["status"] == "unknown"


def test_a_dial_counts_from_the_second_of_its_claim(world: LogWorld) -> None:
    marks, number = world.poll_calls.marks, f"hash-of-{next(_numbers)}"
    marks.mark_dial(ORGANIZATION, number, "visit-1/1", NOW)

    def rivals(attempt: str, since: int, until: int) -> bool:
        return marks.has_rival(ORGANIZATION, number, attempt, Window(since, until))

    assert rivals("visit-2/1", NOW, NOW)
    assert not rivals("visit-1/1", NOW - 60, NOW + 60)
    assert not rivals("visit-2/1", NOW + 1, NOW + 60)
    assert not rivals("visit-2/1", NOW - 60, NOW - 1)
    assert not marks.has_rival("another-organization", number, "visit-2/1", Window(NOW, NOW))


def test_a_dial_is_remembered_for_four_days_and_an_entry_for_thirty(world: LogWorld) -> None:
    marks, number = world.poll_calls.marks, f"{next(_numbers)}-and-a-longer-hash"
    marks.mark_dial(ORGANIZATION, number, "visit-1/1", NOW)
    assert marks.bind_entry(ORGANIZATION, number, "visit-1/1", NOW + 0.5)

    subject, day = f"call-log#{ORGANIZATION}", 86_400
    items = [
        item for item in table_items(marks.client, marks.name) if number[:11] in f"{item['subject']}{item['entry']}"
    ]

    assert {item["entry"]["S"]: (item["subject"]["S"], item["expiresAt"]["N"]) for item in items} == {
        f"{NOW}#visit-1/1": (f"{subject}#{number[:16]}", str(NOW + 4 * day)),
        number: (subject, str(NOW + 30 * day)),
    }


def test_more_dials_than_are_read_may_hide_another_attempt(world: LogWorld) -> None:
    marks, number = world.poll_calls.marks, f"hash-of-{next(_numbers)}"
    for second in range(21):
        marks.mark_dial(ORGANIZATION, number, "visit-1/1", NOW + second)

    assert marks.has_rival(ORGANIZATION, number, "visit-1/1", Window(NOW, NOW + 60))


def test_a_dial_that_can_not_be_remembered_is_not_made(
    resources: CloudResources, attempts: SampleAttempts, network: FaultyNetwork, secret_arn: str
) -> None:
    world = opened(LogWorld(resources, attempts, lambda service, *_: network.client(service)), secret_arn)
    network.fail_once("PutItem", LOSE_REQUEST, skip=1)  # the claim, and then the dial
    request = world.request(phoneNumber=new_number())

    placement = world.place(request)

    assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.POLICY_UNREADABLE)
    assert world.allomia.posts == []
    assert not {"numberHash", "claimId"} & world.attempts.existing_item(key_of(request)).keys()
    world.come_up(key_of(request))
    assert world.attempts.status(key_of(request)) == "calling"
    world.close()


def test_a_call_that_is_found_is_followed_by_its_redial(world: LogWorld) -> None:
    world.decide_by(redial={"on": {"busy": [600]}, "maxAttempts": 2})
    opened(world, world.resources.new_secret(json.dumps({"apiKey": API_KEY, "organizationId": ORGANIZATION})))
    key = world.lost()
    (call,) = world.allomia.allomia.memory.calls.values()
    call.outcome = "busy"
    world.pass_seconds(DEADLINE_SECONDS)
    world.look(key)

    assert (world.attempts.status(key), "redialAt" in world.attempts.existing_item(key)) == ("busy", True)
    following = world.redialled(key)
    assert world.place_queued().result is PlaceResult.CALLING
    assert world.attempts.status(following) == "calling"


# The log can't be read.

UNREADABLE: Mapping[str, tuple[str, str]] = {
    "500": ("fail-500", "HTTP 500"),
    "429": ("decline-429", "HTTP 429"),
    "dropped": ("drop", "RemoteProtocolError"),
    "html": ("garbage", "unreadable-answer"),
    "a redirect": ("redirect-307", "HTTP 307"),
}


@pytest.mark.parametrize("row", UNREADABLE)
def test_a_log_that_can_not_be_read_is_read_again_each_sweep_for_half_an_hour(world: LogWorld, row: str) -> None:
    log, reason = UNREADABLE[row]
    key = world.lost()
    world.allomia.configure(log=log)
    world.pass_seconds(DEADLINE_SECONDS)

    assert world.look(key) == Poll(PollResult.UNAVAILABLE, key, reason)
    assert world.due_in(key) < 60
    world.pass_seconds(LOG_PATIENCE_SECONDS - 1)
    assert world.look(key).result is PollResult.UNAVAILABLE
    world.pass_seconds(60)
    assert world.look(key).result is PollResult.RECORDED

    item = world.attempts.existing_item(key)
    assert (item["status"], item["reason"].rpartition("; ")[2]) == ("unknown", f"the call log can't be read: {reason}")


def test_half_an_hour_counts_from_the_first_read_that_failed(world: LogWorld) -> None:
    """The poller may have stood still: the first look comes long after the deadline."""
    key = world.lost()
    world.allomia.configure(log="fail-500")
    world.pass_seconds(DEADLINE_SECONDS + 2 * LOG_PATIENCE_SECONDS)

    assert world.look(key).result is PollResult.UNAVAILABLE
    world.pass_seconds(LOG_PATIENCE_SECONDS - 1)
    assert world.look(key).result is PollResult.UNAVAILABLE
    world.pass_seconds(60)
    assert world.look(key).result is PollResult.RECORDED
    assert "soughtSince" not in world.attempts.existing_item(key)


def test_a_look_after_its_rivals_are_forgotten_decides_nothing(world: LogWorld) -> None:
    key = world.lost()
    world.pass_seconds(DIAL_KEPT_SECONDS - 3600)

    world.look(key)

    assert world.log_reads() == 0
    assert world.attempts.existing_item(key)["reason"].endswith("read too late to tell whose calls it shows")


def test_a_log_that_can_be_read_again_gives_the_outcome(world: LogWorld) -> None:
    key = world.lost()
    world.allomia.configure(log="fail-500-once")
    world.pass_seconds(DEADLINE_SECONDS)
    assert world.look(key).result is PollResult.UNAVAILABLE

    world.pass_seconds(60)
    world.look(key)

    assert world.attempts.existing_item(key)["outcomeSource"] == "call-log"


def test_without_a_usable_key_the_log_is_read_for_a_day(world: LogWorld) -> None:
    key = world.lost()
    world.allomia.configure(log="decline-401")
    world.pass_seconds(DEADLINE_SECONDS)
    world.look(key)
    world.pass_seconds(KEY_PATIENCE_SECONDS - 1)

    assert world.look(key) == Poll(PollResult.UNAVAILABLE, key, "key-unusable")
    world.pass_seconds(60)
    assert world.look(key).result is PollResult.RECORDED


def test_a_key_of_another_organization_has_a_day_to_be_replaced(world: LogWorld, resources: CloudResources) -> None:
    wrong = resources.new_secret(json.dumps({"apiKey": API_KEY, "organizationId": organization_id("no one")}))
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=wrong)
    key = world.lost()
    world.pass_seconds(DEADLINE_SECONDS)
    world.look(key)
    world.pass_seconds(KEY_PATIENCE_SECONDS - 1)
    assert world.look(key) == Poll(PollResult.UNAVAILABLE, key, "key-of-another-organization")

    world.pass_seconds(60)
    world.look(key)
    assert world.attempts.existing_item(key)["reason"].endswith("can't be read: key-of-another-organization")


@pytest.mark.parametrize("answer", [returns(500), returns(429), returns(200, "<html>")])
def test_a_call_that_is_found_and_can_not_be_asked_about_is_asked_about_again(world: LogWorld, answer: Any) -> None:
    key = world.lost()
    world.allomia.status = answer
    world.pass_seconds(DEADLINE_SECONDS)
    assert world.look(key).result is PollResult.UNAVAILABLE
    world.allomia.status = None
    world.pass_seconds(60)
    world.look(key)
    assert world.attempts.existing_item(key)["outcomeSource"] == "call-log"


def test_a_call_that_can_not_be_asked_about_rang(world: LogWorld) -> None:
    key = world.lost()
    world.allomia.status = returns(500)
    world.pass_seconds(DEADLINE_SECONDS)
    world.look(key)
    world.pass_seconds(LOG_PATIENCE_SECONDS)
    world.look(key)

    item = world.attempts.existing_item(key)
    assert item["reason"].endswith("the call log shows that the phone rang; AlloMia can't be asked about it: HTTP 500")
    assert attempt_from_item(item).dialled is Dialled.YES


def test_a_webhook_during_the_look_is_not_overwritten(world: LogWorld) -> None:
    key = world.lost()
    world.pass_seconds(DEADLINE_SECONDS)

    def send_webhook(request: httpx.Request) -> None:
        world.allomia.before_answer = lambda _: None
        world.webhook(key, "busy")

    world.allomia.before_answer = send_webhook

    assert world.look(key).result is PollResult.SKIPPED
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == ("busy", "webhook")


# Pages.


def many(world: LogWorld, count: int, since: float = NOW) -> None:
    for second in range(count):
        world.add_entry("+15145550142", since + second % 60)


def test_all_pages_are_read(world: LogWorld) -> None:
    many(world, 120)
    key = world.lost()

    assert world.given_up(key)["outcomeSource"] == "call-log"
    assert world.log_reads() == 4  # one of the first piece, and 121 entries in the second


def shifts(world: LogWorld, change: Callable[[], None]) -> None:
    """Change the log after the first page that has another one after it."""
    seen = itertools.count()

    def on_request(request: httpx.Request) -> None:
        if request.url.path == "/api/calls" and request.url.params["page"] == "1" and next(seen) == 1:
            change()

    world.allomia.before_answer = on_request


@pytest.mark.parametrize("way", ["added", "removed"])
def test_pages_that_shift_while_they_are_read_decide_nothing(world: LogWorld, way: str) -> None:
    many(world, 60)
    key = world.lost()
    log = world.allomia.allomia.memory.log
    shifts(world, (lambda: many(world, 1)) if way == "added" else (lambda: log.__delitem__(0)))
    world.pass_seconds(DEADLINE_SECONDS)

    assert world.look(key) == Poll(PollResult.UNAVAILABLE, key, "pages-changed")

    # The next sweep reads it as it is now
    world.allomia.before_answer = lambda _: None
    world.pass_seconds(60)
    world.look(key)
    assert world.attempts.existing_item(key)["outcomeSource"] == "call-log"


def test_more_pages_than_are_read_in_a_sweep_decide_nothing(world: LogWorld) -> None:
    many(world, 50 * MAX_PAGES)
    key = world.lost()
    world.pass_seconds(DEADLINE_SECONDS)

    assert world.look(key) == Poll(PollResult.UNAVAILABLE, key, "too-many-pages")
    assert world.log_reads() == MAX_PAGES


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 20, 32])
def test_the_shards_of_a_sweep_read_no_more_pages_than_one_sweep_may(shards: int) -> None:
    sweeps = [NOW + 60 * number + second for second in (0, 1, 59) for number in range(2 * shards)]
    shares = [[pages_of_shard(shard, shards, swept_until) for shard in range(shards)] for swept_until in sweeps]

    assert max(map(sum, shares)) <= MAX_PAGES
    # In so many sweeps each shard may read a log of as many pages as one sweep reads, and all read a few often.
    for first in range(0, len(sweeps), 2 * shards):
        turns = shares[first : first + 2 * shards]
        assert all(any(share[shard] == MAX_PAGES for share in turns) for shard in range(shards))
    assert any(share == [MAX_PAGES // shards] * shards for share in shares)


def test_what_has_too_few_pages_left_waits_for_its_turn(world: LogWorld) -> None:
    many(world, 50 * (MAX_PAGES - 2))
    keys = [world.lost(), world.lost()]
    world.pass_seconds(DEADLINE_SECONDS)

    # Not its turn: no matter how often, no read has failed
    for _ in range(40):
        assert world.look(keys[0], LogReads(max_pages=0)) == Poll(PollResult.SKIPPED, keys[0], "not-its-turn")
        world.pass_seconds(60)
    assert world.look(keys[0], LogReads(max_pages=MAX_PAGES // 4)).detail == "not-its-turn"
    assert world.log_reads() == MAX_PAGES // 4
    # Its turn
    world.pass_seconds(60)
    world.look(keys[0])
    assert world.attempts.existing_item(keys[0])["outcomeSource"] == "call-log"


def test_what_another_attempts_pages_leave_no_room_for_waits(world: LogWorld) -> None:
    pages = MAX_PAGES // 2
    many(world, 50 * pages)
    many(world, 50 * pages, NOW + 1200)
    first = world.lost()
    world.pass_seconds(1200)
    later, reads = world.lost(), LogReads()
    world.pass_seconds(DEADLINE_SECONDS)

    assert world.look(first, reads).result is PollResult.RECORDED
    assert world.look(later, reads) == Poll(PollResult.SKIPPED, later, "not-its-turn")
    assert reads.pages[ORGANIZATION] == MAX_PAGES
    world.pass_seconds(60)
    assert world.look(later).result is PollResult.RECORDED


def test_attempts_share_what_is_read(world: LogWorld) -> None:
    keys = [world.lost() for _ in range(4)]
    reads = LogReads()
    world.pass_seconds(DEADLINE_SECONDS)

    assert {world.look(key, reads).result for key in keys} == {PollResult.RECORDED}

    assert world.log_reads() == reads.pages[ORGANIZATION] == 2
    assert {world.attempts.existing_item(key)["outcomeSource"] for key in keys} == {"call-log"}


def test_attempts_share_a_read_that_failed(world: LogWorld) -> None:
    keys = [world.lost() for _ in range(4)]
    world.allomia.configure(log="fail-500")
    reads = LogReads()
    world.pass_seconds(DEADLINE_SECONDS)

    assert {world.look(key, reads).detail for key in keys} == {"HTTP 500"}
    assert world.log_reads() == 1


@pytest.mark.parametrize(("permits", "asked"), [(0, 0), (1, 1), (2, 2)])
def test_each_request_keeps_to_the_rate_limit(world: LogWorld, permits: int, asked: int) -> None:
    key = world.lost()
    left = iter([True] * permits)
    world.pass_seconds(DEADLINE_SECONDS)
    posts = len(world.asked)

    assert world.look(key, LogReads(lambda: next(left, False))) == Poll(PollResult.SKIPPED, key, "short-of-time")
    assert len(world.asked) - posts == asked


def test_an_attempt_at_the_edge_of_a_piece_is_looked_for_in_both(world: LogWorld) -> None:
    edge = NOW // PIECE_SECONDS * PIECE_SECONDS + PIECE_SECONDS
    world.pass_seconds(edge - NOW - 1)
    key = world.lost()
    world.allomia.allomia.memory.log[0].created_at += timedelta(seconds=2)
    world.pass_seconds(DEADLINE_SECONDS)
    world.look(key)

    assert world.attempts.existing_item(key)["outcomeSource"] == "call-log"


def test_the_marks_are_where_the_functions_may_write(world: LogWorld) -> None:
    key = world.lost()
    world.given_up(key)
    table = table_items(world.policy_table.client, world.policy_table_name)
    subjects = {item["subject"]["S"] for item in table if str(key.request) in str(item)}

    assert len(subjects) == 2
    assert all(each.startswith(f"call-log#{ORGANIZATION}") for each in subjects)
    assert isinstance(world.poll_calls.marks, DialMarks)
    assert Status(str(world.attempts.status(key))) is Status.COMPLETED
