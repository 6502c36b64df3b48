"""What is known of a call after AlloMia answered: the decision table, row by row, over a transport."""

import email.utils
import gzip
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.adapters.allomia import (
    KEY_UNUSABLE,
    MAX_EXCHANGE_SECONDS,
    NOT_FOUND,
    UNREADABLE,
    Accepted,
    AllomiaClient,
    Ambiguous,
    Declined,
    Ended,
    Found,
    KeyUnusable,
    NotAccepted,
    PlaceAnswer,
    StatusAnswer,
    StatusUnavailable,
    Throttled,
    http_client,
)
from outbound_calls.adapters.organizations import Organization, Organizations
from outbound_calls.adapters.secrets import REREAD_SECONDS
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Status
from outbound_calls.domain.attempts import CallDetails, Outcome
from tests.unit.parts import (
    AN_ORGANIZATION,
    API_KEY,
    ASSISTANT_ID,
    CALL_ID,
    CONTACT_ID,
    OTHER_CALL_ID,
    PHONE_NUMBER,
    PHONE_NUMBER_ID,
    Clock,
    SecretsInMemory,
    a_request,
    a_secret,
    organizations_in,
)

CALLBACK_URL = "https://hooks.example/webhooks/allomia/visit-2031/1/eT2rU8HEvnZrZ-6brnHtFXxb9HGDwyDjlz5v7jsxfQ4"
CALLING = {"outboundCallId": CALL_ID, "contactId": CONTACT_ID, "status": "calling", "message": "Call started"}

type Handler = Callable[[httpx.Request], httpx.Response]


def answer(code: int, content: Any = None, headers: dict[str, str] | None = None) -> Handler:
    """Answers every request the same."""
    body = {"content": content} if isinstance(content, bytes | str) else {"json": content} if content else {}
    return lambda _request: httpx.Response(code, headers=headers, **body)


def claims_gzip(content: bytes) -> Handler:
    """Answers in plain bytes, and says that they are compressed."""
    stream = httpx.ByteStream(content)
    return lambda _request: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=stream)


