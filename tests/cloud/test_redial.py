"""Another attempt after an outcome: made once, at its time, and never after the person answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from calls.operations.masking import masked
from calls.operations.resolving import NotAllowed, Resolving
from local.simulator import returns
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.attempts import AttemptKey, Redial
from outbound_calls.use_cases.new_attempt import Defaults
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import PollResult
from tests.cloud.parts import (
    CONFLICT,
    LOSE_ANSWER,
    LOSE_REQUEST,
    PASS,
    FaultyNetwork,
    SampleAttempts,
    an_outcome,
    at_once,
    new_attempt,
)
from tests.cloud.world import CloudWorld, OverANetwork
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.world import DEADLINE_SECONDS, NOW, RETENTION_DAYS

CALLING, DROPPED = PlaceResult.CALLING, PlaceResult.REDIAL_DROPPED
DAY = 86_400
AFTER_BUSY = {"on": {"busy": [600, 1800]}, "maxAttempts": 3}
FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


def busy(
    world: CloudWorld, redial: object = AFTER_BUSY, policy: dict[str, Any] | None = None, **request: Any
) -> AttemptKey:
    """A new attempt that found the line busy, so that another one follows by the policy's rules."""
    world.decide_by(redial=redial, **policy or {})
    key = world.placed(**request)
    assert world.webhook(key, "busy").result is RecordResult.STORED
    return key


def after(key: AttemptKey) -> AttemptKey:
    return replace(key, number=key.number + 1)


def number_of_attempts(world: CloudWorld, key: AttemptKey) -> int:
    return len(world.attempts.table.read_all(key.request))


# From one attempt to the next.


def test_a_busy_line_is_dialled_again_after_the_delay(world: CloudWorld) -> None:
    key = busy(world)
    pending = world.attempts.existing_item(key)
    assert (pending["status"], pending["redialAt"], pending["dueAt"]) == ("busy", *[world.clock.now + 600] * 2)
    assert pending["request"]["phoneNumber"] == PHONE_NUMBER
    assert "expiresAt" not in pending
    assert world.attempts.read(key).final is False

    following = world.redialled(key)

    made = world.attempts.existing_item(following)
    assert following == after(key)
    assert (made["status"], made["parkReason"], made["isRedial"]) == ("scheduled", "redial", True)
    assert made["createdAt"] == pending["redialAt"]
    assert made["request"] == pending["request"]
    assert world.place_queued().result is CALLING
    assert world.webhook(following, "completed").result is RecordResult.STORED
    assert world.attempts.read(following).final is True
    assert [world.callback_url(each) for each in (key, following)] == [
        each["callbackUrl"] for each in world.allomia.posts
    ]


def test_an_attempt_that_was_followed_keeps_its_outcome_and_nothing_of_the_request(world: CloudWorld) -> None:
    key = busy(world)
    ended = world.attempts.existing_item(key)

    world.redialled(key)

    kept = ended.keys() - {"request", "redial", "redialAt", "dueAt", "dueShard", "pollDelay"}
    item = world.attempts.existing_item(key)
    assert item == {name: ended[name] for name in kept} | {"nextAttempt": 2, "expiresAt": item["expiresAt"]}
    assert item["expiresAt"] >= world.clock.now + (RETENTION_DAYS + 60) * DAY
    assert world.attempts.due_entries(key) == []
    assert world.attempts.read(key).final is False


def test_the_labels_of_a_request_go_with_each_attempt(world: CloudWorld) -> None:
    labels: dict[str, Any] = {"metadata": {"clinic": "7"}, "batch": "monday", "timeZone": "America/Toronto"}
    key = busy(
        world, policy={"purposes": {"reminder": {}}}, purpose="reminder", notAfter="2026-04-02T00:00:00Z", **labels
    )
    first = world.attempts.read(key)

    following = world.attempts.read(world.redialled(key))

    assert (following.labels, following.request, following.setting) == (first.labels, first.request, first.setting)
    assert following.terms == first.terms


