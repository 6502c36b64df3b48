"""The schemas in docs/integrate/schemas accept what the code accepts, and nothing else."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from outbound_calls.contracts import (
    MAX_MESSAGE_BYTES,
    MAX_WEBHOOK_BYTES,
    CallDetails,
    CallRequest,
    InvalidInput,
    OutcomeEvent,
    read_message,
)
from outbound_calls.lifecycle import TERMINAL, OutcomeSource, Status
from outbound_calls.place import Message
from outbound_calls.receive import Webhook, _outcome
from tests.proof.input.conftest import EXAMPLES, LONG, SEED, Edges
from tests.proof.input.corpus import message_cases, webhook_cases
from tests.proof.input.schema import broken, valid
from tests.proof.input.test_fuzz import (
    REQUEST_SCHEMA,
    STATE_SCHEMA,
    anything,
    bounded,
    corpus_bodies,
    corpus_webhooks,
    hostile,
)
from tests.tooling.contracts.documents import validator

REQUEST = validator("call-request")
WEBHOOK = validator("webhook")
OUTCOME = validator("call-outcome")
REJECTED = validator("invalid-message")

DEEPEST = 200
"""How deep JSON may be nested, by the parser's own limit."""

type Schema = dict[str, Any]


def accepts_request(body: str) -> bool:
    try:
        return isinstance(read_message(body), CallRequest)
    except InvalidInput:
        return False


def accepts_webhook(body: str) -> bool:
    try:
        return bool(_outcome(Webhook("any", "1", "any", body)))
    except InvalidInput:
        return False


def said_by(is_valid: Callable[[Any], bool], body: str, most_bytes: int) -> bool:
    """What a schema says of a body, with the rules beside it that JSON Schema cannot say."""
    try:
        value = json.loads(body)
        utf8 = all(text.encode() is not None for text in [body, *_texts(value)])
        return utf8 and len(body.encode()) <= most_bytes and _depth(value) <= DEEPEST and is_valid(value)
    except (ValueError, RecursionError):
        # No JSON, half a character, or too deep for Python as well.
        return False


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def test_the_corpus_of_messages_is_accepted_by_both_or_by_neither() -> None:
    verdicts = {
        case.name: (accepts_request(case.body), said_by(REQUEST.is_valid, case.body, MAX_MESSAGE_BYTES))
        for case in message_cases()
    }

    assert {verdict for verdict in verdicts.values() if verdict[0] == verdict[1]} == {(True, True), (False, False)}
    assert [name for name, (code, schema) in verdicts.items() if code != schema] == []


def test_the_corpus_of_webhooks_is_accepted_by_both_or_by_neither() -> None:
    sent = {case.body for case in webhook_cases() if not case.is_base64}
    verdicts = {body: (accepts_webhook(body), said_by(WEBHOOK.is_valid, body, MAX_WEBHOOK_BYTES)) for body in sent}

    assert set(verdicts.values()) == {(True, True), (False, False)}, [
        body for body, (code, schema) in verdicts.items() if code != schema
    ]


def almost(schema: Schema) -> st.SearchStrategy[Schema]:
    """Objects of a schema's fields, each of them good, broken or anything at all, some missing and some made up."""
    fields = {
        name: st.one_of(valid(each, schema), valid(each, schema), broken(each, schema), anything)
        if name in schema["required"]
        else valid(each, schema) | anything
        for name, each in schema["properties"].items()
    }
    names = st.text(max_size=8) | st.sampled_from(["release", "callbackUrl"])
    made_up = st.dictionaries(names, anything, max_size=1)
    return st.builds(lambda known, more: known | more, st.fixed_dictionaries({}, optional=fields), made_up)


def bodies(schema: Schema, others: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return hostile(others) | almost(schema).map(json.dumps) | valid(schema, schema).map(json.dumps)


few_and_many = pytest.mark.parametrize(
    "examples",
    [pytest.param(EXAMPLES, id="short"), pytest.param(EXAMPLES * LONG, id="long", marks=pytest.mark.proof)],
)


@few_and_many
def test_a_request_is_accepted_by_both_or_by_neither(examples: int) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(bodies(REQUEST_SCHEMA, corpus_bodies))
    def agree(body: str) -> None:
        assert accepts_request(body) == said_by(REQUEST.is_valid, body, MAX_MESSAGE_BYTES)

    agree()


@few_and_many
def test_a_webhook_is_accepted_by_both_or_by_neither(examples: int) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(bodies(STATE_SCHEMA, corpus_webhooks))
    def agree(body: str) -> None:
        assert accepts_webhook(body) == said_by(WEBHOOK.is_valid, body, MAX_WEBHOOK_BYTES)

    agree()


texts = st.text(max_size=20)
uuids = st.uuids().map(str)
outcomes = st.builds(
    lambda status, **rest: OutcomeEvent(status=status, final=status is not Status.UNKNOWN, **rest),
    request_id=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    attempt=st.integers(1, 99),
    status=st.sampled_from(sorted(TERMINAL)),
    outbound_call_id=st.none() | uuids,
    contact_id=st.none() | uuids,
    call_details=st.none()
    | st.builds(
        CallDetails,
        started_at=st.none() | texts,
        ended_at=st.none() | texts,
        duration=st.none() | st.integers(0, 10**9) | st.floats(0, 10**9),
        ended_reason=st.none() | texts,
    ),
    outcome_source=st.sampled_from(OutcomeSource),
    recorded_at=st.datetimes().map(lambda time: time.replace(microsecond=0).isoformat() + "Z"),
    metadata=st.dictionaries(texts, texts, max_size=3),
)


@seed(SEED)
@bounded
@given(outcomes)
def test_what_is_published_keeps_the_schema_of_an_outcome(event: OutcomeEvent) -> None:
    OUTCOME.validate(json.loads(event.model_dump_json()))


def test_what_is_kept_in_the_invalid_messages_queue_has_the_attributes_of_the_schema(edges: Edges) -> None:
    edges.rejected()
    bad = [case for case in message_cases() if case.field and case.from_a_queue][::10]
    for number, case in enumerate(bad):
        edges.place_calls.place(Message(f"bad-{number}", case.body, lambda: 40.0))

    kept = edges.rejected()
    assert len(kept) == len(bad)
    for _, attributes in kept:
        REJECTED.validate(attributes)
