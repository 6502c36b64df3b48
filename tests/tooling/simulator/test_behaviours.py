"""Every magic number and every fault, over both faces: what the client sees, whether the phone rings, what is sent."""

from collections.abc import Callable

import httpx
import pytest

from local.simulator import MAGIC_NUMBERS
from local.simulator.magic_numbers import as_markdown
from tests.tooling.simulator.conftest import PATIENCE_SECONDS, Face

SHORT_SECONDS = 0.2
"""Shorter than the simulator hangs in these tests."""

DROPPED, HANGS = httpx.RemoteProtocolError, httpx.ReadTimeout

type Seen = int | type[httpx.HTTPError]


EXPECTED: dict[str, tuple[list[Seen], list[str], list[Seen]]] = {
    # digits: the answers to one POST after the other, the webhooks, the answers to the status requests
    "0100": ([200], ["completed"], [200]),
    "0101": ([200], ["busy"], [200]),
    "0102": ([200], ["no-answer"], [200]),
    "0103": ([200], ["failed"], [200]),
    "0104": ([200], ["failed"], [200]),
    "0200": ([200], [], [200]),
    "0201": ([200], ["completed"], [200]),
    "0202": ([200], ["completed", "completed"], [200]),
    "0203": ([200], ["completed", "failed"], [200]),
    "0204": ([200], ["completed"], [200]),
    "0205": ([200], ["transferred", "completed"], [200]),
    "0206": ([200], [], [200]),
    "0207": ([200], ["transferred"], [200]),
    "0208": ([200], ["completed"], [200]),
    "0300": ([400, 400], [], []),
    "0301": ([422, 422], [], []),
    "0302": ([404, 404], [], []),
    "0303": ([409, 409], [], []),
    "0304": ([401, 401], [], []),
    "0305": ([403, 403], [], []),
    "0306": ([429, 200], ["completed"], [200]),
    "0307": ([503, 200], ["completed"], [200]),
    "0308": ([404, 404], [], []),
    "0309": ([402, 402], [], []),
    "0310": ([500, 500], [], []),
    "0311": ([502, 502], [], []),
    "0312": ([503, 503], [], []),
    "0313": ([504, 504], [], []),
    "0314": ([408, 408], [], []),
    "0315": ([DROPPED, DROPPED], [], []),
    "0316": ([HANGS, HANGS], [], []),
    "0320": ([500], ["completed"], [200]),
    "0321": ([DROPPED], ["completed"], [200]),
    "0322": ([DROPPED], [], [200]),
    "0323": ([DROPPED], ["completed"], [200]),
    "0324": ([HANGS], ["completed"], [200]),
    "0325": ([200], ["completed"], [200]),
    "0326": ([200], ["completed"], [200]),
    "0327": ([200], ["completed"], [200]),
    "0328": ([200], ["completed"], [200]),
    "0329": ([200], ["completed"], [200]),
    "0330": ([200], [], [200]),
    "0331": ([200], [], [200]),
    "0332": ([200], ["completed"], [200]),
    "0400": ([200], [], [200, 200]),
    "0401": ([200], [], [404, 404]),
    "0402": ([200], [], [500, 200, 200]),
    "0403": ([200], [], [200, 200]),
    "0404": ([200], [], [200, 200]),
    "0405": ([200], [], [401, 401]),
    "0406": ([200], [], [HANGS]),
    "0407": ([200], [], [DROPPED, DROPPED]),
    "0408": ([200], [], [200]),
    **dict.fromkeys(("0500", "0501", "0502", "0503", "0504", "0505", "0506", "0507"), ([DROPPED], [], [200])),
}


def number(digits: str) -> str:
    return f"+1500555{digits}"


def test_every_magic_number_is_tested() -> None:
    assert {number(digits) for digits in EXPECTED} == MAGIC_NUMBERS.keys()


@pytest.mark.parametrize("digits", EXPECTED)
def test_a_magic_number(face: Face, digits: str) -> None:
    (posts, webhooks, statuses), callback = EXPECTED[digits], face.callback()
    rings = bool(statuses)

    assert [see(seen, face.post, number(digits), callbackUrl=callback) for seen in posts] == posts

    dials = face.allomia.dials()
    assert dials.attempted == {callback: len(posts)}
    assert dials.accepted == ({callback: 1} if rings else {})
    assert MAGIC_NUMBERS[number(digits)].dials == rings
    assert [hook["status"] for hook in face.webhooks(callback, len(webhooks))] == webhooks
    if rings:
        call_id = face.allomia.calls()[0].outbound_call_id
        assert [see(seen, face.status, call_id) for seen in statuses] == statuses
        assert face.allomia.calls()[0].status_reads == len(statuses)


def see(expected: Seen, ask: Callable[..., httpx.Response], subject: str, **more: str) -> Seen:
    """What `ask` returns; an answer that hangs is not waited for."""
    try:
        return ask(subject, timeout=SHORT_SECONDS if expected is HANGS else PATIENCE_SECONDS, **more).status_code
    except httpx.HTTPError as failure:
        return type(failure)


def test_a_call_can_fail_in_the_answer(face: Face) -> None:
    answer = face.post(number("0104")).json()

    assert answer["status"] == face.status(answer["outboundCallId"]).json()["status"] == "failed"


def test_a_declined_order_may_repeat_the_number(face: Face) -> None:
    assert face.post(number("0300")).json() == {"error": f"Invalid phone number: {number('0300')}"}


