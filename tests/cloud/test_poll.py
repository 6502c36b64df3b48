"""Sweeping due attempts on the real table: each one ends, and a poll that fails loses nothing."""

import json
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.simulator import PostAnswer, call_id, fails, returns
from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.polls import SECONDS_TO_POLL, Poll, PollResult
from outbound_calls.use_cases.receive import Receipt
from outbound_calls.use_cases.sweep import KEY_PATIENCE_SECONDS, PATIENCE_SECONDS
from tests.cloud.parts import at_once, consistent_reads, new_key
from tests.cloud.world import CloudWorld
from tests.unit.parts import CALL_ID, OTHER_CALL_ID, PHONE_NUMBER
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, NOW, dispatch_message


def reports(world: CloudWorld, key: AttemptKey, status: str, **changes: Any) -> PostAnswer:
    """AlloMia's answer about this attempt's call."""
    return returns(200, world.allomia.state(world.callback_url(key), status, **changes))


def test_a_healthy_call_is_never_polled(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS - 1)
    assert world.webhook(key).status == 200

    world.pass_seconds(DEADLINE_SECONDS)

    assert world.sweep(key) == []
    assert world.allomia.polled == []


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_the_poller_asks_for_the_outcome_when_no_webhook_comes(world: CloudWorld, status: str) -> None:
    key = world.placed(metadata={"clinic": "7"})
    world.pass_seconds(GRACE_SECONDS)
    details = {"duration": 150, "endedReason": "a reason of 2031"}
    world.allomia.status = reports(world, key, status, callDetails=details)

    poll = world.poll(key)

    assert (poll.result, poll.detail) == (PollResult.RECORDED, "")
    assert poll.outcome
    assert poll.attempt
    assert (poll.attempt.dispatched_at, poll.attempt.recorded_at) == (NOW, NOW + GRACE_SECONDS)
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"], item["recordedAt"]) == (status, "poll", NOW + GRACE_SECONDS)
    assert (item["callDetails"], item["metadata"]) == (details, {"clinic": "7"})
    assert "request" not in item
    assert world.sweep(key) == []


def test_a_call_in_progress_is_polled_less_and_less_often_until_its_deadline(world: CloudWorld) -> None:
    key = world.placed()
    polled_at = []
    for _ in range(10):
        world.pass_seconds(world.due_in(key))
        polled_at.append(int(world.clock.now - NOW))
        world.poll(key)

    assert polled_at == [180, 360, 720, 1260, 1980, 2880, 3960, 5220, 6660, 7200]
    assert len(world.allomia.polled) == 10
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"], item["reasonCode"]) == ("unknown", "deadline", "no-outcome")
    assert item["reason"] == "no outcome within 7200 s of dispatch. AlloMia accepted the call; last poll: calling"


UNAVAILABLE: dict[str, tuple[PostAnswer, str]] = {
    "401": (returns(401, {"error": "Unauthorized"}), "key-unusable"),
    "403": (returns(403), "key-unusable"),
    "429": (returns(429, Retry_After="60"), "HTTP 429"),
    "500": (returns(500), "HTTP 500"),
    "503": (returns(503), "HTTP 503"),
    "read timeout": (fails(httpx.ReadTimeout), "ReadTimeout"),
    "connect error": (fails(httpx.ConnectError), "ConnectError"),
    "dropped": (fails(httpx.RemoteProtocolError), "RemoteProtocolError"),
    "html": (returns(200, "<html>"), "unreadable-answer"),
    "a status that is no word": (returns(200, {"outboundCallId": CALL_ID, "status": 7}), "unreadable-answer"),
    "a redirect": (returns(307, Location="/"), "HTTP 307"),
    "another call": (returns(200, {"outboundCallId": OTHER_CALL_ID, "status": "completed"}), "unreadable-answer"),
}


