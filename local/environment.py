"""The local environment: the local cloud, the AlloMia simulator, and the real stack deployed between them.

The demo, `make local` and the stack tests use it the way the stack's users do: they send messages to the queue, read
the table and the queues, listen to the outcome bus and start the poller.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from local.cloud import LocalCloud
from local.simulator import Simulator, organization_id
from local.stack import Stack, deploy

API_KEY = "test-key"
"""The API key that the simulator accepts."""

KEY_WITH_ID = json.dumps({"apiKey": API_KEY, "organizationId": organization_id("own")})
"""The secret of a stack that may read the simulator's call log."""

SIGNING_KEY = "local-signing-key"
"""Signs the callback URLs of local stacks. It is fixed, so that the sample events can hold valid signatures."""

QUICK: Mapping[str, str | int] = {
    "WebhookGraceSeconds": 3,
    "CallDeadlineSeconds": 20,
    "DefaultAssistantId": "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01",
    "DefaultPhoneNumberId": "7c1e3d52-4b1f-4b8e-8f4d-2a9c6e0d7b02",
}
"""Template parameters that turn minutes into seconds: the simulator's calls last one second."""

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class KeptMessage:
    """A message from the invalid-message or the dead-letter queue."""

    body: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class LocalEnvironment:
    """A running stack and the services around it."""

    cloud: LocalCloud
    allomia: Simulator
    stack: Stack
    events_queue_url: str
    """A queue that receives every event of the outcome bus, as an upstream system would."""

    def send(self, body: str | Mapping[str, Any]) -> str:
        """Send a message to the call queue; returns its message id."""
        text = body if isinstance(body, str) else json.dumps(body)
        answer = self.cloud.client("sqs").send_message(QueueUrl=self.stack.call_queue_url, MessageBody=text)
        return answer["MessageId"]

    def waiting_requests(self) -> int:
        """The messages on the call queue that are not handled yet."""
        names: list[QueueAttributeNameType] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.cloud.client("sqs")
        answer = sqs.get_queue_attributes(QueueUrl=self.stack.call_queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def calls(self) -> dict[str, dict[str, Any]]:
        """The last attempt of every request in the calls table, as plain values, by request id."""
        return {item["requestId"]: item for item in self.attempts()}

    def attempts(self) -> list[dict[str, Any]]:
        """Every attempt in the calls table, as plain values, in the order of their numbers."""
        items = [_plain(item) for item in self.items() if "status" in item]
        return sorted(items, key=lambda item: int(item["attempt"]))

    def items(self) -> Iterator[Mapping[str, Any]]:
        """The items of the calls table, as DynamoDB has them."""
        pages = (
            self.cloud.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.stack.calls_table_name, ConsistentRead=True)
        )
        for page in pages:
            yield from page["Items"]

    def sweep(self) -> None:
        """Start the poller now. Its own schedule starts it every minute."""
        self.cloud.client("stepfunctions").start_execution(stateMachineArn=self.stack.poller_arn, input="{}")

    def dials(self) -> dict[str, tuple[int, int]]:
        """How many POSTs AlloMia received, and how many it accepted, by request id."""
        dials = self.allomia.dials()
        attempted, accepted = Counter[str](), Counter[str]()
        for url, count in dials.attempted.items():
            attempted[url.split("/")[-3]] += count
        for url, count in dials.accepted.items():
            accepted[url.split("/")[-3]] += count
        return {name: (attempted[name], accepted[name]) for name in attempted | accepted}

    def invalid_messages(self) -> list[KeptMessage]:
        """Remove and return the messages of the invalid-message queue."""
        return list(self._drain(self.stack.invalid_messages_queue_url))

    def dead_letters(self) -> list[KeptMessage]:
        """Remove and return the messages of the dead-letter queue."""
        return list(self._drain(self.stack.dead_letter_queue_url))

    def outcome_events(self) -> list[dict[str, Any]]:
        """The details of the outcome events since the last call of this method."""
        return [json.loads(message.body)["detail"] for message in self._drain(self.events_queue_url)]

    def _drain(self, queue_url: str) -> Iterator[KeptMessage]:
        sqs = self.cloud.client("sqs")
        while messages := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                attributes = message.get("MessageAttributes", {})
                yield KeptMessage(message["Body"], {name: value["StringValue"] for name, value in attributes.items()})


@contextlib.contextmanager
def running(
    parameters: Mapping[str, str | int] | None = None,
    stack_name: str = "allomia-outbound-calls-local",
    secret: str = API_KEY,
) -> Iterator[LocalEnvironment]:
    """Start everything on free ports, and stop all of it at the end.

    Args:
        parameters: Template parameters, which override those in `QUICK`.
        stack_name: The name of the stack.
        secret: The secret of AlloMia keys.
    """
    with LocalCloud() as cloud, Simulator(gateway=cloud.endpoint_url, accepted_keys=(API_KEY,)) as allomia:
        yield deploy_into(cloud, allomia, parameters, stack_name, secret)


def deploy_into(
    cloud: LocalCloud,
    allomia: Simulator,
    parameters: Mapping[str, str | int] | None,
    stack_name: str,
    secret: str = API_KEY,
) -> LocalEnvironment:
    """Deploy the stack into a running cloud, beside a running simulator."""
    stack = deploy(cloud, stack_name, {**QUICK, "AllomiaBaseUrl": allomia.url, **(parameters or {})}, api_key=secret)
    cloud.client("secretsmanager").put_secret_value(SecretId=stack.resources["SigningSecret"], SecretString=SIGNING_KEY)
    return LocalEnvironment(cloud, allomia, stack, _subscribe(cloud, stack))


def _subscribe(cloud: LocalCloud, stack: Stack) -> str:
    """Create a queue that receives every event of the outcome bus; returns its URL."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    name = f"{stack.name}-events"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["allomia.outbound-calls"]})
    events.put_rule(Name=name, EventBusName=stack.outcome_bus_name, EventPattern=pattern)
    events.put_targets(Rule=name, EventBusName=stack.outcome_bus_name, Targets=[{"Id": "events", "Arn": arn}])
    return url


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(_deserialize(value)) for name, value in item.items()}


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == int(value) else value