def fails(error: type[httpx.RequestError]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error("no", request=request)

    return handler


@dataclass
class RecordedAllomia:
    """A client of AlloMia over a transport, the requests it made, and its key in Secrets Manager."""

    handler: Handler
    secrets: SecretsInMemory = field(default_factory=lambda: SecretsInMemory({"AWSCURRENT": API_KEY}))
    clock: Clock = field(default_factory=Clock)
    requests: list[httpx.Request] = field(default_factory=list)

    @contextmanager
    def client(self) -> Iterator[AllomiaClient]:
        with http_client("https://allomia.example/", httpx.MockTransport(self._handle)) as http:
            yield AllomiaClient(http, Organizations(a_secret(self.secrets, self.clock)))

    def place(self, **request: Any) -> PlaceAnswer:
        with self.client() as client:
            organization = client.organization_named(None)
            if isinstance(organization, KeyUnusable):
                return organization
            return client.place_call(organization, a_request(**request), CALLBACK_URL)

    def status(self) -> StatusAnswer:
        with self.client() as client:
            return client.call_status(AN_ORGANIZATION, CALL_ID)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.handler(request)


def accepted(
    status: Status | None = None, contact_id: str | None = CONTACT_ID, allomia_status: str | None = None
) -> Accepted:
    outcome = Outcome(status, OutcomeSource.DISPATCH, CALL_ID, contact_id) if status else None
    return Accepted(CALL_ID, contact_id, outcome, allomia_status)


ENDED = Ended(Outcome(Status.FAILED, OutcomeSource.DISPATCH))


def refused(reason: str) -> Declined:
    return Declined(reason)


def rate_limited(detail: str, retry_after: float) -> Throttled:
    return Throttled(ParkReason.RATE_LIMITED, detail, retry_after)


# The decision table: what came back, and what is then known of the call.
PLACED: dict[str, tuple[Handler, PlaceAnswer]] = {
    # No: nothing was sent.
    "connect error": (fails(httpx.ConnectError), NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "ConnectError")),
    "connect timeout": (fails(httpx.ConnectTimeout), NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "ConnectTimeout")),
    "pool timeout": (fails(httpx.PoolTimeout), NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "PoolTimeout")),
    # No: AlloMia accepted nothing.
    "429": (answer(429), rate_limited("HTTP 429", 0)),
    "429 with Retry-After": (
        answer(429, headers={"Retry-After": "120"}),
        rate_limited("HTTP 429", 120),
    ),
    "429 with an unreadable Retry-After": (
        answer(429, headers={"Retry-After": "soon"}),
        rate_limited("HTTP 429", 0),
    ),
    "503 with Retry-After": (
        answer(503, headers={"Retry-After": "7"}),
        rate_limited("HTTP 503", 7),
    ),
    "503 with Retry-After 0": (
        answer(503, headers={"Retry-After": "0"}),
        rate_limited("HTTP 503", 0),
    ),
    "401": (answer(401, {"error": "Unauthorized"}), KeyUnusable(ParkReason.KEY_DECLINED, "HTTP 401")),
    "403": (answer(403, {"error": "Forbidden"}), KeyUnusable(ParkReason.KEY_DECLINED, "HTTP 403")),
    # No: it is to be sent elsewhere.
    "301": (
        answer(301, headers={"Location": "https://www.allomia.example/api/outbound"}),
        NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "HTTP 301"),
    ),
    "307": (
        answer(307, headers={"Location": "https://allomia.example/elsewhere"}),
        NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "HTTP 307"),
    ),
    "308": (
        answer(308, headers={"Location": "/api/outbound"}),
        NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, "HTTP 308"),
    ),
    # No: refused.
    "400": (answer(400, {"error": "phoneNumber is invalid"}), refused("HTTP 400, names phoneNumber: invalid")),
    "404": (answer(404, {"error": "Assistant not found"}), refused("HTTP 404: not found")),
    "422": (answer(422, {"error": "Invalid"}), refused("HTTP 422: invalid")),
    "402": (answer(402, {"error": "No credit"}), refused("HTTP 402: credit")),
    "409": (answer(409, {"error": "Conflict"}), refused("HTTP 409: conflict")),
    "418": (answer(418, {"error": "I am a teapot"}), refused("HTTP 418: no known words")),
    "404 of a proxy": (answer(404, "<html>nginx</html>"), Declined("HTTP 404, not AlloMia's own answer")),
    "405 without a body": (answer(405), Declined("HTTP 405, not AlloMia's own answer")),
    "413 of a proxy": (answer(413, "<html>too large</html>"), Declined("HTTP 413, not AlloMia's own answer")),
    "499 of JSON that is no error": (answer(499, {"ok": True}), Declined("HTTP 499, not AlloMia's own answer")),
    # Yes.
    "200 calling": (answer(200, CALLING), accepted()),
    "201 calling": (answer(201, CALLING), accepted()),
    "202 calling": (answer(202, CALLING), accepted()),
    "200 failed": (answer(200, CALLING | {"status": "failed"}), accepted(Status.FAILED)),
    "200 completed": (answer(200, CALLING | {"status": "completed"}), accepted(Status.COMPLETED)),
    "200 without a contact": (answer(200, CALLING | {"contactId": None}), accepted(contact_id=None)),
    "200 failed without an id": (answer(200, {"status": "failed", "message": "no line"}), ENDED),
    "200 failed with an empty id": (answer(200, {"status": "failed", "outboundCallId": None}), ENDED),
    "200 failed with an odd id": (answer(200, {"status": "failed", "outboundCallId": "1"}), ENDED),
    "200 new status": (answer(200, CALLING | {"status": "queued"}), accepted(allomia_status="queued")),
    "200 no status": (answer(200, {"outboundCallId": CALL_ID}), accepted(contact_id=None, allomia_status="")),
    "200 odd status": (answer(200, CALLING | {"status": {"state": 7}}), accepted(allomia_status="")),
    "200 with a byte order mark": (answer(200, b"\xef\xbb\xbf" + json.dumps(CALLING).encode()), accepted()),
    "200 utf-16": (answer(200, json.dumps(CALLING).encode("utf-16")), accepted()),
    "200 large": (answer(200, CALLING | {"x": "y" * 200_000}), accepted()),
    "200 of no encoding": (answer(200, CALLING, headers={"Content-Encoding": " Identity "}), accepted()),
    # Maybe: the answer says too little.
    "200 empty": (answer(200), Ambiguous("HTTP 200, unreadable: body")),
    "204": (answer(204), Ambiguous("HTTP 204, unreadable: body")),
    "200 html": (answer(200, "<html>OK</html>"), Ambiguous("HTTP 200, unreadable: body")),
    "200 no object": (answer(200, [CALLING]), Ambiguous("HTTP 200, unreadable: body")),
    "200 cut": (answer(200, json.dumps(CALLING)[:-1]), Ambiguous("HTTP 200, unreadable: body")),
    "200 deep": (answer(200, "[" * 60_000), Ambiguous("HTTP 200, unreadable: body")),
    "200 huge": (answer(200, CALLING | {"x": "y" * 300_000}), Ambiguous("HTTP 200, unreadable: body")),
    "200 no utf-8": (answer(200, b"\xff\xfe"), Ambiguous("HTTP 200, unreadable: body")),
    "200 no id": (answer(200, {"status": "calling"}), Ambiguous("HTTP 200, unreadable: outboundCallId")),
    "200 odd id": (answer(200, CALLING | {"outboundCallId": "1"}), Ambiguous("HTTP 200, unreadable: outboundCallId")),
    "200 neither": (answer(200, {"message": "ok"}), Ambiguous("HTTP 200, unreadable: status")),
    "200 new status and no id": (
        answer(200, {"status": "queued"}),
        Ambiguous("HTTP 200, unreadable: outboundCallId"),
    ),
    "200 in gzip": (
        answer(200, gzip.compress(json.dumps(CALLING).encode()), headers={"Content-Encoding": "gzip"}),
        Ambiguous("HTTP 200, unreadable: body"),
    ),
    "200 that claims to be in gzip": (
        claims_gzip(json.dumps(CALLING).encode()),
        Ambiguous("HTTP 200, unreadable: body"),
    ),
    # Maybe: the POST may have arrived.
    "read timeout": (fails(httpx.ReadTimeout), Ambiguous("ReadTimeout")),
    "write timeout": (fails(httpx.WriteTimeout), Ambiguous("WriteTimeout")),
    "read error": (fails(httpx.ReadError), Ambiguous("ReadError")),
    "write error": (fails(httpx.WriteError), Ambiguous("WriteError")),
    "close error": (fails(httpx.CloseError), Ambiguous("CloseError")),
    "connection dropped": (fails(httpx.RemoteProtocolError), Ambiguous("RemoteProtocolError")),
    "proxy error": (fails(httpx.ProxyError), Ambiguous("ProxyError")),
    "408": (answer(408), Ambiguous("HTTP 408")),
    "500": (answer(500, {"error": "Internal server error"}), Ambiguous("HTTP 500")),
    "501": (answer(501), Ambiguous("HTTP 501")),
    "502": (answer(502), Ambiguous("HTTP 502")),
    "503": (answer(503), Ambiguous("HTTP 503")),
    "503 with an unreadable Retry-After": (answer(503, headers={"Retry-After": "soon"}), Ambiguous("HTTP 503")),
    "504": (answer(504), Ambiguous("HTTP 504")),
    "500 with Retry-After": (answer(500, headers={"Retry-After": "7"}), Ambiguous("HTTP 500")),
    "502 with Retry-After": (answer(502, headers={"Retry-After": "7"}), Ambiguous("HTTP 502")),
    "599": (answer(599), Ambiguous("HTTP 599")),
    # Maybe: such a redirect is also the answer to a POST that was done (RFC 9110, section 15.4.4).
    "302": (answer(302, headers={"Location": "https://allomia.example/calls/7"}), Ambiguous("HTTP 302")),
    "303": (answer(303, headers={"Location": "https://allomia.example/calls/7"}), Ambiguous("HTTP 303")),
}


