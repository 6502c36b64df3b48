"""Every magic number, dialled over real HTTP: what the client sees, whether the phone rings, what comes back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest

from local.simulator import MAGIC_NUMBERS, Simulator
from local.simulator.magic_numbers import as_markdown
from tests.tooling.simulator.conftest import PATIENCE_SECONDS, Caller, Receiver, eventually

SHORT_SECONDS = 0.2
"""Shorter than the simulator hangs in these tests."""

type Seen = int | type[httpx.HTTPError]


@dataclass(frozen=True)
class Expected:
    """What dialling a number brings: `posts` and `statuses` are the answers to one request after the other."""

    posts: list[Seen] = field(default_factory=lambda: [200])
    rings: bool = True
    webhooks: list[str] = field(default_factory=lambda: ["completed"])
    statuses: list[Seen] = field(default_factory=lambda: [200])


def refused(*posts: Seen) -> Expected:
    return Expected(posts=list(posts), rings=False, webhooks=[], statuses=[])


def polled(*statuses: Seen) -> Expected:
    return Expected(webhooks=[], statuses=list(statuses))


EXPECTED = {
    "0100": Expected(),
    "0101": Expected(webhooks=["busy"]),
    "0102": Expected(webhooks=["no-answer"]),
    "0103": Expected(webhooks=["failed"]),
    "0104": Expected(webhooks=["failed"]),
    "0200": Expected(webhooks=[]),
    "0201": Expected(),
    "0202": Expected(webhooks=["completed", "completed"]),
    "0203": Expected(webhooks=["completed", "failed"]),
    "0204": Expected(),
    "0205": Expected(webhooks=["transferred", "completed"]),
    "0206": Expected(webhooks=[]),
    "0300": refused(400, 400),
    "0301": refused(422, 422),
    "0302": refused(404, 404),
    "0303": refused(409, 409),
    "0304": refused(401, 401),
    "0305": refused(403, 403),
    "0306": Expected(posts=[429, 200]),
    "0307": Expected(posts=[503, 200]),
    "0310": refused(500),
    "0311": refused(502),
    "0312": refused(503),
    "0313": refused(504),
    "0314": refused(408),
    "0315": refused(httpx.RemoteProtocolError),
    "0316": refused(httpx.ReadTimeout),
    "0320": Expected(posts=[500]),
    "0321": Expected(posts=[httpx.RemoteProtocolError]),
    "0322": Expected(posts=[httpx.RemoteProtocolError], webhooks=[]),
    "0323": Expected(posts=[httpx.RemoteProtocolError]),
    "0324": Expected(posts=[httpx.ReadTimeout]),
    "0325": Expected(),
    "0326": Expected(),
    "0327": Expected(),
    "0328": Expected(),
    "0329": Expected(),
    "0400": polled(200, 200),
    "0401": polled(404, 404),
    "0402": polled(500, 200, 200),
    "0403": polled(200, 200),
    "0404": polled(200, 200),
    "0405": polled(401, 401),
    "0406": polled(httpx.ReadTimeout),
    "0407": polled(httpx.RemoteProtocolError, httpx.RemoteProtocolError),
}


def number(digits: str) -> str:
    return f"+1500555{digits}"


def test_every_number_of_the_table_is_dialled_here() -> None:
    assert {number(digits) for digits in EXPECTED} == MAGIC_NUMBERS.keys()


@pytest.mark.parametrize("digits", EXPECTED)
def test_a_magic_number(simulator: Simulator, receiver: Receiver, caller: Caller, digits: str) -> None:
    expected = EXPECTED[digits]
    callback = caller.callback()
    order = caller.order(number(digits), callbackUrl=callback)

    assert [see(seen, partial(caller.post, order)) for seen in expected.posts] == expected.posts

    dials = simulator.dials()
    assert dials.attempted == {callback: len(expected.posts)}
    assert dials.accepted == ({callback: 1} if expected.rings else {})
    assert MAGIC_NUMBERS[number(digits)].dials == sum(dials.accepted.values())
    all_webhooks_are_in(simulator, receiver, caller, len(expected.webhooks) if expected.rings else 0)
    assert [webhook.body["status"] for webhook in receiver.at(callback)] == expected.webhooks
    if expected.rings:
        call = simulator.calls()[0]
        assert [sent.status for sent in call.webhooks_sent] == expected.webhooks
        read = partial(caller.status, call.outbound_call_id)
        assert [see(seen, read) for seen in expected.statuses] == expected.statuses
        assert simulator.calls()[0].status_reads == len(expected.statuses)


def see(expected: Seen, ask: Callable[..., httpx.Response]) -> Seen:
    """What `ask` brings; only an answer that is not to come is not waited for."""
    try:
        return ask(timeout=SHORT_SECONDS if expected is httpx.ReadTimeout else PATIENCE_SECONDS).status_code
    except httpx.HTTPError as failure:
        return type(failure)


def all_webhooks_are_in(simulator: Simulator, receiver: Receiver, caller: Caller, count: int) -> None:
    """Wait for `count` webhooks, and for the one of a call placed later: a surplus one would have come before it."""
    if count:
        eventually(lambda: len(simulator.calls()[0].webhooks_sent) >= count)
    later = caller.callback()
    caller.post(caller.order(callbackUrl=later))
    receiver.wait_for(later)


def test_any_other_number_is_completed(receiver: Receiver, caller: Caller) -> None:
    callback = caller.callback()

    assert caller.post(caller.order("+33612345678", callbackUrl=callback)).json()["status"] == "calling"
    assert receiver.wait_for(callback)[0].body["status"] == "completed"


def test_a_call_can_fail_in_the_answer(caller: Caller) -> None:
    answer = caller.post(caller.order(number("0104"))).json()

    assert answer["status"] == "failed"
    assert caller.status(answer["outboundCallId"]).json()["status"] == "failed"


def test_an_early_webhook_is_there_before_the_answer(receiver: Receiver, caller: Caller) -> None:
    callback = caller.callback()

    answer = caller.post(caller.order(number("0201"), callbackUrl=callback))

    assert answer.json()["status"] == "calling"
    assert [webhook.body["status"] for webhook in receiver.at(callback)] == ["completed"]


def test_a_late_webhook_comes_long_after_the_end(simulator: Simulator, receiver: Receiver, caller: Caller) -> None:
    callback = caller.callback()
    caller.post(caller.order(number("0204"), callbackUrl=callback))

    receiver.wait_for(callback)

    (call,) = eventually(lambda: [call for call in simulator.calls() if call.webhooks_sent])
    faults = simulator.faults()
    waited = (call.webhooks_sent[0].at - call.accepted_at).total_seconds()
    assert waited >= faults.ring_seconds + faults.webhook_delay_seconds + faults.late_seconds


def test_a_refusal_may_repeat_the_number(caller: Caller) -> None:
    assert caller.post(caller.order(number("0300"))).json() == {"error": f"Invalid phone number: {number('0300')}"}


@pytest.mark.parametrize(("digits", "given"), [("0306", "1"), ("0307", "1"), ("0312", None)])
def test_retry_after_is_said_where_the_table_says_so(caller: Caller, digits: str, given: str | None) -> None:
    assert caller.post(caller.order(number(digits))).headers.get("Retry-After") == given


def test_once_is_once_for_each_callback_url(caller: Caller) -> None:
    orders = [caller.order(number("0306"), callbackUrl=caller.callback()) for _ in range(2)]

    assert [caller.post(order).status_code for order in orders * 2] == [429, 429, 200, 200]


@pytest.mark.parametrize("digits", ["0316", "0324"])
def test_a_hanging_connection_ends_without_an_answer(simulator: Simulator, caller: Caller, digits: str) -> None:
    simulator.configure(hang_seconds=0.05)

    with pytest.raises(httpx.RemoteProtocolError):
        caller.post(caller.order(number(digits)))


def test_garbage_is_no_json(caller: Caller) -> None:
    answer = caller.post(caller.order(number("0325")))

    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_an_answer_can_have_an_unknown_status(caller: Caller) -> None:
    answer = caller.post(caller.order(number("0326"))).json()

    assert answer["status"] == "transferred"
    assert "outboundCallId" in answer


def test_an_answer_can_lack_its_ids(caller: Caller) -> None:
    assert caller.post(caller.order(number("0327"))).json().keys() == {"status", "message"}


def test_a_huge_body_is_the_answer_with_a_huge_message(simulator: Simulator, caller: Caller) -> None:
    answer = caller.post(caller.order(number("0328")))

    assert len(answer.content) > 16 * 1024 * 1024
    assert answer.json()["outboundCallId"] == simulator.calls()[0].outbound_call_id


def test_a_body_trickles_in_slower_than_any_read_takes(simulator: Simulator, caller: Caller) -> None:
    simulator.configure(hang_seconds=0.8)
    begun = time.monotonic()

    answer = caller.post(caller.order(number("0329")), timeout=0.5)

    assert time.monotonic() - begun >= 0.8
    assert answer.json()["outboundCallId"] == simulator.calls()[0].outbound_call_id


def test_a_stuck_status_stays_calling(simulator: Simulator, caller: Caller) -> None:
    call_id = caller.post(caller.order(number("0400"))).json()["outboundCallId"]

    eventually(lambda: simulator.calls()[0].status == "completed")

    body = caller.status(call_id).json()
    assert body["status"] == "calling"
    assert "callDetails" not in body


def test_the_status_can_be_garbage_or_unknown(caller: Caller) -> None:
    garbage, unknown = (
        caller.post(caller.order(number(digits))).json()["outboundCallId"] for digits in ("0403", "0404")
    )

    assert caller.status(garbage).text.startswith("<!doctype html>")
    assert caller.status(unknown).json()["status"] == "transferred"


def test_a_404_is_worded_like_a_real_one(caller: Caller) -> None:
    call_id = caller.post(caller.order(number("0401"))).json()["outboundCallId"]

    assert caller.status(call_id).json() == {"error": "Outbound call not found"}


def test_the_table_is_printed_whole() -> None:
    lines = as_markdown().splitlines()

    assert len(lines) == len(MAGIC_NUMBERS) + 3
    assert {line.count("|") for line in lines} == {6}
