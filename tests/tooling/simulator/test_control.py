"""The control endpoint: faults for all numbers at once, and what the simulator remembers."""

import httpx
import pytest
from pydantic import ValidationError

from local.simulator import Faults, Simulator
from local.simulator.answers import POST_RULES, STATUS_RULES
from local.simulator.behaviour import Post, Status
from tests.tooling.simulator.conftest import Caller, Receiver, eventually

BUSY = "+15005550101"


@pytest.mark.parametrize(
    ("mode", "code", "rings"),
    [
        ("ok", 200, True),
        ("refuse-429", 429, False),
        ("refuse-503", 503, False),
        ("refuse-401", 401, False),
        ("fail-500", 500, False),
        ("fail-500-after-accept", 500, True),
        ("garbage-after-accept", 200, True),
    ],
)
def test_the_post_misbehaves_for_every_number(
    simulator: Simulator, caller: Caller, mode: str, code: int, rings: bool
) -> None:
    simulator.configure(post=mode)

    codes = [caller.post(caller.order(phone)).status_code for phone in (BUSY, "+33612345678", BUSY)]

    assert codes == [code] * 3
    assert simulator.dials().attempted == {"": 3}
    assert simulator.dials().accepted == ({"": 3} if rings else {})


@pytest.mark.parametrize(
    ("mode", "rings"),
    [
        ("drop-before-accept", False),
        ("drop-after-accept", True),
        ("hang-before-accept", False),
        ("hang-after-accept", True),
    ],
)
def test_the_connection_is_lost_before_or_after_acceptance(
    simulator: Simulator, caller: Caller, mode: str, rings: bool
) -> None:
    simulator.configure(post=mode, hang_seconds=0.05)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        caller.post(caller.order())

    assert len(simulator.calls()) == rings


def test_a_fault_keeps_the_outcome_of_the_number(simulator: Simulator, receiver: Receiver, caller: Caller) -> None:
    simulator.configure(post="fail-500-after-accept")
    callback = caller.callback()

    caller.post(caller.order(BUSY, callbackUrl=callback))

    assert receiver.wait_for(callback)[0].body["status"] == "busy"


@pytest.mark.parametrize("mode", list(Post))
def test_every_mode_of_the_post_has_its_rule(mode: Post) -> None:
    assert mode in POST_RULES


@pytest.mark.parametrize("mode", list(Status))
def test_every_mode_of_the_status_has_its_rule(mode: Status) -> None:
    assert mode in STATUS_RULES


@pytest.mark.parametrize(
    ("mode", "sent"),
    [("normal", 1), ("lost", 0), ("duplicated", 2), ("early", 1), ("late", 1)],
)
def test_webhooks_misbehave_for_every_number(
    simulator: Simulator, receiver: Receiver, caller: Caller, mode: str, sent: int
) -> None:
    simulator.configure(webhooks=mode, late_seconds=0.05)
    callback, afterwards = caller.callback(), caller.callback()

    caller.post(caller.order(callbackUrl=callback))
    receiver.wait_for(callback, sent)
    simulator.configure(webhooks="normal")
    caller.post(caller.order(callbackUrl=afterwards))
    receiver.wait_for(afterwards)

    assert len(receiver.at(callback)) == sent


@pytest.mark.parametrize(
    ("mode", "code"),
    [("not-found", 404), ("refuse-401", 401), ("refuse-429", 429), ("fail-500", 500), ("fail-503", 503)],
)
def test_the_status_misbehaves_for_every_call(simulator: Simulator, caller: Caller, mode: str, code: int) -> None:
    call_id = caller.post(caller.order()).json()["outboundCallId"]
    simulator.configure(status=mode)

    assert [caller.status(call_id).status_code for _ in range(2)] == [code, code]
    simulator.configure(status="normal")
    assert caller.status(call_id).status_code == 200
    assert simulator.calls()[0].status_reads == 3


def test_retry_after_is_what_was_set(simulator: Simulator, caller: Caller) -> None:
    for mode in ("refuse-429", "refuse-503"):
        simulator.configure(post=mode, retry_after_seconds=17)
        assert caller.post(caller.order()).headers["Retry-After"] == "17"


def test_latency_delays_the_answer_but_not_the_call(simulator: Simulator, caller: Caller) -> None:
    simulator.configure(latency_seconds=0.2)

    with pytest.raises(httpx.ReadTimeout):
        caller.post(caller.order(), timeout=0.05)
    eventually(lambda: len(simulator.calls()) == 1)
    assert caller.post(caller.order()).elapsed.total_seconds() >= 0.2


