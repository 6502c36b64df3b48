"""Claims: one worker gets an attempt, its own write sent twice does not lock it out, and parking releases it."""

import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey
from tests.cloud.parts import (
    CLAIM,
    LOSE_ANSWER,
    LOSE_REQUEST,
    METADATA,
    OTHER_CLAIM,
    FaultyNetwork,
    SampleAttempts,
    an_outcome,
    at_once,
    consistent_reads,
    new_attempt,
    new_key,
)
from tests.unit.parts import (
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    SETTING,
    a_request,
)
from tests.world import DUE_SHARDS, GRACE_SECONDS, NOW

RATE_LIMITED, CIRCUIT_OPEN = ParkReason.RATE_LIMITED, ParkReason.CIRCUIT_OPEN

NEW_OR_PARKED: dict[str, Callable[[SampleAttempts], Attempt]] = {
    "new": lambda _attempts: new_attempt(),
    "parked": SampleAttempts.scheduled,
}


def test_a_claim_writes_the_attempt_and_its_timer_at_once(attempts: SampleAttempts) -> None:
    new = new_attempt(created_at=NOW - 5, dynamic_variables={"time": "10:30"})

    claimed = attempts.claim(new, now=NOW + 0.75)

    assert claimed == replace(
        new,
        status=Status.DISPATCHING,
        dispatched_at=NOW,
        due_at=NOW + GRACE_SECONDS,
        claim_id=CLAIM,
        setting=SETTING,
    )
    assert attempts.item(new.key) == {
        "requestId": str(new.key.request),
        "attempt": 1,
        "status": "dispatching",
        "createdAt": NOW - 5,
        "dispatchedAt": NOW,
        "claimId": CLAIM,
        "dueShard": zlib.crc32(str(new.key.request).encode()) % DUE_SHARDS,
        "dueAt": NOW + GRACE_SECONDS,
        "pollDelay": GRACE_SECONDS,
        "timesParked": 0,
        "request": {
            "phoneNumber": PHONE_NUMBER,
            "assistantId": ASSISTANT_ID,
            "phoneNumberId": PHONE_NUMBER_ID,
            "customerName": "Ada",
            "dynamicVariables": {"time": "10:30"},
        },
        "metadata": METADATA,
        "setting": SETTING,
    }


def test_a_parked_attempt_is_claimed_with_its_request_and_labels(attempts: SampleAttempts) -> None:
    request = a_request(customer_name="Zoë 山田 👋", dynamic_variables={"empty": "", "line": "a\nb"})
    new = Attempt(new_key(), NOW, request=request, labels=Labels(METADATA, "monday"))
    assert attempts.table.park(new, NOW + 60, RATE_LIMITED)

    claimed = attempts.claim(attempts.read(new.key), now=NOW + 75.5)

    assert claimed == replace(
        new,
        status=Status.DISPATCHING,
        times_parked=1,
        dispatched_at=NOW + 75,
        due_at=NOW + 75 + GRACE_SECONDS,
        claim_id=CLAIM,
        setting=SETTING,
    )
    assert attempts.existing_item(new.key)["pollDelay"] == GRACE_SECONDS


def test_parking_a_new_attempt_keeps_its_request(attempts: SampleAttempts) -> None:
    new = Attempt(new_key(), NOW, request=a_request())

    assert attempts.table.park(new, NOW + 60.2, CIRCUIT_OPEN)

    item = attempts.existing_item(new.key)
    assert item.keys().isdisjoint({"claimId", "dispatchedAt", "expiresAt", "metadata", "batch"})
    # Rounded up: an attempt never comes due before the time that was asked for.
    assert (item["dueAt"], item["pollDelay"]) == (NOW + 61, 60)
    assert (item["parkReason"], item["timesParked"]) == ("circuit-open", 1)
    assert [entry.due_at for entry in attempts.due_entries(new.key)] == [NOW + 61]
    assert attempts.read(new.key).request == new.request