@pytest.mark.parametrize(
    ("policy", "own", "waits"),
    [
        ({"redial": AFTER_BUSY}, None, [600, 1800]),
        ({"redial": AFTER_BUSY | {"maxAttempts": 5}}, None, [600, 1800, 1800, 1800]),
        ({"redial": AFTER_BUSY | {"maxAttempts": 5}, "maxAttemptsCeiling": 3}, None, [600, 1800]),
        ({"redial": AFTER_BUSY}, {"on": {"busy": [60]}, "maxAttempts": 9}, [60, 60, 60, 60]),
        ({"redial": AFTER_BUSY, "maxAttemptsCeiling": 2}, {"on": {"busy": [60]}, "maxAttempts": 9}, [60]),
        ({}, {"on": {"busy": [60]}, "maxAttempts": 2}, [60]),
        ({"redial": AFTER_BUSY}, {"maxAttempts": 1}, []),
        ({"redial": AFTER_BUSY}, {"on": {"no-answer": [60]}, "maxAttempts": 3}, []),
        ({}, None, []),
    ],
    ids=["policy", "last repeats", "ceiling", "own", "own, ceiling", "own alone", "none", "other status", "preset"],
)
def test_the_delays_follow_each_other_until_there_are_enough_attempts(
    world: CloudWorld, policy: dict[str, Any], own: object, waits: list[int]
) -> None:
    world.decide_by(**policy)
    key = world.placed(redial=own)

    waited = []
    world.webhook(key, "busy")
    while not world.attempts.read(key).final:
        waited.append(world.due_in(key))
        key = world.redialled(key)
        assert world.place_queued().result is CALLING
        world.webhook(key, "busy")

    assert waited == waits
    assert world.attempts.existing_item(key).keys().isdisjoint({"redial", "redialAt", "request", "dueAt"})
    assert len(world.allomia.posts) == len(waits) + 1


@pytest.mark.parametrize(
    ("status", "reason", "wait"),
    [("completed", "voicemail", 60), ("completed", "customer-ended-call", None), ("failed", "voicemail", None)],
)
def test_a_completed_call_is_followed_by_its_ended_reason(
    world: CloudWorld, status: str, reason: str, wait: int | None
) -> None:
    world.decide_by(redial={"onEndedReasons": {"voicemail": [60]}, "maxAttempts": 2})
    key = world.placed()

    world.webhook(key, status, callDetails={"endedReason": reason})

    assert world.attempts.read(key).final is (wait is None)
    assert wait is None or world.due_in(key) == wait


@pytest.mark.parametrize(("not_after", "final"), [("2026-04-01T14:40:04Z", True), ("2026-04-01T14:40:05Z", False)])
def test_an_outcome_is_final_where_the_next_attempt_would_come_after_not_after(
    world: CloudWorld, not_after: str, final: bool
) -> None:
    key = busy(world, notAfter=not_after)

    assert world.attempts.read(key).final is final
    assert ("redialAt" in world.attempts.existing_item(key)) is not final


# What is never followed.


