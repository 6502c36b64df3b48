"""The schemas in docs/integrate accept exactly what the code accepts."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from outbound_calls.adapters.call_states import outcome_from_state
from outbound_calls.contracts.allomia import MAX_WEBHOOK_BYTES, CallDetails, read_call_state
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.messages import (
    MAX_MESSAGE_BYTES,
    CallRequestMessage,
    CancelMessage,
    DoNotCallMessage,
    QueueMessage,
    read_message,
)
from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.receive import Webhook, _body
from tests.proof.input.conftest import EXAMPLES, LONG, SEED, Edges
from tests.proof.input.messages import message_cases
from tests.proof.input.schema import broken, valid
from tests.proof.input.test_fuzz import (
    REQUEST_SCHEMA,
    STATE_SCHEMA,
    anything,
    bounded,
    corpus_messages,
    corpus_webhooks,
    hostile,
    keeps_other_rules,
)
from tests.proof.input.webhooks import webhook_cases
from tests.tooling.contracts.documents import validator

REQUEST = validator("call-request")
OTHERS: dict[type[QueueMessage], Draft202012Validator] = {
    CancelMessage: validator("cancel"),
    DoNotCallMessage: validator("do-not-call"),
}
WEBHOOK = validator("webhook")
OUTCOME = validator("call-outcome")
INVALID_MESSAGE = validator("invalid-message")

DEEPEST = 200
"""How deep the parser lets JSON be nested."""

type Schema = dict[str, Any]


def code_accepts_request(body: str) -> bool:
    return code_accepts(CallRequestMessage, body)


def code_accepts(kind: type[QueueMessage], body: str) -> bool:
    try:
        return isinstance(read_message(body), kind)
    except InvalidInput:
        return False


def code_accepts_webhook(body: str) -> bool:
    try:
        state = read_call_state(_body(Webhook("any", "1", "any", body)))
        return outcome_from_state(state, OutcomeSource.WEBHOOK) is not None
    except InvalidInput:
        return False


def schema_accepts(is_valid: Callable[[Any], bool], body: str, max_bytes: int) -> bool:
    """Whether a schema accepts a body, together with the rules in its description that JSON Schema can't express."""
    try:
        value = json.loads(body)
        utf8 = all(text.encode() is not None for text in [body, *_texts(value)])
        return utf8 and len(body.encode()) <= max_bytes and _depth(value) <= DEEPEST and is_valid(value)
    except (ValueError, RecursionError):
        # Not JSON, half a character, or too deep for Python as well.
        return False


def schema_accepts_request(body: str) -> bool:
    return schema_accepts(lambda value: REQUEST.is_valid(value) and keeps_other_rules(value), body, MAX_MESSAGE_BYTES)


def schema_accepts_other(kind: type[QueueMessage], body: str) -> bool:
    return schema_accepts(OTHERS[kind].is_valid, body, MAX_MESSAGE_BYTES)


def schema_accepts_webhook(body: str) -> bool:
    """The code also reads what is not quite JSON; there the corpus says what it makes of it."""
    try:
        value = json.loads(body.removeprefix("\ufeff"), parse_int=lambda digits: int(digits[:400]))
    except (ValueError, RecursionError):
        return code_accepts_webhook(body)
    whole = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return len(body.encode(errors="replace")) <= MAX_WEBHOOK_BYTES and WEBHOOK.is_valid(whole)


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


CORPUS = [case.body for case in message_cases()]


@pytest.mark.parametrize(
    ("bodies", "code", "schema"),
    [
        (CORPUS, code_accepts_request, schema_accepts_request),
        *((CORPUS, partial(code_accepts, kind), partial(schema_accepts_other, kind)) for kind in OTHERS),
        ([case.body for case in webhook_cases() if not case.is_base64], code_accepts_webhook, schema_accepts_webhook),
    ],
    ids=["requests", "cancellations", "do-not-call entries", "webhooks"],
)
def test_code_and_schema_agree_on_the_corpus(
    bodies: list[str], code: Callable[[str], bool], schema: Callable[[str], bool]
) -> None:
    verdicts = {body: (code(body), schema(body)) for body in bodies}

    assert [body for body, (by_code, by_schema) in verdicts.items() if by_code != by_schema] == []
    assert set(verdicts.values()) == {(True, True), (False, False)}


