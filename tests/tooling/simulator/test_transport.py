"""What only the transport has: scripted answers, hooks, and time that the test passes in."""

from contextlib import suppress

import httpx
import pytest

from local.simulator import ANSWERS, Means, PostAnswer, ScriptedAllomia, call_id, fails, returns
from local.simulator.behaviours import NOTHING_SENT
from outbound_calls.adapters.allomia import (
    Accepted,
    AllomiaClient,
    Ambiguous,
    Declined,
    Ended,
    NotAccepted,
    http_client,
)
from tests.tooling.simulator.conftest import ORDER, TransportFace
from tests.unit.parts import AN_ORGANIZATION, API_KEY, a_request, organizations_in

URL = "https://hooks.example/visit/1/signature"


CONCLUSIONS = {
    Means.ACCEPTED: Accepted,
    Means.FAILED: Ended,
    Means.DECLINED: Declined,
    Means.NOT_ACCEPTED: NotAccepted,
    Means.AMBIGUOUS: Ambiguous,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_what_the_stack_concludes(name: str) -> None:
    allomia = ScriptedAllomia(accepted_keys=(API_KEY,))
    allomia.post = name

    with http_client("https://allomia.example", allomia) as http:
        conclusion = AllomiaClient(http, organizations_in(), lambda: 0.0).place_call(AN_ORGANIZATION, a_request(), URL)

    assert isinstance(conclusion, CONCLUSIONS[ANSWERS[name].means])


@pytest.mark.parametrize("name", ANSWERS)
def test_posts_are_counted_as_attempted_accepted_and_possibly_accepted(
    transport_face: TransportFace, name: str
) -> None:
    answer, allomia = ANSWERS[name], transport_face.allomia
    allomia.post = name

    with suppress(httpx.TransportError):
        transport_face.post(callbackUrl=URL)

    assert allomia.dials().attempted.get(URL, 0) == len(allomia.posts) == (answer.error not in NOTHING_SENT)
    assert allomia.dials().accepted.get(URL, 0) == answer.accepted
    assert allomia.may_be_accepted[URL] == answer.means.may_be_accepted


def test_each_ambiguous_answer_exists_with_and_without_a_call() -> None:
    without = [name for name, answer in ANSWERS.items() if answer.means is Means.AMBIGUOUS and not answer.accepted]

    assert without
    for name in without:
        pair = ANSWERS[f"{name.removesuffix('-before-accept')}-after-accept"]
        assert (pair.accepted, pair.code, pair.error) == (True, ANSWERS[name].code, ANSWERS[name].error)


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (returns(200), Means.ACCEPTED),
        (returns(302), Means.AMBIGUOUS),
        (returns(308), Means.NOT_ACCEPTED),
        (returns(402), Means.DECLINED),
        (returns(403), Means.NOT_ACCEPTED),
        (returns(408), Means.AMBIGUOUS),
        (returns(429), Means.NOT_ACCEPTED),
        (returns(499), Means.DECLINED),
        (returns(500, Retry_After="60"), Means.AMBIGUOUS),
        (returns(503), Means.AMBIGUOUS),
        (returns(503, Retry_After="60"), Means.NOT_ACCEPTED),
        (returns(503, Retry_After="soon"), Means.AMBIGUOUS),
        (fails(httpx.ConnectTimeout), Means.NOT_ACCEPTED),
        (fails(httpx.ReadError), Means.AMBIGUOUS),
        (fails(ZeroDivisionError), Means.AMBIGUOUS),
    ],
)
def test_an_answer_made_for_a_test_means_the_same(answer: PostAnswer, means: Means) -> None:
    assert answer.means is means


def test_a_scripted_answer_is_given_as_it_is(transport_face: TransportFace) -> None:
    transport_face.allomia.post = returns(503, {"error": "down"}, Retry_After="60")
    transport_face.allomia.status = returns(200, "<html>")

    answer = transport_face.post()

    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (503, {"error": "down"}, "60")
    assert transport_face.status("any-call").text == "<html>"
    assert transport_face.allomia.polled == ["any-call"]


def test_a_scripted_exception_is_raised(transport_face: TransportFace) -> None:
    transport_face.allomia.post = fails(ZeroDivisionError)

    with pytest.raises(ZeroDivisionError):
        transport_face.post()


def test_without_a_script_allomia_is_healthy_again(transport_face: TransportFace) -> None:
    transport_face.allomia.post = "decline-404"
    assert transport_face.post().status_code == 404

    transport_face.allomia.post = None

    assert transport_face.post().status_code == 200


def test_a_second_post_that_may_ring_again_is_found(transport_face: TransportFace) -> None:
    transport_face.allomia.post = "decline-429"
    transport_face.post(callbackUrl=URL)
    transport_face.allomia.post = "fail-500"
    transport_face.post(callbackUrl=URL)
    transport_face.allomia.check_dials()

    transport_face.post(callbackUrl=URL)

    with pytest.raises(AssertionError, match=URL):
        transport_face.allomia.check_dials()


def test_a_test_can_act_before_the_answer(transport_face: TransportFace) -> None:
    allomia = transport_face.allomia
    webhooks: list[dict[str, object]] = []
    allomia.before_answer = lambda _: webhooks.append(allomia.state(URL, "completed"))

    answer = transport_face.post(callbackUrl=URL).json()

    assert [webhook["outboundCallId"] for webhook in webhooks] == [answer["outboundCallId"]]
    assert answer["outboundCallId"] == call_id(URL)
    assert "callDetails" in webhooks[0]


def test_the_state_of_a_call_that_was_never_placed_has_its_id(transport_face: TransportFace) -> None:
    state = transport_face.allomia.state(URL, "busy", contactId="c")

    assert state == {"outboundCallId": call_id(URL), "status": "busy", "contactId": "c"}


@pytest.mark.parametrize(
    ("webhooks", "seconds"), [("normal", [0.03]), ("early", [0.0]), ("late", [0.23]), ("duplicated", [0.03, 0.04])]
)
def test_webhooks_are_planned_with_their_time(
    transport_face: TransportFace, webhooks: str, seconds: list[float]
) -> None:
    transport_face.allomia.configure(webhooks=webhooks)

    transport_face.post(callbackUrl=URL)

    planned = [hook.at - transport_face.now for hook in transport_face.allomia.webhooks]
    assert planned == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("ok", 0.5),
        ("connect-error", 0),
        ("connect-timeout", 3),
        ("pool-timeout", 1),
        ("write-timeout-after-accept", 5),
        ("hang-after-accept", 12),
        ("drop-after-accept", 0),
    ],
)
def test_time_passes_as_the_clients_timeouts_allow(transport_face: TransportFace, name: str, seconds: float) -> None:
    transport_face.http.timeout = httpx.Timeout(12, connect=3, write=5, pool=1)
    transport_face.allomia.configure(latency_seconds=0.5, hang_seconds=60)
    transport_face.allomia.post = name
    began = transport_face.now

    with suppress(httpx.TransportError):
        transport_face.http.post("/api/outbound", json=ORDER)

    assert transport_face.now - began == seconds
