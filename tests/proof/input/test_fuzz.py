"""Both edges under input that nobody thought of: arbitrary text, arbitrary JSON, and what the contracts' schemas say.

PROOF_SEED and PROOF_EXAMPLES choose other examples, and more of them.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from outbound_calls.contracts import (
    CallRequest,
    CallState,
    InvalidInput,
    Release,
    outcome_of,
    read_call_state,
    read_message,
)
from outbound_calls.lifecycle import OutcomeSource
from outbound_calls.place import Message, Placed
from outbound_calls.receive import Webhook
from tests.proof.input.conftest import EXAMPLES, SEED, Edges, record
from tests.proof.input.corpus import RULES, fits_a_queue, message_cases, webhook_cases
from tests.proof.input.generate_webhooks import CALL, OUTCOME, REQUEST, SIGNATURE
from tests.proof.input.schema import broken, valid

FIELDS = {*RULES, "body"}
REQUEST_SCHEMA = CallRequest.model_json_schema(by_alias=True)
STATE_SCHEMA = CallState.model_json_schema(by_alias=True)
PROPERTIES: dict[str, Any] = REQUEST_SCHEMA["properties"]

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    # The parts stay the same from one example to the next, and no example leaves anything behind.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["+14155550123", CALL, "completed", "calling", "a/b", "..", "\x00", "٣", "\ufeff", "9" * 400])
)
names = st.text(max_size=10) | st.sampled_from(
    [*PROPERTIES, "release", "attempt", "callbackUrl", "phone_number", "outboundCallId", "status", "callDetails"]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=15
)
corpus_bodies = st.sampled_from([case.body for case in message_cases() if len(case.body) < 2000])
corpus_webhooks = st.sampled_from([case.body for case in webhook_cases() if len(case.body) < 2000])


@st.composite
def mutated(draw: st.DrawFn, bodies: st.SearchStrategy[str]) -> str:
    """A body of the corpus with a piece cut out, put in or doubled."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    piece = draw(
        st.sampled_from(["", body[start:end] * 2, '"', "\\", "{", "}", "[", ",", ":", "\x00", "\ud800", "1e9", "null"])
    )
    return body[:start] + piece + body[end:]


