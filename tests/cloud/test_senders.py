"""What SNS and EventBridge put on the call queue, set up as docs/integrate/senders.md says, and set up as they come."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from local.cloud import LocalCloud
from outbound_calls.contracts import envelopes
from outbound_calls.contracts.messages import CallRequestMessage, read_message
from outbound_calls.contracts.wire import InvalidInput
from tests.tooling.docs.markdown import fences, read

REQUEST = {"requestId": "reminder-A-1001", "phoneNumber": "+15005550100"}
VISIT = {"visit": {"id": "A-1001", "start": "09:30"}, "patient": {"phone": "+15005550100"}}
BLOCKS = [json.loads(block) for block in fences(read("docs/integrate/senders.md"), "json")]
PATH, TRANSFORMER = (block for block in BLOCKS if "Id" in block)
(STATEMENT,) = (block for block in BLOCKS if "Sid" in block)


class CallQueue:
    """A queue, and what comes to it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.sqs = cloud.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"calls-{uuid4().hex[:8]}")["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = found["Attributes"]["QueueArn"]

    def allow(self, sender: str) -> None:
        """Give the queue the statement of the page, for this topic or rule."""
        statement = STATEMENT | {"Resource": self.arn, "Condition": {"ArnEquals": {"aws:SourceArn": [sender]}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def received(self) -> str:
        """The body of the one message."""
        (message,) = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=10)["Messages"]
        return message["Body"]

    def published(self, message: str, **attributes: str) -> str:
        """What comes of a message that is published to a topic."""
        sns = self.cloud.client("sns")
        topic = sns.create_topic(Name=f"reminders-{uuid4().hex[:8]}")["TopicArn"]
        self.allow(topic)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn, Attributes=attributes)
        sns.publish(TopicArn=topic, Message=message)
        return self.received()

    def put(self, detail: dict[str, Any], target: dict[str, Any]) -> str:
        """What comes of an event on a bus with a rule that has this target."""
        events, bus = self.cloud.client("events"), f"clinic-{uuid4().hex[:8]}"
        events.create_event_bus(Name=bus)
        rule = events.put_rule(Name="reminders", EventBusName=bus, EventPattern=json.dumps({"source": ["clinic"]}))
        self.allow(rule["RuleArn"])
        wanted: Any = target | {"Arn": self.arn}
        events.put_targets(Rule="reminders", EventBusName=bus, Targets=[wanted])
        entry: Any = {
            "EventBusName": bus,
            "Source": "clinic",
            "DetailType": "Reminder Due",
            "Detail": json.dumps(detail),
        }
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        return self.received()


@pytest.fixture
def queue(cloud: LocalCloud) -> CallQueue:
    return CallQueue(cloud)


def reason(body: str) -> str:
    with pytest.raises(InvalidInput) as error:
        read_message(body)
    return str(error.value)


def test_sns_with_raw_delivery_sends_a_request(queue: CallQueue) -> None:
    body = queue.published(json.dumps(REQUEST), RawMessageDelivery="true")

    assert read_message(body).wire() == REQUEST


def test_sns_as_it_comes_sends_an_envelope(queue: CallQueue) -> None:
    assert reason(queue.published(json.dumps(REQUEST))) == f"body: {envelopes.SNS}"


def test_eventbridge_with_the_input_path_sends_a_request(queue: CallQueue) -> None:
    assert read_message(queue.put(REQUEST, PATH)).wire() == REQUEST


def test_eventbridge_with_the_input_transformer_sends_a_request(queue: CallQueue) -> None:
    read = read_message(queue.put(VISIT, TRANSFORMER))

    assert isinstance(read, CallRequestMessage)
    assert read.wire() == REQUEST | {
        "dynamicVariables": {"appointmentTime": "09:30"},
        "metadata": {"visitId": "A-1001"},
    }


def test_eventbridge_as_it_comes_sends_an_envelope(queue: CallQueue) -> None:
    assert reason(queue.put(REQUEST, {"Id": "calls"})) == f"body: {envelopes.EVENTBRIDGE}"