@pytest.mark.parametrize("row", UNAVAILABLE)
def test_a_call_without_a_status_is_polled_again_until_its_deadline(world: CloudWorld, row: str) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    world.allomia.status, reason = UNAVAILABLE[row]

    assert world.poll(key) == Poll(PollResult.UNAVAILABLE, key, reason)
    assert world.attempts.status(key) == "calling"
    assert world.due_in(key) == GRACE_SECONDS

    # Past its deadline it is asked about every five minutes: AlloMia may answer again, and someone may renew the key.
    world.pass_seconds(DEADLINE_SECONDS - GRACE_SECONDS)
    assert world.poll(key) == Poll(PollResult.UNAVAILABLE, key, reason)
    assert world.due_in(key) == 300
    patience = KEY_PATIENCE_SECONDS if reason == "key-unusable" else PATIENCE_SECONDS
    world.pass_seconds(patience - 1)
    assert world.poll(key).result is PollResult.UNAVAILABLE
    world.pass_seconds(300)
    assert world.poll(key).result is PollResult.RECORDED

    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == ("unknown", "deadline")
    assert item["reason"].endswith(f"AlloMia accepted the call; last poll: {reason}")
    assert item["outboundCallId"] == call_id(world.callback_url(key))
    assert world.attempts.due_entries(key) == []


def test_an_undocumented_status_is_kept_until_there_is_an_outcome(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    world.allomia.status = reports(world, key, "voicemail")

    assert world.poll(key) == Poll(PollResult.WAITING, key, allomia_status="voicemail")

    assert (world.attempts.status(key), world.attempts.existing_item(key)["allomiaStatus"]) == ("calling", "voicemail")
    assert world.webhook(key).status == 200
    assert "allomiaStatus" not in world.attempts.existing_item(key)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("voicemail", "last poll: voicemail"),
        ("calling", "last poll: calling; AlloMia's last status: voicemail"),
        (None, "last poll: HTTP 503; AlloMia's last status: voicemail"),
    ],
)
def test_an_undocumented_status_is_named_when_the_call_is_given_up(
    world: CloudWorld, last: str | None, said: str
) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    world.allomia.status = reports(world, key, "voicemail")
    world.poll(key)

    world.allomia.status = reports(world, key, last) if last else returns(503)
    world.pass_seconds(DEADLINE_SECONDS)
    world.poll(key)
    if last is None:
        world.pass_seconds(PATIENCE_SECONDS)
        world.poll(key)

    item = world.attempts.existing_item(key)
    assert (item["status"], item["allomiaStatus"]) == ("unknown", "voicemail")
    assert item["reason"].endswith(f"AlloMia accepted the call; {said}")


def test_the_same_word_is_written_once(world: CloudWorld) -> None:
    key = world.placed()
    world.allomia.status = reports(world, key, "voicemail")
    world.pass_seconds(GRACE_SECONDS)
    dynamodb = world.poll_calls.table.client

    with consistent_reads(dynamodb, "UpdateItem") as writes:
        world.poll(key)
        assert len(writes) == 2  # the lease and the word
        world.pass_seconds(world.due_in(key))
        world.poll(key)
        assert len(writes) == 3


