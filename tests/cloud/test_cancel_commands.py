"""`calls cancel` and `calls forget` on the real tables: what they do, and that they say so truthfully."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from calls.cli.output import Exit
from calls.operations.cancelling import NOT_CONFIRMED, Cancelling
from calls.operations.preflight import RowIds
from calls.operations.records import Counted, Records
from local.cloud import LocalCloud
from outbound_calls.adapters.policy_table import Remembered, TakenDial
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, Labels, RequestKey
from outbound_calls.domain.recipients import Objection, PastDial
from outbound_calls.use_cases.cancel import CancelRequests
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import LOSE_REQUEST, FaultyNetwork, new_attempt, new_key, operations_asked
from tests.unit.parts import PHONE_NUMBER
from tests.world import NOW

OTHER_NUMBER = "+14165550198"


def results(answer: dict[str, Any]) -> dict[str, str]:
    return {each["requestId"]: each["result"] for each in answer["requests"]}


def request_id(key: AttemptKey) -> str:
    return key.request.request_id


def parked(operated: OperatedStack, organization: str | None = None, batch: str = "december", **request: Any) -> str:
    """The id of a parked request of a batch."""
    key = replace(new_key(), request=RequestKey(f"visit-{uuid4().hex}", organization))
    attempt = replace(new_attempt(key, **request), labels=Labels(batch=batch))
    assert operated.attempts.table.park(attempt, NOW + 60, ParkReason.RATE_LIMITED)
    return request_id(key)


def with_redial_pending(operated: OperatedStack) -> AttemptKey:
    """An attempt that ended as busy, with another one to follow, as the functions write it."""
    key = operated.attempts.ended(Status.BUSY)
    item = operated.attempts.existing_item(key)
    operated.attempts.put_item(item | {"redialAt": NOW + 600, "dueAt": NOW + 600, "dueShard": 0})
    return key


# Requests.


def test_each_request_gets_the_answer_that_is_true(calls: Calls, operated: OperatedStack) -> None:
    attempts = operated.attempts
    scheduled, calling, busy = attempts.scheduled().key, attempts.calling().key, attempts.ended(Status.BUSY)
    redial, unseen = with_redial_pending(operated), new_key()
    keys = [scheduled, calling, busy, redial, unseen]

    code, answer = calls("cancel", *map(request_id, keys))

    assert code == 0
    assert results(answer) == {
        request_id(scheduled): "cancelled",
        request_id(calling): "too-late",
        request_id(busy): "ended",
        request_id(redial): "redial-dropped",
        request_id(unseen): "cancelled-unseen",
    }
    assert answer["counts"] == dict.fromkeys(sorted(set(results(answer).values())), 1)
    [late] = [each for each in answer["requests"] if each["result"] == "too-late"]
    assert (late["inProgressSince"], late["status"], late["attempt"]) == ("2026-04-01T14:30:00Z", "calling", 1)
    assert attempts.status(scheduled) == attempts.status(unseen) == "cancelled"
    assert attempts.existing_item(scheduled)["outcomeSource"] == "operator"
    assert (attempts.status(calling), attempts.status(busy)) == ("calling", "busy")
    assert attempts.existing_item(calling)["cancelRequestedAt"]


def test_cancelling_again_changes_nothing(calls: Calls, operated: OperatedStack) -> None:
    key = operated.attempts.scheduled().key
    calls("cancel", request_id(key))
    item = operated.attempts.existing_item(key)

    assert results(calls("cancel", request_id(key))[1]) == {request_id(key): "ended"}
    assert operated.attempts.existing_item(key) == item


def test_a_request_of_an_organization_is_named_in_either_way(calls: Calls, operated: OperatedStack) -> None:
    one, other, own = parked(operated, "north"), parked(operated, "north"), parked(operated)

    assert calls("cancel", f"north~{one}")[1]["counts"] == {"cancelled": 1}
    assert calls("cancel", other, "--organization", "north")[1]["counts"] == {"cancelled": 1}
    assert calls("cancel", own, "--organization", "default")[1]["counts"] == {"cancelled": 1}


def test_what_is_asked_for_must_be_one_thing(calls: Calls) -> None:
    assert calls("cancel")[0] == Exit.USAGE
    assert calls("cancel", "a", "--batch", "b")[0] == Exit.USAGE
    assert calls("cancel", "--file", "a.csv", "--organization", "north")[0] == Exit.USAGE
    assert calls("cancel", "no such id")[0] == Exit.REFUSED
    assert calls("cancel", "--batch", "no such batch")[0] == Exit.REFUSED
    assert calls("cancel", "--batch", "b", "--organization", "No Such")[0] == Exit.REFUSED


def test_a_request_whose_write_is_not_confirmed_is_named(
    calls: Calls, operated: OperatedStack, network: FaultyNetwork
) -> None:
    one = operated.attempts.scheduled().key
    table = replace(operated.stack.table, client=network.client("dynamodb"))
    cancelling = Cancelling(CancelRequests(table), Records(table), operated.stack.policy_table)
    network.fail_once("UpdateItem", LOSE_REQUEST)

    report = cancelling.cancel([one.request])

    assert (report.counts, report.confirmed) == ({NOT_CONFIRMED: 1}, False)
    assert calls("cancel", request_id(one))[1]["counts"] == {"cancelled": 1}


# A file.


def test_the_requests_of_a_file_are_cancelled_by_their_own_or_derived_ids(
    calls: Calls, operated: OperatedStack, tmp_path: Path
) -> None:
    request = CallRequestMessage(phone_number=PHONE_NUMBER, customer_name="Ada")
    derived = RowIds(operated.stack.arn, "december").derive(request)
    own = parked(operated)
    file = tmp_path / "calls.csv"
    file.write_text(f"requestId,phoneNumber,customerName\n{own},,\n{own},,\n,{PHONE_NUMBER},Ada\n")

    code, answer = calls("cancel", "--file", str(file), "--batch", "december")

    assert (code, results(answer)) == (0, {own: "cancelled", derived: "cancelled-unseen"})
    assert operated.stack.policy_table.batch_cancelled_by(None, "december") is None


def test_a_file_with_a_row_that_names_no_request_cancels_nothing(
    calls: Calls, operated: OperatedStack, tmp_path: Path
) -> None:
    own = parked(operated)
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join([json.dumps({"requestId": own}), '{"phoneNumber": "5"}', "{", '{"requestId": "a b"}']))

    code, answer = calls("cancel", "--file", str(file))

    assert (code, [each["row"] for each in answer["invalid"]]) == (Exit.REFUSED, [2, 3, 4])
    assert operated.attempts.status(AttemptKey(RequestKey(own), 1)) == "scheduled"


# A batch.


def test_a_batch_is_marked_and_what_the_stack_has_of_it_is_cancelled(calls: Calls, operated: OperatedStack) -> None:
    ours = [parked(operated) for _ in range(3)]
    other, north = parked(operated, batch="january"), parked(operated, "north")
    key = AttemptKey(RequestKey(ours[0]), 1)
    calls("cancel", ours[0])

    code, answer = calls("cancel", "--batch", "december")

    assert (code, answer["batch"], answer["counts"]) == (0, "december", {"cancelled": 2})
    assert results(answer) == dict.fromkeys(ours[1:], "cancelled")
    assert operated.stack.policy_table.batch_cancelled_by(None, "december") is OutcomeSource.OPERATOR
    assert operated.attempts.status(key) == "cancelled"
    for spared in (AttemptKey(RequestKey(other), 1), AttemptKey(RequestKey(north, "north"), 1)):
        assert operated.attempts.status(spared) == "scheduled"

    assert calls("cancel", "--batch", "december", "--organization", "north")[1]["counts"] == {"cancelled": 1}
    assert calls("cancel", "--batch", "december")[1]["counts"] == {}


def test_a_batch_that_was_never_sent_is_cancelled_too(calls: Calls, operated: OperatedStack) -> None:
    assert calls("cancel", "--batch", "spring", "--organization", "default")[1]["counts"] == {}

    assert operated.stack.policy_table.batch_cancelled_by(None, "spring")


def test_what_has_ended_costs_a_batch_and_a_number_nothing(operated: OperatedStack, cloud: LocalCloud) -> None:
    # Given more that has ended than what is open, and open calls of another organization
    for _ in range(8):
        operated.attempts.ended(Status.COMPLETED)
    ours = [parked(operated) for _ in range(2)]
    parked(operated, "north")
    dynamodb = cast("Any", cloud.client("dynamodb"))
    records, batch, number = Records(replace(operated.stack.table, client=dynamodb)), Counted(), Counted()

    with operations_asked(dynamodb) as asked:
        of_batch = {key.request.request_id for key in records.open_of_batch(None, "december", batch)}
        for_number = list(records.open_for_number(PHONE_NUMBER, number))

    assert (of_batch, batch.read) == (set(ours), 2)
    assert (len(for_number), number.read) == (3, 3)
    assert asked.keys() == {"Query", "BatchGetItem"}


# Forget.


def test_a_number_is_forgotten_except_for_its_objections(calls: Calls, operated: OperatedStack) -> None:
    ours, other = parked(operated), parked(operated, phone_number=OTHER_NUMBER)
    late = operated.attempts.calling().key
    table, number = operated.stack.policy_table, operated.stack.number_hashes.of(PHONE_NUMBER)
    table.take_dial(number, Remembered(), TakenDial("visit/1", "claim", PastDial(NOW)), NOW)
    table.add_objection(number, Objection(), OutcomeSource.UPSTREAM, NOW)

    code, answer = calls("forget", PHONE_NUMBER)

    assert (code, answer["phoneNumber"], answer["dialsForgotten"]) == (0, "+1415•••••23", 1)
    assert answer["doNotCallEntries"] == 1
    assert results(answer["cancelled"]) == {ours: "cancelled", request_id(late): "too-late"}
    assert any("AlloMia" in each for each in answer["staysElsewhere"])
    assert PHONE_NUMBER[2:] not in json.dumps(answer)
    assert table.remembered(number).dials == ()
    assert operated.attempts.status(AttemptKey(RequestKey(other), 1)) == "scheduled"

    assert calls("forget", PHONE_NUMBER)[1]["dialsForgotten"] == 0


def test_for_a_person(operated: OperatedStack, capsys: pytest.CaptureFixture[str]) -> None:
    late = operated.attempts.calling().key

    assert operated.run("cancel", request_id(late), "never-sent") == 0
    shown = capsys.readouterr().out
    assert "too late: in progress since 2026-04-01T14:30:00Z" in shown
    assert "the stack had never seen it" in shown

    assert operated.run("forget", PHONE_NUMBER) == 0
    assert "What stays elsewhere:" in capsys.readouterr().out
    assert operated.run("cancel", "--batch", "spring") == 0
    assert "The batch spring is cancelled" in capsys.readouterr().out
