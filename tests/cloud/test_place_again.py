"""The rejected requests of a file are sent again, each once, under an id derived from the one that was rejected."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from calls.operations.placing_again import MAY_HAVE_RUNG, NOT_SENT_BEFORE, AgainPreflight, check_again
from calls.operations.preflight import CheckedRow, RowIds
from calls.operations.records import Records
from calls.operations.requests_file import Row
from outbound_calls.contracts.vocabulary import ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.new_attempt import Defaults
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.parts import SampleAttempts, an_outcome, new_attempt
from tests.cloud.world import CloudWorld
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.world import NOW

DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)
REFUSED = ReasonCode.REFUSED_BY_ALLOMIA


class Clinic:
    """A clinic's file, and what the stack has recorded of its rows."""

    def __init__(self, attempts: SampleAttempts) -> None:
        self.attempts = attempts
        self.name = uuid4().hex
        self.rows: list[Row] = []

    def id(self, name: str) -> str:
        return f"{self.name}-{name}"

    def row(self, name: str, status: Status | None = None, reason: ReasonCode | None = None) -> None:
        """Add a row, whose request has this status."""
        request = {"requestId": self.id(name), "phoneNumber": PHONE_NUMBER, "metadata": {"visit": name}}
        self.rows.append(Row(len(self.rows) + 2, json.dumps(request)))
        if status:
            self.record(name, status, reason)

    def record(self, name: str, status: Status, reason: ReasonCode | None = None, attempt: int = 1) -> None:
        key = AttemptKey(RequestKey(self.id(name)), attempt)
        if status is Status.SCHEDULED:
            assert self.attempts.table.park(new_attempt(key), NOW, ParkReason.RATE_LIMITED)
        elif status is Status.REJECTED:
            outcome = an_outcome(status, reason_code=reason, reason="no credit")
            assert self.attempts.table.reject(new_attempt(key), outcome, NOW).stored
        else:
            assert self.attempts.claim(new_attempt(key))
            assert self.attempts.table.record(key, an_outcome(status), NOW).stored

    def check(self) -> tuple[AgainPreflight, list[CheckedRow]]:
        return check_again(self.rows, RowIds("arn:stack"), DEFAULTS, Records(self.attempts.table))

    def to_send(self) -> list[str]:
        return [each.request_id.removeprefix(f"{self.name}-") for each in self.check()[1]]


@pytest.fixture
def clinic(attempts: SampleAttempts) -> Clinic:
    return Clinic(attempts)


def test_only_what_was_refused_or_expired_is_sent_again(clinic: Clinic) -> None:
    clinic.row("refused", Status.REJECTED, REFUSED)
    clinic.row("expired", Status.REJECTED, ReasonCode.EXPIRED)
    clinic.row("reached", Status.COMPLETED)
    clinic.row("unreached", Status.NO_ANSWER)
    clinic.row("lost", Status.UNKNOWN)
    clinic.row("waits", Status.SCHEDULED)
    clinic.row("new")
    clinic.rows.append(Row(9, '{"phoneNumber": "5145550199"}'))
    clinic.rows.append(replace(clinic.rows[0], number=10))

    preflight, to_send = clinic.check()

    assert [each.request_id for each in to_send] == [clinic.id("refused.2"), clinic.id("expired.2")]
    assert [(each.row, each.rejected_id, each.reason) for each in preflight.again] == [
        (2, clinic.id("refused"), "no credit"),
        (3, clinic.id("expired"), "no credit"),
    ]
    assert preflight.others == {"completed": 1, "no-answer": 1, NOT_SENT_BEFORE: 1, "scheduled": 1, "unknown": 1}
    assert [(each.row, each.field) for each in preflight.invalid] == [(9, "phoneNumber")]
    assert [(each.row, each.same_as_row) for each in preflight.duplicate] == [(10, 2)]
    assert preflight.rows == 9 == preflight.to_send + sum(preflight.others.values()) + 2


def test_a_row_is_sent_again_with_its_own_content(clinic: Clinic) -> None:
    clinic.row("refused", Status.REJECTED, REFUSED)

    (sent,) = clinic.check()[1]

    request = json.loads(sent.body)
    assert request == {
        "requestId": clinic.id("refused.2"),
        "phoneNumber": PHONE_NUMBER,
        "metadata": {"visit": "refused"},
    }


def test_the_latest_id_decides_and_running_it_twice_sends_nothing_twice(clinic: Clinic) -> None:
    # Given a rejected request; until its next id has a record, it is sent under that id again
    clinic.row("a", Status.REJECTED, REFUSED)
    assert clinic.to_send() == clinic.to_send() == ["a.2"]

    # When the stack has that one, then nothing is sent, unless that one was rejected too
    clinic.record("a.2", Status.REJECTED, REFUSED)
    assert clinic.to_send() == ["a.3"]
    clinic.record("a.3", Status.SCHEDULED)
    assert clinic.to_send() == []
    assert clinic.check()[0].others == {"scheduled": 1}


def test_what_may_have_rung_is_not_sent_again(clinic: Clinic) -> None:
    # Given a request that was dialled again after an unknown attempt, and then rejected
    clinic.row("a", Status.UNKNOWN)
    clinic.record("a", Status.REJECTED, REFUSED, attempt=2)

    assert clinic.to_send() == []
    assert clinic.check()[0].others == {MAY_HAVE_RUNG: 1}


def test_the_last_attempt_of_a_request_decides(clinic: Clinic) -> None:
    clinic.row("a", Status.REJECTED, REFUSED)
    clinic.record("a", Status.COMPLETED, attempt=2)

    assert clinic.to_send() == []


def test_an_id_that_is_another_rows_own_is_not_used(clinic: Clinic) -> None:
    clinic.row("a", Status.REJECTED, REFUSED)
    clinic.row("a.2", Status.COMPLETED)

    preflight, to_send = clinic.check()

    assert to_send == []
    (invalid,) = preflight.invalid
    assert (invalid.row, invalid.field) == (2, "requestId")
    assert "another row's own" in invalid.rule
    assert preflight.others == {"completed": 1}


def test_an_id_that_would_be_too_long_is_reported(clinic: Clinic) -> None:
    clinic.row("a" * (128 - len(clinic.id(""))), Status.REJECTED, REFUSED)

    assert [each.rule for each in clinic.check()[0].invalid] == ["too long to derive another id from it"]


def test_an_expired_request_is_dialled_once_when_it_is_sent_again_twice(world: CloudWorld) -> None:
    # Given a request that expired
    request: dict[str, Any] = world.request()
    assert world.place(request, sent_at=NOW - EXPIRE_AFTER_SECONDS - 60).result is PlaceResult.REJECTED
    rows = [Row(2, json.dumps(request))]

    # When it is sent again twice, before the stack has a record of it
    records = Records(world.attempts.table)
    runs = [check_again(rows, RowIds("arn:stack"), DEFAULTS, records)[1] for _ in range(2)]
    results = [world.place(json.loads(sent.body)).result for run in runs for sent in run]

    # Then it is one call
    assert results == [PlaceResult.CALLING, PlaceResult.DUPLICATE]
    assert world.attempts.status(AttemptKey(RequestKey(f"{request['requestId']}.2"), 1)) == "calling"
