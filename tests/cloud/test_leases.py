"""The poller's lease: one sweep gets it, it is its own backoff, and an outcome ends it."""

import pytest

from outbound_calls.contracts import AttemptKey
from outbound_calls.ledger import Call, DueItem, Recorded
from outbound_calls.lifecycle import RELEASE_LEASE_SECONDS, Status
from tests.cloud.parts import GRACE, NOW, Calls, an_outcome, at_once
from tests.unit.parts import CALL_ID, CONTACT_ID


def leased(calls: Calls, key: AttemptKey, now: float) -> Call:
    (due,) = calls.due(key)
    call = calls.ledger.lease(due, now, GRACE)
    assert call
    return call


def test_an_entry_of_the_index_is_read_as_dynamodb_gives_it() -> None:
    entry = {"requestId": {"S": "visit-2031"}, "attempt": {"N": "2"}, "dueShard": {"N": "3"}, "dueAt": {"N": "1775"}}

    assert DueItem.from_index(entry) == DueItem(AttemptKey(request_id="visit-2031", attempt=2), 1775)


def test_a_lease_moves_the_due_time_on_and_lengthens_the_next_one(calls: Calls) -> None:
    key = calls.calling().key
    times = []
    now = NOW + GRACE
    for _ in range(4):
        call = leased(calls, key, now + 0.9)
        times.append(call.due_at)
        now = call.due_at or 0

    assert times == [NOW + 180 + 180, NOW + 360 + 360, NOW + 720 + 540, NOW + 1260 + 720]
    assert calls.there(key)["dueAt"] == times[-1]
    assert [due.due_at for due in calls.due(key)] == times[-1:]


def test_a_lease_counts_from_now_and_not_from_when_it_was_due(calls: Calls) -> None:
    assert leased(calls, calls.calling().key, NOW + 10_000).due_at == NOW + 10_000 + GRACE


def test_a_released_call_comes_due_again_after_a_minute_and_then_later(calls: Calls) -> None:
    key = calls.scheduled(due_at=NOW + 60)

    first = leased(calls, key, NOW + 60)
    second = leased(calls, key, NOW + 200)

    assert first.due_at == NOW + 60 + RELEASE_LEASE_SECONDS
    assert second.due_at == NOW + 200 + RELEASE_LEASE_SECONDS + GRACE
    assert second.status is Status.SCHEDULED


def test_a_lease_brings_what_a_poll_needs(calls: Calls) -> None:
    call = leased(calls, calls.calling().key, NOW + 180)

    assert (call.status, call.outbound_call_id, call.dispatched_at) == (Status.CALLING, CALL_ID, NOW)
    assert call.request is None


@pytest.mark.parametrize("round_", range(5))
def test_of_sweeps_that_come_at_once_one_gets_it(calls: Calls, round_: int) -> None:
    key = calls.calling().key
    (due,) = calls.due(key)

    leases = at_once(8, lambda _: calls.ledger.lease(due, NOW + 180, GRACE))

    assert sum(lease is not None for lease in leases) == 1
    assert calls.there(key)["pollDelay"] == 2 * GRACE


def test_what_an_older_sweep_saw_is_not_leased_again(calls: Calls) -> None:
    key = calls.calling().key
    (seen,) = calls.due(key)
    leased(calls, key, NOW + 180)

    assert calls.ledger.lease(seen, NOW + 181, GRACE) is None


def test_what_was_never_there_is_not_leased_and_not_created(calls: Calls) -> None:
    key = calls.new_key()

    assert calls.ledger.lease(DueItem(key, NOW), NOW, GRACE) is None
    assert calls.item(key) is None


@pytest.mark.parametrize("status", ["completed", "rejected", "unknown"])
def test_what_ended_since_the_sweep_saw_it_is_not_leased(calls: Calls, status: str) -> None:
    call = calls.dispatching()
    (seen,) = calls.due(call.key)
    calls.ledger.record(call.key, an_outcome(Status(status)), NOW + 100)

    assert calls.ledger.lease(seen, NOW + 180, GRACE) is None


def test_the_next_look_can_be_brought_forward_by_who_has_the_lease(calls: Calls) -> None:
    call = leased(calls, calls.calling().key, NOW + 180)

    assert calls.ledger.look_at(call, NOW + 200)

    assert calls.there(call.key)["dueAt"] == NOW + 200
    assert not calls.ledger.look_at(call, NOW + 190)


def test_giving_up_holds_only_while_the_lease_does(calls: Calls) -> None:
    call = leased(calls, calls.calling().key, NOW + 7200)
    another_sweep = leased(calls, call.key, NOW + 7500)

    late = calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7501, unless_moved=call)
    assert late.result is not Recorded.STORED
    assert calls.status(call.key) == "calling"

    recorded = calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7502, unless_moved=another_sweep)
    assert recorded.result is Recorded.STORED


def test_giving_up_comes_too_late_for_a_call_that_was_parked_and_dialled_again(calls: Calls) -> None:
    """Seen past its deadline, leased, then let go and dialled anew: the new dial has a deadline of its own."""
    call = leased(calls, calls.dispatching().key, NOW + 7200)
    assert calls.ledger.unclaim(call, NOW + 7210, "HTTP 429")
    assert calls.ledger.claim_scheduled(call.key, "another-claim", NOW + 7300, GRACE)

    given_up = calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7301, unless_moved=call)

    assert given_up.result is Recorded.CONTRADICTS
    assert calls.status(call.key) == "dispatching"


def test_giving_up_is_not_deceived_by_a_new_dial_that_is_due_at_the_same_second(calls: Calls) -> None:
    call = leased(calls, calls.dispatching().key, NOW + 7200)
    assert call.due_at
    assert calls.ledger.unclaim(call, NOW + 7210, "HTTP 429")
    anew = calls.ledger.claim_scheduled(call.key, "another-claim", call.due_at - GRACE, GRACE)
    assert anew
    assert anew.due_at == call.due_at

    calls.ledger.record(call.key, an_outcome(Status.UNKNOWN), NOW + 7301, unless_moved=call)

    assert calls.status(call.key) == "dispatching"


def test_settling_takes_no_lease_away(calls: Calls) -> None:
    call = calls.dispatching()
    lease = leased(calls, call.key, NOW + 180)

    assert calls.ledger.settle(call, CALL_ID, CONTACT_ID) is Recorded.STORED

    assert calls.there(call.key)["dueAt"] == lease.due_at
