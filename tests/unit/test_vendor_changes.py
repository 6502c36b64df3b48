"""What AlloMia may send tomorrow: generated variations of its documented answers, through each of its doors.

A variation changes anything but the call's id and its status. It may cost a detail, and never one of these two.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbound_calls.adapters.allomia import Accepted, AllomiaClient, Declined, Found, StatusUnavailable, http_client
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.call_states import outcome_from_state, unfamiliar_status
from outbound_calls.contracts.allomia import read_call_state
from outbound_calls.contracts.call_log import CallRecord, LogPage
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.domain.attempts import CallDetails, Outcome
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES
from outbound_calls.use_cases.receive import Webhook, _body
from tests.unit.parts import AN_ORGANIZATION, CALL_ID, CONTACT_ID, a_request, organizations_in

DETAILS = {
    "startedAt": "2026-04-01T14:30:00Z",
    "endedAt": "2026-04-01T14:32:30Z",
    "duration": 150,
    "endedReason": "customer-ended-call",
}
DOCUMENTED = ("calling", "completed", "failed", "busy", "no-answer")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
ODD = (
    *('"\\ud83d"', '"\\udc00 \\ud800"', "9" * 5000, "-" + "9" * 400, "1e99999", "-1e-99999", "NaN", "-Infinity"),
    *('"\x00"', '"\\u0000"', '"\\x"', '"a\nb"', "undefined", "True", "0x10", "[" * 2500 + "]" * 2500, "{}", "[]", '""'),
    *('{"a":' * 800 + "1" + "}" * 800, '"}]{[\\""', '"' + "x" * 5000 + '"', '{"outboundCallId": null}', "-0.0"),
)
"""Values as they are written, each of which some parser refuses. No body gets too large with them, even in UTF-32."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
written_values = json_values.map(json.dumps) | st.sampled_from(ODD)
names = st.text(st.characters(codec="utf-8"), max_size=8).map(json.dumps) | st.sampled_from(
    ['"message"', '"Status"', '"outbound_call_id"', '"transcript"', '"data"', '"\\ud800"', '"a\\"b"', '""']
)
words = st.from_regex(r"[A-Za-z_-]{1,32}", fullmatch=True) | st.sampled_from(
    ["canceled", "voicemail", "no_answer", "queued", "Completed", "rejected", "unknown"]
)
statuses = st.sampled_from(DOCUMENTED) | words
spaces = st.sampled_from(["", " ", "\n  ", "\r\n\t"])


@dataclass(frozen=True)
class Sent:
    """A body, the status in it, and the details that it left as documented (None: none of them)."""

    body: bytes = field(repr=False)
    status: str
    contact: bool
    details: frozenset[str] | None


def escaped(text: str) -> str:
    """A text in JSON with its first letter escaped."""
    return f'"\\u{ord(text[0]):04x}{text[1:]}"'


@st.composite
def objects(draw: st.DrawFn, members: Mapping[str, str]) -> str:
    """An object with these members, as they are written, in any order and among others."""
    kept = [(f'"{name}"' if draw(st.booleans()) else escaped(name), value) for name, value in members.items()]
    added = draw(st.lists(st.tuples(names, written_values), max_size=4))
    # An added name may be a known one only by chance; then it would be another answer.
    added = [(name, value) for name, value in added if name not in {f'"{known}"' for known in (*members, *DETAILS)}]
    space = draw(spaces)
    pairs = [f"{name}{space}:{space}{value}" for name, value in draw(st.permutations([*kept, *added]))]
    return f"{space}{{{space}{f'{space},{space}'.join(pairs)}{space}}}{space}"


@st.composite
def answers(draw: st.DrawFn) -> Sent:
    status = draw(statuses)
    members = {
        "outboundCallId": json.dumps(draw(st.sampled_from([CALL_ID, CALL_ID.upper()]))),
        "status": escaped(status) if draw(st.booleans()) else json.dumps(status),
    }
    contact = draw(st.booleans())
    members["contactId"] = json.dumps(CONTACT_ID) if contact else draw(written_values)
    details: frozenset[str] | None = None
    if draw(st.booleans()):
        details = draw(st.frozensets(st.sampled_from(sorted(DETAILS))))
        kept = {name: json.dumps(DETAILS[name]) for name in details}
        if "duration" in kept:
            kept["duration"] = draw(st.sampled_from(["150", "150.0", "1.5e2", "15000E-2"]))
        members["callDetails"] = draw(objects(kept))
    elif draw(st.booleans()):
        members["callDetails"] = draw(written_values.filter(lambda value: not value.startswith("{")))
    text = draw(objects(members)) + " " * draw(st.sampled_from([0, 0, 0, 2000]))
    encoded = text.encode(draw(st.sampled_from(ENCODINGS)), "replace")
    return Sent(encoded, status, contact, details)


