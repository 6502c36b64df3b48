"""The use cases that read others' input, on the local cloud's table, queue and secrets. No stack is deployed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.cloud import LocalCloud
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.use_cases.place import Message, PlaceCalls
from outbound_calls.use_cases.placement import Placement
from outbound_calls.use_cases.receive import ReceiveWebhooks
from tests.proof.input.messages import message_cases
from tests.proof.input.webhooks import CALL, CONTACT, KEY, PREVIOUS_KEY, RETIRED_KEY, webhook_cases
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID
from tests.world import CloudResources

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SEED = int(os.environ.get("PROOF_SEED", "20261123"))
EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "150"))
"""Of each property."""

LONG = 20
"""`make proof` tries this many times as many examples."""

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

    resources: CloudResources
    environment: dict[str, str]
    dials: Dials
    place_calls: PlaceCalls
    receive_webhooks: ReceiveWebhooks

    @property
    def dynamodb(self) -> DynamoDBClient:
        return self.resources.cloud.client("dynamodb")

    @property
    def table(self) -> str:
        return self.resources.table_name

    def place(self, message_id: str, body: str) -> Placement:
        """Place the call that a message asks for."""
        return self.place_calls.place(Message(message_id, body, lambda: 40.0))

    def item(self, request_id: str, attempt: int = 1) -> Item | None:
        """A record as it is in the table."""
        key = to_dynamodb({"requestId": request_id, "attempt": attempt})
        found = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return from_dynamodb(found["Item"]) if "Item" in found else None

    def put(self, item: Item) -> Item:
        """Write a record, in place of any other."""
        self.dynamodb.put_item(TableName=self.table, Item=to_dynamodb(item))
        return item

    def remove(self, request_id: str) -> None:
        """Remove the record of a request's first attempt, if there is one."""
        key = to_dynamodb({"requestId": request_id, "attempt": 1})
        self.dynamodb.delete_item(TableName=self.table, Key=key)

    def keys(self) -> set[str]:
        """The partition keys of all records."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return {str(item["requestId"]["S"]) for page in pages for item in page["Items"]}

    def invalid_messages(self) -> list[tuple[str, dict[str, str]]]:
        """Bodies and attributes of the messages in the invalid-messages queue, which is emptied."""
        url, kept = self.resources.invalid_messages_queue_url, []
        while messages := self.resources.take(url):
            for message in messages:
                self.resources.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
                kept.append((message["Body"], attributes))
        return kept


def record(status: str, request_id: str) -> Item:
    """The record of a first attempt with this status, as the table has it."""
    now = int(time.time())
    item: Item = {"requestId": request_id, "attempt": 1, "createdAt": now, "dispatchedAt": now, "timesParked": 0}
    if status in {"dispatching", "calling"}:
        request = {"phoneNumber": "+14155550123", "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
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
        resources, dials = CloudResources(cloud), Dials()
        for value in (RETIRED_KEY, PREVIOUS_KEY, KEY):
            resources.secrets.put_secret_value(SecretId=resources.signing_arn, SecretString=value)
        environment = resources.environment()
        assembly = Assembly(client=lambda service, *_: cloud.client(service), transport=dials)
        yield Edges(
            resources,
            environment,
            dials,
            assembly.place_calls(PlaceCallSettings.from_environment(environment)),
            assembly.receive_webhooks(ReceiveWebhookSettings.from_environment(environment)),
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    messages, webhooks = message_cases(), webhook_cases()
    invalid = sum(case.field is not None for case in messages)
    without_effect = sum(case.stored is None for case in webhooks)
    terminalreporter.write_line(
        f"hostile input: {len(messages)} messages ({invalid} invalid), {len(webhooks)} webhooks "
        f"({without_effect} without effect), {EXAMPLES} examples of each property, seed {SEED}"
    )
