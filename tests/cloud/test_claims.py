"""Claims: one worker gets it, its own write sent twice does not lock it out, and what it claimed is all there."""

import zlib
from decimal import Decimal

import pytest

from outbound_calls.contracts import AttemptKey
from outbound_calls.ledger import Call, Recorded
from outbound_calls.lifecycle import Status
from tests.cloud.parts import CLAIM, GRACE, LOSE, METADATA, NOW, PASS, REFUSE, Calls, Network, at_once
from tests.unit.parts import (
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    a_request,
)


def test_a_claim_writes_the_call_and_its_timer_at_once(calls: Calls) -> None:
    key = calls.new_key()
    request = a_request(
        request_id=key.request_id, customer_name="Ada", dynamic_variables={"time": "10:30"}, metadata=METADATA
    )

    call = calls.ledger.claim_new(key, request, CLAIM, NOW + 0.75, GRACE)

    assert call == Call(
        key,
        Status.DISPATCHING,
        created_at=NOW,
        request=request,
        dispatched_at=NOW,
        due_at=NOW + GRACE,
        claim_id=CLAIM,
    )
    assert calls.item(key) == {
        "requestId": key.request_id,
        "attempt": 1,
        "status": "dispatching",
        "createdAt": NOW,
        "dispatchedAt": NOW,
        "claimId": CLAIM,
        "dueShard": zlib.crc32(key.request_id.encode()) % 4,
        "dueAt": NOW + GRACE,
        "pollDelay": GRACE,
        "timesParked": 0,
        "request": {
            "phoneNumber": PHONE_NUMBER,
            "assistantId": ASSISTANT_ID,
            "phoneNumberId": PHONE_NUMBER_ID,
            "customerName": "Ada",
            "dynamicVariables": {"time": "10:30"},
        },
        "metadata": METADATA,
    }


def test_a_parked_request_comes_back_as_it_was_asked_for(calls: Calls) -> None:
    key = calls.new_key()
    request = a_request(customer_name="Zoë 山田 👋", dynamic_variables={"empty": "", "line": "a\nb"}, metadata=METADATA)
    assert calls.ledger.schedule(key, request, NOW, NOW + 60, "HTTP 429")

    call = calls.ledger.claim_scheduled(key, CLAIM, NOW + 75.5, GRACE)

    # Its metadata stays in the table, where the outcome finds it.
    assert call == Call(
        key,
        Status.DISPATCHING,
        created_at=NOW,
        times_parked=1,
        request=request.model_copy(update={"metadata": None}),
        dispatched_at=NOW + 75,
        due_at=NOW + 75 + GRACE,
        claim_id=CLAIM,
    )
    item = calls.there(key)
    assert (item["metadata"], item["pollDelay"]) == (METADATA, GRACE)
    assert "parkReason" not in item


def test_parking_a_new_request_keeps_everything_for_later(calls: Calls) -> None:
    key = calls.new_key()

    assert calls.ledger.schedule(key, a_request(), NOW, NOW + 60.2, "circuit-open")

    item = calls.there(key)
    assert item.keys().isdisjoint({"claimId", "dispatchedAt", "expiresAt", "metadata"})
    # A time that was asked for is the least to wait.
    assert (item["dueAt"], item["pollDelay"]) == (NOW + 61, 60)
    assert (item["parkReason"], item["timesParked"]) == ("circuit-open", 1)
    assert [due.due_at for due in calls.due(key)] == [NOW + 61]


def test_letting_a_claim_go_parks_it_as_if_it_had_never_been_dialled(calls: Calls) -> None:
    call = calls.dispatching()

    assert calls.ledger.unclaim(call, NOW + 30.5, "HTTP 429")

    item = calls.there(call.key)
    assert item.keys().isdisjoint({"claimId", "dispatchedAt"})
    assert (item["status"], item["dueAt"], item["pollDelay"]) == ("scheduled", NOW + 31, 60)
    assert (item["parkReason"], item["timesParked"]) == ("HTTP 429", 1)
    assert item["request"]["phoneNumber"] == PHONE_NUMBER


