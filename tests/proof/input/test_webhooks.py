"""Every webhook of the corpus through the use case, on a real table: only a signed outcome changes anything."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from outbound_calls.use_cases.receive import Receipt, Webhook
from tests.proof.input.conftest import Edges, record
from tests.proof.input.webhooks import FORBIDDEN, REQUEST, SIGNATURE, WebhookCase, outcome, sign, webhook_cases

CASES = webhook_cases()
OF_THE_USE_CASE = [case for case in CASES if case.target is None]


def named(case: WebhookCase) -> str:
    return case.name.encode("ascii", "backslashreplace").decode()


def receive(edges: Edges, case: WebhookCase) -> Receipt:
    webhook = Webhook(case.request_id, case.attempt, case.signature, case.body, case.is_base64)
    return edges.receive_webhooks.receive(webhook)


def plain(value: Any) -> Any:
    """A value of the table as JSON would have it."""
    match value:
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case Decimal():
            return float(value)
        case _:
            return value


@pytest.mark.parametrize("case", OF_THE_USE_CASE, ids=named)
def test_a_webhook_gets_the_expected_answer(edges: Edges, case: WebhookCase) -> None:
    before = edges.put(record(case.record, REQUEST))

    receipt = receive(edges, case)

    # The expected message is the corpus's own, so it repeats nothing of the content
    assert ((receipt.status,), receipt.message) == (case.statuses, case.message)
    after = edges.item(REQUEST)
    assert after is not None
    if case.stored is None:
        assert plain(after) == plain(before)
    else:
        assert {name: plain(after.get(name)) for name in case.stored} == case.stored
        ended = {"request", "dueAt", "dueShard", "claimId", "reasonCode", "reason", "allomiaStatus"}
        assert after["status"] == "calling" or not ended & after.keys()
    # And there is no record of another attempt
    assert edges.item(REQUEST, 2) is None
    # And an attempt is named only once its URL is verified
    assert (receipt.key is None) == (receipt.message == FORBIDDEN and receipt.result is None)


def test_an_outcome_is_recorded_for_its_organization_only(edges: Edges) -> None:
    other = edges.put(record("calling", REQUEST))
    key = f"north~{REQUEST}"
    edges.put(record("calling", key))

    forged = edges.receive_webhooks.receive(Webhook(key, "1", SIGNATURE, outcome()))
    signed = edges.receive_webhooks.receive(Webhook(key, "1", sign(key), outcome()))

    assert (forged.status, signed.status) == (403, 200)
    assert (edges.item(key) or {})["status"] == "completed"
    assert plain(edges.item(REQUEST)) == plain(other)
    edges.remove(key)


def test_no_webhook_creates_a_record(edges: Edges) -> None:
    edges.put(record("completed", REQUEST))
    before = edges.keys()

    for case in OF_THE_USE_CASE:
        if case.stored is None:
            receive(edges, case)

    assert edges.keys() == before


def test_the_corpus_is_large_and_has_no_duplicates() -> None:
    assert sum(case.stored is None for case in CASES) >= 350
    assert not [name for name, times in Counter(case.name for case in CASES).items() if times > 1]
    assert webhook_cases() == CASES
    # The two alphabets of base64 differ in two characters
    assert {"-", "_"} < set(SIGNATURE)
