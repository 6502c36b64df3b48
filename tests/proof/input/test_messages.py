"""Every message of the corpus, parsed and through the use case: no call is placed that should not be."""

import json
import re
import traceback
from collections import Counter

import pytest

from outbound_calls.contracts.dispatch import DispatchMessage
from outbound_calls.contracts.messages import MAX_MESSAGE_BYTES, CallRequestMessage, read_message
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.use_cases.placement import PlaceResult
from tests.proof.input.conftest import Edges
from tests.proof.input.messages import LIMITS, PATHS, RULES, TIMES, UUIDS, MessageCase, message_cases, request
from tests.tooling.template.rendering import read_template
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

CASES = message_cases()
INVALID = [case for case in CASES if case.field is not None]
VALID = [case for case in CASES if case.field is None]


def named(case: MessageCase) -> str:
    return case.name.encode("ascii", "backslashreplace").decode()


def contents(case: MessageCase) -> set[str]:
    """The longer words of a body, except the contract's own."""
    words = set(re.findall(r"[^\s\"'\\{}\[\]<>:,;()=&/]{6,}", case.body))
    return words - set(re.findall(r"\w+", " ".join([*RULES, *RULES.values()])))


@pytest.mark.parametrize("case", INVALID, ids=named)
def test_an_invalid_message_is_named_by_field_and_rule(case: MessageCase) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_message(case.body)

    error = caught.value
    assert (error.field, error.rule) == (case.field, case.rule)
    # And its text, alone or as Python would print it, repeats nothing of the content
    assert str(error) in {f"{case.field}: {case.rule}", f"unknown field: {case.rule}"}
    lines = traceback.format_exception_only(error)
    assert not [word for word in contents(case) if any(word in line for line in lines)]
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("case", VALID, ids=named)
def test_a_valid_message_is_read(case: MessageCase) -> None:
    read = read_message(case.body).wire()

    assert {name: read.get(name) for name in case.reads} == case.reads


def test_invalid_messages_place_no_call_and_are_kept_with_their_reason(edges: Edges) -> None:
    # Given every invalid message that a queue can hold
    sent = {f"invalid-{number}": case for number, case in enumerate(INVALID) if case.from_a_queue}
    edges.invalid_messages()
    edges.dials.bodies.clear()
    before = edges.keys()

    placements = [edges.place(name, case.body) for name, case in sent.items()]

    # Then each is invalid, with a reason that may be logged
    assert {placement.result for placement in placements} == {PlaceResult.INVALID}
    assert {placement.key for placement in placements} == {None}
    for placement, case in zip(placements, sent.values(), strict=True):
        assert placement.detail in {f"{case.field}: {case.rule}", f"unknown field: {case.rule}"}
    # And no call is placed, and nothing recorded
    assert edges.dials.bodies == []
    assert edges.keys() == before
    # And each is kept unchanged, with the field and the rule
    kept = {attributes["messageId"]: (body, attributes) for body, attributes in edges.invalid_messages()}
    assert kept == {
        name: (
            case.body,
            {"messageId": name, "field": case.field, "rule": case.rule, "reason": f"{case.field}: {case.rule}"},
        )
        for name, case in sent.items()
    }


def test_each_valid_request_is_dialled_once_with_its_own_content(edges: Edges) -> None:
    not_for_allomia = {"requestId", "organization", "metadata", "batch", *TIMES}
    not_for_allomia |= {"timeZone", "callingWindows", "redial", "priority"}
    for number, case in enumerate(case for case in VALID if case.from_a_queue):
        asked = read_message(case.body)
        if not isinstance(asked, CallRequestMessage) or asked.purpose:
            # A purpose is rejected where the policy doesn't define it.
            continue
        message_id = f"valid-{number}"
        edges.dials.bodies.clear()
        edges.remove(asked.request_id or message_id)

        results = [edges.place(message_id, case.body).result for _ in range(2)]
        edges.remove(asked.request_id or message_id)

        assert results == [PlaceResult.CALLING, PlaceResult.DUPLICATE], case.name
        (posted,) = map(json.loads, edges.dials.bodies)
        defaults = {"assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
        content = {name: value for name, value in asked.wire().items() if name not in not_for_allomia}
        assert posted == defaults | content | {"callbackUrl": posted["callbackUrl"]}


def test_a_dispatch_of_an_attempt_that_is_not_parked_dials_nothing(edges: Edges) -> None:
    bodies = [case.body for case in VALID if isinstance(read_message(case.body), DispatchMessage)]
    edges.dials.bodies.clear()

    assert {edges.place("dispatch", body).result for body in bodies} == {PlaceResult.DUPLICATE}
    assert edges.dials.bodies == []


def test_an_organization_that_is_not_configured_is_invalid(edges: Edges) -> None:
    edges.invalid_messages()

    placement = edges.place("north", request(requestId="visit-2031", organization="north"))

    assert (placement.result, placement.key) == (PlaceResult.INVALID, None)
    ((_, attributes),) = edges.invalid_messages()
    assert (attributes["field"], attributes["rule"]) == ("organization", RULES["organization"])
    assert edges.item("visit-2031") is edges.item("north~visit-2031") is None


def test_both_sides_of_every_limit_are_in_the_corpus() -> None:
    fields = {case.name: case.field for case in CASES}
    for limit in LIMITS:
        beyond = [limit.most + 1] + [limit.least - 1] * (limit.least > 0 and limit.field != "body")
        assert {fields[f"limits: {limit.name.format(size)}"] for size in (limit.least, limit.most)} == {None}
        assert {fields[f"limits: {limit.name.format(size)}"] for size in beyond} == {limit.field}
    bounded = {str(field.alias) for field in CallRequestMessage.model_fields.values()}
    elsewhere = {"organization", *UUIDS, *TIMES, "timeZone", "redial", "priority"}
    assert {limit.field for limit in LIMITS} == bounded - elsewhere | {"body"}
    assert MAX_MESSAGE_BYTES in {limit.most for limit in LIMITS if limit.field == "body"}


def test_an_invalid_message_and_its_reason_fit_the_invalid_messages_queue() -> None:
    # Given the longest message that the call queue accepts and the longest reason; SQS counts attributes too
    resources = read_template()["Resources"]
    accepted = resources["CallQueue"]["Properties"]["MaximumMessageSize"]
    kept = resources["InvalidMessagesQueue"]["Properties"]["MaximumMessageSize"]
    attributes = 5 * len("messageIdString") + 2 * (64 + max(map(len, RULES.values()))) + 128 + 13

    # Then it can be kept, and doesn't become a dead letter
    assert accepted + attributes <= kept <= 2**20
    # And a message that is a little too long arrives, so that the sender learns the rule
    assert accepted > MAX_MESSAGE_BYTES


def test_every_path_is_in_the_corpus() -> None:
    unknown = ("no field but", "spelled")
    named = {re.sub(r"\[\d+\]", "[]", str(case.field)) for case in INVALID if not case.rule.startswith(unknown)}

    assert named == PATHS


def test_the_corpus_is_large_and_breaks_every_rule() -> None:
    assert len(INVALID) >= 400
    assert {case.rule for case in INVALID} == set(RULES.values())
    assert not [name for name, times in Counter(case.name for case in CASES).items() if times > 1]
    assert message_cases() == CASES