def test_each_time_that_a_call_is_parked_is_counted(calls: Calls) -> None:
    key = calls.scheduled()
    for _ in range(3):
        call = calls.ledger.claim_scheduled(key, CLAIM, NOW, GRACE)
        assert call
        assert calls.ledger.unclaim(call, NOW + 60, "HTTP 429")
        assert calls.ledger.park_again(key, NOW + 90, "circuit-open")

    assert calls.there(key)["timesParked"] == 7
    call = calls.ledger.claim_scheduled(key, CLAIM, NOW, GRACE)
    assert call
    assert call.times_parked == 7


def test_only_who_claimed_lets_go(calls: Calls) -> None:
    call = calls.dispatching()
    other = Call(call.key, Status.DISPATCHING, created_at=NOW, claim_id="another-claim")

    assert not calls.ledger.unclaim(other, NOW + 30, "HTTP 429")
    assert calls.ledger.settle(other, CALL_ID, CONTACT_ID) is Recorded.CONTRADICTS

    assert calls.status(call.key) == "dispatching"


def test_a_worker_that_woke_up_late_cannot_touch_the_claim_that_came_after_its_own(calls: Calls) -> None:
    late = calls.dispatching()
    assert calls.ledger.unclaim(late, NOW + 30, "HTTP 429")
    assert calls.ledger.claim_scheduled(late.key, "another-claim", NOW + 60, GRACE)
    before = calls.item(late.key)

    assert not calls.ledger.unclaim(late, NOW + 90, "HTTP 429")
    assert calls.ledger.settle(late, CALL_ID, CONTACT_ID) is Recorded.CONTRADICTS

    assert calls.item(late.key) == before


def test_settling_stores_the_ids_and_leaves_the_timer_alone(calls: Calls) -> None:
    call = calls.dispatching()

    assert calls.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.STORED

    item = calls.there(call.key)
    assert (item["status"], item["outboundCallId"], item["contactId"]) == ("calling", CALL_ID, CONTACT_ID)
    assert (item["dueAt"], item["pollDelay"]) == (NOW + GRACE, GRACE)
    assert "request" in item


def test_settling_without_a_contact_stores_none(calls: Calls) -> None:
    call = calls.dispatching()

    assert calls.ledger.settle(call, CALL_ID, None) is Recorded.STORED

    assert "contactId" not in calls.there(call.key)


def test_settling_twice_is_fine_and_settling_as_another_call_is_told(calls: Calls) -> None:
    call = calls.calling()

    assert calls.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.ALREADY_THERE
    assert calls.ledger.settle(call, OTHER_CALL_ID, CONTACT_ID) is Recorded.OTHER_CALL

    assert calls.there(call.key)["outboundCallId"] == CALL_ID


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_calls_are_spread_over_the_shards_and_over_no_more(calls: Calls, shards: int) -> None:
    over = Calls.over(calls.dynamodb, calls.table, shards)
    keys = [AttemptKey(request_id=f"{calls.new_key().request_id}-{i}", attempt=1) for i in range(shards * 8)]
    for key in keys:
        assert over.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE)

    found = {int(over.there(key)["dueShard"]) for key in keys}

    assert found <= set(range(shards))
    assert len(found) > shards // 2


def test_attempts_of_one_request_are_apart(calls: Calls) -> None:
    first = calls.new_key()
    second = AttemptKey(request_id=first.request_id, attempt=2)

    assert calls.ledger.claim_new(first, a_request(), CLAIM, NOW, GRACE)
    assert calls.ledger.claim_new(second, a_request(), CLAIM, NOW, GRACE)

    assert calls.there(second)["attempt"] == Decimal(2)


# Several at once.


@pytest.mark.parametrize("round_", range(5))
def test_of_workers_that_claim_a_new_call_at_once_one_gets_it(calls: Calls, round_: int) -> None:
    key = calls.new_key()

    claims = at_once(8, lambda i: calls.ledger.claim_new(key, a_request(), f"claim-{i}", NOW, GRACE))

    (winner,) = [claim for claim in claims if claim]
    assert calls.there(key)["claimId"] == winner.claim_id