def test_an_unknown_attempt_and_what_replaces_it_is_never_followed(world: CloudWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    key = world.placed()
    world.pass_seconds(DEADLINE_SECONDS)
    world.allomia.status = returns(200, world.allomia.state(world.callback_url(key), "calling"))
    world.sweep(key)
    assert world.attempts.status(key) == "unknown"
    assert "redial" not in world.attempts.existing_item(key)

    assert world.webhook(key, "busy").result is RecordResult.STORED

    assert world.attempts.read(key).final is True
    assert world.attempts.due_entries(key) == []


@pytest.mark.parametrize("fields", [{"notAfter": "2026-04-01T14:30:01Z"}, {"purpose": "unheard-of"}])
def test_a_rejected_request_is_never_followed(world: CloudWorld, fields: dict[str, Any]) -> None:
    world.decide_by(redial=AFTER_BUSY)

    key = world.placed(**fields)

    assert (world.attempts.read(key).final, world.attempts.due_entries(key)) == (True, [])


def test_an_outcome_in_allomias_answer_is_followed_like_any(world: CloudWorld) -> None:
    world.decide_by(redial=AFTER_BUSY)
    world.allomia.post = returns(201, {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "busy"})

    key = world.placed()

    assert (world.attempts.status(key), world.due_in(key)) == ("busy", 600)


# Another outcome while the next attempt is pending.


@pytest.mark.parametrize(
    ("status", "reason", "result"),
    [
        ("completed", "customer-ended-call", RecordResult.REPLACED),
        ("completed", "voicemail", RecordResult.REPLACED),
        ("busy", None, RecordResult.ALREADY_RECORDED),
        ("no-answer", None, RecordResult.CONTRADICTS),
    ],
    ids=["answered", "voicemail", "duplicate", "other"],
)
def test_only_an_answer_replaces_a_provisional_outcome(
    world: CloudWorld, status: str, reason: str | None, result: RecordResult
) -> None:
    key = busy(world, AFTER_BUSY | {"onEndedReasons": {"voicemail": [60]}})
    before = world.attempts.existing_item(key)
    world.pass_seconds(60)

    assert world.webhook(key, status, callDetails={"endedReason": reason}).result is result

    item = world.attempts.existing_item(key)
    if result is not RecordResult.REPLACED:
        assert item == before
        return
    assert (item["status"], item["recordedAt"], world.attempts.read(key).final) == ("completed", world.clock.now, True)
    assert item["expiresAt"] == world.clock.now + RETENTION_DAYS * DAY
    assert item.keys().isdisjoint({"redial", "redialAt", "request", "dueAt", "nextAttempt"})
    assert world.webhook(key, status).result is RecordResult.ALREADY_RECORDED


def test_an_answer_cancels_the_attempt_that_was_made_meanwhile(world: CloudWorld) -> None:
    key = busy(world)
    following = world.redialled(key)
    before = world.attempts.existing_item(key)

    assert world.webhook(key, "completed").result is RecordResult.NEXT_CANCELLED

    cancelled = world.attempts.existing_item(following)
    assert (cancelled["status"], cancelled["outcomeSource"]) == ("cancelled", "webhook")
    assert (cancelled["reasonCode"], cancelled["reason"]) == ("answered-meanwhile", "the person answered attempt 1")
    assert world.attempts.existing_item(key) == before
    assert [world.attempts.read(each).final for each in (key, following)] == [False, True]
    # Its dispatch message, and the same webhook again, change nothing.
    assert world.place_queued().result is PlaceResult.DUPLICATE
    assert world.webhook(key, "completed").result is RecordResult.NEXT_CANCELLED
    assert len(world.allomia.posts) == 1


def test_an_answer_after_the_next_attempt_was_claimed_is_a_contradiction(world: CloudWorld) -> None:
    key = busy(world)
    world.redialled(key)
    world.place_queued()

    assert world.webhook(key, "completed").result is RecordResult.CONTRADICTS

    item = world.attempts.existing_item(after(key))
    # No one asked for a cancellation.
    assert (item["status"], "redial" in item, "cancelRequestedAt" in item) == ("calling", False, False)
    world.webhook(after(key), "busy")
    assert (world.attempts.read(after(key)).final, world.attempts.read(after(key)).cancel_requested_at) == (True, None)


def test_a_redial_that_allomia_refuses_ends_where_the_person_answered_meanwhile(world: CloudWorld) -> None:
    key = busy(world)
    world.redialled(key)
    world.allomia.post = returns(429)
    receipts: list[object] = []
    world.allomia.before_answer = lambda _post: receipts.append(world.webhook(key, "completed"))

    placement = world.place_queued()

    assert (placement.result, placement.code) == (PlaceResult.CANCELLED, "answered-meanwhile")
    item = world.attempts.existing_item(after(key))
    assert (item["status"], item["outcomeSource"]) == ("cancelled", "webhook")
    assert "cancelRequestedAt" not in item


def test_an_answer_drops_the_redial_of_the_attempt_that_followed(world: CloudWorld) -> None:
    key = busy(world)
    following = world.redialled(key)
    world.place_queued()
    world.webhook(following, "busy")

    assert world.webhook(key, "completed").result is RecordResult.NEXT_CANCELLED

    assert (world.attempts.status(following), world.attempts.read(following).final) == ("busy", True)
    assert world.attempts.due_entries(following) == []


# A redial that is never dialled.


def expire(world: CloudWorld, _key: AttemptKey) -> None:
    world.pass_seconds(60)


def object_to_calls(world: CloudWorld, _key: AttemptKey) -> None:
    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})


