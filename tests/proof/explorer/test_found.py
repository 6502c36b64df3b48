"""Schedules in which the explorer once found a promise broken, retold for a reader."""

from __future__ import annotations

from outbound_calls.contracts import AttemptKey, CallRequest, Outcome
from outbound_calls.ledger import DueItem, Recorded
from outbound_calls.lifecycle import OutcomeSource, Status
from tests.proof.explorer.promises import Key, status_of
from tests.proof.explorer.table import TableInMemory
from tests.proof.explorer.workers import ledger
from tests.proof.explorer.world import REQUEST, dump

GRACE = 10


def test_a_poll_of_one_claim_does_not_give_up_the_next_claim_that_is_due_at_the_same_second() -> None:
    # Given a claim whose worker is slow, and a poll that finds the deadline passed and leases the attempt until 1040
    table = TableInMemory()
    calls = ledger(table)
    key: Key = ("a", 1)
    attempt = AttemptKey(request_id="a", attempt=1)
    slow = calls.claim_new(attempt, CallRequest.model_validate(REQUEST), "slow", 1000, GRACE)
    assert slow
    first_look = calls.lease(DueItem(attempt, 1010), 1010, GRACE)
    assert first_look
    leased = calls.lease(DueItem(attempt, 1020), 1020, GRACE)
    assert leased
    assert leased.due_at == 1040
    # And that worker then learns that AlloMia took nothing; and the attempt is claimed anew, due at 1040 as well
    assert calls.unclaim(slow, 1030, "connect error")
    anew = calls.claim_scheduled(attempt, "anew", 1030, GRACE)
    assert anew
    assert anew.due_at == leased.due_at
    # When the poll gives up what it leased
    unknown = Outcome(status=Status.UNKNOWN, source=OutcomeSource.DEADLINE, reason="no outcome")
    record = calls.record(attempt, unknown, 1030, unless_moved=leased)
    # Then the new claim stands
    assert record.result is not Recorded.STORED
    assert status_of(dump(table.items[key])) == "dispatching"