@pytest.mark.parametrize("round_", range(5))
def test_of_workers_that_claim_a_parked_call_at_once_one_gets_it(calls: Calls, round_: int) -> None:
    key = calls.scheduled()

    claims = at_once(8, lambda i: calls.ledger.claim_scheduled(key, f"claim-{i}", NOW, GRACE))

    (winner,) = [claim for claim in claims if claim]
    assert calls.there(key)["claimId"] == winner.claim_id


def test_who_parks_and_who_claims_at_once_cannot_both_have_it(calls: Calls) -> None:
    key = calls.new_key()

    done = at_once(
        8,
        lambda i: (
            calls.ledger.claim_new(key, a_request(), f"claim-{i}", NOW, GRACE) is not None
            if i % 2
            else calls.ledger.schedule(key, a_request(), NOW, NOW + 60, "circuit-open")
        ),
    )

    assert sum(done) == 1


# A write whose answer got lost: the client sends it again, and meets its own.


def test_a_new_claim_that_was_sent_twice_is_still_ones_own(calls: Calls, network: Network) -> None:
    key = calls.new_key()
    network.plan = lambda _operation, before: LOSE if before == 0 else PASS
    with_losses = Calls.over(network.client("dynamodb", attempts=2), calls.table)

    call = with_losses.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE)

    assert call
    assert call.claim_id == CLAIM
    assert network.operations == ["PutItem", "PutItem"]


def test_a_claim_of_a_parked_call_that_was_sent_twice_is_still_ones_own(calls: Calls, network: Network) -> None:
    key = calls.scheduled()
    network.plan = lambda _operation, before: LOSE if before == 0 else PASS
    with_losses = Calls.over(network.client("dynamodb", attempts=2), calls.table)

    call = with_losses.ledger.claim_scheduled(key, CLAIM, NOW, GRACE)

    assert call
    assert (call.claim_id, call.dispatched_at) == (CLAIM, NOW)
    assert call.request == a_request(customer_name="Ada")
    assert network.operations == ["UpdateItem", "UpdateItem"]


def test_a_claim_that_was_lost_on_the_way_is_made_by_the_second_try(calls: Calls, network: Network) -> None:
    key = calls.new_key()
    network.plan = lambda _operation, before: REFUSE if before == 0 else PASS
    with_losses = Calls.over(network.client("dynamodb", attempts=2), calls.table)

    assert with_losses.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE)

    assert calls.there(key)["claimId"] == CLAIM


def test_settling_that_was_sent_twice_is_still_told_as_done(calls: Calls, network: Network) -> None:
    call = calls.dispatching()
    network.plan = lambda _operation, before: LOSE if before == 0 else PASS
    with_losses = Calls.over(network.client("dynamodb", attempts=2), calls.table)

    assert with_losses.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.ALREADY_THERE

    assert calls.status(call.key) == "calling"


def test_the_claim_of_another_is_never_taken_for_ones_own(calls: Calls) -> None:
    key = calls.new_key()
    assert calls.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE)

    assert calls.ledger.claim_new(key, a_request(), "another-claim", NOW, GRACE) is None
    assert calls.ledger.claim_scheduled(key, "another-claim", NOW, GRACE) is None


def test_a_claim_is_not_ones_own_any_more_once_the_call_has_ended(calls: Calls) -> None:
    for status in (Status.COMPLETED, Status.UNKNOWN):
        key = calls.ended(status)

        assert calls.ledger.claim_scheduled(key, CLAIM, NOW, GRACE) is None
        assert calls.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE) is None


def test_a_claim_is_not_ones_own_any_more_once_allomia_has_the_call(calls: Calls) -> None:
    """The same worker that came again, with the same claim, would dial a second time."""
    key = calls.calling().key

    assert calls.ledger.claim_scheduled(key, CLAIM, NOW, GRACE) is None
    assert calls.ledger.claim_new(key, a_request(), CLAIM, NOW, GRACE) is None