def almost(schema: Schema) -> st.SearchStrategy[Schema]:
    """Objects with a schema's fields, each valid, broken or arbitrary, some missing and some made up."""
    fields = {
        name: st.one_of(valid(each, schema), valid(each, schema), broken(each, schema), anything)
        if name in schema["required"]
        else valid(each, schema) | anything
        for name, each in schema["properties"].items()
    }
    made_up = st.dictionaries(st.text(max_size=8) | st.sampled_from(["dispatch", "callbackUrl"]), anything, max_size=1)
    return st.builds(lambda known, more: known | more, st.fixed_dictionaries({}, optional=fields), made_up)


def bodies(schema: Schema, corpus: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return hostile(corpus) | almost(schema).map(json.dumps) | valid(schema, schema).map(json.dumps)


few_and_many = pytest.mark.parametrize(
    "examples",
    [pytest.param(EXAMPLES, id="short"), pytest.param(EXAMPLES * LONG, id="long", marks=pytest.mark.proof)],
)


@few_and_many
def test_code_and_schema_agree_on_any_request(examples: int) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(bodies(REQUEST_SCHEMA, corpus_messages))
    def agree(body: str) -> None:
        assert code_accepts_request(body) == schema_accepts_request(body)

    agree()


@few_and_many
@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.__name__)
def test_code_and_schema_agree_on_any_message_of_another_kind(kind: type[QueueMessage], examples: int) -> None:
    schema = kind.model_json_schema(by_alias=True)

    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(bodies(schema, corpus_messages))
    def agree(body: str) -> None:
        assert code_accepts(kind, body) == schema_accepts_other(kind, body)

    agree()


@few_and_many
def test_code_and_schema_agree_on_any_webhook(examples: int) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(bodies(STATE_SCHEMA, corpus_webhooks))
    def agree(body: str) -> None:
        assert code_accepts_webhook(body) == schema_accepts_webhook(body)

    agree()


texts = st.text(max_size=20)
optional_uuids = st.none() | st.uuids().map(str)
times = st.datetimes().map(lambda time: time.replace(microsecond=0).isoformat() + "Z")
request_ids = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
details = st.builds(
    CallDetails,
    started_at=st.none() | texts,
    ended_at=st.none() | texts,
    duration=st.none() | st.integers(0, 10**9) | st.floats(0, 10**9),
    ended_reason=st.none() | texts,
)
outcomes = st.builds(
    lambda status, final, **rest: OutcomeEvent(status=status, final=final and status is not Status.UNKNOWN, **rest),
    organization=st.none() | st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
    request_id=request_ids,
    attempt=st.integers(1, 99),
    final=st.booleans(),
    next_attempt_at=st.none() | times,
    batch=st.none() | request_ids,
    purpose=st.none() | texts,
    cancel_requested_at=st.none() | times,
    status=st.sampled_from(sorted(TERMINAL)),
    dialled=st.sampled_from(Dialled),
    reason_code=st.none() | st.sampled_from(ReasonCode),
    outbound_call_id=optional_uuids,
    contact_id=optional_uuids,
    call_details=st.none() | details,
    outcome_source=st.sampled_from(OutcomeSource),
    recorded_at=times,
    metadata=st.dictionaries(texts, texts, max_size=3),
)


@seed(SEED)
@bounded
@given(outcomes)
def test_a_published_outcome_matches_its_schema(event: OutcomeEvent) -> None:
    OUTCOME.validate(json.loads(event.model_dump_json()))


def test_a_kept_message_has_the_attributes_of_its_schema(edges: Edges) -> None:
    edges.invalid_messages()
    invalid = [case for case in message_cases() if case.field and case.from_a_queue][::10]
    for number, case in enumerate(invalid):
        edges.place(f"invalid-{number}", case.body)

    kept = edges.invalid_messages()
    assert len(kept) == len(invalid)
    for _, attributes in kept:
        INVALID_MESSAGE.validate(attributes)
