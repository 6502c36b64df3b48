"""Both edges under input that no corpus has: arbitrary text, arbitrary JSON, and values made from the schemas.

PROOF_SEED and PROOF_EXAMPLES choose other examples, and more of them.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tzdata
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from outbound_calls.adapters.call_states import outcome_from_state
from outbound_calls.contracts.allomia import CallState, read_call_state
from outbound_calls.contracts.dispatch import DispatchMessage
from outbound_calls.contracts.messages import CallRequestMessage, read_message
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.receive import Receipt, Webhook
from tests.proof.input.conftest import EXAMPLES, SEED, Edges, record
from tests.proof.input.messages import PATHS, RULES, fits_a_queue, message_cases
from tests.proof.input.schema import broken, valid
from tests.proof.input.webhooks import CALL, FORBIDDEN, OUTCOME, REQUEST, SIGNATURE, webhook_cases

REQUEST_SCHEMA = CallRequestMessage.model_json_schema(by_alias=True)
# Which names exist is no rule of a schema.
REQUEST_SCHEMA["$defs"]["TimeZoneName"] = {"enum": ["UTC", "America/Toronto", "America/Argentina/Buenos_Aires"]}
STATE_SCHEMA = CallState.model_json_schema(by_alias=True) | {"required": ["status"]}
STATE_SCHEMA["properties"]["status"] = {"enum": ["calling", "completed", "failed", "busy", "no-answer"]}
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
    [
        *("cancel", "doNotCall", "on", "onEndedReasons", "maxAttempts", "days", "from", "to", "until", "purposes"),
        *PROPERTIES,
        "dispatch",
        "attempt",
        "timesParked",
        "callbackUrl",
        "phone_number",
        *STATE_SCHEMA["properties"],
    ]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=15
)
corpus_messages = st.sampled_from([case.body for case in message_cases() if len(case.body) < 2000])
corpus_webhooks = st.sampled_from([case.body for case in webhook_cases() if len(case.body) < 2000])


ZONES = {*(Path(tzdata.__file__).parent / "zones").read_text().split()} - {"Factory"}


def keeps_other_rules(request: dict[str, Any]) -> bool:
    """Whether a request that matches the schema keeps the rules that a schema can't express.

    Its `notAfter` is later than its `notBefore`, its time zone exists, its windows end later than they start, and its
    numbers have no fraction, not even .0.
    """
    first, last, windows = (request.get(name) for name in ("notBefore", "notAfter", "callingWindows"))
    return (
        (not (first and last) or datetime.fromisoformat(first.upper()) < datetime.fromisoformat(last.upper()))
        and request.get("timeZone") in {None, *ZONES}
        and all(window["from"] < window["to"] for window in (windows if isinstance(windows, list) else ()))
        and not any(isinstance(number, float) for number in _numbers(request.get("redial") or {}))
    )


def _numbers(redial: dict[str, Any]) -> list[Any]:
    delays = [(redial.get(name) or {}).values() for name in ("on", "onEndedReasons")]
    return [redial.get("maxAttempts"), *(number for each in delays for numbers in each for number in numbers)]


def field_of(error: InvalidInput) -> str:
    """The path that an error names, without the places in lists."""
    return re.sub(r"\[\d+\]", "[]", error.field)


@st.composite
def mutated(draw: st.DrawFn, bodies: st.SearchStrategy[str]) -> str:
    """A body of the corpus with a piece removed, inserted or doubled."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    pieces = ["", body[start:end] * 2, '"', "\\", "{", "}", "[", ",", ":", "\x00", "\ud800", "1e9", "null"]
    return body[:start] + draw(st.sampled_from(pieces)) + body[end:]