@pytest.mark.parametrize("row", PLACED)
def test_an_answer_says_what_happened_to_the_call(row: str) -> None:
    handler, known = PLACED[row]
    allomia = RecordedAllomia(handler)

    found = allomia.place()

    assert (type(found), found) == (type(known), known)
    assert len(allomia.requests) == 1


@pytest.mark.parametrize("code", range(300, 600))
def test_only_some_codes_prove_that_nothing_was_accepted(code: int) -> None:
    """Every code there is, with and without Retry-After, so that no case of the table swallows another."""
    retryable = {301, 307, 308, 401, 403, 429}
    never = set(range(400, 500)) - retryable - {408}

    for headers in ({}, {"Retry-After": "60"}):
        found = RecordedAllomia(answer(code, headers=headers)).place()

        if code in retryable or (code == 503 and headers):
            assert isinstance(found, NotAccepted)
        elif code in never:
            assert isinstance(found, Declined)
        else:
            assert isinstance(found, Ambiguous)


@settings(max_examples=100, deadline=None)
@given(st.integers(200, 299), st.binary(max_size=200))
def test_an_unreadable_success_is_never_taken_for_a_refusal(code: int, content: bytes) -> None:
    assert isinstance(RecordedAllomia(answer(code, content)).place(), Ambiguous | Accepted)


