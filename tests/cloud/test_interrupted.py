"""What a command reports when a fault stops it after it has sent something."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from calls.cli.output import Exit
from local.cloud import LocalCloud
from outbound_calls.contracts.vocabulary import Status
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import CONFLICT, PASS, FaultyNetwork, an_outcome, new_attempt
from tests.unit.parts import PHONE_NUMBER


class InterruptedSession(boto3.session.Session):
    """A session whose clients get Ctrl-C before one of their requests: the one after so many of this operation."""

    def __init__(self, cloud: LocalCloud, operation: str, after: int) -> None:
        super().__init__(cloud.account, "local", region_name=cloud.region)
        self.left, self.lock = after, threading.Lock()
        self.events.register_first("before-call", lambda model, **_: self.ask(model.name == operation))

    def ask(self, counts: bool) -> None:
        with self.lock:
            if counts and self.left == 0:
                raise KeyboardInterrupt
            self.left -= counts


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


def test_a_redrive_that_is_stopped_reports_what_it_sent(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    operated = OperatedStack(cloud)
    for number in range(12):
        body = json.dumps({"requestId": f"visit-{number}", "phoneNumber": PHONE_NUMBER})
        operated.stack.sqs.send_message(QueueUrl=operated.stack.dead_letter_queue_url, MessageBody=body)
    # Ctrl-C after the first ten
    operated.session = InterruptedSession(cloud, "SendMessageBatch", 1)

    code, document = operated.calls(capsys, "redrive", "--dead-letters", "--yes")

    assert code == Exit.INTERRUPTED
    so_far = document["soFar"]
    assert (so_far["sent"], len(so_far["unsent"]), so_far["notDeleted"], so_far["stillThere"]) == (10, 2, 10, 12)


def test_a_cancellation_that_is_stopped_reports_what_it_cancelled(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = OperatedStack(cloud)
    keys = [operated.attempts.scheduled().key for _ in range(12)]
    operated.session = InterruptedSession(cloud, "UpdateItem", 5)

    code, document = operated.calls(capsys, "cancel", *(key.request.request_id for key in keys))

    so_far = document["soFar"]
    assert (code, so_far["counts"]) == (Exit.INTERRUPTED, {"cancelled": 5, "not-tried": 7})
    cancelled = {each["requestId"] for each in so_far["requests"]}
    assert {key.request.request_id for key in keys if operated.attempts.status(key) == "cancelled"} == cancelled


def test_outcomes_that_are_published_again_until_it_is_stopped_are_counted(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = OperatedStack(cloud, outputs={"OutcomeBusName": "default"})
    for at in range(int(time.time()) - 60, int(time.time()) - 48):
        attempt = operated.attempts.claim(new_attempt(created_at=at), now=at)
        assert attempt is not None
        assert operated.stack.table.record(attempt.key, an_outcome(Status.COMPLETED), at).stored
    # Ctrl-C after the first ten
    operated.session = InterruptedSession(cloud, "PutEvents", 1)

    code, document = operated.calls(capsys, "republish", "--since", "1h", "--yes")

    so_far = document["soFar"]
    assert (code, so_far["found"]["toPublish"]) == (Exit.INTERRUPTED, 12)
    assert (so_far["published"], so_far["notPublished"], so_far["reason"]) == (10, 2, "interrupted")
    # From where it says, only the rest is left
    operated.session = boto3.session.Session(cloud.account, "local", region_name=cloud.region)
    code, document = operated.calls(capsys, "republish", "--since", so_far["continueSince"], "--yes")
    assert (code, document["published"]) == (Exit.DONE, 2)


def test_a_batch_is_cancelled_as_soon_as_it_is_marked_and_the_command_says_so(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = OperatedStack(cloud)
    operated.session = InterruptedSession(cloud, "Query", 0)

    code, document = operated.calls(capsys, "cancel", "--batch", "december")

    assert (code, document["soFar"]["batch"]) == (Exit.INTERRUPTED, "december")
    assert operated.stack.policy_table.batch_cancelled_by(None, "december")


def test_an_import_that_is_stopped_reports_what_it_added(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    operated = OperatedStack(cloud)
    operated.session = InterruptedSession(cloud, "PutItem", 5)
    file = tmp_path / "list.csv"
    file.write_text("\n".join(["phoneNumber", *(f"+1514555{number:04}" for number in range(12))]))

    code, document = operated.calls(capsys, "do-not-call", "import", str(file))

    so_far = document["soFar"]
    assert (code, so_far["rows"], so_far["added"], so_far["known"]) == (Exit.INTERRUPTED, 12, 5, 0)
    operated.session = boto3.session.Session(cloud.account, "local", region_name=cloud.region)
    _, counted = operated.calls(capsys, "do-not-call", "count")
    assert (counted["entries"], counted["recordsRead"]) == (5, 5)
