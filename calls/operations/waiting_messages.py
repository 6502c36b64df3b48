"""The messages that wait for a person, in the invalid-message queue and the dead-letter queue: read without loss.

Only place_call sends to the invalid-message queue, so what it wrote into a message's attributes can be relied on. The
attributes of a dead letter are its sender's, and are not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field
from pydantic_core import from_json

from calls.operations.masking import Mask
from outbound_calls.contracts.wire import InvalidInput, WireModel, check_request_key
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_SECONDS = 600
"""How long messages stay hidden from other readers at most, should this process die before it releases them."""

BATCH = 10
"""Messages in one request to SQS."""

type LastMoment = Callable[[Mapping[str, Any], float], int]
"""Epoch seconds after which a request with these fields, sent at this time, must not be dialled."""


class WaitingMessage(WireModel):
    """A message that waits, without a person's data."""

    id: str = Field(description="the message's id in this queue")
    request_id: str | None = Field(None, description="where it can be read")
    phone_number: str | None = Field(None, description="where it can be read")
    reason: str | None = Field(None, description="why it is invalid: the field and its rule")
    age_seconds: int = Field(description="since it was sent to the call queue")
    expired: bool = Field(False, description="true when it is too old to be dialled")


class QueueListing(WireModel):
    """The messages in a queue."""

    queue: str
    messages: list[WaitingMessage]
    more: bool = Field(description="true when the listing stopped at its limit")
    exported_to: str | None = None


class DiscardReport(WireModel):
    """The result of discarding messages."""

    queue: str
    chosen: int
    discarded: int
    not_found: list[str] = Field(description="asked for, but not in the queue now, or held by another reader")
    still_there: int = Field(description="messages that were seen and are still in the queue")
    unseen: int = Field(0, description="messages beyond --limit, by SQS's own estimate")
    exported_to: str | None = None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that this process has received and not deleted."""

    id: str
    receipt: str
    body: str
    first_id: str
    """The message's id on the call queue, which is the request's id unless it names one."""

    sent_at: float
    """When the call queue got it (epoch seconds)."""

    reason: str | None = None
    """The field and the rule that it breaks, where place_call found them."""

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty when it is none."""
        return json_object(self.body)

    def summary(self, mask: Mask, now: float, last: LastMoment) -> WaitingMessage:
        """What may be shown of it. The poller's messages hold no request, so they don't expire."""
        number, request_id = self.fields.get("phoneNumber"), self.fields.get("requestId")
        return WaitingMessage(
            id=self.id,
            request_id=request_id if _is_request_id(request_id) else None,
            phone_number=mask(number) if isinstance(number, str) else None,
            reason=self.reason,
            age_seconds=max(0, int(now - self.sent_at)),
            expired="dispatch" not in self.fields and now > last(self.fields, self.sent_at),
        )

    def exported(self) -> dict[str, Any]:
        """A line of the export: everything, so that it can be fixed."""
        content = {"request": self.fields} if self.fields else {"body": self.body}
        return {"id": self.id, "reason": self.reason} | content


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages are meant: those with one of these ids, sent before a time (epoch seconds)."""

    only: tuple[str, ...] = ()
    """Message ids or request ids; empty for any."""

    before: float | None = None

    def of(self, messages: Iterable[HeldMessage]) -> tuple[list[HeldMessage], list[str]]:
        """Those of these messages that are meant, and the ids that none of them has."""
        named: set[str] = set()
        chosen: list[HeldMessage] = []
        for message in messages:
            ids = {message.id, message.first_id, str(message.fields.get("requestId"))}.intersection(self.only)
            named |= ids
            if (ids or not self.only) and (self.before is None or message.sent_at < self.before):
                chosen.append(message)
        return chosen, [each for each in self.only if each not in named]


@dataclass(slots=True)
class Deletions:
    """The ids of the messages that were deleted so far."""

    ids: set[str] = field(default_factory=set)

    @property
    def done(self) -> int:
        """How many there are."""
        return len(self.ids)


def delete_messages(client: SQSClient, queue_url: str, messages: Iterable[HeldMessage], deletions: Deletions) -> None:
    """Delete these messages. One that can't be deleted now is still in the queue, and isn't counted."""
    for chunk in batched(messages, BATCH, strict=False):
        entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(chunk)]
        with suppress(ClientError, BotoCoreError):
            answer = client.delete_message_batch(QueueUrl=queue_url, Entries=entries)
            deletions.ids |= {chunk[int(each["Id"])].id for each in answer.get("Successful", [])}


@contextmanager
def held_messages(
    client: SQSClient, queue_url: str, limit: int, *, kept_by_stack: bool, hold_seconds: int = HOLD_SECONDS
) -> Iterator[list[HeldMessage]]:
    """Hold up to `limit` messages of a queue. Those that are not deleted become visible again at the end.

    `kept_by_stack` says that only this stack sends to the queue: only then are the messages' attributes read. A wait of
    one second makes SQS ask all of its servers, so an answer without messages means that there are no more. Messages
    held by another reader are not seen.
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
            messages += (_held(each, kept_by_stack) for each in received)
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
    # In a JSON string, where no other character can fail, the escape that stands in for half an emoji is JSON's too.
    with open(path, "x", encoding="utf-8", errors="backslashreplace", opener=_for_the_owner) as file:
        file.writelines(json.dumps(message.exported(), ensure_ascii=False) + "\n" for message in messages)


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text, as the stack reads it; empty when there is none that could be written again.

    Half an emoji, NaN, a number out of range or deep nesting make it unreadable.
    """
    try:
        value = from_json(text.encode(), allow_inf_nan=False)
        json.dumps(value, allow_nan=False)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def last_moment(fields: Mapping[str, Any], sent_at: float) -> int:
    """Epoch seconds after which a request that was sent at `sent_at` must not be dialled, however often it is sent.

    That is its own `notAfter`, or a day after the first moment at which it might have been dialled.
    """
    own = _moment(fields.get("notAfter"))
    first = max(sent_at, _moment(fields.get("notBefore")) or 0)
    return int(first + EXPIRE_AFTER_SECONDS if own is None else own)


def _moment(value: object) -> float | None:
    """Epoch seconds of a time on the wire; None for anything that isn't one, which only the contract judges."""
    try:
        moment = datetime.fromisoformat(value.upper()) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.timestamp() if moment and moment.tzinfo and moment.year < MAXYEAR else None


def _held(message: MessageTypeDef, kept_by_stack: bool) -> HeldMessage:
    message_id = message["MessageId"]
    # SQS keeps both the id and this time when it moves a message to a dead-letter queue.
    queued_at = message["Attributes"]["SentTimestamp"]
    attributes: dict[str, str] = {}
    if kept_by_stack:
        given = message.get("MessageAttributes", {}).items()
        attributes = {name: value["StringValue"] for name, value in given if "StringValue" in value}
    first_id, sent_at = attributes.get("messageId", message_id), attributes.get("sentAt", queued_at)
    return HeldMessage(
        id=message_id,
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        first_id=first_id if _is_request_id(first_id) else message_id,
        sent_at=int(sent_at if sent_at.isdecimal() else queued_at) / 1000,
        reason=attributes.get("reason"),
    )


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_request_id(value: object) -> bool:
    try:
        check_request_key(value if isinstance(value, str) else "")
    except InvalidInput:
        return False
    return True
