"""Resolving calls by hand, on the real table: record an outcome, or dial again at most once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from calls.operations.masking import masked
from calls.operations.preflight import RowIds
from calls.operations.requests_file import Row
from calls.operations.resolving import Finding, NotAllowed, Resolving, request_in_file
from local.simulator import fails
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS, utc_text
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.new_attempt import Defaults
from outbound_calls.use_cases.place import PlaceResult
from outbound_calls.use_cases.sweep import KEY_PATIENCE_SECONDS
from tests.cloud.parts import LOSE_ANSWER, METADATA, FaultyNetwork, SampleAttempts, an_outcome, at_once
from tests.cloud.world import CloudWorld
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.world import DEADLINE_SECONDS, NOW, RETENTION_DAYS

DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)
NEVER_SENT = RequestKey("never-sent")


def resolving(attempts: SampleAttempts, clock: Callable[[], float] = lambda: NOW + 9000) -> Resolving:
    return Resolving(attempts.table, DEFAULTS, clock)


def a_message(**changes: Any) -> CallRequestMessage:
    return CallRequestMessage(phone_number=PHONE_NUMBER, **changes)


def second_attempt(key: AttemptKey) -> AttemptKey:
    return replace(key, number=2)


# Dial again.


def test_a_request_is_dialled_again_through_the_same_claim_as_any(world: CloudWorld) -> None:
    # Given a call that ended as unknown
    world.allomia.post = fails(httpx.ReadTimeout)
    key = world.placed(metadata=METADATA, batch="december")
    world.pass_seconds(DEADLINE_SECONDS + 1)
    world.sweep(key)
    assert world.attempts.status(key) == "unknown"
    world.allomia.post = None

    # When a person dials again, the poller sweeps, and its dispatch message arrives twice
    resolve = resolving(world.attempts, world.clock)
    second = resolve.dial_again(*resolve.prepare(key.request, a_message(customer_name="Ada"), False, masked))
    assert world.attempts.existing_item(second)["parkReason"] == "dial-again"
    world.sweep(second)
    (message,) = world.queued()
    results = [world.place(message).result for _ in range(2)]

    # Then it is dialled once, with the stack's defaults and the record's labels
    assert second == second_attempt(key)
    assert results == [PlaceResult.CALLING, PlaceResult.DUPLICATE]
    assert world.allomia.posts[-1]["callbackUrl"] == world.callback_url(second)
    assert world.allomia.posts[-1]["assistantId"] == ASSISTANT_ID
    item = world.attempts.existing_item(second)
    assert (item["metadata"], item["batch"], item["createdAt"]) == (METADATA, "december", int(world.clock.now))
    world.webhook(second)
    assert (world.attempts.status(key), world.attempts.status(second)) == ("unknown", "completed")


def test_dialled_again_a_request_keeps_its_purpose_so_that_an_objection_to_it_holds(world: CloudWorld) -> None:
    world.own_policy_table()
    world.decide_by(purposes={"marketing": {}, "reminder": {}})
    key = world.placed(purpose="marketing")
    world.webhook(key, "busy")
    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": ["marketing"]}})

    resolve = resolving(world.attempts, world.clock)
    second = resolve.dial_again(*resolve.prepare(key.request, a_message(), False, masked))
    world.sweep(second)
    (message,) = world.queued()

    assert world.place(message).code == "do-not-call"
    assert len(world.allomia.posts) == 1
    _, other = resolve.prepare(key.request, a_message(purpose="reminder"), False, masked)
    assert other.labels.purpose == "reminder"


def test_the_first_attempt_protects_the_request_for_as_long_as_the_last_one_is_kept(world: CloudWorld) -> None:
    key = world.placed()
    world.webhook(key, "busy")
    resolve = resolving(world.attempts, world.clock)
    world.pass_seconds(RETENTION_DAYS * 86_400 - 1)
    second = resolve.dial_again(*resolve.prepare(key.request, a_message(), False, masked))
    world.pass_seconds(EXPIRE_AFTER_SECONDS)
    world.sweep(second)
    for message in world.queued():
        world.place(message)
    world.pass_seconds(DEADLINE_SECONDS + KEY_PATIENCE_SECONDS)
    world.webhook(second, "busy")

    kept = [int(world.attempts.existing_item(each)["expiresAt"]) for each in (key, second)]
    assert kept[0] >= kept[1]


def test_of_two_people_who_dial_again_at_once_one_succeeds(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)
    resolve = resolving(attempts)
    prepared = [
        resolve.prepare(key.request, a_message(customer_name=f"Ada {number}"), False, masked) for number in range(6)
    ]

    def dial(number: int) -> bool:
        try:
            return bool(resolve.dial_again(*prepared[number]).number)
        except NotAllowed:
            return False

    assert at_once(6, dial).count(True) == 1


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DISPATCHING, Status.CALLING])
def test_an_open_attempt_is_not_dialled_again(attempts: SampleAttempts, status: Status) -> None:
    key = attempts.in_status(status)

    with pytest.raises(NotAllowed, match=f"attempt 1 is {status}"):
        resolving(attempts).prepare(key.request, a_message(), True, masked)


def test_a_completed_call_is_dialled_again_only_with_force(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.COMPLETED)

    with pytest.raises(NotAllowed, match="completed"):
        resolving(attempts).prepare(key.request, a_message(), False, masked)
    assert resolving(attempts).prepare(key.request, a_message(), True, masked)[0].attempt == 2


@pytest.mark.parametrize("answered", ["before", "meanwhile", "in progress"])
def test_once_the_person_has_answered_an_attempt_none_is_made_without_force(world: CloudWorld, answered: str) -> None:
    # Given a person who answered the first attempt, and a second that ended otherwise
    resolve = resolving(world.attempts, world.clock)
    first = world.placed()
    world.webhook(first, "completed" if answered == "before" else "busy")
    second = resolve.dial_again(*resolve.prepare(first.request, a_message(), True, masked))
    if answered != "meanwhile":
        world.sweep(second)
        (message,) = world.queued()
        assert world.place(message).result is PlaceResult.CALLING
    if answered != "before":
        world.webhook(first, "completed")
    if answered != "meanwhile":
        world.webhook(second, "busy")
    assert world.attempts.status(second) == ("cancelled" if answered == "meanwhile" else "busy")

    # Then another is made only by someone who insists
    with pytest.raises(NotAllowed, match="the call took place"):
        resolve.prepare(first.request, a_message(), False, masked)
    assert resolve.prepare(first.request, a_message(), True, masked)[0].attempt == 3


def test_an_outcome_that_comes_late_stops_the_attempt_that_was_made_by_hand(world: CloudWorld) -> None:
    world.allomia.post = fails(httpx.ReadTimeout)
    first = world.placed()
    world.pass_seconds(DEADLINE_SECONDS + 1)
    world.sweep(first)
    resolve = resolving(world.attempts, world.clock)
    second = resolve.dial_again(*resolve.prepare(first.request, a_message(), False, masked))

    world.webhook(first, "completed")

    assert (world.attempts.status(first), world.attempts.status(second)) == ("completed", "cancelled")


@pytest.mark.parametrize(("finding", "status"), [(Finding.COMPLETED, "cancelled"), (Finding.BUSY, "scheduled")])
def test_found_to_be_answered_a_call_is_not_dialled_again(
    attempts: SampleAttempts, finding: Finding, status: str
) -> None:
    # Given an unknown call that one person has dialled again
    first = attempts.ended(Status.UNKNOWN)
    resolve = replace(resolving(attempts), by="alice")
    second = resolve.dial_again(*resolve.prepare(first.request, a_message(), False, masked))

    # When another finds out how it ended
    resolve.record(first.request, finding)

    item = attempts.existing_item(second)
    assert item["status"] == status
    if finding is Finding.COMPLETED:
        assert (item["outcomeSource"], item["reasonCode"]) == ("operator", "answered-meanwhile")


@pytest.mark.parametrize("status", [Status.FAILED, Status.BUSY, Status.NO_ANSWER, Status.REJECTED, Status.UNKNOWN])
def test_a_call_that_reached_no_one_is_dialled_again(attempts: SampleAttempts, status: Status) -> None:
    key = attempts.ended(status)

    redial, attempt = resolving(attempts).prepare(key.request, a_message(), False, masked)

    assert (redial.attempt, redial.last_status, redial.metadata_kept) == (2, status, True)
    assert redial.phone_number == masked(PHONE_NUMBER)
    assert attempt.labels.metadata == METADATA
    assert attempt.request
    assert attempt.request.assistant_id == ASSISTANT_ID


def test_given_metadata_replaces_the_records(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.BUSY)

    redial, attempt = resolving(attempts).prepare(key.request, a_message(metadata={"visit": "2"}), False, masked)

    assert (redial.metadata_kept, attempt.labels.metadata) == (False, {"visit": "2"})


def test_an_outcome_that_arrives_before_the_confirmation_stops_the_redial(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)
    prepared = resolving(attempts).prepare(key.request, a_message(), False, masked)

    attempts.table.record(key, an_outcome(Status.COMPLETED), NOW + 8000)

    with pytest.raises(NotAllowed, match="changed"):
        resolving(attempts).dial_again(*prepared)
    assert attempts.item(second_attempt(key)) is None


def test_a_request_that_comes_too_late_is_not_dialled_again(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)
    resolve = resolving(attempts)

    with pytest.raises(NotAllowed, match="notAfter has passed"):
        resolve.prepare(key.request, a_message(not_after=utc_text(NOW + 8999)), False, masked)
    prepared = resolve.prepare(key.request, a_message(not_after=utc_text(NOW + 9001)), False, masked)
    assert attempts.read(resolve.dial_again(*prepared)).terms.not_after == NOW + 9001


def test_the_last_possible_attempt_is_not_followed_by_another(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.BUSY)
    attempts.put_item(attempts.existing_item(key) | {"attempt": 99})

    with pytest.raises(NotAllowed, match="99"):
        resolving(attempts).prepare(key.request, a_message(), False, masked)


def test_a_request_to_dial_again_is_found_in_a_file_by_its_id() -> None:
    ids = RowIds("arn:stack")
    rows = [Row(2, f'{{"requestId": "a", "phoneNumber": "{PHONE_NUMBER}"}}'), Row(3, "not JSON")]

    assert request_in_file(RequestKey("a"), [*rows, *rows], ids, DEFAULTS) == a_message(request_id="a")
    with pytest.raises(NotAllowed, match="0 valid rows"):
        request_in_file(RequestKey("b"), rows, ids, DEFAULTS)
    other = Row(4, f'{{"requestId": "a", "phoneNumber": "{PHONE_NUMBER}", "customerName": "Eve"}}')
    with pytest.raises(NotAllowed, match="2 valid rows"):
        request_in_file(RequestKey("a"), [*rows, other], ids, DEFAULTS)


# Record an outcome.


def test_every_unknown_attempt_can_be_resolved_whatever_was_made_after_it(attempts: SampleAttempts) -> None:
    # Given attempts 1 and 2 that ended as unknown, and a third that is open
    first = attempts.ended(Status.UNKNOWN)
    attempts.put_item(attempts.existing_item(first) | {"attempt": 2})
    resolve = resolving(attempts)
    third = resolve.dial_again(*resolve.prepare(first.request, a_message(), False, masked))

    # Then each can be resolved: by default the last that is unknown
    assert third.number == 3
    with pytest.raises(NotAllowed, match="attempt 3 is scheduled"):
        resolve.record(first.request, Finding.BUSY, 3)
    with pytest.raises(NotAllowed, match="no attempt 4"):
        resolve.record(first.request, Finding.BUSY, 4)
    assert resolve.record(first.request, Finding.FAILED, 1).attempt == 1
    assert resolve.record(first.request, Finding.BUSY).attempt == 2
    with pytest.raises(NotAllowed, match="attempt 3 is scheduled"):
        resolve.record(first.request, Finding.BUSY)
    assert [attempts.status(replace(first, number=number)) for number in (1, 2, 3)] == ["failed", "busy", "scheduled"]


def test_another_outcome_that_comes_first_is_reported(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)

    def now() -> float:
        attempts.table.record(key, an_outcome(Status.COMPLETED), NOW + 8000)
        return NOW + 9000

    with pytest.raises(NotAllowed, match="attempt 1 is completed now"):
        resolving(attempts, now).record(key.request, Finding.BUSY)


# The SDK sends a write again when its answer is lost. The command reports what it did.


@pytest.mark.parametrize("tries", [1, 2])
def test_a_resolution_whose_answer_was_lost_is_no_failure(
    attempts: SampleAttempts, network: FaultyNetwork, tries: int
) -> None:
    key = attempts.ended(Status.UNKNOWN)
    table = replace(attempts.table, client=network.client("dynamodb", tries))
    network.fail_once("UpdateItem", LOSE_ANSWER)

    resolved = Resolving(table, DEFAULTS, lambda: NOW + 9000).record(key.request, Finding.BUSY)

    assert (resolved.attempt, resolved.status) == (1, Status.BUSY)
    assert network.operations.count("UpdateItem") == 2


@pytest.mark.parametrize("tries", [1, 2])
def test_a_redial_whose_answer_was_lost_is_no_failure(
    attempts: SampleAttempts, network: FaultyNetwork, tries: int
) -> None:
    key = attempts.ended(Status.UNKNOWN)
    table = replace(attempts.table, client=network.client("dynamodb", tries))
    resolve = Resolving(table, DEFAULTS, lambda: NOW + 9000)
    prepared = resolve.prepare(key.request, a_message(dynamic_variables={"time": "09:30"}), False, masked)
    network.fail_once("TransactWriteItems", LOSE_ANSWER)

    assert resolve.dial_again(*prepared).number == 2
    assert network.operations.count("TransactWriteItems") == 2
    assert attempts.status(second_attempt(key)) == "scheduled"


def test_a_finding_is_recorded_for_the_last_attempt(attempts: SampleAttempts) -> None:
    first = attempts.ended(Status.UNKNOWN)
    attempts.put_item(attempts.existing_item(first) | {"attempt": 2})

    resolved = resolving(attempts).record(first.request, Finding.NO_ANSWER)

    assert (resolved.attempt, resolved.status) == (2, Status.NO_ANSWER)
    assert (attempts.status(first), attempts.status(second_attempt(first))) == ("unknown", "no-answer")
    item = attempts.existing_item(second_attempt(first))
    assert (item["outcomeSource"], item.get("reasonCode")) == ("operator", None)


def test_only_an_unknown_call_can_be_resolved(attempts: SampleAttempts) -> None:
    key = attempts.calling().key

    with pytest.raises(NotAllowed, match="is calling"):
        resolving(attempts).record(key.request, Finding.COMPLETED)


def test_a_request_without_a_record_can_not_be_resolved(attempts: SampleAttempts) -> None:
    with pytest.raises(NotAllowed, match="no record"):
        resolving(attempts).prepare(NEVER_SENT, a_message(), False, masked)
    with pytest.raises(NotAllowed, match="no record"):
        resolving(attempts).record(NEVER_SENT, Finding.BUSY)


def test_the_record_keeps_who_resolved_a_call(attempts: SampleAttempts) -> None:
    key = attempts.ended(Status.UNKNOWN)
    alice = "arn:aws:sts::123456789012:assumed-role/operators/alice"

    replace(resolving(attempts), by=alice).record(key.request, Finding.BUSY)

    assert attempts.existing_item(key)["resolvedBy"] == alice
    report = request_report([attempts.read(key)])
    assert report.attempts[0].resolved_by == alice
    assert "resolvedBy" not in report.model_dump_json(by_alias=True)
