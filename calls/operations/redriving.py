"""Send waiting messages back to the call queue.

Nothing may be lost, wherever this stops. So a message is first sent to the call queue and only then deleted from its
own. If it stops in between, the message is in both queues, and the next run sends it once more under the same request
id, which makes it harmless. That is why every message is sent with a request id: without its own it gets the one that
the stack uses for it, its message id.

SQS's own move task gives every message a new id, so a message without a `requestId` would become another call. It is
not used for that reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from pydantic import Field

from calls.operations.preflight import InvalidRow, read_request
from calls.operations.requests_file import Row
from calls.operations.sending import Sender
from calls.operations.waiting_messages import BATCH, HeldMessage, json_object
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput, WireModel
from outbound_calls.use_cases.place import Defaults

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class FixedMessage:
    """A line of an export whose request was fixed."""

    row: int
    id: str
    request: CallRequestMessage


class UnsentMessage(WireModel):
    """A message that stays in its queue, because SQS did not confirm that it was sent."""

    id: str
    reason: str


class RedriveReport(WireModel):
    """The result of a redrive."""

    sent: int
    unsent: list[UnsentMessage]
    not_found: list[str] = Field(description="fixed, but not in the queue now: sent before, expired, or held")
    not_deleted: int = Field(description="sent, but not deleted here; the next run sends them again, which is harmless")
    still_there: int = Field(description="messages that were seen and are still in the queue")


def read_fixed(rows: Iterable[Row], defaults: Defaults) -> tuple[list[FixedMessage], list[InvalidRow]]:
    """Read the lines of a fixed export. Each request is checked against every rule of the stack."""
    fixed: dict[str, FixedMessage] = {}
    invalid: list[InvalidRow] = []
    for row in rows:
        try:
            one = _read_fixed(row, defaults)
            if one.id in fixed:
                raise InvalidInput("id", f"one line for each message: row {fixed[one.id].row} has the same")
            fixed[one.id] = one
        except InvalidInput as error:
            invalid.append(InvalidRow.of(row, error))
    return list(fixed.values()), invalid


def _read_fixed(row: Row, defaults: Defaults) -> FixedMessage:
    line = json_object(row.message)
    if not isinstance(line.get("id"), str):
        raise InvalidInput("id", "required: the id in the export")
    if not isinstance(line.get("request"), dict):
        raise InvalidInput("request", "required: an object, the fixed request")
    request = read_request(json.dumps(line["request"], ensure_ascii=False), defaults)
    return FixedMessage(row.number, line["id"], request)


@dataclass(frozen=True, slots=True)
class Redrive:
    """Sends messages of one queue back to the call queue."""

    client: SQSClient
    queue_url: str
    sender: Sender

    def fixed(self, messages: Sequence[HeldMessage], fixed: Sequence[FixedMessage]) -> RedriveReport:
        """Send the fixed requests, and delete exactly their originals."""
        held = {message.id: message for message in messages}
        pairs = [(held[one.id], _fixed_body(one.request, held[one.id])) for one in fixed if one.id in held]
        not_found = [one.id for one in fixed if one.id not in held]
        return self._move(pairs, not_found=not_found, seen=len(messages))

    def unchanged(self, messages: Sequence[HeldMessage]) -> RedriveReport:
        """Send all of these as they came."""
        pairs = [(message, _unchanged_body(message)) for message in messages]
        return self._move(pairs, not_found=[], seen=len(messages))

    def _move(self, pairs: Sequence[tuple[HeldMessage, str]], not_found: list[str], seen: int) -> RedriveReport:
        unsent = self.sender.send([body for _, body in pairs])
        sent = [message for position, (message, _) in enumerate(pairs) if position not in unsent]
        not_deleted = self._delete(sent)
        return RedriveReport(
            sent=len(sent),
            unsent=[UnsentMessage(id=pairs[position][0].id, reason=why) for position, why in sorted(unsent.items())],
            not_found=not_found,
            not_deleted=not_deleted,
            still_there=seen - len(sent) + not_deleted,
        )

    def _delete(self, messages: Sequence[HeldMessage]) -> int:
        """Delete these; returns how many could not be deleted."""
        failed = 0
        for chunk in batched(messages, BATCH, strict=False):
            entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(chunk)]
            answer = self.client.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
            failed += len(answer.get("Failed", []))
        return failed


def _fixed_body(request: CallRequestMessage, original: HeldMessage) -> str:
    request_id = request.request_id or original.first_id
    return request.model_copy(update={"request_id": request_id}).model_dump_json(exclude_none=True)


def _unchanged_body(message: HeldMessage) -> str:
    """A dead letter's body, with the id that its request has had all along if it names none."""
    fields = message.fields
    if not fields or "dispatch" in fields or fields.get("requestId") is not None:
        return message.body
    # Not through the contract: the deployed version may know fields that this one doesn't.
    return json.dumps(fields | {"requestId": message.first_id}, ensure_ascii=message.body.isascii())