def test_the_request_is_what_the_documentation_says() -> None:
    allomia = RecordedAllomia(answer(200, CALLING))

    allomia.place(
        customer_name="Ada Lovelace",
        dynamic_variables={"time": "10:30"},
    )

    (request,) = allomia.requests
    assert (request.method, str(request.url)) == ("POST", "https://allomia.example/api/outbound")
    assert json.loads(request.content) == {
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": "Ada Lovelace",
        "dynamicVariables": {"time": "10:30"},
        "callbackUrl": CALLBACK_URL,
    }
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"] == "allomia-outbound-calls"
    assert "Cookie" not in request.headers


def test_fields_without_a_value_are_not_sent() -> None:
    allomia = RecordedAllomia(answer(200, CALLING))

    allomia.place()

    assert json.loads(allomia.requests[0].content).keys() == {
        "phoneNumber",
        "assistantId",
        "phoneNumberId",
        "callbackUrl",
    }


def test_a_name_of_any_script_is_sent_as_utf_8() -> None:
    allomia = RecordedAllomia(answer(200, CALLING))

    allomia.place(customer_name="Zoë 山田 👋")

    assert json.loads(allomia.requests[0].content.decode())["customerName"] == "Zoë 山田 👋"


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("https://allomia.example/v2", "https://allomia.example/v2/api/outbound"),
        ("https://allomia.example/v2/", "https://allomia.example/v2/api/outbound"),
        ("https://allomia.example/v2//", "https://allomia.example/v2/api/outbound"),
        ("https://allomia.example/X", "https://allomia.example/X/api/outbound"),
    ],
)
def test_a_base_url_may_have_a_path(base_url: str, asked: str) -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=CALLING)

    with http_client(base_url, httpx.MockTransport(handler)) as http:
        AllomiaClient(http, organizations_in()).place_call(AN_ORGANIZATION, a_request(), CALLBACK_URL)

    assert str(requests[0].url) == asked


@pytest.mark.parametrize("missing", ["assistant_id", "phone_number_id"])
def test_no_call_is_placed_without_an_assistant_or_a_number_to_call_from(missing: str) -> None:
    allomia = RecordedAllomia(answer(200, CALLING))

    with pytest.raises(ValueError, match=r"^a call is placed with an assistant and a number to call from$"):
        allomia.place(**{missing: None})

    assert allomia.requests == []


