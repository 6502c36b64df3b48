"""The two edges on real parts: a table, a queue and a secret of the local cloud, with no stack around them."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from local.cloud import LocalCloud
from outbound_calls.allomia import AllomiaClient, http_client
from outbound_calls.breaker import Breaker
from outbound_calls.callbacks import CallbackUrls
from outbound_calls.ledger import Ledger
from outbound_calls.place import InvalidMessages, PlaceCalls
from outbound_calls.receive import ReceiveWebhooks
from outbound_calls.secrets import Secret
from tests.proof.input.corpus import message_cases, webhook_cases
from tests.proof.input.generate_webhooks import KEY, PREVIOUS_KEY, RETIRED_KEY
from tests.tooling.template.rendering import read_template

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "150"))
"""Of each property; more of those that `make proof` runs as well."""

LONG = 20
"""How many times as many in `make proof`."""

ASSISTANT_ID = "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01"
CALL_ID = "c3d4e5f6-a7b8-9012-cdef-345678901234"

type Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class Dials(httpx.BaseTransport):
    """AlloMia: takes every call, and keeps what it was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        return httpx.Response(200, json={"outboundCallId": CALL_ID, "contactId": None, "status": "calling"})


@dataclass(frozen=True)
class Edges:
    """Both use cases that take what others send, and the parts behind them."""

    cloud: LocalCloud
    table: str
    invalid_messages_queue: str
    dials: Dials
    place_calls: PlaceCalls
    receive_webhooks: ReceiveWebhooks

    def item(self, request_id: str, attempt: int = 1) -> Item | None:
        """A record as it stands."""
        found = self.cloud.client("dynamodb").get_item(
            TableName=self.table, Key=_dynamo({"requestId": request_id, "attempt": attempt}), ConsistentRead=True
        )
        return {name: _deserialize(value) for name, value in found["Item"].items()} if "Item" in found else None

    def put(self, item: Item) -> None:
        """Make a record, whatever stood there."""
        self.cloud.client("dynamodb").put_item(TableName=self.table, Item=_dynamo(item))

    def remove(self, request_id: str) -> None:
        """Remove the record of a request's first attempt, if there is one."""
        key = _dynamo({"requestId": request_id, "attempt": 1})
        self.cloud.client("dynamodb").delete_item(TableName=self.table, Key=key)

    def rejected(self) -> list[tuple[str, dict[str, str]]]:
        """Bodies and attributes in the rejected queue, which is emptied."""
        sqs, kept = self.cloud.client("sqs"), []
        while messages := sqs.receive_message(
            QueueUrl=self.invalid_messages_queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=self.invalid_messages_queue, ReceiptHandle=message["ReceiptHandle"])
                attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
                kept.append((message["Body"], attributes))
        return kept


def _dynamo(item: Item) -> Item:
    return {name: _serialize(value) for name, value in item.items()}


def record(status: str, request_id: str) -> Item:
    """The record of a first attempt that stands at `status`, as the ledger writes it."""
    now = int(time.time())
    item: Item = {"requestId": request_id, "attempt": 1, "createdAt": now, "dispatchedAt": now, "timesParked": 0}
    if status in {"dispatching", "calling"}:
        item |= {"dueShard": 0, "dueAt": now + 86_400, "pollDelay": 180, "claimId": "claim"}
        item |= {"request": {"phoneNumber": "+14155550123"}}
    if status in {"calling", "completed"}:
        item |= {"outboundCallId": CALL_ID, "contactId": "d4e5f6a7-b8c9-0123-defa-456789012345"}
    if status in {"completed", "unknown"}:
        item |= {
            "outcomeSource": "deadline" if status == "unknown" else "poll",
            "recordedAt": now,
            "expiresAt": now + 1,
        }
    return item | {"status": status}


@pytest.fixture(scope="session")
def edges() -> Iterator[Edges]:
    with LocalCloud() as cloud:
        table = _calls_table(cloud)
        queue = cloud.client("sqs").create_queue(QueueName="rejected")["QueueUrl"]
        secrets, dials = cloud.client("secretsmanager"), Dials()
        key_arn = secrets.create_secret(Name="allomia", SecretString="a-key")["ARN"]
        signing_arn = secrets.create_secret(Name="signing", SecretString=RETIRED_KEY)["ARN"]
        for value in (PREVIOUS_KEY, KEY):
            secrets.put_secret_value(SecretId=signing_arn, SecretString=value)
        ledger = Ledger(cloud.client("dynamodb"), table, retention_days=1)
        callbacks = CallbackUrls(Secret(secrets, signing_arn, time.monotonic), "https://calls.example/webhooks/allomia")
        place_calls = PlaceCalls(
            ledger=ledger,
            allomia=AllomiaClient(
                http_client("https://allomia.example", dials), Secret(secrets, key_arn, time.monotonic)
            ),
            callbacks=callbacks,
            rejected=InvalidMessages(cloud.client("sqs"), queue),
            breaker=Breaker(time.monotonic),
            grace=180,
            default_assistant_id=ASSISTANT_ID,
            default_phone_number_id=ASSISTANT_ID,
        )
        yield Edges(cloud, table, queue, dials, place_calls, ReceiveWebhooks(ledger, callbacks))


def _calls_table(cloud: LocalCloud) -> str:
    properties = read_template()["Resources"]["CallsTable"]["Properties"]
    wanted = {
        name: properties[name]
        for name in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    }
    cloud.client("dynamodb").create_table(TableName="calls", **wanted)
    return "calls"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    messages, webhooks = message_cases(), webhook_cases()
    refused = sum(case.field is not None for case in messages)
    turned_away = sum(case.stored is None for case in webhooks)
    terminalreporter.write_line(
        f"bad input: {len(messages)} messages ({refused} refused), {len(webhooks)} webhooks "
        f"({turned_away} change nothing), {EXAMPLES} examples of each property, seed {SEED}"
    )
