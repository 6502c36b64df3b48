"""Send waiting messages back to the call queue.

Nothing may be lost, wherever this stops. So a message is first sent to the call queue and only then deleted from its
own. If it stops in between, the message is in both queues, and the next run sends it once more under the same request
id, which makes it harmless. That is why every message is sent with a request id: without its own it gets the one that
the stack uses for it, its message id.

SQS's own move task gives every message a new id, so a message without a `requestId` would become another call. It is
not used for that reason.

A message that is sent again is a new one to SQS, and would count as young. So every request is sent with a `notAfter`:
it is never dialled later than it would have been. One that is too late already stays, unless the operator asks for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from calls.operations.preflight import InvalidRow, read_request
from calls.operations.requests_file import Row
from calls.operations.sending import Sender
from calls.operations.waiting_messages import BATCH, HeldMessage, LastMoment, json_object
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput, WireModel
from outbound_calls.domain.timing import utc_text
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
    """A message that stays in its queue, and why."""

    id: str
    reason: str


class RedriveReport(WireModel):
    """The result of a redrive."""

    sent: int
    unsent: list[UnsentMessage] = Field(description="not confirmed by SQS: these stay in the queue")
    expired: list[str] = Field(description="not sent, since it is too late for them: these stay in the queue")
    unreadable: list[str] = Field(description="not sent, since the stack couldn't read them: these stay in the queue")
    not_found: list[str] = Field(description="fixed, but not in the queue now: sent before, expired, or held")
    not_deleted: int = Field(description="sent, but not deleted here; the next run sends them again, which is harmless")
    still_there: int = Field(description="messages that were seen and are still in the queue")


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """What a redrive would send, each original with its new body, and what it would leave."""

    not_found: list[str]
    seen: int
    to_send: list[tuple[HeldMessage, str]] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Those to send that are too old."""

    expired: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


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
    """Sends messages of one queue back to the call queue. `clock` is epoch seconds.

    `last_moment` says when a request expires. With `late` it also sends those that have, to be dialled all the same.
    """

    client: SQSClient
    queue_url: str
    sender: Sender
    last_moment: LastMoment
    late: bool = False
    clock: Callable[[], float] = time.time

    def plan_fixed(self, messages: Sequence[HeldMessage], fixed: Sequence[FixedMessage]) -> RedrivePlan:
        """Send the fixed requests instead of exactly their originals."""
        held = {message.id: message for message in messages}
        found = [(held[one.id], one.request.wire()) for one in fixed if one.id in held]
        return self._plan(found, [one.id for one in fixed if one.id not in held], len(messages))

    def plan_unchanged(self, messages: Sequence[HeldMessage]) -> RedrivePlan:
        """Send all of these as they came.

        The contract isn't asked: the deployed version may know fields that this one doesn't.
        """
        return self._plan([(message, message.fields) for message in messages], [], len(messages))

    def _plan(
        self, found: Sequence[tuple[HeldMessage, Mapping[str, Any]]], not_found: list[str], seen: int
    ) -> RedrivePlan:
        now = self.clock()
        plan = RedrivePlan(not_found, seen)
        for message, fields in found:
            last = self.last_moment(fields, message.sent_at)
            too_late = "dispatch" not in fields and now > last
            if not fields:
                plan.unreadable.append(message.id)
            elif too_late and not self.late:
                plan.expired.append(message.id)
            else:
                plan.to_send.append((message, _body(fields, message, None if too_late else last)))
                if too_late:
                    plan.late.append(message.id)
        return plan

    def send(self, plan: RedrivePlan) -> RedriveReport:
        """Send what was planned, and then delete it from its queue."""
        unsent = self.sender.send([body for _, body in plan.to_send])
        sent = [message for position, (message, _) in enumerate(plan.to_send) if position not in unsent]
        not_deleted = self._delete(sent)
        return RedriveReport(
            sent=len(sent),
            unsent=[
                UnsentMessage(id=plan.to_send[position][0].id, reason=why) for position, why in sorted(unsent.items())
            ],
            expired=plan.expired,
            unreadable=plan.unreadable,
            not_found=plan.not_found,
            not_deleted=not_deleted,
            still_there=plan.seen - len(sent) + not_deleted,
        )

    def _delete(self, messages: Sequence[HeldMessage]) -> int:
        """Delete these; returns how many could not be deleted. They are sent, so a fault here is no error."""
        failed = 0
        for chunk in batched(messages, BATCH, strict=False):
            entries: Any = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(chunk)]
            try:
                answer = self.client.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
            except (ClientError, BotoCoreError):
                failed += len(chunk)
            else:
                failed += len(answer.get("Failed", []))
        return failed


def _body(fields: Mapping[str, Any], original: HeldMessage, last: int | None) -> str:
    """The message to send: with the id that its request has had all along, and the time after which it is too late."""
    if "dispatch" in fields:
        return original.body
    named = {} if fields.get("requestId") is not None else {"requestId": original.first_id}
    in_time = {} if last is None else {"notAfter": utc_text(last)}
    return json.dumps({**fields, **named, **in_time}, ensure_ascii=False, separators=(",", ":"))
