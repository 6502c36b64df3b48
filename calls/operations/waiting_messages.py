"""The messages that wait for a person, in the invalid-message queue and the dead-letter queue: read without loss."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from calls.operations.masking import Mask
from outbound_calls.contracts.wire import InvalidInput, WireModel, check_request_key

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_SECONDS = 600
"""How long messages stay hidden from other readers at most, should this process die before it releases them."""

BATCH = 10
"""Messages in one request to SQS."""


class WaitingMessage(WireModel):
    """A message that waits, without a person's data."""

    id: str = Field(description="the message's id in this queue")
    request_id: str | None = Field(None, description="where it can be read")
    phone_number: str | None = Field(None, description="where it can be read")
    reason: str | None = Field(None, description="why it is invalid: the field and its rule")
    age_seconds: int = Field(description="since it was sent to this queue, or for a dead letter to the call queue")


class QueueListing(WireModel):
    """The messages in a queue."""

    queue: str
    messages: list[WaitingMessage]
    more: bool = Field(description="true when the listing stopped at its limit")
    exported_to: str | None = None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that this process has received and not deleted."""

    id: str
    receipt: str
    body: str
    sent_at: float
    attributes: Mapping[str, str]

    @property
    def first_id(self) -> str:
        """The message's id on the call queue, which is the request's id unless it names one."""
        return self.attributes.get("messageId", self.id)

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty when it is none."""
        return json_object(self.body)

    def summary(self, mask: Mask, now: float) -> WaitingMessage:
        """What may be shown of it."""
        number, request_id = self.fields.get("phoneNumber"), self.fields.get("requestId")
        return WaitingMessage(
            id=self.id,
            request_id=request_id if _is_request_id(request_id) else None,
            phone_number=mask(number) if isinstance(number, str) else None,
            reason=self.attributes.get("reason"),
            age_seconds=max(0, int(now - self.sent_at)),
        )

    def exported(self) -> dict[str, Any]:
        """A line of the export: everything, so that it can be fixed."""
        content = {"request": self.fields} if self.fields else {"body": self.body}
        return {"id": self.id, "reason": self.attributes.get("reason")} | content


@contextmanager
def held_messages(
    client: SQSClient, queue_url: str, limit: int, hold_seconds: int = HOLD_SECONDS
) -> Iterator[list[HeldMessage]]:
    """Hold up to `limit` messages of a queue. Those that are not deleted become visible again at the end.

    A wait of one second makes SQS ask all of its servers, so an answer without messages means that there are no more.
    Messages held by another reader are not seen.
    """
    messages: list[HeldMessage] = []
    try:
        while len(messages) < limit:
            answer = client.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=min(BATCH, limit - len(messages)),
                WaitTimeSeconds=1,
                VisibilityTimeout=hold_seconds,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            if not (received := answer.get("Messages")):
                break
            messages += map(_held, received)
        yield list(messages)
    finally:
        # If this fails, the messages become visible when their time is over.
        with suppress(ClientError, BotoCoreError):
            for chunk in batched(messages, BATCH, strict=False):
                entries: Any = [
                    {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                    for number, message in enumerate(chunk)
                ]
                # It fails for those that were deleted, as it should.
                client.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)


def export(messages: Iterable[HeldMessage], path: Path) -> None:
    """Write messages to a new file that only its owner can read: it holds names and numbers.

    Raises:
        FileExistsError: When there is such a file.
    """
    with open(path, "x", encoding="utf-8", opener=_for_the_owner) as file:
        file.writelines(json.dumps(message.exported(), ensure_ascii=False) + "\n" for message in messages)


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; empty when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _held(message: MessageTypeDef) -> HeldMessage:
    return HeldMessage(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=int(message["Attributes"]["SentTimestamp"]) / 1000,
        attributes={
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
    )


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_request_id(value: object) -> bool:
    try:
        check_request_key(value if isinstance(value, str) else "")
    except InvalidInput:
        return False
    return True