@pytest.mark.parametrize(("digits", "wait"), [("0306", "17"), ("0307", "17"), ("0312", None)])
def test_retry_after_is_sent_as_configured(face: Face, digits: str, wait: str | None) -> None:
    face.allomia.configure(retry_after_seconds=17)

    assert face.post(number(digits)).headers.get("Retry-After") == wait


def test_once_means_once_per_callback_url(face: Face) -> None:
    urls = [face.callback(), face.callback()]

    codes = [face.post(number("0306"), callbackUrl=url).status_code for url in urls * 2]

    assert codes == [429, 429, 200, 200]


@pytest.mark.parametrize("digits", ["0316", "0324"])
def test_a_hanging_connection_is_closed_in_the_end(face: Face, digits: str) -> None:
    face.allomia.configure(hang_seconds=0.05)

    with pytest.raises(httpx.RemoteProtocolError):
        face.post(number(digits))


def test_an_accepted_call_can_have_an_unreadable_answer(face: Face) -> None:
    html, unknown_status, no_ids, huge = (face.post(number(digits)) for digits in ("0325", "0326", "0327", "0328"))

    assert html.text.startswith("<!doctype html>")
    assert unknown_status.json()["status"] == "transferred"
    assert no_ids.json().keys() == {"status", "message"}
    assert len(huge.content) > 16 * 1024 * 1024
    assert huge.json()["outboundCallId"] == face.allomia.calls()[3].outbound_call_id


def test_a_body_can_trickle_in_slower_than_any_read(face: Face) -> None:
    face.allomia.configure(hang_seconds=0.8)

    answer = face.post(number("0329"), timeout=0.5)

    assert answer.json()["outboundCallId"] == face.allomia.calls()[0].outbound_call_id


def test_a_status_can_be_stuck_or_unreadable(face: Face) -> None:
    stuck, not_found, garbage, unknown = (
        face.post(number(digits)).json()["outboundCallId"] for digits in ("0400", "0401", "0403", "0404")
    )
    face.wait_until_over()

    assert face.status(stuck).json()["status"] == "calling"
    assert "callDetails" not in face.status(stuck).json()
    assert face.status(not_found).json() == {"error": "Outbound call not found"}
    assert face.status(garbage).text.startswith("<!doctype html>")
    assert face.status(unknown).json()["status"] == "transferred"


@pytest.mark.parametrize(
    ("post", "code", "rings"),
    [
        ("decline-429", 429, False),
        ("decline-503", 503, False),
        ("fail-500", 500, False),
        ("fail-500-after-accept", 500, True),
        ("garbage-after-accept", 200, True),
    ],
)
def test_a_fault_applies_to_every_number(face: Face, post: str, code: int, rings: bool) -> None:
    face.allomia.configure(post=post)

    assert [face.post(phone).status_code for phone in (number("0101"), "+33612345678")] == [code, code]

    assert face.allomia.dials().attempted == {"": 2}
    assert face.allomia.dials().accepted == ({"": 2} if rings else {})


@pytest.mark.parametrize(
    ("webhooks", "sent"), [("normal", 1), ("lost", 0), ("duplicated", 2), ("early", 1), ("late", 1)]
)
def test_webhooks_can_fail_for_every_number(face: Face, webhooks: str, sent: int) -> None:
    callback = face.callback()
    face.allomia.configure(webhooks=webhooks, late_seconds=0.05, post="fail-500-after-accept")
    face.post(number("0101"), callbackUrl=callback)
    face.allomia.configure(webhooks="normal")

    assert [hook["status"] for hook in face.webhooks(callback, sent)] == ["busy"] * sent


@pytest.mark.parametrize(
    ("status", "code"),
    [("not-found", 404), ("decline-401", 401), ("decline-429", 429), ("fail-500", 500), ("fail-503", 503)],
)
def test_the_status_can_fail_for_every_call(face: Face, status: str, code: int) -> None:
    call_id = face.post().json()["outboundCallId"]
    face.allomia.configure(status=status)

    assert [face.status(call_id).status_code for _ in range(2)] == [code, code]
    face.allomia.configure(status="normal")
    assert face.status(call_id).status_code == 200


def test_latency_delays_the_answer_but_not_the_call(face: Face) -> None:
    face.allomia.configure(latency_seconds=0.2)

    with pytest.raises(httpx.ReadTimeout):
        face.post(timeout=0.05)

    assert len(face.allomia.calls()) == 1


def test_a_fault_can_be_random_and_repeatable(face: Face) -> None:
    def play() -> list[int]:
        face.allomia.configure(post="decline-503", probability=0.5, seed=7)
        return [face.post().status_code for _ in range(16)]

    first, second = play(), play()

    assert set(first) == {200, 503}
    assert first == second
    face.allomia.configure(probability=0)
    assert face.post().status_code == 200


def test_a_double_dial_is_counted(face: Face) -> None:
    once, twice, never = (face.callback() for _ in range(3))
    for callback in (once, twice, twice):
        face.post(callbackUrl=callback)
    face.post(number("0310"), callbackUrl=never)
    face.post("not a number", callbackUrl=never)

    dials = face.allomia.dials()

    assert dials.accepted == {once: 1, twice: 2}
    assert dials.attempted == {once: 1, twice: 2, never: 2}


def test_the_table_of_numbers_is_complete() -> None:
    lines = as_markdown().splitlines()

    assert len(lines) == len(MAGIC_NUMBERS) + 3
    assert {line.count("|") for line in lines} == {6}
