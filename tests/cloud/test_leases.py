"""The poller's lease: one sweep gets it, it is its own backoff, and an outcome ends it."""

from dataclasses import replace

import pytest

from outbound_calls.adapters.calls_table import DueEntry, RecordResult
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import DISPATCH_LEASE_SECONDS
from tests.cloud.parts import OTHER_CLAIM, SampleAttempts, an_outcome, at_once, new_key
from tests.unit.parts import CALL_ID, CONTACT_ID, OTHER_CALL_ID
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, NOW

RATE_LIMITED = ParkReason.RATE_LIMITED
UNKNOWN = an_outcome(Status.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "request_key"),
    [("visit-2031", RequestKey("visit-2031")), ("north~visit-2031", RequestKey("visit-2031", "north"))],
)
def test_an_index_entry_is_read_as_dynamodb_returns_it(text: str, request_key: RequestKey) -> None:
    entry = {"requestId": {"S": text}, "attempt": {"N": "2"}, "dueShard": {"N": "3"}, "dueAt": {"N": "1775"}}

    assert DueEntry.from_index(entry) == DueEntry(AttemptKey(request_key, 2), 1775)


def test_a_lease_moves_the_due_time_on_and_lengthens_the_next_one(attempts: SampleAttempts) -> None:
    key = attempts.calling().key
    times = []
    now = NOW + GRACE_SECONDS
    for _ in range(4):
        now = attempts.leased(key, now + 0.9).due_at or 0
        times.append(now)

    assert times == [NOW + 180 + 180, NOW + 360 + 360, NOW + 720 + 540, NOW + 1260 + 720]
    assert [entry.due_at for entry in attempts.due_entries(key)] == times[-1:]


def test_a_lease_counts_from_now_and_not_from_the_due_time(attempts: SampleAttempts) -> None:
    assert attempts.leased(attempts.calling().key, NOW + 10_000).due_at == NOW + 10_000 + GRACE_SECONDS


def test_a_dispatched_attempt_comes_due_again_after_a_minute_and_then_later(attempts: SampleAttempts) -> None:
    key = attempts.scheduled(due_at=NOW + 60).key

    first = attempts.leased(key, NOW + 60)
    second = attempts.leased(key, NOW + 200)

    assert first.due_at == NOW + 60 + DISPATCH_LEASE_SECONDS
    assert second.due_at == NOW + 200 + DISPATCH_LEASE_SECONDS + GRACE_SECONDS
    assert second.status is Status.SCHEDULED


def test_a_lease_returns_what_a_poll_needs(attempts: SampleAttempts) -> None:
    leased = attempts.leased(attempts.calling().key, NOW + 180)

    assert (leased.status, leased.outbound_call_id, leased.dispatched_at) == (Status.CALLING, CALL_ID, NOW)


@pytest.mark.parametrize("round_", range(5))
def test_one_of_many_sweeps_gets_the_lease(attempts: SampleAttempts, round_: int) -> None:
    key = attempts.calling().key
    (due,) = attempts.due_entries(key)

    leases = at_once(8, lambda _: attempts.table.lease(due, NOW + 180, GRACE_SECONDS))

    assert sum(lease is not None for lease in leases) == 1
    assert attempts.existing_item(key)["pollDelay"] == 2 * GRACE_SECONDS


def test_an_outdated_entry_is_not_leased(attempts: SampleAttempts) -> None:
    key = attempts.calling().key
    (outdated,) = attempts.due_entries(key)
    attempts.leased(key, NOW + 180)

    assert attempts.table.lease(outdated, NOW + 181, GRACE_SECONDS) is None


def test_an_attempt_without_a_record_is_not_leased_and_not_created(attempts: SampleAttempts) -> None:
    key = new_key()

    assert attempts.table.lease(DueEntry(key, NOW), NOW, GRACE_SECONDS) is None
    assert attempts.item(key) is None


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.REJECTED, Status.UNKNOWN])
def test_an_attempt_that_ended_since_the_sweep_read_the_index_is_not_leased(
    attempts: SampleAttempts, status: Status
) -> None:
    key = attempts.dispatching().key
    (due,) = attempts.due_entries(key)
    attempts.table.record(key, an_outcome(status), NOW + 100)

    assert attempts.table.lease(due, NOW + 180, GRACE_SECONDS) is None


def test_the_holder_of_the_lease_can_bring_the_next_poll_forward(attempts: SampleAttempts) -> None:
    leased = attempts.leased(attempts.calling().key, NOW + 180)

    assert attempts.table.set_due(leased, NOW + 200)

    assert attempts.existing_item(leased.key)["dueAt"] == NOW + 200
    assert not attempts.table.set_due(leased, NOW + 190)


def test_only_the_holder_of_the_lease_can_give_up(attempts: SampleAttempts) -> None:
    late = attempts.leased(attempts.calling().key, NOW + DEADLINE_SECONDS)
    holder = attempts.leased(late.key, NOW + DEADLINE_SECONDS + 300)

    assert not attempts.table.give_up(late, UNKNOWN, NOW + 7501).stored
    assert attempts.status(late.key) == "calling"
    assert attempts.table.give_up(holder, UNKNOWN, NOW + 7502).stored


def test_the_holder_of_the_lease_cannot_record_the_outcome_of_another_call(attempts: SampleAttempts) -> None:
    holder = attempts.leased(attempts.calling().key, NOW + 180)

    recording = attempts.table.give_up(holder, replace(UNKNOWN, outbound_call_id=OTHER_CALL_ID), NOW + 181)

    assert recording.result is RecordResult.OTHER_CALL
    assert attempts.status(holder.key) == "calling"


@pytest.mark.parametrize("same_second", [False, True], ids=["due later", "due in the same second"])
def test_a_new_claim_has_a_deadline_of_its_own(attempts: SampleAttempts, same_second: bool) -> None:
    # Given an attempt that is past its deadline and leased, and then parked and claimed again
    leased = attempts.leased(attempts.dispatching().key, NOW + DEADLINE_SECONDS)
    assert leased.due_at
    assert attempts.table.park(leased, NOW + 7210, RATE_LIMITED)
    claimed_at = leased.due_at - GRACE_SECONDS if same_second else NOW + 7300
    claimed = attempts.claim(attempts.read(leased.key), OTHER_CLAIM, claimed_at)
    assert claimed
    assert (claimed.due_at == leased.due_at) is same_second

    given_up = attempts.table.give_up(leased, UNKNOWN, NOW + 7301)

    assert given_up.result is RecordResult.CONTRADICTS
    assert attempts.status(leased.key) == "dispatching"


def test_settling_does_not_end_the_lease(attempts: SampleAttempts) -> None:
    claimed = attempts.dispatching()
    leased = attempts.leased(claimed.key, NOW + 180)

    assert attempts.table.settle(claimed, CALL_ID, CONTACT_ID) is RecordResult.STORED

    assert attempts.existing_item(claimed.key)["dueAt"] == leased.due_at
