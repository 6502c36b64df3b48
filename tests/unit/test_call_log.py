"""The client's side of AlloMia's call log and of a call's record, on AlloMia's documented answers."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.simulator import ScriptedAllomia, organization_id
from outbound_calls.adapters.allomia import (
    KEY_UNUSABLE,
    MAX_ANSWER_BYTES,
    NOT_FOUND,
    UNREADABLE,
    AllomiaClient,
    StatusUnavailable,
    http_client,
)
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.organizations import Organization
from outbound_calls.contracts.call_log import CallRecord, LogPage, read_call_record, read_log_page
from outbound_calls.contracts.wire import InvalidInput
from tests.unit.parts import API_KEY, CALL_ID, a_request, organizations_in

ORGANIZATION = organization_id("own")
OWN = Organization(API_KEY, ORGANIZATION)
DAY = 86_400
ENTRY = {
    "id": CALL_ID,
    "organizationId": ORGANIZATION,
    "callType": "Outbound",
    "agentId": "11111111-2222-4333-8444-555555555555",
    "agentName": "Reminders",
    "phoneNumber": "+15145550199",
    "userPhoneNumber": "+15145550100",
    "callStartedAt": "2026-04-01T14:30:00Z",
    "callEndedAt": "2026-04-01T14:32:30Z",
    "callDurationSeconds": "150",
    "createdAt": "2026-04-01T14:29:55Z",
}
LINK = "https://files.example/c3d4/recording.mp3?signature=secret-of-the-link"
RECORD = ENTRY | {
    "callEndedReason": "customer-ended-call",
    "callOutcome": "appointment_confirmed",
    "callSummary": "Confirmed.",
    "callSummaryFr": "Confirmé.",
    "transcriptUrl": LINK,
    "recordingUrl": LINK,
}


def page(*calls: object, **pagination: object) -> bytes:
    return json.dumps({"calls": calls, "pagination": pagination}).encode()


def ask[T](answer: httpx.Response | Exception, question: Callable[[AllomiaClient], T]) -> T:
    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with http_client("https://allomia.example", httpx.MockTransport(handle)) as http:
        return question(AllomiaClient(http, organizations_in()))


def ask_for_page(allomia: AllomiaClient) -> LogPage | StatusUnavailable:
    return CallLog(allomia).calls_page(OWN, 0, DAY)


def ask_for_record(allomia: AllomiaClient) -> CallRecord | StatusUnavailable:
    return CallLog(allomia).call_record(OWN, CALL_ID)


def test_the_log_is_asked_for_as_the_documentation_says() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=page(ENTRY))

    with http_client("https://allomia.example", httpx.MockTransport(answer)) as http:
        CallLog(AllomiaClient(http, organizations_in())).calls_page(OWN, 0, DAY, page=2, limit=7)

    (request,) = asked
    assert (request.method, request.url.path) == ("GET", "/api/calls")
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert dict(request.url.params) == {
        "organizationId": ORGANIZATION,
        "callType": "Outbound",
        "from": "1970-01-01T00:00:00Z",
        "to": "1970-01-02T00:00:00Z",
        "sort": "asc",
        "page": "2",
        "limit": "7",
    }


def test_a_page_has_the_documented_fields() -> None:
    found = ask(httpx.Response(200, content=page(ENTRY, hasNextPage=True)), ask_for_page)

    assert isinstance(found, LogPage)
    (entry,) = found.entries
    assert entry.wire() == {name: ENTRY[name] for name in ENTRY if name != "agentName"} | {"callDurationSeconds": 150}
    assert (found.unreadable, found.more) == (0, True)


def test_a_record_has_the_documented_fields() -> None:
    found = ask(httpx.Response(200, json=RECORD), ask_for_record)

    assert isinstance(found, CallRecord)
    assert (found.outcome, found.french_summary) == ("appointment_confirmed", "Confirmé.")
    assert (found.call_summary, found.call_ended_reason) == ("Confirmed.", "customer-ended-call")
    assert found.transcript_url == found.recording_url == LINK


def test_the_client_and_the_simulator_agree() -> None:
    allomia = ScriptedAllomia(lambda: 1000.0, accepted_keys=(API_KEY,), ring_seconds=0)
    with http_client("https://allomia.example", allomia) as http:
        client = AllomiaClient(http, organizations_in())
        log = CallLog(client)
        for number in ("+15005550100", "+15005550101", "+15005550102"):
            client.place_call(OWN, a_request(phone_number=number), f"https://hooks.example/{number}/1/s")

        first, last = (log.calls_page(OWN, 0, DAY, page=number, limit=2) for number in (1, 2))
        none = log.calls_page(OWN, DAY, DAY)
        record = log.call_record(OWN, allomia.calls()[0].outbound_call_id)

    assert isinstance(first, LogPage)
    assert isinstance(last, LogPage)
    assert (len(first.entries), first.more, len(last.entries), last.more) == (2, True, 1, False)
    assert none == LogPage([], 0, False, 0)
    assert isinstance(record, CallRecord)
    assert (record.outcome, record.id) == ("appointment_confirmed", first.entries[0].id)


FAILURES: dict[str, tuple[httpx.Response | Exception, str]] = {
    "400": (httpx.Response(400, json={"error": "Invalid callType"}), "HTTP 400"),
    "401": (httpx.Response(401, json={"error": "Unauthorized"}), KEY_UNUSABLE),
    "403": (httpx.Response(403), KEY_UNUSABLE),
    "404": (httpx.Response(404, json={"error": "Organization not found"}), NOT_FOUND),
    "429": (httpx.Response(429), "HTTP 429"),
    "500": (httpx.Response(500), "HTTP 500"),
    "redirect": (httpx.Response(307, headers={"Location": "https://elsewhere.example"}), "HTTP 307"),
    "dropped": (httpx.RemoteProtocolError("x"), "RemoteProtocolError"),
    "timeout": (httpx.ReadTimeout("x"), "ReadTimeout"),
    "html": (httpx.Response(200, html="<html>"), UNREADABLE),
    "empty": (httpx.Response(200), UNREADABLE),
    "list": (httpx.Response(200, json=[ENTRY]), UNREADABLE),
    "nothing known": (httpx.Response(200, json={"data": {"pages": []}}), UNREADABLE),
    "too large": (httpx.Response(200, content=page(ENTRY) + b" " * MAX_ANSWER_BYTES), UNREADABLE),
}


@pytest.mark.parametrize("question", [ask_for_page, ask_for_record])
@pytest.mark.parametrize("row", FAILURES)
def test_a_failure_says_that_nothing_was_learned(
    row: str, question: Callable[[AllomiaClient], StatusUnavailable]
) -> None:
    answer, reason = FAILURES[row]

    assert ask(answer, question) == StatusUnavailable(reason)


def test_a_record_of_another_call_is_unreadable() -> None:
    other = RECORD | {"id": "00000000-0000-4000-8000-000000000000"}

    assert ask(httpx.Response(200, json=other), ask_for_record) == StatusUnavailable(UNREADABLE)


def test_an_entry_that_cant_be_read_is_counted() -> None:
    """It may be the one that is looked for, or a second one that matches."""
    found = read_log_page(page(ENTRY, None, "text", [], {}, {"id": 7, "createdAt": []}, hasNextPage=False))

    assert (len(found.entries), found.unreadable, found.more) == (1, 5, False)


@pytest.mark.parametrize(
    ("pagination", "more"),
    [
        ({"hasNextPage": True}, True),
        ({"hasNextPage": False, "page": 1, "totalPages": 2}, False),
        ({"page": 1, "totalPages": 2}, True),
        ({"page": 2, "totalPages": 2}, False),
        ({"page": "1", "totalPages": 2}, None),
        ({}, None),
    ],
)
def test_whether_there_is_another_page_is_known_or_not(pagination: dict[str, object], more: bool | None) -> None:
    assert read_log_page(page(ENTRY, **pagination)).more is more


@pytest.mark.parametrize(
    ("calls", "count"), [("[]", 0), ("[ ]", 0), ("[\n{} ,\t{}\r]", 2), ('[{"id": "]"}]', 1), ("[[[1]], 2]", 2)]
)
def test_a_list_is_split_into_its_elements(calls: str, count: int) -> None:
    found = read_log_page(f'{{"calls": {calls}}}'.encode())

    assert len(found.entries) + found.unreadable == count


@pytest.mark.parametrize("calls", ["{}", '"[]"', "null", "[1 2]", "[,]", "[1,]", "[1:2]"])
def test_what_is_no_list_is_not_read(calls: str) -> None:
    with pytest.raises(InvalidInput):
        read_log_page(f'{{"calls": {calls}}}'.encode())


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *(("150", 150), ('"150"', 150), ('"150.5"', 150.5), ("0", 0), ("-1", None), ('"-1"', None), ("true", None)),
        *(('"inf"', None), ("NaN", None), ('"two minutes"', None), ("1e12", None), ("null", None)),
    ],
)
def test_a_duration_may_be_a_text_or_a_number(written: str, seconds: float | None) -> None:
    record = read_call_record(f'{{"id": "{CALL_ID}", "callDurationSeconds": {written}}}'.encode())

    assert record.call_duration_seconds == seconds


@pytest.mark.parametrize("name", ["outcome", "callOutcome", "call_outcome", "aiOutcome", "Outcome"])
def test_the_outcome_is_found_whatever_its_field_is_called(name: str) -> None:
    assert read_call_record(json.dumps({name: "voicemail_left"}).encode()).outcome == "voicemail_left"


@pytest.mark.parametrize(
    "name", ["callSummaryFr", "callSummaryFrCA", "callSummary_fr_CA", "frenchSummary", "summaryFr"]
)
def test_the_french_summary_is_found_whatever_its_field_is_called(name: str) -> None:
    record = read_call_record(json.dumps({name: "Confirmé.", "callSummary": "Confirmed."}).encode())

    assert (record.french_summary, record.call_summary) == ("Confirmé.", "Confirmed.")


def test_of_several_outcomes_the_one_with_the_shortest_name_is_taken() -> None:
    fields = {"outcomeConfidence": 0.9, "callOutcomeReason": "because", "callOutcome": "voicemail_left"}

    assert read_call_record(json.dumps(fields).encode()).outcome == "voicemail_left"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "", 7, "https://" + "x" * 9000])
def test_a_link_that_is_no_web_address_is_left_out(url: object) -> None:
    record = read_call_record(json.dumps(RECORD | {"recordingUrl": url}).encode())

    assert (record.recording_url, record.transcript_url) == (None, LINK)


def test_neither_links_nor_numbers_are_in_the_text_of_a_record() -> None:
    text = repr(read_call_record(json.dumps(RECORD).encode()))

    assert CALL_ID in text
    for secret in ("secret-of-the-link", "5145550100", "5145550199", "Confirmed.", "Confirmé."):
        assert secret not in text


def test_reading_takes_time_in_proportion_to_the_text() -> None:
    body = b'{"calls": [' + b",".join([b"1"] * (MAX_ANSWER_BYTES // 2 - 20)) + b"]}"
    began = time.process_time()

    found: Any = read_log_page(body)

    assert found.unreadable > 100_000
    assert time.process_time() - began < 5