def cancel_the_batch(world: CloudWorld, _key: AttemptKey) -> None:
    world.place({"cancel": {"batch": "monday"}})


DROPS: dict[str, tuple[Callable[[CloudWorld, AttemptKey], None], dict[str, Any]]] = {
    "expired": (expire, {}),
    "do-not-call": (object_to_calls, {}),
    "cancelled": (cancel_the_batch, {}),
    "recipient-cap": (
        lambda _world, _key: None,
        {"recipientCaps": [{"calls": 1, "perDays": 1}], "whenCapped": "reject"},
    ),
}


@pytest.mark.parametrize("code", DROPS)
def test_a_redial_that_policy_rejects_is_dropped_and_the_outcome_before_it_is_final(
    world: CloudWorld, code: str
) -> None:
    meanwhile, policy = DROPS[code]
    key = busy(world, policy=policy, batch="monday", notAfter="2026-04-01T14:40:30Z")
    before = world.attempts.existing_item(key)
    following = world.redialled(key)
    meanwhile(world, following)

    placement = world.place_queued()

    assert (placement.result, placement.code) == (DROPPED, code)
    item, dropped = world.attempts.existing_item(key), world.attempts.existing_item(following)
    assert (dropped["status"], dropped["isDropped"], dropped["reasonCode"]) == ("cancelled", True, code)
    assert dropped.keys().isdisjoint({"endedOn", "request", "dueAt", "terms"})
    assert "nextAttempt" not in item
    assert (item["status"], item["recordedAt"], item["endedOn"]) == ("busy", before["recordedAt"], before["endedOn"])
    assert world.attempts.read(key).final is True
    assert len(world.allomia.posts) == 1


def test_a_redial_that_waits_for_a_cap_is_dialled_when_the_cap_allows_it(world: CloudWorld) -> None:
    key = busy(world, policy={"recipientCaps": [{"calls": 1, "perSeconds": 3600}]})
    following = world.redialled(key)

    assert world.place_queued().code == "recipient-cap"

    assert world.come_up(following).result is CALLING


def test_a_dropped_redial_stays_dropped(world: CloudWorld) -> None:
    key = busy(world, notAfter="2026-04-01T14:40:30Z")
    following = world.redialled(key)
    attempt = world.attempts.read(following)
    world.pass_seconds(60)
    assert world.place_queued().result is DROPPED
    items = [world.attempts.item(each) for each in (key, following)]

    outcome = an_outcome(Status.CANCELLED)
    assert world.attempts.table.drop(attempt, outcome, world.clock.now) is False
    assert world.webhook(key, "busy").result is RecordResult.ALREADY_RECORDED
    assert [world.attempts.item(each) for each in (key, following)] == items


# Made once.


def test_of_many_sweeps_at_once_one_makes_the_next_attempt(world: CloudWorld) -> None:
    key = busy(world)
    (due,) = world.attempts.due_entries(key)
    world.pass_seconds(600)

    polls = at_once(6, lambda _: world.poll_entry(due).result)

    assert sorted(polls) == sorted([PollResult.REDIALLED] + [PollResult.SKIPPED] * 5)
    assert len(world.queued()) == 1
    assert number_of_attempts(world, key) == 2


