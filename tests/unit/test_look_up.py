"""The report of a request: its state is that of its last attempt that isn't dropped."""

from dataclasses import replace
from typing import Any

import pytest

from outbound_calls.contracts.status_api import RequestReport
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Allowance, Attempt, AttemptKey, Labels, Terms
from outbound_calls.use_cases.look_up import attempt_report, request_report
from tests.unit.parts import KEY

NOW = 1_775_053_800
NOW_TEXT, LATER_TEXT, LAST_TEXT = "2026-04-01T14:30:00Z", "2026-04-01T15:30:00Z", "2026-04-02T14:30:00Z"
LATER, LAST = NOW + 3600, NOW + 86_400


def ended(number: int = 1, status: Status = Status.BUSY, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {"dispatched_at": NOW, "recorded_at": NOW, "outcome_source": OutcomeSource.WEBHOOK}
    return replace(Attempt(AttemptKey(KEY.request, number), NOW, status), **fields | changes)


def parked(number: int = 1, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "due_at": LATER,
        "park_reason": ParkReason.OUTSIDE_CALLING_WINDOW,
        "expires_at": LAST,
        "times_parked": 1,
    }
    return replace(Attempt(AttemptKey(KEY.request, number), NOW, Status.SCHEDULED), **fields | changes)


def dropped(number: int) -> Attempt:
    return ended(
        number,
        Status.CANCELLED,
        dispatched_at=None,
        is_dropped=True,
        outcome_source=OutcomeSource.POLICY,
        reason_code=ReasonCode.EXPIRED,
    )


def state(*attempts: Attempt) -> dict[str, Any]:
    """A report without its attempts, and without what never changes."""
    report = request_report(list(attempts)).wire()
    assert [each["attempt"] for each in report.pop("attempts")] == [each.key.number for each in attempts]
    return {name: value for name, value in report.items() if name not in {"requestId", "metadata"}}


def test_a_request_that_waits_says_why_and_until_when() -> None:
    assert state(parked()) == {
        "status": "scheduled",
        "final": False,
        "parkReason": "outside-calling-window",
        "nextAttemptAt": LATER_TEXT,
        "notAfter": LAST_TEXT,
    }


def test_its_own_not_after_goes_before_that_of_the_policy() -> None:
    assert state(parked(terms=Terms(not_after=LATER)))["notAfter"] == LATER_TEXT
    assert "notAfter" not in state(parked(expires_at=None))


def test_its_labels_are_reported() -> None:
    labels = Labels({"clinic": "7"}, "monday", "reminder")
    report = request_report([ended(labels=labels)]).wire()

    assert (report["purpose"], report["batch"], report["metadata"]) == ("reminder", "monday", {"clinic": "7"})


@pytest.mark.parametrize("status", [Status.DISPATCHING, Status.CALLING, Status.COMPLETED, Status.UNKNOWN])
def test_what_no_longer_waits_has_no_next_attempt_and_no_expiry(status: Status) -> None:
    attempt = ended(status=status, due_at=LATER, expires_at=LAST, terms=Terms(not_after=LAST))

    assert state(attempt) == {"status": status, "final": status is Status.COMPLETED}


def test_an_outcome_is_provisional_while_a_redial_is_pending() -> None:
    pending = ended(due_at=LATER, redial_at=LATER, terms=Terms(not_after=LAST))

    assert state(pending) == {
        "status": "busy",
        "final": False,
        "nextAttemptAt": LATER_TEXT,
        "notAfter": LAST_TEXT,
    }
    assert attempt_report(pending).wire().items() >= {"final": False, "nextAttemptAt": LATER_TEXT}.items()


def test_the_redial_decides_once_it_is_made() -> None:
    first = ended(next_attempt=2)

    assert state(first, parked(2, park_reason=ParkReason.REDIAL))["parkReason"] == "redial"
    assert state(first, ended(2, Status.COMPLETED)) == {"status": "completed", "final": True}
    assert attempt_report(first).final is False


def test_a_dropped_redial_does_not_decide() -> None:
    # Given a redial that was never dialled
    attempts = [ended(), dropped(2)]

    # Then the request ended with its last real outcome
    assert state(*attempts) == {"status": "busy", "final": True}
    # And the redial is reported as what it is
    first, second = request_report(attempts).attempts
    assert (first.final, first.is_dropped) == (True, None)
    assert (second.is_dropped, second.status, second.reason_code) == (True, Status.CANCELLED, ReasonCode.EXPIRED)


def test_an_attempt_after_a_dropped_one_decides() -> None:
    assert state(ended(), dropped(2), ended(3, Status.COMPLETED)) == {"status": "completed", "final": True}


def test_a_cancellation_that_came_too_late_is_reported() -> None:
    calling = ended(status=Status.CALLING, cancel_requested_at=NOW)

    assert state(calling) == {"status": "calling", "final": False, "cancelRequestedAt": NOW_TEXT}
    assert attempt_report(calling).cancel_requested_at == NOW_TEXT


def allowed_by(allowance: Allowance | None, **changes: Any) -> Any:
    return attempt_report(ended(allowance=allowance, **changes)).wire().get("allowedBy")


def test_a_dialled_attempt_says_what_allowed_it_and_what_the_clocks_showed() -> None:
    zones = ("America/Toronto", "America/Vancouver")

    assert allowed_by(Allowance(12, "canada", zones, "number", "2026f")) == {
        "policyVersion": 12,
        "preset": "canada",
        "zones": [
            {"timeZone": "America/Toronto", "localTime": "2026-04-01T10:30:00-04:00"},
            {"timeZone": "America/Vancouver", "localTime": "2026-04-01T07:30:00-07:00"},
        ],
        "zoneSource": "number",
        "zoneData": "2026f",
    }


def test_without_a_zone_the_policy_alone_allowed_it() -> None:
    assert allowed_by(Allowance(0, "open")) == {"policyVersion": 0, "preset": "open", "zones": []}


def test_a_zone_that_is_not_known_any_more_has_no_local_time() -> None:
    allowance = Allowance(1, "canada", ("America/Nowhere",), "request", "2020a")

    assert allowed_by(allowance)["zones"] == [{"timeZone": "America/Nowhere"}]


def test_nothing_allowed_what_is_not_dialled() -> None:
    assert allowed_by(None) is None
    assert allowed_by(Allowance(12, "canada"), dispatched_at=None) is None


@pytest.mark.parametrize("attempts", [[parked()], [ended(), dropped(2)], [ended(next_attempt=2), parked(2)]])
def test_a_report_can_be_read_as_it_was_written(attempts: list[Attempt]) -> None:
    report = request_report(attempts)

    assert RequestReport.model_validate(report.wire()) == report