def test_the_key_may_stand_in_json() -> None:
    allomia = RecordedAllomia(answer(200, CALLING), SecretsInMemory({"AWSCURRENT": '{"apiKey": "from-json"}'}))

    allomia.place()

    assert allomia.requests[0].headers["Authorization"] == "Bearer from-json"


# Retry-After.


def http_date(seconds_from_now: float) -> str:
    return email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=seconds_from_now), usegmt=True)


def retry_after(value: str | bytes, name: bytes = b"Retry-After") -> float:
    raw = value if isinstance(value, bytes) else value.encode()
    found = RecordedAllomia(lambda _request: httpx.Response(429, headers=[(name, raw)])).place()
    assert isinstance(found, Throttled)
    return found.retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        (" 120 ", 120),
        ("900", 900),
        ("901", 900),
        ("86400", 900),
        ("1775053800", 900),
        ("9" * 5000, 900),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 2994 08:49:37 GMT", 900),
    ],
)
def test_retry_after_is_read_and_never_takes_the_time_for_another_try(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "-1", "+5", "1.5", "1e3", "0x10", "1,2", "soon", "tomorrow", "٣", "²", "\xff"),
        *("Sun, 06 Nov 2994 08:49:37 -0000", "Sun Nov  6 08:49:37 2994", "Sunday, 06-Nov-94"),
        *("Sun, 06 Nov 99999999999 08:49:37 GMT", "Sun, 06 Nov 2994 08:49:37 +99999999999999999999", "06 Foo 2994"),
    ],
)
def test_a_retry_after_that_cannot_be_read_asks_for_nothing(value: str) -> None:
    assert retry_after(value) == 0


@pytest.mark.parametrize("name", [b"retry-after", b"RETRY-AFTER"])
def test_the_header_may_be_in_any_capitals(name: bytes) -> None:
    assert retry_after("120", name) == 120


def test_retry_after_may_be_a_date() -> None:
    assert retry_after(http_date(90)) == pytest.approx(90, abs=5)
    assert retry_after(http_date(-90)) == 0


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)
    | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,12} (Nov|Foo) [0-9]{1,12} [0-9:]{1,12} [+-]?[0-9A-Z]{1,12}\Z")
)
def test_no_retry_after_makes_it_raise(value: str) -> None:
    assert 0 <= retry_after(value.encode("latin-1")) <= 900


# AlloMia's words. They may repeat what they were sent, in any form, so none of them is kept.


def reason(content: Any, code: int = 400, **request: Any) -> str:
    body = content if isinstance(content, str | bytes) else json.dumps(content)
    found = RecordedAllomia(answer(code, body)).place(**request)
    assert isinstance(found, Declined)
    return found.reason


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("phoneNumber is invalid", ", names phoneNumber: invalid"),
        ("Phone number must be valid: malformed", ", names phoneNumber: invalid"),
        ("phone_number_id: no such number", ", names phoneNumberId: not found"),
        ("phoneNumberId and phoneNumber are required", ", names phoneNumberId, phoneNumber: required"),
        ("Assistant does not exist", ": not found"),
        ("assistantId is missing", ", names assistantId: required"),
        ("customerName is too long", ", names customerName: too long"),
        ("dynamicVariables: not allowed", ", names dynamicVariables: not allowed"),
        ("callbackUrl answers 404", ", names callbackUrl: no known words"),
        ("INSUFFICIENT BALANCE", ": credit"),
        ("Too many concurrent calls, the limit is 5", ": limit"),
        ("This account is suspended", ": inactive"),
        ("This contact is being called already", ": conflict"),
        ("", ": no known words"),
        # It is read as it is written: the quotation mark is the first of its 4000 characters.
        ("x" * 3992 + "invalid", ": invalid"),
        ("x" * 3993 + "invalid", ": no known words"),
        ("phone-number of assistant id", ", names phoneNumber, assistantId: no known words"),
    ],
)
def test_a_refusal_is_put_into_fixed_words(said: str, kept: str) -> None:
    assert reason({"error": said}) == f"HTTP 400{kept}"


