"""A request's report says all that the table knows of its attempts, and nothing personal."""

from outbound_calls.lifecycle import OutcomeSource, Status
from outbound_calls.reports import Reports
from tests.ledger.parts import METADATA, NOW, Calls, an_outcome
from tests.unit.parts import CALL_ID


def test_a_request_that_nobody_made_has_no_report(calls: Calls) -> None:
    assert Reports(calls.dynamodb, calls.table).of("never-asked") is None


def test_the_report_tells_what_the_table_holds(calls: Calls) -> None:
    key = calls.calling().key
    calls.ledger.record(key, an_outcome(Status.COMPLETED, outbound_call_id=CALL_ID), NOW + 151)

    report = Reports(calls.dynamodb, calls.table).of(key.request_id)

    assert report is not None
    (attempt,) = report.attempts
    assert (report.request_id, report.status, report.final) == (key.request_id, Status.COMPLETED, True)
    assert (attempt.attempt, attempt.status, attempt.outcome_source) == (1, Status.COMPLETED, OutcomeSource.WEBHOOK)
    assert report.metadata == METADATA
