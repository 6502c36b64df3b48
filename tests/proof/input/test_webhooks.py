"""Every webhook of the corpus through the use case, on a real table: what is not AlloMia's word changes nothing."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from outbound_calls.receive import Webhook
from tests.proof.input.conftest import Edges, record
from tests.proof.input.corpus import WebhookCase, webhook_cases
from tests.proof.input.generate_webhooks import REQUEST

CASES = webhook_cases()
OF_THE_USE_CASE = [case for case in CASES if case.target is None]


def named(case: WebhookCase) -> str:
    return case.name.encode("ascii", "backslashreplace").decode()


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
def test_a_webhook_is_answered_as_it_must_be(edges: Edges, case: WebhookCase) -> None:
    before = record(case.record, REQUEST)
    edges.put(before)

    webhook = Webhook(case.request_id, case.attempt, case.signature, case.body, case.is_base64)
    receipt = edges.receive_webhooks.receive(webhook)

    # The words are the corpus's own, so nothing of what was sent is in them
    assert ([receipt.status], receipt.words) == (case.statuses, case.words)
    after = edges.item(REQUEST)
    assert after is not None
    if case.stored is None:
        assert plain(after) == plain(before)
    else:
        assert {name: plain(after.get(name)) for name in case.stored} == case.stored
        assert not {"request", "dueAt", "dueShard", "claimId"} & after.keys()
    # And it left no record of anybody else
    assert edges.item(REQUEST, 2) is None
    # And who is not verified is not named
    assert (receipt.key is None) == (receipt.words == "not a callback URL of this stack" and receipt.result is None)


def test_nothing_is_dialled_or_made_by_a_webhook(edges: Edges) -> None:
    keys = edges.cloud.client("dynamodb").scan(TableName=edges.table, ProjectionExpression="requestId")["Items"]

    made = {item["requestId"]["S"] for item in keys}
    assert made & {case.request_id for case in CASES} <= {REQUEST}


def test_the_corpus_is_large_and_no_case_is_there_twice() -> None:
    assert sum(case.stored is None for case in CASES) >= 200
    assert not [name for name, times in Counter(case.name for case in CASES).items() if times > 1]