WORDINGS = {
    "not found": ("not found", "no such", "not exist"),
    "invalid": ("invalid", "not valid", "malformed"),
    "required": ("required", "missing"),
    "credit": ("credit", "balance", "payment", "billing"),
    "limit": ("limit", "quota", "too many"),
    "not allowed": ("not allowed", "forbidden", "permission", "blocked"),
    "inactive": ("inactive", "disabled", "suspended", "deleted"),
    "conflict": ("conflict", "already", "duplicate"),
    "too long": ("too long", "too large"),
}


@pytest.mark.parametrize(("word", "wording"), [(word, each) for word, known in WORDINGS.items() for each in known])
def test_each_wording_has_its_word(word: str, wording: str) -> None:
    assert reason({"error": wording}) == reason({"error": wording.upper()}) == f"HTTP 400: {word}"


def test_several_words_stand_in_a_fixed_order() -> None:
    assert reason({"error": "limit reached, not found, invalid"}) == "HTTP 400: not found, invalid, limit"


@pytest.mark.parametrize(
    "content",
    [
        {"error": "assistantId is invalid"},
        {"message": "assistantId is invalid"},
        {"message": ["customerName is fine", "assistantId is invalid"], "statusCode": 400},
        {"error": {"code": 7, "message": "assistantId is invalid"}},
        {"title": "Bad request", "detail": "assistantId is invalid", "status": 400},
        {"detail": [{"loc": ["body", "assistantId"], "msg": "value is invalid"}]},
        {"errors": [{"path": "assistantId", "message": "invalid"}]},
    ],
)
def test_a_refusal_is_read_in_the_usual_shapes(content: object) -> None:
    assert reason(content).endswith("assistantId" + (", customerName" if "fine" in str(content) else "") + ": invalid")


@pytest.mark.parametrize("body", ["", "[]", "null", '"error"', "{}", '{"ok": false}', "<html>", b"\xff", '{"error":'])
def test_a_page_of_a_proxy_is_not_allomias_own_answer(body: str | bytes) -> None:
    found = RecordedAllomia(answer(404, body)).place()

    assert found == Declined("HTTP 404, not AlloMia's own answer")


REASON = re.compile(
    r"HTTP 4\d\d(, not AlloMia's own answer"
    r"|(, names (phoneNumberId|phoneNumber|assistantId|customerName|dynamicVariables|callbackUrl)(, \w+)*)?"
    r": (not found|invalid|required|credit|limit|not allowed|inactive|conflict|too long|no known words)(, [a-z ]+)*)"
)
ALPHABET = {
    *("HTTP", "names", "not", "AlloMia's", "own", "answer", "found", "invalid", "required", "credit", "limit"),
    *("allowed", "inactive", "conflict", "too", "long", "no", "known", "words"),
    *("phoneNumberId", "phoneNumber", "assistantId", "customerName", "dynamicVariables", "callbackUrl"),
}


