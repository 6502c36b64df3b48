"""The use cases that read others' input, on the local cloud's table, queue and secrets. No stack is deployed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.calls_table import from_dynamodb, to_dynamodb
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings import PlaceCallSettings, ReceiveWebhookSettings
from outbound_calls.use_cases.place import Message, PlaceCalls, Placement
from outbound_calls.use_cases.receive import ReceiveWebhooks
from tests.proof.input.messages import message_cases
from tests.proof.input.webhooks import CALL, CONTACT, KEY, PREVIOUS_KEY, RETIRED_KEY, webhook_cases
from tests.tooling.template.rendering import read_template

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "150"))
"""Of each property."""

LONG = 20
"""`make proof` tries this many times as many examples."""

ASSISTANT_ID = "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01"

type Item = dict[str, Any]


class Dials(httpx.BaseTransport):
    """An AlloMia that accepts every call and keeps the bodies of the requests."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        return httpx.Response(200, json={"outboundCallId": CALL, "contactId": None, "status": "calling"})


@dataclass(frozen=True)
class Edges:
    """The two use cases that read others' input, and the parts behind them."""

    cloud: LocalCloud
    environment: dict[str, str]
    dials: Dials
    place_calls: PlaceCalls
    receive_webhooks: ReceiveWebhooks

    @property
    def table(self) -> str:
        return self.environment["CALLS_TABLE_NAME"]

    def place(self, message_id: str, body: str) -> Placement:
        """Place the call that a message asks for."""
        return self.place_calls.place(Message(message_id, body, lambda: 40.0))

    def item(self, request_id: str, attempt: int = 1) -> Item | None:
        """A record as it is in the table."""
        key = to_dynamodb({"requestId": request_id, "attempt": attempt})
        found = self.cloud.client("dynamodb").get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return from_dynamodb(found["Item"]) if "Item" in found else None

    def put(self, item: Item) -> Item:
        """Write a record, in place of any other."""
        self.cloud.client("dynamodb").put_item(TableName=self.table, Item=to_dynamodb(item))
        return item

    def remove(self, request_id: str) -> None:
        """Remove the record of a request's first attempt, if there is one."""
        key = to_dynamodb({"requestId": request_id, "attempt": 1})
        self.cloud.client("dynamodb").delete_item(TableName=self.table, Key=key)

    def keys(self) -> set[str]:
        """The partition keys of all records."""
        pages = self.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        return {str(item["requestId"]["S"]) for page in pages for item in page["Items"]}

    def invalid_messages(self) -> list[tuple[str, dict[str, str]]]:
        """Bodies and attributes of the messages in the invalid-messages queue, which is emptied."""
        sqs, url, kept = self.cloud.client("sqs"), self.environment["INVALID_MESSAGES_QUEUE_URL"], []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
                kept.append((message["Body"], attributes))
        return kept


def record(status: str, request_id: str) -> Item:
    """The record of a first attempt with this status, as the table has it."""
    now = int(time.time())
    item: Item = {"requestId": request_id, "attempt": 1, "createdAt": now, "dispatchedAt": now, "timesParked": 0}
    if status in {"dispatching", "calling"}:
        request = {"phoneNumber": "+14155550123", "assistantId": ASSISTANT_ID, "phoneNumberId": ASSISTANT_ID}
        item |= {"dueShard": 0, "dueAt": now + 86_400, "pollDelay": 180, "claimId": "claim", "request": request}
    if status in {"calling", "completed"}:
        item |= {"outboundCallId": CALL, "contactId": CONTACT}
    if status in {"completed", "unknown"}:
        source = "deadline" if status == "unknown" else "poll"
        item |= {"outcomeSource": source, "recordedAt": now, "expiresAt": now + 1}
    if status == "unknown":
        item |= {"reasonCode": "no-outcome", "reason": "no outcome in time"}
    return item | {"status": status}


@pytest.fixture(scope="session")
def edges() -> Iterator[Edges]:
    with LocalCloud() as cloud:
        environment, dials = _environment(cloud), Dials()
        assembly = Assembly(client=lambda service, _connections: cloud.client(service), transport=dials)
        yield Edges(
            cloud,
            environment,
            dials,
            assembly.place_calls(PlaceCallSettings.from_environment(environment)),
            assembly.receive_webhooks(ReceiveWebhookSettings.from_environment(environment)),
        )


def _environment(cloud: LocalCloud) -> dict[str, str]:
    """The environment variables of the functions, for a table, a queue and secrets that it creates."""
    properties = read_template()["Resources"]["CallsTable"]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    cloud.client("dynamodb").create_table(TableName="calls", **{name: properties[name] for name in wanted})
    secrets = cloud.client("secretsmanager")
    signing_arn = secrets.create_secret(Name="signing", SecretString=RETIRED_KEY)["ARN"]
    for value in (PREVIOUS_KEY, KEY):
        secrets.put_secret_value(SecretId=signing_arn, SecretString=value)
    return {
        "POWERTOOLS_SERVICE_NAME": "input",
        "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls",
        "CALLS_TABLE_NAME": "calls",
        "INVALID_MESSAGES_QUEUE_URL": cloud.client("sqs").create_queue(QueueName="invalid-messages")["QueueUrl"],
        "ALLOMIA_API_KEY_SECRET_ARN": secrets.create_secret(Name="allomia", SecretString="a-key")["ARN"],
        "ALLOMIA_BASE_URL": "https://allomia.example",
        "SIGNING_SECRET_ARN": signing_arn,
        "WEBHOOK_URL": "https://calls.example/webhooks/allomia",
        "DEFAULT_ASSISTANT_ID": ASSISTANT_ID,
        "DEFAULT_PHONE_NUMBER_ID": ASSISTANT_ID,
        "WEBHOOK_GRACE_SECONDS": "180",
        "DUE_SHARDS": "1",
        "RETENTION_DAYS": "1",
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    messages, webhooks = message_cases(), webhook_cases()
    invalid = sum(case.field is not None for case in messages)
    without_effect = sum(case.stored is None for case in webhooks)
    terminalreporter.write_line(
        f"hostile input: {len(messages)} messages ({invalid} invalid), {len(webhooks)} webhooks "
        f"({without_effect} without effect), {EXAMPLES} examples of each property, seed {SEED}"
    )
