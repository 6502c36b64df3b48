"""The two queues in which messages wait for a person: looked at without taking, and put back when mended.

Nothing may be lost at any point of a crash, so a message is first sent to the call queue and only then deleted here. If
that stops in between, it is in both, and the next run sends it once more: under the same request id, which is what
makes it harmless. That is why every message that is put back has one: without its own it gets the id that the stack
would have called it by, its message id.

SQS has a move task of its own. It gives every message a new id, so a message without a `requestId` would become
another call; hence it is not used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from calls.masking import Mask
from calls.preflight import Complete, Refusal, read_request
from calls.requests_file import Row
from calls.sending import Sender
from outbound_calls.contracts import CallRequest, InvalidInput, Wire, read_request_id

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_SECONDS = 600
"""For how long a look hides the messages from others, at most: until it puts them back, or if it dies."""


class Waiting(Wire):
    """A message that waits, without what it says of a person."""

    id: str = Field(description="the message's id in this queue")
    request_id: str | None = Field(None, description="where it can be read")
    phone_number: str | None = Field(None, description="where it can be read")
    reason: str | None = Field(None, description="why it was refused: the field and its rule")
    age_seconds: int = Field(description="since it was put on this queue, or on the call queue for a dead letter")


@dataclass(frozen=True, slots=True)
class Held:
    """A message of the queue, held for us until its visibility timeout."""

    id: str
    receipt: str
    body: str
    sent_at: float
    attributes: Mapping[str, str]

    @property
    def first_id(self) -> str:
        """The id that the message had on the call queue, by which its request goes if it has no other."""
        return self.attributes.get("messageId", self.id)

    def waiting(self, mask: Mask, now: float) -> Waiting:
        """What may be shown of it."""
        fields = _fields(self.body)
        number, request_id = fields.get("phoneNumber"), fields.get("requestId")
        return Waiting(
            id=self.id,
            request_id=request_id if _is_id(request_id) else None,
            phone_number=mask(number) if isinstance(number, str) else None,
            reason=self.attributes.get("reason"),
            age_seconds=max(0, int(now - self.sent_at)),
        )

    def exported(self) -> dict[str, Any]:
        """A line of the export: everything, to be mended."""
        fields = _fields(self.body)
        said = {"request": fields} if fields else {"body": self.body}
        return {"id": self.id, "reason": self.attributes.get("reason")} | said


def _fields(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(read_request_id(value))
    except InvalidInput:
        return False


@contextmanager
def held(client: SQSClient, queue_url: str, limit: int, hold_seconds: int = HOLD_SECONDS) -> Iterator[list[Held]]:
    """Hold up to `limit` messages of a queue; those that are still there in the end become visible again.

    SQS hands out what nobody else holds, and asks all of its servers since it waits a second for each answer; so an
    answer without messages means that there are no more. What another look holds is not seen.
    """
    messages: list[Held] = []
    try:
        while len(messages) < limit:
            answer = client.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=min(10, limit - len(messages)),
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
        # What could not be put back comes back by itself when the time is over.
        with suppress(ClientError, BotoCoreError):
            for some in batched(messages, 10, strict=False):
                entries: Any = [
                    {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                    for number, message in enumerate(some)
                ]
                # Of those that were deleted meanwhile it fails, as it should.
                client.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)


def _held(message: MessageTypeDef) -> Held:
    return Held(
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


def export(messages: Iterable[Held], path: Path) -> None:
    """Write messages to a new file that only its owner may read: it holds names and numbers."""
    with open(path, "x", encoding="utf-8", opener=_for_its_owner) as file:
        file.writelines(json.dumps(message.exported(), ensure_ascii=False) + "\n" for message in messages)


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@dataclass(frozen=True, slots=True)
class Mended:
    """A line of the mended export."""

    row: int
    id: str
    request: CallRequest


def read_mended(rows: Iterable[Row], complete: Complete) -> tuple[list[Mended], list[Refusal]]:
    """Read the lines of a mended export; a request is held to every rule that the stack would hold it to."""
    mended: dict[str, Mended] = {}
    refused: list[Refusal] = []
    for row in rows:
        try:
            one = _read_mended(row, complete)
            if one.id in mended:
                raise InvalidInput("id", f"one line for each message: row {mended[one.id].row} has the same")
            mended[one.id] = one
        except InvalidInput as refusal:
            field, _, rule = str(refusal).partition(": ")
            refused.append(Refusal(row=row.number, field=field, rule=rule))
    return list(mended.values()), refused


def _read_mended(row: Row, complete: Complete) -> Mended:
    line = _fields(row.message)
    if not isinstance(line.get("id"), str):
        raise InvalidInput("id", "required: the id that the export gave")
    if not isinstance(line.get("request"), dict):
        raise InvalidInput("request", "required: an object, the mended request")
    request = read_request(json.dumps(line["request"], ensure_ascii=False), complete)
    return Mended(row.number, line["id"], request)


class Unsent(Wire):
    """A message that stays where it is, since it could not be sent."""

    id: str
    reason: str


class Redriven(Wire):
    """What became of the messages that were to be put back."""

    sent: int
    unsent: list[Unsent]
    not_found: list[str] = Field(description="mended, but not in the queue now: put back before, expired, or held")
    twice: int = Field(description="sent, but not deleted here; the next run sends them again, which does no harm")
    still_there: int = Field(description="messages that were seen and left in the queue")


@dataclass(frozen=True, slots=True)
class Redrive:
    """Puts messages of one queue back on the call queue."""

    client: SQSClient
    queue_url: str
    sender: Sender

    def mended(self, messages: Sequence[Held], mended: Sequence[Mended]) -> Redriven:
        """Put the mended requests on the call queue and take exactly their originals out of this one."""
        there = {message.id: message for message in messages}
        pairs = [(there[one.id], _identified(one.request, there[one.id])) for one in mended if one.id in there]
        missing = [one.id for one in mended if one.id not in there]
        return self._move(pairs, not_found=missing, seen=len(messages))

    def as_they_are(self, messages: Sequence[Held]) -> Redriven:
        """Put all of these back as they came."""
        return self._move([(message, _as_it_came(message)) for message in messages], not_found=[], seen=len(messages))

    def _move(self, pairs: Sequence[tuple[Held, str]], not_found: list[str], seen: int) -> Redriven:
        unsent = self.sender.send([body for _, body in pairs])
        sent = [message for number, (message, _) in enumerate(pairs) if number not in unsent]
        left = self._delete(sent)
        return Redriven(
            sent=len(sent),
            unsent=[Unsent(id=pairs[number][0].id, reason=reason) for number, reason in sorted(unsent.items())],
            not_found=not_found,
            twice=left,
            still_there=seen - len(sent) + left,
        )

    def _delete(self, messages: Sequence[Held]) -> int:
        """Delete these; returns how many could not be."""
        left = 0
        for some in batched(messages, 10, strict=False):
            entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(some)]
            left += len(self.client.delete_message_batch(QueueUrl=self.queue_url, Entries=entries).get("Failed", []))
        return left


def _identified(request: CallRequest, original: Held) -> str:
    request_id = request.request_id or original.first_id
    return request.model_copy(update={"request_id": request_id}).model_dump_json(exclude_none=True)


def _as_it_came(message: Held) -> str:
    """A dead letter's body; with the id that its request has had all along, if it names none."""
    fields = _fields(message.body)
    if not fields or "release" in fields or fields.get("requestId") is not None:
        return message.body
    # Not by way of the contract: what is deployed may know fields that are unknown here.
    return json.dumps(fields | {"requestId": message.first_id}, ensure_ascii=message.body.isascii())
