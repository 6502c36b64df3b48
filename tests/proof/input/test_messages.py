"""Every message of the corpus, as text and through the use case: nobody is dialled who should not be."""

import json
import re
import traceback
from collections import Counter

import pytest

from outbound_calls.contracts import MAX_MESSAGE_BYTES, InvalidInput, Release, read_message
from outbound_calls.place import Message, Placed
from tests.proof.input.conftest import ASSISTANT_ID, Edges
from tests.proof.input.corpus import RULES, MessageCase, message_cases
from tests.tooling.template.rendering import read_template

CASES = message_cases()
BAD = [case for case in CASES if case.field is not None]
GOOD = [case for case in CASES if case.field is None]


def named(case: MessageCase) -> str:
    return case.name.encode("ascii", "backslashreplace").decode()


def contents(case: MessageCase) -> set[str]:
    """The longer words of a body, beyond those that are in the contract itself."""
    words = set(re.findall(r"[^\s\"'\\{}\[\]<>:,;()=&/]{6,}", case.body))
    return words - set(re.findall(r"\w+", " ".join([*RULES, *RULES.values()])))


def records(edges: Edges) -> int:
    return edges.cloud.client("dynamodb").scan(TableName=edges.table, Select="COUNT")["Count"]


@pytest.mark.parametrize("case", BAD, ids=named)
def test_a_bad_message_is_refused_by_field_and_rule(case: MessageCase) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_message(case.body)

    refusal = caught.value
    assert (refusal.field, refusal.rule) == (case.field, case.rule)
    # And its text, alone or as Python would print it, repeats nothing of what was sent
    assert str(refusal) in {f"{case.field}: {case.rule}", f"unknown field: {case.rule}"}
    lines = traceback.format_exception_only(refusal)
    assert not [word for word in contents(case) if any(word in line for line in lines)]
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__ or refusal.__context__ is None


@pytest.mark.parametrize("case", GOOD, ids=named)
def test_a_good_message_is_read(case: MessageCase) -> None:
    read = read_message(case.body).wire()

    assert {name: read.get(name) for name in case.reads} == case.reads


def test_no_bad_message_rings_anybody_or_leaves_a_record(edges: Edges) -> None:
    # When every bad message that can stand in a queue is worked on
    sent = {f"bad-{number}": case for number, case in enumerate(BAD) if case.from_a_queue}
    edges.rejected()
    edges.dials.bodies.clear()
    before = records(edges)
    results = [edges.place_calls.place(Message(name, case.body, lambda: 40.0)) for name, case in sent.items()]

    # Then each is refused, in words that may be logged
    assert {placement.result for placement in results} == {Placed.REFUSED}
    assert {placement.key for placement in results} == {None}
    for placement, case in zip(results, sent.values(), strict=True):
        assert placement.reason in {f"{case.field}: {case.rule}", f"unknown field: {case.rule}"}
    # And nobody is rung, and nothing recorded
    assert edges.dials.bodies == []
    assert records(edges) == before
    # And each is kept as it came, with the field and the rule
    kept = {attributes["messageId"]: (body, attributes) for body, attributes in edges.rejected()}
    assert kept.keys() == sent.keys()
    for name, case in sent.items():
        body, attributes = kept[name]
        assert body == case.body
        assert attributes == {
            "messageId": name,
            "field": case.field,
            "rule": case.rule,
            "reason": f"{case.field}: {case.rule}",
        }


def test_each_good_message_rings_once_and_says_what_it_was_told(edges: Edges) -> None:
    for number, case in enumerate(case for case in GOOD if case.from_a_queue):
        request = read_message(case.body)
        message = Message(f"good-{number}", case.body, lambda: 40.0)
        if isinstance(request, Release):
            # Of nothing that was parked: there is nobody to ring
            assert edges.place_calls.place(message).result is Placed.DUPLICATE
            continue
        edges.dials.bodies.clear()
        edges.remove(request.request_id or message.message_id)

        results = [edges.place_calls.place(message).result for _ in range(2)]
        edges.remove(request.request_id or message.message_id)

        assert results == [Placed.CALLING, Placed.DUPLICATE], case.name
        (posted,) = map(json.loads, edges.dials.bodies)
        said = request.wire()
        told = {"assistantId": ASSISTANT_ID, "phoneNumberId": ASSISTANT_ID, "callbackUrl": posted["callbackUrl"]}
        assert posted == told | {name: value for name, value in said.items() if name not in {"requestId", "metadata"}}


def test_both_sides_of_every_limit_are_in_the_corpus() -> None:
    names = {case.name: case.field for case in CASES}
    limits = [
        *(("lengths: phoneNumber of {} digits", low, high) for low, high in ((9, 8), (15, 16))),
        ("lengths: requestId of {}", 128, 129),
        ("lengths: customerName of {}", 200, 201),
        ("lengths: dynamicVariables with {}", 50, 51),
        ("lengths: metadata with {}", 20, 21),
        *((f"lengths: a name of {{}} in {field}", 64, 65) for field in ("dynamicVariables", "metadata")),
        ("lengths: a value of {} in dynamicVariables", 2000, 2001),
        ("lengths: a value of {} in metadata", 256, 257),
        ("sizes: {} bytes, most of them spaces", MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1),
    ]
    for name, within, beyond in limits:
        assert names[name.format(within)] is None
        assert names[name.format(beyond)] is not None
    # And nothing that is nested deeper than an object of texts is read
    depths = [case for case in CASES if " deep in " in case.name]
    assert depths
    assert all(case.field for case in depths)


def test_a_refused_message_with_its_reason_fits_the_invalid_messages_queue() -> None:
    # Given the longest message that the call queue takes, and the longest reason; SQS counts attributes as well
    resources = read_template()["Resources"]
    taken = resources["CallQueue"]["Properties"]["MaximumMessageSize"]
    kept = resources["InvalidMessagesQueue"]["Properties"]["MaximumMessageSize"]
    attributes = 4 * len("messageIdString") + 2 * (64 + max(map(len, RULES.values()))) + 128

    # Then it can be kept, instead of coming back until it is a dead letter
    assert taken + attributes <= kept <= 2**20
    # And every message that is not too long comes through to be told so
    assert taken > MAX_MESSAGE_BYTES


def test_the_corpus_is_large_and_no_case_is_there_twice() -> None:
    assert len(BAD) >= 200
    assert not [name for name, times in Counter(case.name for case in CASES).items() if times > 1]