generated = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def check_outcome(sent: Sent, outcome: Outcome | None, source: OutcomeSource) -> None:
    """The outcome is the one that was sent, with every detail that was left as documented."""
    if sent.status not in ALLOMIA_OUTCOMES:
        assert outcome is None
        return
    assert outcome
    assert (outcome.status, outcome.source, outcome.outbound_call_id) == (sent.status, source, CALL_ID)
    assert not sent.contact or outcome.contact_id == CONTACT_ID
    if sent.details is not None:
        found = outcome.call_details or CallDetails()
        values = (found.started_at, found.ended_at, found.duration, found.ended_reason)
        kept = dict(zip(DETAILS, values, strict=True))
        assert {name: kept[name] for name in sent.details} == {name: DETAILS[name] for name in sent.details}


def ask[T](sent: Sent, question: Callable[[AllomiaClient], T]) -> T:
    answer = httpx.MockTransport(lambda _request: httpx.Response(200, content=sent.body))
    with http_client("https://allomia.example", answer) as http:
        return question(AllomiaClient(http, organizations_in()))


def word(status: str) -> str | None:
    return None if status in DOCUMENTED else status


@generated
@given(answers())
def test_no_change_of_the_webhook_costs_its_outcome(sent: Sent) -> None:
    webhook = Webhook("visit-2031", "1", "signature", b64encode(sent.body).decode(), is_base64=True)
    assert _body(webhook) == sent.body

    state = read_call_state(sent.body)
    assert (state.outbound_call_id, unfamiliar_status(state)) == (CALL_ID, word(sent.status))
    check_outcome(sent, outcome_from_state(state, OutcomeSource.WEBHOOK), OutcomeSource.WEBHOOK)


@generated
@given(answers())
def test_no_change_of_the_answer_to_a_post_costs_the_calls_id(sent: Sent) -> None:
    answer = ask(sent, lambda allomia: allomia.place_call(AN_ORGANIZATION, a_request(), "https://hooks.example/a/1/s"))

    assert isinstance(answer, Accepted)
    assert (answer.outbound_call_id, answer.allomia_status) == (CALL_ID, word(sent.status))
    check_outcome(sent, answer.outcome, OutcomeSource.DISPATCH)


@generated
@given(answers())
def test_no_change_of_the_status_answer_costs_its_outcome(sent: Sent) -> None:
    answer = ask(sent, lambda allomia: allomia.call_status(AN_ORGANIZATION, CALL_ID))

    assert isinstance(answer, Found)
    assert answer.allomia_status == word(sent.status)
    check_outcome(sent, answer.outcome, OutcomeSource.POLL)


@st.composite
def answers_without_status(draw: st.DrawFn) -> Sent:
    members = {"outboundCallId": json.dumps(CALL_ID)}
    if draw(st.booleans()):
        members["status"] = draw(written_values)
    return Sent(draw(objects(members)).encode(errors="replace"), "", False, None)


@generated
@given(answers_without_status())
def test_an_id_is_an_id_whatever_the_status_is(sent: Sent) -> None:
    answer = ask(sent, lambda allomia: allomia.place_call(AN_ORGANIZATION, a_request(), "https://hooks.example/a/1/s"))
    asked = ask(sent, lambda allomia: allomia.call_status(AN_ORGANIZATION, CALL_ID))

    assert isinstance(answer, Accepted)
    assert (answer.outbound_call_id, answer.outcome) == (CALL_ID, None)
    assert isinstance(asked, StatusUnavailable | Found)


