"""What is asked of DynamoDB to know whose call an entry of AlloMia's call log is, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.dial_marks import (
    DIAL_KEPT_SECONDS,
    ENTRY_KEPT_SECONDS,
    RIVALS_KNOWN_SECONDS,
    DialMarks,
)
from outbound_calls.domain.log_matches import Window
from tests.unit.dynamodb import Asked, dynamodb, fault, well

DISPATCHED_AT = 999_999_990
WINDOW = Window(DISPATCHED_AT - 1, DISPATCHED_AT + 9)
HASH = "0123456789abcdef-and-more"
REFUSED = fault("ConditionalCheckFailedException")
OWN, RIVAL = "clinic-a~visit-2031#1", "clinic-a~visit-2031#2"


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[DialMarks, Asked]]:
    with dynamodb(*answers) as (client, table):
        yield DialMarks(client, "policy"), table


def entries(*attempts: str, **more: Any) -> bytes:
    return well(Items=[{"entry": {"S": f"0{DISPATCHED_AT}#{attempt}"}} for attempt in attempts], **more)


def test_how_long_it_is_remembered() -> None:
    assert DIAL_KEPT_SECONDS == 345_600
    assert RIVALS_KNOWN_SECONDS == 342_000
    assert ENTRY_KEPT_SECONDS == 2_592_000


def test_a_dial_is_remembered_under_its_organization_number_and_time() -> None:
    with answering(well()) as (marks, table):
        marks.mark_dial("ORG-1", HASH, OWN, DISPATCHED_AT)
    assert table.asked == [
        {
            "TableName": "policy",
            "Item": {
                "subject": {"S": "call-log#org-1#0123456789abcdef"},
                "entry": {"S": f"0999999990#{OWN}"},
                "expiresAt": {"N": "1000345590"},
            },
        }
    ]


def test_rivals_are_the_dials_to_the_number_in_the_window_as_of_every_acknowledged_write() -> None:
    with answering(entries()) as (marks, table):
        assert marks.has_rival("ORG-1", HASH, OWN, WINDOW) is False
    assert table.asked == [
        {
            "TableName": "policy",
            "KeyConditionExpression": "subject = :subject AND entry BETWEEN :since AND :until",
            "ExpressionAttributeValues": {
                ":subject": {"S": "call-log#org-1#0123456789abcdef"},
                ":since": {"S": "0999999989"},
                ":until": {"S": "1000000000"},
            },
            "ConsistentRead": True,
            "Limit": 20,
        }
    ]


@pytest.mark.parametrize(
    ("answer", "rival"),
    [
        (entries(OWN), False),
        (entries(OWN, OWN), False),
        (entries(RIVAL), True),
        (entries(OWN, RIVAL), True),
        (entries(RIVAL, OWN), True),
        (entries(OWN, LastEvaluatedKey={"subject": {"S": "s"}, "entry": {"S": "e"}}), True),
    ],
    ids=["itself", "itself twice", "another", "another later", "another earlier", "more than are read"],
)
def test_another_attempt_is_a_rival_and_so_is_what_is_not_read(answer: bytes, rival: bool) -> None:
    with answering(answer) as (marks, _):
        assert marks.has_rival("org-1", HASH, OWN, WINDOW) is rival


def test_an_entry_of_the_log_is_bound_unless_it_is_anothers() -> None:
    with answering(well(), REFUSED) as (marks, table):
        assert marks.bind_entry("ORG-1", "log-7", OWN, DISPATCHED_AT + 0.9) is True
        assert marks.bind_entry("ORG-1", "log-7", OWN, DISPATCHED_AT + 0.9) is False
    (asked, again) = table.asked
    assert asked == again
    assert asked == {
        "TableName": "policy",
        "Item": {
            "subject": {"S": "call-log#org-1"},
            "entry": {"S": "log-7"},
            "boundTo": {"S": OWN},
            "expiresAt": {"N": "1002591990"},
        },
        "ConditionExpression": "attribute_not_exists(subject) OR boundTo = :attempt",
        "ExpressionAttributeValues": {":attempt": {"S": OWN}},
    }


def test_an_entry_is_not_bound_where_dynamodb_makes_no_write() -> None:
    with answering(fault("AccessDeniedException")) as (marks, _), pytest.raises(ClientError):
        marks.bind_entry("org-1", "log-7", OWN, DISPATCHED_AT)
