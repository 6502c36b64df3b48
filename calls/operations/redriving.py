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
from typing import TYPE_CHECKING, Any

from pydantic import Field

from calls.operations.preflight import InvalidRow, read_request
from calls.operations.requests_file import Row
from calls.operations.sending import NOT_CONFIRMED, Sender
from calls.operations.waiting_messages import Deletions, HeldMessage, LastMoment, delete_messages, json_object
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.wire import InvalidInput, WireModel
from outbound_calls.domain.timing import utc_text
from outbound_calls.use_cases.new_attempt import Defaults

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
    unseen: int = Field(0, description="messages beyond --limit, by SQS's own estimate")


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


@dataclass(slots=True)
class Moved:
    """What a redrive has done so far: the positions in its plan that SQS confirmed, and what was deleted."""

    sent: set[int] = field(default_factory=set)
    unsent: dict[int, str] = field(default_factory=dict)
    """The reasons, once it is known what was not sent."""

    deletions: Deletions = field(default_factory=Deletions)


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

    `last_moment` says when a request expires. With `late` it also sends those that have, to be dialled anyway.
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

    def plan_unchanged(
        self, messages: Sequence[HeldMessage], not_found: Sequence[str] = (), seen: int | None = None
    ) -> RedrivePlan:
        """Send all of these as they came. `seen` is how many there are in all, where these are a selection.

        The contract isn't asked: the deployed version may know fields that this one doesn't.
        """
        found = [(message, message.fields) for message in messages]
        return self._plan(found, list(not_found), len(messages) if seen is None else seen)

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

    def send(self, plan: RedrivePlan, moved: Moved) -> None:
        """Send what was planned, and then delete it from its queue. `moved` knows at each moment what was done."""
        moved.unsent = self.sender.send([body for _, body in plan.to_send], moved.sent.add)
        sent = [message for position, (message, _) in enumerate(plan.to_send) if position in moved.sent]
        # They are sent, so a fault here is no error.
        delete_messages(self.client, self.queue_url, sent, moved.deletions)


def redrive_report(plan: RedrivePlan, moved: Moved, unseen: int = 0) -> RedriveReport:
    """The result, as far as it is known."""
    unsent = [
        UnsentMessage(id=message.id, reason=moved.unsent.get(position, NOT_CONFIRMED))
        for position, (message, _) in enumerate(plan.to_send)
        if position not in moved.sent
    ]
    return RedriveReport(
        sent=len(moved.sent),
        unsent=unsent,
        expired=plan.expired,
        unreadable=plan.unreadable,
        not_found=plan.not_found,
        not_deleted=len(moved.sent) - moved.deletions.done,
        still_there=plan.seen - moved.deletions.done,
        unseen=unseen,
    )


def _body(fields: Mapping[str, Any], original: HeldMessage, last: int | None) -> str:
    """The message to send: with the id that its request has had all along, and the time after which it is too late."""
    if "dispatch" in fields:
        return original.body
    named = {} if fields.get("requestId") is not None else {"requestId": original.first_id}
    in_time = {} if last is None else {"notAfter": utc_text(last)}
    return json.dumps({**fields, **named, **in_time}, ensure_ascii=False, separators=(",", ":"))