def test_a_fault_can_be_a_matter_of_seeded_chance(simulator: Simulator, caller: Caller) -> None:
    def play() -> list[int]:
        simulator.configure(post="refuse-503", probability=0.5, seed=7)
        return [caller.post(caller.order()).status_code for _ in range(16)]

    first, second = play(), play()

    assert set(first) == {200, 503}
    assert first == second


def test_a_probability_of_zero_never_strikes(simulator: Simulator, caller: Caller) -> None:
    simulator.configure(post="refuse-503", probability=0)

    assert caller.post(caller.order()).status_code == 200


def test_keys_can_be_replaced(simulator: Simulator, caller: Caller) -> None:
    call_id = caller.post(caller.order()).json()["outboundCallId"]
    simulator.configure(accepted_keys=["new-key"])
    assert caller.post(caller.order()).status_code == 401

    caller.http.headers["Authorization"] = "Bearer new-key"
    assert caller.status(call_id).status_code == 200


def test_a_patch_leaves_what_it_does_not_name(simulator: Simulator) -> None:
    before = simulator.faults()

    simulator.configure(post="fail-500")
    after = simulator.configure(ring_seconds=9)

    assert after == before.model_copy(update={"post": Post.FAIL_500, "ring_seconds": 9.0}) == simulator.faults()


def test_the_wire_speaks_camel_case(caller: Caller) -> None:
    patched = caller.http.patch("/_control", json={"ringSeconds": 3, "webhooks": "lost"})

    assert patched.status_code == 200
    assert patched.json() == caller.http.get("/_control").json()
    assert patched.json()["ringSeconds"] == 3
    assert patched.json()["acceptedKeys"] == ["test-key"]


@pytest.mark.parametrize(
    "patch",
    [{"mode": "ok"}, {"post": "explode"}, {"probability": 2}, {"ringSeconds": -1}, {"latencySeconds": "soon"}, []],
)
def test_a_patch_that_makes_no_sense_is_refused(simulator: Simulator, caller: Caller, patch: object) -> None:
    before = simulator.faults()

    answer = caller.http.patch("/_control", json=patch)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert simulator.faults() == before


def test_the_handle_refuses_unknown_faults(simulator: Simulator) -> None:
    with pytest.raises(ValidationError):
        simulator.configure(colour="red")


def test_reset_forgets_everything(simulator: Simulator, receiver: Receiver, caller: Caller) -> None:
    at_first = simulator.faults()
    cancelled, afterwards = caller.callback(), caller.callback()
    simulator.configure(ring_seconds=0.3, status="not-found", post="fail-500-after-accept")
    caller.post(caller.order(callbackUrl=cancelled))

    simulator.reset()

    assert simulator.faults() == at_first
    assert simulator.calls() == []
    assert simulator.dials().attempted == simulator.dials().accepted == {}
    simulator.configure(ring_seconds=0.3)
    caller.post(caller.order(callbackUrl=afterwards))
    receiver.wait_for(afterwards)
    assert receiver.at(cancelled) == []


def test_a_double_dial_cannot_hide(simulator: Simulator, caller: Caller) -> None:
    once, twice, never = (caller.callback() for _ in range(3))
    for callback in (once, twice, twice):
        caller.post(caller.order(callbackUrl=callback))
    caller.post(caller.order("+15005550310", callbackUrl=never))
    caller.post(caller.order("not a number", callbackUrl=never))

    dials = simulator.dials()

    assert dials.accepted == {once: 1, twice: 2}
    assert dials.attempted == {once: 1, twice: 2, never: 2}


def test_accepted_calls_are_listed(simulator: Simulator, receiver: Receiver, caller: Caller) -> None:
    callback = caller.callback()
    placed = caller.post(caller.order(callbackUrl=callback)).json()
    receiver.wait_for(callback)
    caller.status(placed["outboundCallId"])

    (call,) = eventually(lambda: [call for call in simulator.calls() if call.webhooks_sent])

    assert call.outbound_call_id == placed["outboundCallId"]
    assert call.contact_id == placed["contactId"]
    assert call.callback_url == callback
    assert call.status == "completed"
    assert call.status_reads == 1
    assert [(sent.status, sent.answer) for sent in call.webhooks_sent] == [("completed", 204)]
    assert call.accepted_at < call.webhooks_sent[0].at
    (wire,) = caller.http.get("/_control/calls").json()
    assert {"outboundCallId", "callbackUrl", "acceptedAt", "status", "webhooksSent", "statusReads"} <= wire.keys()


def test_defaults_are_those_of_the_documentation() -> None:
    faults = Faults()

    assert (faults.ring_seconds, faults.webhook_delay_seconds, faults.hang_seconds) == (1.0, 0.1, 60.0)
    assert faults.accepted_keys == ("test-key",)
