"""What only the HTTP face has: the control endpoint, and webhooks that are really sent."""

import pytest
from pydantic import ValidationError

from local.simulator import ANSWERS, Faults, Simulator
from local.simulator.faults import settings_as_markdown
from tests.tooling.simulator.conftest import FAULTS, HttpFace, Receiver, eventually


def test_a_patch_changes_only_what_it_names(simulator: Simulator) -> None:
    before = simulator.faults()

    simulator.configure(post="fail-500")
    after = simulator.configure(ring_seconds=9)

    assert after == before.model_copy(update={"post": "fail-500", "ring_seconds": 9.0}) == simulator.faults()


def test_the_names_on_the_wire_are_in_camel_case(http_face: HttpFace) -> None:
    patched = http_face.http.patch("/_control", json={"ringSeconds": 3, "webhooks": "lost"})

    assert patched.status_code == 200
    assert patched.json() == http_face.http.get("/_control").json()
    assert (patched.json()["ringSeconds"], patched.json()["acceptedKeys"]) == (3, ["test-key"])


@pytest.mark.parametrize(
    "patch",
    [
        {"mode": "ok"},
        {"post": "explode"},
        {"post": "connect-error"},
        {"probability": 2},
        {"ringSeconds": -1},
        {"latencySeconds": "soon"},
        [],
    ],
)
def test_an_invalid_patch_changes_nothing(http_face: HttpFace, simulator: Simulator, patch: object) -> None:
    before = simulator.faults()

    answer = http_face.http.patch("/_control", json=patch)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert simulator.faults() == before


def test_an_unknown_fault_is_not_even_sent(simulator: Simulator) -> None:
    with pytest.raises(ValidationError):
        simulator.configure(colour="red")


def test_reset_forgets_everything(http_face: HttpFace, simulator: Simulator, receiver: Receiver) -> None:
    at_first = simulator.faults()
    cancelled, afterwards = http_face.callback(), http_face.callback()
    simulator.configure(ring_seconds=0.3, status="not-found", post="fail-500-after-accept")
    http_face.post(callbackUrl=cancelled)

    simulator.reset()

    assert simulator.faults() == at_first
    assert simulator.calls() == []
    assert simulator.dials().attempted == simulator.dials().accepted == {}
    simulator.configure(ring_seconds=0.3)
    http_face.post(callbackUrl=afterwards)
    receiver.wait_for(afterwards)
    assert receiver.received(cancelled) == []


def test_accepted_calls_are_listed(http_face: HttpFace, simulator: Simulator) -> None:
    callback = http_face.callback()
    placed = http_face.post(callbackUrl=callback).json()
    http_face.status(placed["outboundCallId"])

    (call,) = eventually(lambda: [call for call in simulator.calls() if call.webhooks_sent])

    assert (call.outbound_call_id, call.contact_id) == (placed["outboundCallId"], placed["contactId"])
    assert (call.callback_url, call.status, call.status_reads) == (callback, "completed", 1)
    assert [(sent.status, sent.answer) for sent in call.webhooks_sent] == [("completed", 204)]
    assert call.accepted_at < call.webhooks_sent[0].at
    (wire,) = http_face.http.get("/_control/calls").json()
    assert {"outboundCallId", "callbackUrl", "acceptedAt", "status", "webhooksSent", "statusReads"} <= wire.keys()


def test_an_early_webhook_arrives_before_the_answer(http_face: HttpFace, receiver: Receiver) -> None:
    callback = http_face.callback()

    http_face.post("+15005550201", callbackUrl=callback)

    assert [body["status"] for body in receiver.received(callback)] == ["completed"]


def test_a_late_webhook_is_sent_long_after_the_end(http_face: HttpFace, simulator: Simulator) -> None:
    http_face.post("+15005550204", callbackUrl=http_face.callback())

    (call,) = eventually(lambda: [call for call in simulator.calls() if call.webhooks_sent])

    waited = (call.webhooks_sent[0].at - call.accepted_at).total_seconds()
    assert waited >= FAULTS["ring_seconds"] + FAULTS["webhook_delay_seconds"] + FAULTS["late_seconds"]


def test_a_webhook_is_sent_once_whatever_its_answer(
    http_face: HttpFace, simulator: Simulator, receiver: Receiver
) -> None:
    callback = http_face.callback()
    receiver.answer = 500
    try:
        http_face.post(callbackUrl=callback)
        assert len(http_face.webhooks(callback, 1)) == 1
    finally:
        receiver.answer = 204

    assert [sent.answer for sent in simulator.calls()[0].webhooks_sent] == [500]


def test_a_webhook_that_cannot_be_delivered_is_recorded(http_face: HttpFace, simulator: Simulator) -> None:
    http_face.post(callbackUrl="http://127.0.0.1:1/closed")

    sent = eventually(lambda: simulator.calls()[0].webhooks_sent)

    assert [(each.status, each.answer, each.error) for each in sent] == [("completed", None, "ConnectError")]


def test_the_printed_settings_are_complete() -> None:
    table = settings_as_markdown()

    assert [line.split("`")[1] for line in table.splitlines()[2:]] == [*Faults().model_dump(mode="json")]
    assert all((f"`{name}`" in table) == answer.over_http for name, answer in ANSWERS.items())
