"""The documented API, rule by rule."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime

import pytest

from local.simulator import Simulator
from tests.tooling.simulator.conftest import Caller, Receiver, eventually

ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_a_call_is_dispatched_at_once(caller: Caller) -> None:
    answer = caller.post(
        caller.order(
            customerName="Ada",
            dynamicVariables={"time": "10:30"},
            callbackUrl=caller.callback(),
            somethingNew={"is": "ignored"},
        )
    )

    assert answer.status_code == 200
    assert answer.json().keys() == {"outboundCallId", "contactId", "status", "message"}
    assert answer.json()["status"] == "calling"
    uuid.UUID(answer.json()["outboundCallId"])
    uuid.UUID(answer.json()["contactId"])


def test_only_what_is_required_is_required(caller: Caller) -> None:
    assert caller.post(caller.order()).status_code == 200


def test_a_contact_is_a_phone_number_and_a_call_is_new(caller: Caller) -> None:
    first, second, other = (
        caller.post(caller.order(number)).json() for number in ["+33612345678"] * 2 + ["+33600000000"]
    )

    assert first["contactId"] == second["contactId"] != other["contactId"]
    assert first["outboundCallId"] != second["outboundCallId"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phoneNumber", None),
        ("phoneNumber", "0612345678"),
        ("phoneNumber", "+12345678"),
        ("phoneNumber", "+12345678901234567890"),
        ("phoneNumber", "+33 612345678"),
        ("phoneNumber", 33612345678),
        ("assistantId", None),
        ("assistantId", "my-assistant"),
        ("phoneNumberId", None),
        ("phoneNumberId", "1234"),
        ("customerName", 7),
        ("customerName", None),
        ("dynamicVariables", {"age": 42}),
        ("dynamicVariables", {"nested": {"a": "b"}}),
        ("dynamicVariables", ["a"]),
        ("callbackUrl", "ftp://example.org/"),
        ("callbackUrl", "not a URL"),
    ],
)
def test_an_invalid_order_is_refused_with_words(
    simulator: Simulator, caller: Caller, field: str, value: object
) -> None:
    answer = caller.post(caller.order() | {field: value})

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert field in answer.json()["error"]
    assert simulator.calls() == []


@pytest.mark.parametrize("field", ["phoneNumber", "assistantId", "phoneNumberId"])
def test_what_is_required_is_missed(caller: Caller, field: str) -> None:
    order = caller.order()
    del order[field]

    answer = caller.post(order)

    assert answer.status_code == 400
    assert answer.json() == {"error": f"{field}: Field required"}


@pytest.mark.parametrize("number", ["+123456789", "+1234567890123456789"])
def test_phone_numbers_have_10_to_20_characters(caller: Caller, number: str) -> None:
    assert len(number) in {10, 20}
    assert caller.post(caller.order(number)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_is_no_order_is_refused(caller: Caller, body: bytes) -> None:
    answer = caller.http.post("/api/outbound", content=body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic test-key", "test-key"])
def test_a_key_is_demanded(simulator: Simulator, caller: Caller, authorization: str) -> None:
    call_id = caller.post(caller.order()).json()["outboundCallId"]
    caller.http.headers["Authorization"] = authorization

    for answer in [caller.post(caller.order()), caller.status(call_id)]:
        assert answer.status_code == 401
        assert answer.json() == {"error": "Unauthorized"}
    assert len(simulator.calls()) == 1


@pytest.mark.parametrize("call_id", ["c3d4e5f6-a7b8-9012-cdef-345678901234", "nonsense"])
def test_an_unknown_call_is_not_found(caller: Caller, call_id: str) -> None:
    answer = caller.status(call_id)

    assert answer.status_code == 404
    assert answer.json() == {"error": "Outbound call not found"}


def test_another_organizations_call_is_not_found(caller: Caller) -> None:
    call_id = caller.post(caller.order()).json()["outboundCallId"]
    caller.http.headers["Authorization"] = "Bearer other-organization-key"

    answer = caller.status(call_id)

    assert answer.status_code == 404
    assert answer.json() == {"error": "Outbound call not found"}


def test_what_does_not_exist_is_refused_in_allomias_shape(caller: Caller) -> None:
    for method, path, code in [("GET", "/api/outbound", 405), ("DELETE", "/api/nothing", 404)]:
        answer = caller.http.request(method, path)
        assert answer.status_code == code
        assert answer.json().keys() == {"error"}


def test_details_are_given_only_when_the_call_is_over(simulator: Simulator, caller: Caller) -> None:
    simulator.configure(ring_seconds=3600)
    placed = caller.post(caller.order()).json()

    assert caller.status(placed["outboundCallId"]).json() == {
        "outboundCallId": placed["outboundCallId"],
        "contactId": placed["contactId"],
        "status": "calling",
    }


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        ("+15005550100", "completed", "customer-ended-call"),
        ("+15005550101", "busy", "customer-busy"),
        ("+15005550102", "no-answer", "customer-did-not-answer"),
        ("+15005550103", "failed", "call-failed"),
    ],
)
def test_the_webhook_mirrors_the_status_answer(
    receiver: Receiver, caller: Caller, number: str, status: str, reason: str
) -> None:
    callback = caller.callback()
    placed = caller.post(caller.order(number, callbackUrl=callback)).json()

    (webhook,) = receiver.wait_for(callback)

    assert webhook.headers["Content-Type"] == "application/json"
    assert webhook.body == caller.status(placed["outboundCallId"]).json()
    assert webhook.body["outboundCallId"] == placed["outboundCallId"]
    assert webhook.body["contactId"] == placed["contactId"]
    assert webhook.body["status"] == status
    details = webhook.body["callDetails"]
    assert details.keys() == {"startedAt", "endedAt", "duration", "endedReason"}
    assert ISO_8601.fullmatch(details["startedAt"])
    assert ISO_8601.fullmatch(details["endedAt"])
    assert isinstance(details["duration"], int)
    assert details["endedReason"] == reason


def test_the_duration_is_the_time_between_start_and_end(simulator: Simulator, caller: Caller) -> None:
    simulator.configure(ring_seconds=1.0)
    call_id = caller.post(caller.order()).json()["outboundCallId"]

    details = eventually(lambda: caller.status(call_id).json().get("callDetails"))

    started, ended = (datetime.fromisoformat(details[name]) for name in ("startedAt", "endedAt"))
    assert details["duration"] == (ended - started).total_seconds() == 1


def test_a_webhook_is_sent_once_whatever_it_is_answered(
    simulator: Simulator, receiver: Receiver, caller: Caller, answering: Callable[[int], None]
) -> None:
    answering(500)
    refused, later = caller.callback(), caller.callback()

    caller.post(caller.order(callbackUrl=refused))
    receiver.wait_for(refused)
    caller.post(caller.order(callbackUrl=later))
    receiver.wait_for(later)

    assert len(receiver.at(refused)) == 1
    assert [sent.answer for sent in simulator.calls()[0].webhooks_sent] == [500]


def test_a_webhook_that_cannot_be_delivered_is_recorded(simulator: Simulator, caller: Caller) -> None:
    caller.post(caller.order(callbackUrl="http://127.0.0.1:1/nobody-listens"))

    sent = eventually(lambda: simulator.calls()[0].webhooks_sent)

    assert [(each.status, each.answer, each.error) for each in sent] == [("completed", None, "ConnectError")]