@settings(max_examples=300, deadline=None)
@given(
    st.integers(404, 499).filter(lambda code: code not in {408, 429}),
    st.recursive(
        st.text()
        | st.sampled_from([PHONE_NUMBER, "Zoë O'Brien", CALLBACK_URL, API_KEY, "names Zoë: invalid", "limit"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "message", "detail", "title", "errors"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
def test_nothing_but_fixed_words_comes_out_of_an_error(code: int, content: object) -> None:
    said = reason(content, code, customer_name="Zoë O'Brien")

    assert REASON.fullmatch(said)
    assert {*re.split(r"[ ,:]+", said)} - {str(code)} <= ALPHABET


def test_the_longest_error_is_read_quickly() -> None:
    hostile = "phoneNumberphoneNumberIdinvalid \\u0041" * 6000
    began = time.process_time()

    found = reason({"error": hostile}, dynamic_variables={f"v{i}": "a" * (i + 1) for i in range(50)})

    assert found == "HTTP 400, names phoneNumberId, phoneNumber: invalid"
    assert time.process_time() - began < 0.5


def test_no_cookie_is_kept() -> None:
    allomia = RecordedAllomia(answer(200, CALLING, headers={"Set-Cookie": "session=zqx; Path=/"}))

    with allomia.client() as client:
        for _ in range(2):
            client.place_call(AN_ORGANIZATION, a_request(), CALLBACK_URL)
        client.call_status(AN_ORGANIZATION, CALL_ID)

    assert [request.headers.get("Cookie") for request in allomia.requests] == [None] * 3


def test_an_answer_is_read_until_the_deadline() -> None:
    for last, known in (
        (MAX_EXCHANGE_SECONDS, accepted()),
        (MAX_EXCHANGE_SECONDS + 1, Ambiguous("HTTP 200, unreadable: body")),
    ):
        with http_client("https://allomia.example", httpx.MockTransport(answer(200, CALLING))) as http:
            client = AllomiaClient(http, organizations_in(), clock=iter([0.0, last]).__next__)

            assert client.place_call(AN_ORGANIZATION, a_request(), CALLBACK_URL) == known


# The key.


def test_a_declined_key_is_read_again_for_the_next_call() -> None:
    allomia = RecordedAllomia(answer(401), clock=Clock())
    with allomia.client() as client:

        def place() -> None:
            organization = client.organization_named(None)
            assert isinstance(organization, Organization)
            client.place_call(organization, a_request(), CALLBACK_URL)

        place()
        allomia.secrets.rotate("the-new-key")
        allomia.clock.pass_seconds(REREAD_SECONDS)
        place()
        place()
        place()

    sent = [request.headers["Authorization"] for request in allomia.requests]
    assert sent == [f"Bearer {API_KEY}"] * 2 + ["Bearer the-new-key"] * 2
    assert allomia.secrets.reads == ["AWSCURRENT"] * 2


@pytest.mark.parametrize(
    ("secrets", "detail"),
    [
        (SecretsInMemory({"AWSCURRENT": None}), "the secret has no SecretString"),
        (SecretsInMemory({"AWSCURRENT": "two words"}), "the secret holds no key of printable ASCII characters"),
        (SecretsInMemory(), "the secret can't be read: ResourceNotFoundException"),
        (
            SecretsInMemory(fault=ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")),
            "the secret can't be read: AccessDeniedException",
        ),
        (
            SecretsInMemory(fault=ConnectTimeoutError(endpoint_url="https://zqx.example")),
            "the secret can't be read: ConnectTimeoutError",
        ),
    ],
)
def test_without_a_key_nothing_is_sent(secrets: SecretsInMemory, detail: str) -> None:
    allomia = RecordedAllomia(answer(200, CALLING), secrets)

    with allomia.client() as client:
        assert client.organization_named(None) == KeyUnusable(ParkReason.KEY_UNREADABLE, detail)
    assert allomia.requests == []


def test_an_organization_is_found_by_its_name() -> None:
    keys = {"organizations": {"default": {"apiKey": API_KEY}, "north": {"apiKey": "north-key"}}}
    allomia = RecordedAllomia(answer(200, CALLING), SecretsInMemory({"AWSCURRENT": json.dumps(keys)}))

    with allomia.client() as client:
        assert client.organization_named("north") == Organization("north-key")


# The status of a call.

COMPLETED = {
    "outboundCallId": CALL_ID,
    "contactId": CONTACT_ID,
    "status": "completed",
    "callDetails": {"duration": 150},
}
COMPLETED_OUTCOME = Outcome(Status.COMPLETED, OutcomeSource.POLL, CALL_ID, CONTACT_ID, CallDetails(duration=150))
STATUS: dict[str, tuple[Handler, StatusAnswer]] = {
    "calling": (answer(200, CALLING), Found(None)),
    "completed": (answer(200, COMPLETED), Found(COMPLETED_OUTCOME)),
    "in capitals": (answer(200, CALLING | {"outboundCallId": CALL_ID.upper()}), Found(None)),
    "404": (answer(404, {"error": "Outbound call not found"}), StatusUnavailable(NOT_FOUND)),
    "401": (answer(401, {"error": "Unauthorized"}), StatusUnavailable(KEY_UNUSABLE)),
    "403": (answer(403), StatusUnavailable(KEY_UNUSABLE)),
    "429": (answer(429, headers={"Retry-After": "60"}), StatusUnavailable("HTTP 429")),
    "400": (answer(400), StatusUnavailable("HTTP 400")),
    "500": (answer(500), StatusUnavailable("HTTP 500")),
    "502": (answer(502), StatusUnavailable("HTTP 502")),
    "503": (answer(503), StatusUnavailable("HTTP 503")),
    "302": (answer(302, headers={"Location": "/login"}), StatusUnavailable("HTTP 302")),
    "read timeout": (fails(httpx.ReadTimeout), StatusUnavailable("ReadTimeout")),
    "connect error": (fails(httpx.ConnectError), StatusUnavailable("ConnectError")),
    "connection dropped": (fails(httpx.RemoteProtocolError), StatusUnavailable("RemoteProtocolError")),
    "html": (answer(200, "<html>login</html>"), StatusUnavailable(UNREADABLE)),
    "empty": (answer(204), StatusUnavailable(UNREADABLE)),
    "307": (answer(307, headers={"Location": "/login"}), StatusUnavailable("HTTP 307")),
    "new status": (answer(200, CALLING | {"status": "ringing"}), Found(None, "ringing")),
    "no status": (answer(200, CALLING | {"status": None}), StatusUnavailable(UNREADABLE)),
    "no id": (
        answer(200, {"status": "busy"}),
        Found(Outcome(Status.BUSY, OutcomeSource.POLL)),
    ),
    "large": (answer(200, COMPLETED | {"x": "y" * 200_000}), Found(COMPLETED_OUTCOME)),
    "huge": (answer(200, COMPLETED | {"x": "y" * 300_000}), StatusUnavailable(UNREADABLE)),
    "in gzip": (
        answer(200, gzip.compress(json.dumps(COMPLETED).encode()), headers={"Content-Encoding": "gzip"}),
        StatusUnavailable(UNREADABLE),
    ),
    "another call": (answer(200, COMPLETED | {"outboundCallId": OTHER_CALL_ID}), StatusUnavailable(UNREADABLE)),
}


def test_the_reasons_are_those_that_alarms_and_logs_know() -> None:
    assert (NOT_FOUND, KEY_UNUSABLE, UNREADABLE) == ("not-found", "key-unusable", "unreadable-answer")


@pytest.mark.parametrize("row", STATUS)
def test_a_status_answer_says_what_was_learned(row: str) -> None:
    handler, known = STATUS[row]
    allomia = RecordedAllomia(handler)

    assert allomia.status() == known
    assert len(allomia.requests) == 1


def test_the_status_is_asked_for_as_the_documentation_says() -> None:
    allomia = RecordedAllomia(answer(200, CALLING))

    allomia.status()

    (request,) = allomia.requests
    assert (request.method, str(request.url)) == ("GET", f"https://allomia.example/api/outbound/{CALL_ID}/status")
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert request.content == b""


def test_a_path_is_fetched_with_its_parameters() -> None:
    allomia = RecordedAllomia(answer(200, b"content"))

    with allomia.client() as client:
        assert client.fetch(AN_ORGANIZATION, "/api/calls", {"page": "2"}) == b"content"

    assert str(allomia.requests[0].url) == "https://allomia.example/api/calls?page=2"


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_declined_by_a_status_request_is_read_again(code: int) -> None:
    allomia = RecordedAllomia(answer(code))
    with allomia.client() as client:
        for passed in (0, REREAD_SECONDS, 0):
            allomia.clock.pass_seconds(passed)
            organization = client.organization_named(None)
            assert isinstance(organization, Organization)
            client.call_status(organization, CALL_ID)

    assert allomia.secrets.reads == ["AWSCURRENT"] * 2


def test_a_request_leaves_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpx")

    RecordedAllomia(answer(200, CALLING)).status()

    assert caplog.messages == []
