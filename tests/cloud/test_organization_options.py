"""Each command that takes `--organization`: of one, of an organization that has none of it, and of all."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from calls.cli.output import Exit
from local.cloud import LocalCloud
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.contracts.wire import ORGANIZATION_RULE
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import an_outcome, new_attempt
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER_ID
from tests.world import NOW

NORTH, SOUTH = "north", "south"
NORTH_ASSISTANT = ASSISTANT_ID.replace("1", "9")
ALL = ["default", NORTH, SOUTH]


@pytest.fixture(scope="module")
def clinics(cloud: LocalCloud) -> OperatedStack:
    """A stack of three organizations: the policy names one, and the secret of keys the other one alone.

    Each has a call that ended and one that is parked.
    """
    entry = {"apiKey": API_KEY, "assistantId": NORTH_ASSISTANT, "phoneNumberId": PHONE_NUMBER_ID}
    keys = {"default": {"apiKey": API_KEY}, NORTH: entry, SOUTH: entry}
    secrets = cloud.client("secretsmanager")
    arn = secrets.create_secret(Name=f"clinics-{time.time_ns()}", SecretString=json.dumps({"organizations": keys}))
    clinics = OperatedStack(cloud, AllomiaApiKeySecretArn=arn["ARN"])
    document = {"organizations": {NORTH: {"maxConcurrentCalls": 2}}}
    clinics.stack.policy_table.set_policy(json.dumps(document), "test", NOW, 0)
    now, table = int(time.time()) - 60, clinics.attempts.table
    for organization in (None, NORTH, SOUTH):
        ended, parked = (
            new_attempt(AttemptKey(RequestKey(name, organization), 1), now) for name in ("ended", "parked")
        )
        assert table.claim(ended, "claim", now, 180)
        assert table.record(ended.key, an_outcome(Status.BUSY), now).stored
        assert table.park(parked, now + 3600, ParkReason.RATE_LIMITED)
    return clinics


def names(items: list[dict[str, Any]]) -> list[str]:
    return sorted(each.get("organization") or "default" for each in items)


FOUND: dict[tuple[str, ...], Any] = {
    ("list", "--status", "busy"): lambda shown: names(shown["calls"]),
    ("list",): lambda shown: names(shown["calls"]),
    ("events",): lambda shown: names(shown["events"]),
    ("audit", "--from", "1h"): lambda shown: names(shown["dials"]),
    ("republish", "--since", "1h", "--dry-run"): lambda shown: shown["found"]["toPublish"],
    ("report", "--days", "2"): lambda shown: shown["byStatus"].get("busy", 0),
}


@pytest.mark.parametrize("command", FOUND, ids=" ".join)
def test_a_command_looks_at_one_organization_or_at_all(
    clinics: OperatedStack, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    for organization in (None, *ALL, "none-of-it"):
        whose = ("--organization", organization) if organization else ()

        code, shown = clinics.calls(capsys, *command, *whose)

        found, expected = FOUND[command](shown), [each for each in ALL if organization in {None, each}]
        assert code == Exit.DONE
        assert found == (len(expected) if isinstance(found, int) else expected), organization


def test_a_name_that_no_organization_can_have_is_refused_with_the_rule(
    clinics: OperatedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in [*FOUND, ("lines",), ("show", "ended")]:
        code, refused = clinics.calls(capsys, *command, "--organization", "No Such")

        assert (code, refused["error"]["message"]) == (Exit.REFUSED, f"organization: {ORGANIZATION_RULE}"), command


@pytest.mark.parametrize("organization", ALL)
def test_a_request_and_the_lines_are_those_of_the_organization(
    clinics: OperatedStack, capsys: pytest.CaptureFixture[str], organization: str
) -> None:
    whose = ("--organization", organization)

    for command in (("show", "ended", *whose), ("explain", f"{organization}~ended")):
        code, shown = clinics.calls(capsys, *command)
        assert (code, shown.get("organization", "default")) == (Exit.DONE, organization)
    _, lines = clinics.calls(capsys, "lines", *whose)
    assert (lines["organization"], lines.get("limit")) == (organization, 2 if organization == NORTH else None)


def test_calls_that_are_resolved_together_are_those_of_one_organization_or_of_all(
    clinics: OperatedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    now, table = int(time.time()) - 30, clinics.attempts.table
    for organization in (None, NORTH, SOUTH):
        key = AttemptKey(RequestKey("lost", organization), 1)
        assert table.claim(new_attempt(key, now), "claim", now, 180)
        assert table.record(key, an_outcome(Status.UNKNOWN), now).stored
    resolve = ("resolve", "--as", "completed", "--since", "1h", "--yes")

    counts = [
        clinics.calls(capsys, *resolve, *whose)[1].get("recorded", 0)
        for whose in (("--organization", "none-of-it"), ("--organization", "default"), ())
    ]

    assert counts == [0, 1, 2]


@pytest.mark.parametrize(
    ("organization", "assistant"), [(NORTH, NORTH_ASSISTANT), ("default", ASSISTANT_ID), ("none-of-it", None)]
)
def test_a_call_is_placed_for_an_organization(
    clinics: OperatedStack, capsys: pytest.CaptureFixture[str], organization: str, assistant: str | None
) -> None:
    options = ("--phone-number", "+15145550142", "--organization", organization, "--yes")

    code, report = clinics.calls(capsys, "place", *options)

    sqs, url = clinics.stack.sqs, clinics.stack.outputs["CallQueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    sent = [json.loads(message["Body"]) for message in messages]
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if assistant is None:
        assert (code, sent, report["preflight"]["toSend"]) == (Exit.REFUSED, [], 0)
        return
    assert (code, report["sent"]) == (Exit.DONE, 1)
    assert [each.get("organization", "default") for each in sent] == [organization]
    assert clinics.calls(capsys, "place", *options, "--assistant-id", assistant, "--dry-run")[0] == Exit.DONE