def dial_again(world: CloudWorld, key: AttemptKey) -> bool:
    resolve = Resolving(world.attempts.table, Defaults(ASSISTANT_ID, PHONE_NUMBER_ID), world.clock)
    with suppress(NotAllowed):
        message = CallRequestMessage(phone_number=PHONE_NUMBER)
        resolve.dial_again(*resolve.prepare(key.request, message, False, masked))
        return True
    return False


def test_a_person_who_dials_again_while_a_redial_is_pending_takes_its_place(world: CloudWorld) -> None:
    key = busy(world)

    assert dial_again(world, key)

    item = world.attempts.existing_item(after(key))
    assert (item["parkReason"], "isRedial" in item) == ("dial-again", False)
    assert world.attempts.due_entries(key) == []
    assert world.attempts.existing_item(key)["nextAttempt"] == 2


def test_a_person_and_a_sweep_at_once_make_one_attempt(world: CloudWorld) -> None:
    key = busy(world)
    world.pass_seconds(600)
    (due,) = world.attempts.due_entries(key)

    def work(number: int) -> bool:
        if number == 0:
            return dial_again(world, key)
        return world.poll_entry(due).result is PollResult.REDIALLED

    assert sorted(at_once(2, work)) == [False, True]
    assert number_of_attempts(world, key) == 2


# The recorder, a cancellation and a poll at once.


@contextmanager
def before_update(attempts: SampleAttempts, number: int, act: Callable[[], object]) -> Iterator[None]:
    """Do something right before the table's client sends its update of this number."""
    events, sent = attempts.table.client.meta.events, iter(range(100))
    name = "provide-client-params.dynamodb.UpdateItem"

    def look(**_: object) -> None:
        if next(sent) == number:
            act()

    events.register(name, look)
    try:
        yield
    finally:
        events.unregister(name, look)


def claimed(attempts: SampleAttempts) -> AttemptKey:
    """A claimed attempt that may be followed by another one."""
    attempt = attempts.claim(replace(new_attempt(), redial=Redial(3, {"busy": (600,)})))
    assert attempt
    return attempt.key


@pytest.mark.parametrize("status", [Status.BUSY, Status.COMPLETED])
def test_an_outcome_is_kept_where_the_request_is_cancelled_between_its_two_writes(
    attempts: SampleAttempts, status: Status
) -> None:
    key = claimed(attempts)

    with before_update(
        attempts, 1, lambda: attempts.table.request_cancel(attempts.read(key), OutcomeSource.UPSTREAM, NOW)
    ):
        recording = attempts.table.record(key, an_outcome(status), NOW + 60)

    assert recording.result is RecordResult.STORED
    item = attempts.existing_item(key)
    assert (item["status"], item["cancelRequestedAt"], "redialAt" in item) == (status, NOW, False)


def test_an_attempt_that_moved_on_is_not_given_up(attempts: SampleAttempts) -> None:
    key = claimed(attempts)
    seen = replace(attempts.read(key), due_at=NOW + 1)

    assert attempts.table.give_up(seen, an_outcome(Status.UNKNOWN), NOW).stored is False

    assert attempts.status(key) == "dispatching"


def test_a_poll_brings_a_provisional_outcome_too(attempts: SampleAttempts) -> None:
    key = claimed(attempts)

    recording = attempts.table.record(key, an_outcome(Status.BUSY, source=OutcomeSource.POLL), NOW)

    assert recording.attempt
    assert (recording.attempt.redial_at, recording.attempt.final) == (NOW + 600, False)


# A network that loses requests or answers.