def test_parking_a_claimed_attempt_releases_its_claim(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()

    assert attempts.table.park(claimed, NOW + 30.5, RATE_LIMITED)

    item = attempts.existing_item(claimed.key)
    assert item.keys().isdisjoint({"claimId", "dispatchedAt"})
    assert (item["status"], item["dueAt"], item["pollDelay"]) == ("scheduled", NOW + 31, 60)
    assert (item["parkReason"], item["timesParked"]) == ("rate-limited", 1)
    assert item["request"]["phoneNumber"] == PHONE_NUMBER


def test_the_table_counts_how_often_an_attempt_is_parked(attempts: SampleAttempts) -> None:
    parked = attempts.scheduled()
    for _ in range(3):
        claimed = attempts.claim(parked)
        assert claimed
        assert attempts.table.park(claimed, NOW + 60, RATE_LIMITED)
        assert attempts.table.park(attempts.read(parked.key), NOW + 90, CIRCUIT_OPEN)
        parked = attempts.read(parked.key)

    assert parked.times_parked == 7
    claimed = attempts.claim(parked)
    assert claimed
    assert claimed.times_parked == 7


@pytest.mark.parametrize("action", ["claim", "park", "reject"])
def test_a_parked_attempt_that_was_parked_again_is_not_changed_by_what_was_read_before(
    attempts: SampleAttempts, action: str
) -> None:
    outdated = attempts.scheduled()
    assert attempts.table.park(outdated, NOW + 90, CIRCUIT_OPEN)
    before = attempts.item(outdated.key)

    match action:
        case "claim":
            assert attempts.claim(outdated) is None
        case "park":
            assert not attempts.table.park(outdated, NOW + 30, RATE_LIMITED)
        case _:
            assert not attempts.table.reject(outdated, an_outcome(Status.REJECTED), NOW + 30).stored

    assert attempts.item(outdated.key) == before


def test_a_worker_cannot_touch_the_claim_of_another(attempts: SampleAttempts) -> None:
    # Given a worker whose claim was released, and another that claimed the attempt since
    late = attempts.dispatching()
    assert attempts.table.park(late, NOW + 30, RATE_LIMITED)
    assert attempts.claim(attempts.read(late.key), OTHER_CLAIM, NOW + 60)
    before = attempts.item(late.key)

    assert not attempts.table.park(late, NOW + 90, RATE_LIMITED)
    assert attempts.table.settle(late, CALL_ID, CONTACT_ID) is RecordResult.CONTRADICTS

    assert attempts.item(late.key) == before


def test_a_claim_is_released_by_its_id(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()

    assert not attempts.table.park(replace(claimed, claim_id=OTHER_CLAIM), NOW + 30, RATE_LIMITED)

    assert attempts.status(claimed.key) == "dispatching"


def test_settling_stores_the_ids_and_keeps_the_timer(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()

    assert attempts.table.settle(claimed, CALL_ID, CONTACT_ID) is RecordResult.STORED

    item = attempts.existing_item(claimed.key)
    assert (item["status"], item["outboundCallId"], item["contactId"]) == ("calling", CALL_ID, CONTACT_ID)
    assert (item["dueAt"], item["pollDelay"]) == (NOW + GRACE_SECONDS, GRACE_SECONDS)
    assert "request" in item


def test_settling_without_a_contact_stores_none(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()

    assert attempts.table.settle(claimed, CALL_ID, None) is RecordResult.STORED

    assert "contactId" not in attempts.existing_item(claimed.key)


def test_settling_twice_is_harmless_and_settling_as_another_call_is_reported(attempts: SampleAttempts) -> None:
    calling = attempts.calling()

    assert attempts.table.settle(calling, CALL_ID, CONTACT_ID) is RecordResult.ALREADY_RECORDED
    assert attempts.table.settle(calling, OTHER_CALL_ID, CONTACT_ID) is RecordResult.OTHER_CALL

    assert attempts.existing_item(calling.key)["outboundCallId"] == CALL_ID


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_attempts_are_spread_over_all_shards_and_no_others(attempts: SampleAttempts, shards: int) -> None:
    spread = SampleAttempts.over(attempts.table.client, attempts.table.name, shards)

    found = {int(spread.existing_item(spread.dispatching().key)["dueShard"]) for _ in range(shards * 8)}

    assert found <= set(range(shards))
    assert len(found) > shards // 2


def test_the_attempts_of_one_request_are_claimed_one_by_one(attempts: SampleAttempts) -> None:
    first = new_attempt()
    second = new_attempt(AttemptKey(first.key.request, 2))

    assert attempts.claim(first)
    assert attempts.claim(second)

    assert [attempt.key.number for attempt in attempts.table.read_all(first.key.request)] == [1, 2]


def test_an_attempt_is_read_consistently(attempts: SampleAttempts) -> None:
    with consistent_reads(attempts.table.client, "GetItem") as consistent:
        attempts.table.read(new_key())

    assert consistent == [True]


def test_an_attempt_without_labels_is_read_without_labels(attempts: SampleAttempts) -> None:
    claimed = attempts.claim(replace(new_attempt(), labels=Labels()))

    assert claimed
    assert claimed.labels == Labels({}, None)


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DISPATCHING, Status.CALLING, Status.COMPLETED])
def test_all_attempts_of_a_request_are_read_as_they_are_except_for_its_content(
    attempts: SampleAttempts, status: Status
) -> None:
    key = attempts.in_status(status)

    assert attempts.table.read_all(key.request) == [replace(attempts.read(key), request=None)]


def test_the_same_request_id_in_two_organizations_makes_two_attempts(attempts: SampleAttempts) -> None:
    own = new_attempt()
    other = new_attempt(AttemptKey(RequestKey(own.key.request.request_id, "north"), 1))

    assert attempts.claim(own)
    assert attempts.claim(other)

    assert attempts.existing_item(other.key)["requestId"] == f"north~{own.key.request.request_id}"
    assert attempts.read(other.key).key == other.key


def test_an_attempt_without_a_request_cannot_be_created(attempts: SampleAttempts) -> None:
    with pytest.raises(ValueError, match=r"^a new attempt needs its request$"):
        attempts.claim(Attempt(new_key(), NOW))


# Several workers at once.


@pytest.mark.parametrize("kind", NEW_OR_PARKED)
@pytest.mark.parametrize("round_", range(5))
def test_one_of_many_workers_gets_the_claim(attempts: SampleAttempts, round_: int, kind: str) -> None:
    attempt = NEW_OR_PARKED[kind](attempts)

    claims = at_once(8, lambda i: attempts.claim(attempt, f"claim-{i}"))

    (winner,) = [claim for claim in claims if claim]
    assert attempts.existing_item(attempt.key)["claimId"] == winner.claim_id


@pytest.mark.parametrize("kind", NEW_OR_PARKED)
def test_an_attempt_is_either_parked_or_claimed(attempts: SampleAttempts, kind: str) -> None:
    attempt = NEW_OR_PARKED[kind](attempts)

    done = at_once(
        8,
        lambda i: (
            attempts.claim(attempt, f"claim-{i}") is not None
            if i % 2
            else attempts.table.park(attempt, NOW + 60, CIRCUIT_OPEN)
        ),
    )

    assert sum(done) == 1


# The SDK sends a write again when its answer is lost, and then finds its own.


@pytest.mark.parametrize("kind", NEW_OR_PARKED)
@pytest.mark.parametrize("fault", [LOSE_ANSWER, LOSE_REQUEST])
def test_a_claim_that_the_sdk_sends_twice_is_still_the_workers_own(
    attempts: SampleAttempts, network: FaultyNetwork, fault: str, kind: str
) -> None:
    attempt = NEW_OR_PARKED[kind](attempts)
    write = "PutItem" if kind == "new" else "UpdateItem"
    network.fail_once(write, fault)
    faulty = SampleAttempts.over(network.client("dynamodb", tries=2), attempts.table.name)

    claimed = faulty.claim(attempt)

    assert claimed
    assert (claimed.claim_id, claimed.dispatched_at, claimed.request) == (CLAIM, NOW, a_request(customer_name="Ada"))
    assert network.operations == [write, write]
    assert attempts.existing_item(attempt.key)["claimId"] == CLAIM


def test_settling_that_the_sdk_sends_twice_is_reported_as_done(
    attempts: SampleAttempts, network: FaultyNetwork
) -> None:
    claimed = attempts.dispatching()
    network.fail_once("UpdateItem", LOSE_ANSWER)
    faulty = SampleAttempts.over(network.client("dynamodb", tries=2), attempts.table.name)

    assert faulty.table.settle(claimed, CALL_ID, CONTACT_ID) is RecordResult.STORED

    assert attempts.status(claimed.key) == "calling"


@pytest.mark.parametrize("kind", NEW_OR_PARKED)
def test_the_claim_of_another_worker_is_never_taken_for_ones_own(attempts: SampleAttempts, kind: str) -> None:
    attempt = NEW_OR_PARKED[kind](attempts)
    assert attempts.claim(attempt)

    assert attempts.claim(attempt, OTHER_CLAIM) is None


@pytest.mark.parametrize("status", [Status.CALLING, Status.COMPLETED, Status.UNKNOWN])
def test_a_claim_ends_when_allomia_has_the_call(attempts: SampleAttempts, status: Status) -> None:
    """The same worker, back with the same claim, would dial a second time."""
    key = attempts.in_status(status)

    assert attempts.claim(new_attempt(key)) is None
    assert attempts.claim(replace(new_attempt(key), status=Status.SCHEDULED)) is None
