"""AlloMia's documented API, over both faces."""

import re
import uuid
from datetime import datetime

import pytest

from tests.tooling.simulator.conftest import ORDER, Face

ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_a_call_is_placed(face: Face) -> None:
    answer = face.post(customerName="Ada", dynamicVariables={"time": "10:30"}, unknown={"is": "ignored"})

    assert answer.status_code == 200
    assert answer.json().keys() == {"outboundCallId", "contactId", "status", "message"}
    assert answer.json()["status"] == "calling"
    uuid.UUID(answer.json()["outboundCallId"])


def test_a_contact_belongs_to_a_number_and_each_call_is_new(face: Face) -> None:
    first, second, other = (face.post(number).json() for number in ["+33612345678"] * 2 + ["+33600000000"])

    assert first["contactId"] == second["contactId"] != other["contactId"]
    assert first["outboundCallId"] != second["outboundCallId"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phoneNumber", None),
        ("phoneNumber", "0612345678"),
        ("phoneNumber", "+12345678"),
        ("phoneNumber", "+12345678901234567890"),
        ("phoneNumber", 33612345678),
        ("assistantId", None),
        ("assistantId", "my-assistant"),
        ("phoneNumberId", None),
        ("customerName", None),
        ("dynamicVariables", {"age": 42}),
        ("callbackUrl", "ftp://example.org/"),
        ("callbackUrl", "not a URL"),
    ],
)
def test_an_invalid_order_gets_400_and_the_field(face: Face, field: str, value: object) -> None:
    order = ORDER | {field: value}
    without = {name: ORDER[name] for name in ORDER if name != field}

    for body in [order, without] if field in ORDER else [order]:
        answer = face.http.post("/api/outbound", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(f"{field}")
    assert face.allomia.calls() == []


@pytest.mark.parametrize("number", ["+123456789", "+1234567890123456789"])
def test_the_shortest_and_the_longest_number_are_valid(face: Face, number: str) -> None:
    assert face.post(number).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_not_an_order_gets_400(face: Face, body: bytes) -> None:
    answer = face.http.post("/api/outbound", content=body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic test-key", "test-key"])
def test_a_valid_key_is_required(face: Face, authorization: str) -> None:
    call_id = face.post().json()["outboundCallId"]
    face.http.headers["Authorization"] = authorization

    for answer in [face.post(), face.status(call_id)]:
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
    assert len(face.allomia.calls()) == 1


def test_a_key_can_be_replaced(face: Face) -> None:
    call_id = face.post().json()["outboundCallId"]
    face.allomia.configure(accepted_keys=["new-key"])
    assert face.post().status_code == 401

    face.http.headers["Authorization"] = "Bearer new-key"

    assert face.status(call_id).status_code == 200


def test_an_unknown_call_and_another_organizations_get_404(face: Face) -> None:
    call_id = face.post().json()["outboundCallId"]
    face.http.headers["Authorization"] = "Bearer other-organization-key"

    for unknown in (call_id, "c3d4e5f6-a7b8-9012-cdef-345678901234", "nonsense"):
        answer = face.status(unknown)
        assert (answer.status_code, answer.json()) == (404, {"error": "Outbound call not found"})


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/api/outbound", 405), ("DELETE", "/api/nothing", 404)])
def test_other_requests_get_errors_in_the_same_shape(face: Face, method: str, path: str, code: int) -> None:
    answer = face.http.request(method, path)

    assert answer.status_code == code
    assert answer.json().keys() == {"error"}


def test_a_call_in_progress_has_no_details(face: Face) -> None:
    face.allomia.configure(ring_seconds=3600)
    placed = face.post().json()

    status = face.status(placed["outboundCallId"]).json()

    assert status == {name: placed[name] for name in ("outboundCallId", "contactId", "status")}


@pytest.mark.parametrize(
    ("digits", "status", "reason"),
    [
        ("0100", "completed", "customer-ended-call"),
        ("0101", "busy", "customer-busy"),
        ("0102", "no-answer", "customer-did-not-answer"),
        ("0103", "failed", "call-failed"),
    ],
)
def test_the_webhook_equals_the_status_answer(face: Face, digits: str, status: str, reason: str) -> None:
    callback = face.callback()
    call_id = face.post(f"+1500555{digits}", callbackUrl=callback).json()["outboundCallId"]

    (webhook,) = face.webhooks(callback, 1)
    face.wait_until_over()

    assert webhook == face.status(call_id).json()
    assert (webhook["outboundCallId"], webhook["status"]) == (call_id, status)
    details = webhook["callDetails"]
    assert details.keys() == {"startedAt", "endedAt", "duration", "endedReason"}
    assert ISO_8601.fullmatch(details["startedAt"])
    assert ISO_8601.fullmatch(details["endedAt"])
    assert details["endedReason"] == reason


def test_the_duration_is_the_time_between_start_and_end(face: Face) -> None:
    face.allomia.configure(ring_seconds=1.0)
    call_id = face.post().json()["outboundCallId"]
    face.wait_until_over()

    details = face.status(call_id).json()["callDetails"]

    started, ended = (datetime.fromisoformat(details[name]) for name in ("startedAt", "endedAt"))
    assert details["duration"] == (ended - started).total_seconds() == 1