def hostile(bodies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.text(st.characters()) | anything.map(json.dumps) | mutated(bodies)


def error_of(body: str) -> InvalidInput | None:
    try:
        read_message(body)
    except InvalidInput as error:
        return error
    return None


@seed(SEED)
@bounded
@given(hostile(corpus_messages))
def test_any_message_is_read_or_invalid(body: str) -> None:
    error = error_of(body)

    if error is None:
        # A valid message keeps the contract: it can be written and read again
        read = read_message(body)
        assert read_message(json.dumps(read.wire())) == read
        return
    assert error.rule in RULES.values()
    assert str(error) in {f"{error.field}: {error.rule}", f"unknown field: {error.rule}"}
    is_unknown = str(error).startswith("unknown field: ")
    assert error.field.isidentifier() if is_unknown else field_of(error) in PATHS


@seed(SEED)
@bounded
@given(hostile(corpus_messages).filter(fits_a_queue))
def test_only_the_number_in_a_message_is_dialled(edges: Edges, body: str) -> None:
    edges.dials.bodies.clear()

    placement = edges.place("fuzz", body)

    dialled = [json.loads(posted)["phoneNumber"] for posted in edges.dials.bodies]
    if placement.result is PlaceResult.CALLING and placement.key is not None:
        assert dialled == [json.loads(body)["phoneNumber"]]
        edges.remove(str(placement.key.request))
    else:
        assert dialled == []


@seed(SEED)
@bounded
@given(
    valid(REQUEST_SCHEMA, REQUEST_SCHEMA).filter(
        lambda value: keeps_other_rules(value) and not {".", ".."} & {*map(str, value.values())}
    )
)
def test_a_request_that_matches_the_schema_is_read(request: dict[str, Any]) -> None:
    read = read_message(json.dumps(request))

    assert isinstance(read, CallRequestMessage)
    lowered = {name: str(request[name]).lower() for name in ("assistantId", "phoneNumberId") if request.get(name)}
    assert read.wire() == {name: value for name, value in (request | lowered).items() if value is not None}


@pytest.mark.parametrize("field", PROPERTIES)
def test_a_field_that_breaks_the_schema_is_named(field: str) -> None:
    @seed(SEED)
    @bounded
    @given(broken(PROPERTIES[field], REQUEST_SCHEMA))
    def invalid(value: Any) -> None:
        error = error_of(json.dumps({"phoneNumber": "+14155550123"} | {field: value}))
        assert error is not None
        assert field_of(error) in {path for path in PATHS if re.match(rf"{field}(\.|\[|$)", path)}
        assert error.rule in RULES.values()
        assert error.field != field or error.rule in {
            PROPERTIES[field]["description"],
            RULES["unknown field of redial"],
        }

    invalid()


@seed(SEED)
@bounded
@given(
    st.fixed_dictionaries({"requestId": scalars, "attempt": scalars | st.floats(1, 99) | st.integers(-1, 101)}),
    scalars | st.integers(-1, 9),
)
def test_a_dispatch_names_an_attempt_or_is_invalid(key: dict[str, Any], times_parked: object) -> None:
    body = json.dumps({"dispatch": key, "timesParked": times_parked})

    error = error_of(body)

    if error is None:
        read = read_message(body)
        assert isinstance(read, DispatchMessage)
        assert read.wire() == {"dispatch": key, "timesParked": times_parked}
        assert type(key["attempt"]) is type(times_parked) is int
    else:
        assert (error.field, error.rule) in {("dispatch", RULES["dispatch"]), ("body", RULES["not JSON"])}


def signed(edges: Edges, body: str, *, is_base64: bool = False) -> Receipt:
    """The answer to a webhook with a valid signature."""
    return edges.receive_webhooks.receive(Webhook(REQUEST, "1", SIGNATURE, body, is_base64))


@seed(SEED)
@bounded
@given(st.text(), st.text(), st.text(), hostile(corpus_webhooks), st.booleans())
def test_a_webhook_without_its_signature_is_forbidden(
    edges: Edges, request_id: str, attempt: str, signature: str, body: str, is_base64: bool
) -> None:
    receipt = edges.receive_webhooks.receive(Webhook(request_id, attempt, signature, body, is_base64))

    assert (receipt.status, receipt.message, receipt.key) == (403, FORBIDDEN, None)


@seed(SEED)
@bounded
@given(hostile(corpus_webhooks), st.booleans())
def test_a_webhook_is_an_outcome_or_changes_nothing(edges: Edges, body: str, is_base64: bool) -> None:
    before = edges.put(record("calling", REQUEST))

    receipt = signed(edges, body, is_base64=is_base64)

    after = edges.item(REQUEST)
    assert after
    if receipt.outcome is not None and receipt.status == 200:
        state = read_call_state(body)
        assert outcome_from_state(state, OutcomeSource.WEBHOOK) == receipt.outcome
        assert state.outbound_call_id in {None, CALL}
        assert after["status"] == receipt.outcome.status
    else:
        assert receipt.status in {200, 400}
        assert after == before | ({"allomiaStatus": receipt.allomia_status} if receipt.allomia_status else {})


@seed(SEED)
@bounded
@given(valid(STATE_SCHEMA, STATE_SCHEMA))
def test_an_outcome_that_matches_the_schema_is_recorded(edges: Edges, state: dict[str, Any]) -> None:
    edges.put(record("calling", REQUEST))

    receipt = signed(edges, json.dumps(state | {"outboundCallId": CALL}))

    assert (receipt.status, (edges.item(REQUEST) or {})["status"]) == (200, state["status"])


@seed(SEED)
@bounded
@given(broken(STATE_SCHEMA["properties"]["status"], STATE_SCHEMA))
def test_a_status_that_breaks_the_schema_changes_none(edges: Edges, value: Any) -> None:
    before = edges.put(record("calling", REQUEST))

    receipt = signed(edges, json.dumps(OUTCOME | {"status": value}))

    word = value if isinstance(value, str) and re.fullmatch("[A-Za-z_-]{1,32}", value) else None
    assert receipt.status == (200 if word else 400)
    assert edges.item(REQUEST) == before | ({"allomiaStatus": word} if word else {})


@seed(SEED)
@bounded
@given(broken(STATE_SCHEMA["$defs"]["Uuid"], STATE_SCHEMA))
def test_an_id_that_breaks_the_schema_costs_no_outcome(edges: Edges, value: Any) -> None:
    edges.put(record("calling", REQUEST))

    receipt = signed(edges, json.dumps(OUTCOME | {"outboundCallId": value, "contactId": value}))

    item = edges.item(REQUEST) or {}
    assert (receipt.status, item["status"], item["outboundCallId"]) == (200, "completed", CALL)