@generated
@given(
    st.sampled_from(["error", "message", "detail", "title", "errors"]),
    json_values.filter(lambda value: value is not None),
    st.dictionaries(st.text(max_size=5), json_values, max_size=2),
)
def test_an_error_in_json_is_allomias_own_whatever_its_shape(name: str, value: Any, more: dict[str, Any]) -> None:
    body = json.dumps(more | {name: value})
    transport = httpx.MockTransport(lambda _request: httpx.Response(400, content=body))

    with http_client("https://allomia.example", transport) as http:
        client = AllomiaClient(http, organizations_in())
        answer = client.place_call(AN_ORGANIZATION, a_request(), "https://hooks.example/a/1/s")

    assert isinstance(answer, Declined)
    assert "not AlloMia's own answer" not in answer.reason


ENTRY = {
    "id": CALL_ID,
    "organizationId": "f6a7b8c9-d0e1-2345-fabc-678901234567",
    "callType": "Outbound",
    "agentId": "e5f6a7b8-c9d0-1234-efab-567890123456",
    "userPhoneNumber": "+15145550100",
    "callStartedAt": "2026-04-01T14:30:00Z",
    "callEndedAt": "2026-04-01T14:32:30Z",
    "createdAt": "2026-04-01T14:29:55Z",
}
RECORD = ENTRY | {
    "callEndedReason": "customer-ended-call",
    "callSummary": "Confirmed.",
    "transcriptUrl": "https://files.example/t?s",
    "recordingUrl": "https://files.example/r?s",
}


@st.composite
def partial(draw: st.DrawFn, documented: Mapping[str, str]) -> tuple[frozenset[str], str]:
    """An object with some of these fields as documented, others in any shape, and others missing."""
    kept = draw(st.frozensets(st.sampled_from(sorted(documented)), min_size=1))
    members = {name: json.dumps(documented[name]) for name in kept}
    for name in draw(st.frozensets(st.sampled_from(sorted(documented)))) - kept:
        members[name] = draw(written_values)
    return kept, draw(objects(members))


@st.composite
def log_pages(draw: st.DrawFn) -> tuple[list[frozenset[str]], int, bytes]:
    """A page: what its entries keep, how many other values are among them, and its body."""
    kept = draw(st.lists(partial(ENTRY), max_size=4))
    others = draw(st.lists(written_values.filter(lambda value: not value.startswith("{")), max_size=2))
    values = draw(st.permutations([*((each, text) for each, text in kept), *((None, text) for text in others)]))
    written = f"[{','.join(text for _, text in values)}]"
    members = {"calls": written, "pagination": draw(objects({"hasNextPage": "true"}))}
    body = draw(objects(members)).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    return [each for each, _ in values if each is not None], len(others), body


@generated
@given(log_pages())
def test_no_change_of_the_log_costs_an_entry_or_its_documented_fields(
    page: tuple[list[frozenset[str]], int, bytes],
) -> None:
    kept, others, body = page
    answer = ask(Sent(body, "", False, None), lambda allomia: CallLog(allomia).calls_page(AN_ORGANIZATION, 0, 1))

    assert isinstance(answer, LogPage)
    assert (len(answer.entries), answer.unreadable, answer.more) == (len(kept), others, True)
    for names, entry in zip(kept, answer.entries, strict=True):
        assert {name: entry.wire()[name] for name in names} == {name: ENTRY[name] for name in names}


@generated
@given(partial(RECORD))
def test_no_change_of_a_record_costs_its_documented_fields(record: tuple[frozenset[str], str]) -> None:
    kept, text = record
    body = text.encode(errors="replace")
    answer = ask(Sent(body, "", False, None), lambda allomia: CallLog(allomia).call_record(AN_ORGANIZATION, CALL_ID))

    if "id" not in kept and isinstance(answer, StatusUnavailable):
        return
    assert isinstance(answer, CallRecord)
    assert {name: answer.wire()[name] for name in kept} == {name: RECORD[name] for name in kept}


@generated
@given(st.binary(max_size=200) | written_values.map(lambda text: text.encode(errors="replace")))
def test_no_answer_of_the_log_raises(body: bytes) -> None:
    sent = Sent(body, "", False, None)

    assert isinstance(
        ask(sent, lambda allomia: CallLog(allomia).calls_page(AN_ORGANIZATION, 0, 1)), LogPage | StatusUnavailable
    )
    assert isinstance(
        ask(sent, lambda allomia: CallLog(allomia).call_record(AN_ORGANIZATION, CALL_ID)),
        CallRecord | StatusUnavailable,
    )
