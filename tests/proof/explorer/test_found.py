"""Schedules in which the explorer once found a guarantee broken, written out as tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from outbound_calls.adapters.calls_table import DueEntry, RecordResult
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, Outcome, Redial
from tests.proof.explorer.guarantees import Key, status_of
from tests.proof.explorer.schedules import REQUEST
from tests.proof.explorer.state import dump
from tests.proof.explorer.table import TableInMemory, client_error
from tests.proof.explorer.workers import attempt_key, calls_table

GRACE_SECONDS = 10


def test_a_poll_of_one_claim_does_not_give_up_the_next_claim_that_is_due_at_the_same_second() -> None:
    # Given a claim whose worker is slow, and a poll that finds the deadline passed and leases the attempt until 1040
    memory = TableInMemory()
    table = calls_table(memory)
    key: Key = ("a", 1)
    slow = table.claim(Attempt(attempt_key(*key), 1000, request=REQUEST), "slow", 1000, GRACE_SECONDS)
    assert slow
    assert table.lease(DueEntry(slow.key, 1010), 1010, GRACE_SECONDS)
    leased = table.lease(DueEntry(slow.key, 1020), 1020, GRACE_SECONDS)
    assert leased
    assert leased.due_at == 1040
    # And the slow worker then learns that AlloMia accepted nothing, and the attempt is claimed again, due at 1040 too
    assert table.park(slow, 1030, ParkReason.ALLOMIA_UNREACHABLE)
    parked = table.read(slow.key)
    assert parked
    claimed_again = table.claim(parked, "again", 1030, GRACE_SECONDS)
    assert claimed_again
    assert claimed_again.due_at == leased.due_at
    # When the poll gives up what it leased
    recording = table.give_up(leased, Outcome(Status.UNKNOWN, OutcomeSource.DEADLINE), 1030)
    # Then the new claim stays
    assert not recording.stored
    assert status_of(dump(memory.items[key])) == "dispatching"


class DuringATransaction(TableInMemory):
    """Declines some updates, as DynamoDB does while it makes a transaction on the item."""

    declines = 0

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        if self.declines:
            self.declines -= 1
            raise client_error(ClientError, "TransactionConflictException", "UpdateItem")
        return super().update_item(**arguments)


def test_a_completed_that_comes_while_the_next_attempt_is_made_is_not_lost() -> None:
    # Given an outcome whose redial is pending
    memory = DuringATransaction()
    table = calls_table(memory)
    attempt = Attempt(attempt_key("a", 1), 1000, request=REQUEST, redial=Redial(2, {"busy": (60,)}))
    assert table.claim(attempt, "claim", 1000, GRACE_SECONDS)
    assert table.record(attempt.key, Outcome(Status.BUSY, OutcomeSource.WEBHOOK), 1010).stored
    # When the webhook that says that the person answered meets the transaction that makes the next attempt
    memory.declines = 2
    recording = table.record(attempt.key, Outcome(Status.COMPLETED, OutcomeSource.WEBHOOK), 1070)
    # Then it is recorded, and no attempt follows
    assert recording.result is RecordResult.REPLACED
    assert recording.attempt
    assert recording.attempt.final


def test_a_completed_that_comes_while_the_next_attempt_is_in_progress_is_followed_by_no_other_dial() -> None:
    # Given an outcome that was redialled, and the redial claimed
    table = calls_table(TableInMemory())
    redial = Redial(3, {"busy": (60,)})
    first = Attempt(attempt_key("a", 1), 1000, request=REQUEST, redial=redial)
    assert table.claim(first, "claim", 1000, GRACE_SECONDS)
    busy = table.record(first.key, Outcome(Status.BUSY, OutcomeSource.WEBHOOK), 1010).attempt
    assert busy
    following = Attempt(attempt_key("a", 2), 1070, request=REQUEST)
    assert table.make_next(busy, following, ParkReason.REDIAL, 1070)
    parked = table.read(following.key)
    assert parked
    claimed = table.claim(replace(parked, redial=redial), "next claim", 1070, GRACE_SECONDS)
    assert claimed
    # When the webhook comes that says that the person answered
    recording = table.record(first.key, Outcome(Status.COMPLETED, OutcomeSource.WEBHOOK), 1071)
    # Then it contradicts, and the redial isn't parked again if AlloMia doesn't accept it, nor dialled again after it
    assert recording.result is RecordResult.CONTRADICTS
    assert not table.park(claimed, 1100, ParkReason.RATE_LIMITED)
    stopped = table.stop_of(claimed)
    assert stopped
    assert (stopped.source, stopped.reason_code) == (OutcomeSource.WEBHOOK, ReasonCode.ANSWERED_MEANWHILE)
    assert table.stop(claimed, stopped, 1072)
    # No one asked for it.
    ended = table.read(following.key)
    assert ended
    assert (ended.status, ended.cancel_requested_at) == (Status.CANCELLED, None)
