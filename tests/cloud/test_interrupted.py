"""What a command reports when a fault stops it after it has sent something."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from calls.cli.output import Exit
from local.cloud import LocalCloud
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import CONFLICT, PASS, FaultyNetwork
from tests.unit.parts import PHONE_NUMBER


@pytest.mark.parametrize(
    ("fails", "before", "code", "sent"), [("BatchGetItem", 1, Exit.UNREACHABLE, 1), ("none", 0, Exit.TIMED_OUT, 1)]
)
def test_what_was_placed_is_reported_also_when_it_can_not_be_followed(
    cloud: LocalCloud,
    network: FaultyNetwork,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    before: int,
    code: Exit,
    sent: int,
) -> None:
    operated = OperatedStack(cloud)
    operated.endpoint_url = network.url
    network.plan = lambda name, earlier: CONFLICT if name == fails and earlier >= before else PASS
    call = ("--phone-number", PHONE_NUMBER, "--request-id", f"visit-{uuid4().hex}")

    answered, document = operated.calls(capsys, "place", *call, "--yes", "--wait", "--timeout", "0")

    assert answered == code
    assert document.get("soFar", document)["sent"] == sent
    messages = operated.stack.sqs.receive_message(QueueUrl=operated.stack.call_queue_url)["Messages"]
    assert [json.loads(message["Body"])["phoneNumber"] for message in messages] == [PHONE_NUMBER]