class TestOverANetwork(OverANetwork):
    """The use cases behind a network that loses one request or answer; clients send everything once or twice."""

    @pytest.fixture(params=[1, 2], ids=["sent once", "sent again"])
    def tries(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("skip", [0, 1])
    def test_a_provisional_outcome_is_stored_at_the_latest_by_the_next_webhook(
        self, world: CloudWorld, network: FaultyNetwork, fault: str, skip: int
    ) -> None:
        world.decide_by(redial=AFTER_BUSY)
        key = world.placed()
        network.fail_once("UpdateItem", fault, skip)
        with suppress(WriteUnanswered):
            world.webhook(key, "busy")
        world.webhook(key, "busy")

        assert (world.attempts.status(key), world.due_in(key)) == ("busy", 600)

    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("operation", ["UpdateItem", "TransactWriteItems", "SendMessage"])
    def test_the_next_attempt_is_made_once_and_dialled_once(
        self, world: CloudWorld, network: FaultyNetwork, operation: str, fault: str
    ) -> None:
        key = busy(world)
        world.pass_seconds(600)
        network.fail_once(operation, fault)
        for _ in range(3):
            for each in (key, after(key)):
                with suppress(Exception):
                    world.sweep(each)
            for message in world.queued():
                world.place(message)
            world.pass_seconds(60)

        assert number_of_attempts(world, key) == 2
        assert world.attempts.status(after(key)) == "calling"
        assert len(world.allomia.posts) == 2

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_redial_is_dropped_at_the_latest_by_the_next_delivery(
        self, world: CloudWorld, network: FaultyNetwork, fault: str
    ) -> None:
        key = busy(world, notAfter="2026-04-01T14:40:30Z")
        following = world.redialled(key)
        (message,) = world.queued()
        world.pass_seconds(60)
        network.fail_once("TransactWriteItems", fault)
        with suppress(WriteUnanswered):
            world.place(message)
        world.place(message)

        assert world.attempts.existing_item(following)["isDropped"] is True
        assert world.attempts.read(key).final is True

    @pytest.mark.parametrize("fault", FAULTS)
    @pytest.mark.parametrize("skip", [0, 1])
    def test_an_answer_replaces_a_provisional_outcome_at_the_latest_when_it_comes_again(
        self, world: CloudWorld, network: FaultyNetwork, fault: str, skip: int
    ) -> None:
        key = busy(world)
        network.fail_once("UpdateItem", fault, skip)
        with suppress(WriteUnanswered):
            world.webhook(key, "completed")
        world.webhook(key, "completed")

        assert (world.attempts.status(key), world.attempts.read(key).final) == ("completed", True)

    @pytest.mark.parametrize("times", [1, 4])
    def test_an_outcome_is_stored_although_a_transaction_is_in_its_way(
        self, world: CloudWorld, network: FaultyNetwork, times: int
    ) -> None:
        key = busy(world)
        network.plan = in_the_way(network, "UpdateItem", times)

        assert world.webhook(key, "completed").result is RecordResult.REPLACED

    def test_a_claim_is_made_although_a_transaction_is_in_its_way(
        self, world: CloudWorld, network: FaultyNetwork
    ) -> None:
        network.plan = in_the_way(network, "PutItem", 2)

        assert world.attempts.status(world.placed()) == "calling"

    def test_a_write_that_transactions_are_always_in_the_way_of_is_not_answered(
        self, world: CloudWorld, network: FaultyNetwork
    ) -> None:
        key = world.placed()
        network.plan = in_the_way(network, "UpdateItem", 5)
        with pytest.raises(WriteUnanswered):
            world.webhook(key, "completed")

        assert world.webhook(key, "completed").result is RecordResult.STORED

    def test_a_redial_that_allomia_refuses_is_dropped_although_another_write_is_in_the_way(
        self, world: CloudWorld, network: FaultyNetwork
    ) -> None:
        key = busy(world)
        following = world.redialled(key)
        attempt = world.attempts.read(following)
        network.plan = in_the_way(network, "TransactWriteItems", 5)
        with pytest.raises(WriteUnanswered):
            world.place_calls.table.drop(attempt, an_outcome(Status.REJECTED), world.clock.now)

        assert world.place_calls.table.drop(attempt, an_outcome(Status.REJECTED), world.clock.now)
        assert world.attempts.read(key).final is True


def in_the_way(network: FaultyNetwork, operation: str, times: int) -> Callable[[str, int], str]:
    """Let the next requests of an operation meet a conflict, so many times."""
    first = network.operations.count(operation)
    return lambda asked, before: CONFLICT if asked == operation and first <= before < first + times else PASS