def test_an_outcome_after_the_deadline_is_the_outcome(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(DEADLINE_SECONDS * 3)
    world.allomia.status = reports(world, key, "completed")

    assert world.poll(key).result is PollResult.RECORDED
    assert world.attempts.status(key) == "completed"


def test_an_attempt_is_not_given_up_a_second_before_its_deadline(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(DEADLINE_SECONDS - 1)

    assert world.poll(key).result is PollResult.WAITING
    assert world.attempts.status(key) == "calling"
    # The next poll is brought forward to the deadline itself.
    assert world.due_in(key) == 1


def test_a_deadline_before_the_second_poll_is_kept(world: CloudWorld) -> None:
    world.configure(CALL_DEADLINE_SECONDS=str(GRACE_SECONDS + 20))
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    world.poll(key)
    assert world.due_in(key) == 20
    world.pass_seconds(20)
    world.poll(key)

    assert world.attempts.status(key) == "unknown"


def test_the_deadline_counts_from_dispatch_and_not_from_the_request(world: CloudWorld) -> None:
    key = world.attempts.scheduled().key
    world.pass_seconds(DEADLINE_SECONDS * 2)
    world.place(dispatch_message(key))
    world.pass_seconds(GRACE_SECONDS)

    assert world.poll(key).result is PollResult.WAITING
    assert world.attempts.status(key) == "calling"


# A call whose answer was lost.


def test_a_call_without_an_id_waits_for_its_webhook_and_then_is_unknown(world: CloudWorld) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)

    assert world.poll(key) == Poll(PollResult.WAITING, key)
    assert world.due_in(key) == GRACE_SECONDS

    world.pass_seconds(DEADLINE_SECONDS - GRACE_SECONDS)
    poll = world.poll(key)

    assert poll.result is PollResult.RECORDED
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == ("unknown", "deadline")
    assert item["recordedAt"] == NOW + DEADLINE_SECONDS
    lost = "AlloMia's answer to the POST was lost: ReadTimeout"
    assert item["reason"] == poll.detail == f"no outcome within 7200 s of dispatch. {lost}"
    assert "request" not in item
    assert world.allomia.polled == []


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_a_late_webhook_replaces_unknown_once(world: CloudWorld, status: str) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed()
    world.pass_seconds(DEADLINE_SECONDS)
    world.poll(key)

    assert world.webhook(key, status).status == 200
    other = "busy" if status != "busy" else "failed"
    assert world.webhook(key, other).message == "another outcome was recorded before"

    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == (status, "webhook")
    assert "reason" not in item


# A parked attempt.


def test_a_due_parked_attempt_is_dispatched_without_its_request(world: CloudWorld) -> None:
    key = world.attempts.scheduled(due_at=NOW + 60).key
    world.pass_seconds(60)

    assert world.poll(key) == Poll(PollResult.DISPATCHED, key)

    (body,) = world.queued()
    assert json.loads(body) == {"dispatch": {"requestId": str(key.request), "attempt": 1}, "timesParked": 1}
    assert PHONE_NUMBER not in body
    assert world.attempts.status(key) == "scheduled"


def test_a_lost_dispatch_message_is_sent_again_after_a_minute(world: CloudWorld) -> None:
    key = world.attempts.scheduled(due_at=NOW + 60).key
    world.pass_seconds(60)
    world.poll(key)
    assert len(world.queued()) == 1

    world.pass_seconds(59)
    assert world.sweep(key) == []
    world.pass_seconds(1)

    assert world.poll(key).result is PollResult.DISPATCHED
    assert len(world.queued()) == 1


def test_a_parked_attempt_has_no_deadline_and_expires_when_it_is_dispatched(world: CloudWorld) -> None:
    key = world.attempts.scheduled().key
    world.pass_seconds(DEADLINE_SECONDS + EXPIRE_AFTER_SECONDS)

    assert world.poll(key).result is PollResult.DISPATCHED
    (message,) = world.queued()
    world.place(message)

    assert world.attempts.status(key) == "rejected"


def test_a_parked_attempt_comes_due_again_when_the_queue_is_out_of_reach(world: CloudWorld) -> None:
    key = world.attempts.scheduled(due_at=NOW + 60).key
    world.pass_seconds(60)
    world.configure(CALL_QUEUE_URL=world.resources.call_queue_url + "-none")
    with pytest.raises(ClientError):
        world.sweep(key)
    world.configure()

    world.pass_seconds(60)

    assert world.poll(key).result is PollResult.DISPATCHED


# Too little time, other sweeps, and webhooks meanwhile.


def test_no_poll_starts_without_time_to_finish_it(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    before = world.attempts.item(key)

    assert world.sweep(key, SECONDS_TO_POLL - 0.1) == [Poll(PollResult.SKIPPED, key, ParkReason.SHORT_OF_TIME)]
    assert world.attempts.item(key) == before
    assert world.allomia.polled == []
    assert world.sweep(key, SECONDS_TO_POLL) == [Poll(PollResult.WAITING, key)]


def test_one_of_many_sweeps_asks_allomia(world: CloudWorld) -> None:
    key = world.placed()
    world.pass_seconds(GRACE_SECONDS)
    (due,) = world.attempts.due_entries(key)

    results = at_once(8, lambda _: world.poll_calls.poll(due, lambda: 60.0).result)

    assert sorted(results) == [PollResult.SKIPPED] * 7 + [PollResult.WAITING]
    assert len(world.allomia.polled) == 1


def test_an_entry_of_an_attempt_that_ended_or_never_was_is_skipped(world: CloudWorld) -> None:
    key, missing = world.placed(), new_key()
    (due,) = world.attempts.due_entries(key)
    world.webhook(key)
    world.pass_seconds(GRACE_SECONDS)

    assert world.poll_calls.poll(due, lambda: 60.0) == Poll(PollResult.SKIPPED, key)
    assert world.poll_calls.poll(DueEntry(missing, NOW), lambda: 60.0) == Poll(PollResult.SKIPPED, missing)


@pytest.mark.parametrize(
    ("waited", "code", "status", "result"),
    [
        (GRACE_SECONDS, 200, "failed", PollResult.SKIPPED),
        (DEADLINE_SECONDS, 200, "calling", PollResult.SKIPPED),
        (DEADLINE_SECONDS + 1, 500, "calling", PollResult.SKIPPED),
        (DEADLINE_SECONDS, 500, "calling", PollResult.UNAVAILABLE),
        # It would bring the next poll forward to the deadline.
        (DEADLINE_SECONDS - 1, 200, "calling", PollResult.WAITING),
    ],
)
def test_a_webhook_during_the_poll_is_not_overwritten(
    world: CloudWorld, waited: int, code: int, status: str, result: PollResult
) -> None:
    key = world.placed()
    world.pass_seconds(waited)
    if waited > DEADLINE_SECONDS:
        world.allomia.status = returns(503)
        world.poll(key)
        world.pass_seconds(PATIENCE_SECONDS)

    receipts: list[Receipt] = []
    world.allomia.before_answer = lambda _request: receipts.append(world.webhook(key, "completed"))
    world.allomia.status = returns(code, world.allomia.state(world.callback_url(key), status))

    assert world.poll(key).result is result
    assert [receipt.status for receipt in receipts] == [200]
    item = world.attempts.existing_item(key)
    assert (item["status"], item["outcomeSource"]) == ("completed", "webhook")
    assert world.attempts.due_entries(key) == []


def test_a_poller_that_lost_its_lease_does_not_give_up(world: CloudWorld) -> None:
    key = world.placed()
    world.allomia.status = returns(500)
    world.pass_seconds(DEADLINE_SECONDS)
    world.poll(key)
    world.pass_seconds(PATIENCE_SECONDS)

    def lose_lease(_request: httpx.Request) -> None:
        world.pass_seconds(world.due_in(key))
        world.attempts.leased(key, world.clock.now)

    world.allomia.before_answer = lose_lease

    assert world.poll(key).result is PollResult.SKIPPED
    assert world.attempts.status(key) == "calling"


def test_an_attempt_without_a_usable_key_waits_and_still_ends(world: CloudWorld) -> None:
    key = world.placed()
    world.configure(ALLOMIA_API_KEY_SECRET_ARN=world.resources.key_arn + "-none")

    world.pass_seconds(GRACE_SECONDS)
    assert world.poll(key) == Poll(PollResult.UNAVAILABLE, key, "key-unusable")

    assert world.last_poll(key, KEY_PATIENCE_SECONDS).result is PollResult.RECORDED
    assert world.attempts.status(key) == "unknown"
    assert world.allomia.polled == []


def test_a_first_look_long_after_the_deadline_is_not_the_last(world: CloudWorld) -> None:
    """The poller may have stood still: what it finds then has the same time as anything else."""
    key = world.placed()
    world.allomia.status = returns(503)
    world.pass_seconds(DEADLINE_SECONDS + 2 * PATIENCE_SECONDS)

    assert world.poll(key) == Poll(PollResult.UNAVAILABLE, key, "HTTP 503")
    world.pass_seconds(PATIENCE_SECONDS - 1)
    assert world.poll(key).result is PollResult.UNAVAILABLE
    world.pass_seconds(300)
    assert world.poll(key).result is PollResult.RECORDED
    assert "soughtSince" not in world.attempts.existing_item(key)


def test_a_claim_that_may_not_have_been_posted_says_so(world: CloudWorld) -> None:
    key = world.attempts.dispatching(int(world.clock.now)).key
    world.pass_seconds(DEADLINE_SECONDS)

    assert world.poll(key).detail.endswith("claimed, and not known to have been posted")
    assert world.attempts.status(key) == "unknown"