def hostile(bodies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    everything = st.characters()
    return st.text(everything) | anything.map(json.dumps) | mutated(bodies)


def refusal_of(body: str) -> InvalidInput | None:
    try:
        read_message(body)
    except InvalidInput as refusal:
        return refusal
    return None


@seed(SEED)
@bounded
@given(hostile(corpus_bodies))
def test_a_message_is_read_or_refused_and_nothing_else(body: str) -> None:
    refusal = refusal_of(body)

    if refusal is None:
        # What was read is within the contract: it can be written, and read again
        read = read_message(body)
        assert read_message(json.dumps(read.wire())) == read
        return
    assert refusal.rule in RULES.values()
    assert str(refusal) in {f"{refusal.field}: {refusal.rule}", f"unknown field: {refusal.rule}"}
    assert refusal.field in FIELDS or (refusal.rule == RULES["unknown field"] and refusal.field.isascii())


@seed(SEED)
@bounded
@given(hostile(corpus_bodies).filter(fits_a_queue))
def test_whoever_is_dialled_was_asked_for(edges: Edges, body: str) -> None:
    edges.dials.bodies.clear()

    placement = edges.place_calls.place(Message("fuzz", body, lambda: 40.0))

    dialled = [json.loads(posted)["phoneNumber"] for posted in edges.dials.bodies]
    if placement.result is Placed.CALLING and placement.key is not None:
        assert dialled == [json.loads(body)["phoneNumber"]]
        edges.remove(placement.key.request_id)
    else:
        assert dialled == []


@seed(SEED)
@bounded
@given(valid(REQUEST_SCHEMA, REQUEST_SCHEMA).filter(lambda value: value.get("requestId") not in {".", ".."}))
def test_what_keeps_the_schema_of_a_request_is_read(request: dict[str, Any]) -> None:
    read = read_message(json.dumps(request))

    assert isinstance(read, CallRequest)
    lowered = {name: str(request[name]).lower() for name in ("assistantId", "phoneNumberId") if request.get(name)}
    assert read.wire() == {name: value for name, value in (request | lowered).items() if value is not None}


@pytest.mark.parametrize("field", PROPERTIES)
def test_what_breaks_the_schema_of_a_request_is_refused_by_that_field(field: str) -> None:
    @seed(SEED)
    @bounded
    @given(broken(PROPERTIES[field], REQUEST_SCHEMA))
    def refused(value: Any) -> None:
        refusal = refusal_of(json.dumps({"phoneNumber": "+14155550123"} | {field: value}))
        assert refusal is not None
        assert (refusal.field, refusal.rule) == (field, PROPERTIES[field]["description"])

    refused()


@seed(SEED)
@bounded
@given(st.fixed_dictionaries({"requestId": scalars, "attempt": scalars | st.floats(1, 99) | st.integers(-1, 101)}))
def test_a_release_names_an_attempt_or_is_refused(key: dict[str, Any]) -> None:
    body = json.dumps({"release": key})

    refusal = refusal_of(body)

    if refusal is None:
        read = read_message(body)
        assert isinstance(read, Release)
        assert read.wire() == {"release": key}
        assert type(key["attempt"]) is int
    else:
        assert (refusal.field, refusal.rule) in {("release", RULES["release"]), ("body", RULES["not JSON"])}


@seed(SEED)
@bounded
@given(st.text(), st.text(), st.text(), hostile(corpus_webhooks), st.booleans())
def test_a_webhook_without_its_signature_is_forbidden(
    edges: Edges, request_id: str, attempt: str, signature: str, body: str, is_base64: bool
) -> None:
    receipt = edges.receive_webhooks.receive(Webhook(request_id, attempt, signature, body, is_base64))

    assert (receipt.status, receipt.words, receipt.key) == (403, "not a callback URL of this stack", None)


@seed(SEED)
@bounded
@given(hostile(corpus_webhooks), st.booleans())
def test_a_webhook_is_an_outcome_or_changes_nothing(edges: Edges, body: str, is_base64: bool) -> None:
    before = record("calling", REQUEST)
    edges.put(before)

    receipt = edges.receive_webhooks.receive(Webhook(REQUEST, "1", SIGNATURE, body, is_base64))

    after = edges.item(REQUEST)
    assert after
    if receipt.status == 200:
        state = read_call_state(body)
        outcome = outcome_of(state, OutcomeSource.WEBHOOK)
        assert outcome
        assert state.outbound_call_id == CALL
        assert after["status"] == outcome.status
    else:
        assert receipt.status == 400
        assert after == before


@seed(SEED)
@bounded
@given(valid(STATE_SCHEMA, STATE_SCHEMA))
def test_what_keeps_the_schema_of_an_outcome_is_recorded(edges: Edges, state: dict[str, Any]) -> None:
    edges.put(record("calling", REQUEST))

    receipt = edges.receive_webhooks.receive(
        Webhook(REQUEST, "1", SIGNATURE, json.dumps(state | {"outboundCallId": CALL}))
    )

    over = state["status"] != "calling"
    assert (receipt.status, (edges.item(REQUEST) or {})["status"]) == (
        (200, state["status"]) if over else (400, "calling")
    )


@pytest.mark.parametrize("field", STATE_SCHEMA["required"])
def test_what_breaks_the_schema_of_an_outcome_changes_nothing(edges: Edges, field: str) -> None:
    before = record("calling", REQUEST)
    edges.put(before)

    @seed(SEED)
    @bounded
    @given(broken(STATE_SCHEMA["properties"][field], STATE_SCHEMA))
    def refused(value: Any) -> None:
        body = json.dumps(OUTCOME | {field: value})
        receipt = edges.receive_webhooks.receive(Webhook(REQUEST, "1", SIGNATURE, body))
        assert (receipt.status, receipt.words.split(":")[0]) == (400, field)

    refused()
    assert edges.item(REQUEST) == before
