"""The queues that the functions send to: the call queue, and those of invalid messages and of failed outcomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbound_calls.contracts.dispatch import AttemptName, DispatchMessage, FreeLines, HandOnMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from outbound_calls.contracts.wire import InvalidInput
    from outbound_calls.domain.attempts import Attempt


@dataclass(eq=False, slots=True)
class CallQueue:
    """A queue that place_call reads: that of requests, or that of attempts that a line was handed on to."""

    client: SQSClient
    url: str

    def send_dispatch(self, attempt: Attempt) -> None:
        """Ask for a parked attempt to be tried now."""
        self.client.send_message(QueueUrl=self.url, MessageBody=_dispatch(attempt))

    def send_dispatches(self, delayed: Sequence[tuple[Attempt, int]]) -> None:
        """Ask for at most ten parked attempts to be tried, each in so many seconds.

        One that the queue doesn't take comes due again when its lease ends.
        """
        self.client.send_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(place), "MessageBody": _dispatch(attempt), "DelaySeconds": seconds}
                for place, (attempt, seconds) in enumerate(delayed)
            ],
        )

    def send_hand_on(self, organization: str | None, after_seconds: int) -> None:
        """Ask for an organization's free lines to be handed on a moment later."""
        body = HandOnMessage(hand_on=FreeLines(organization=organization)).model_dump_json(exclude_none=True)
        self.client.send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=after_seconds)


def _dispatch(attempt: Attempt) -> str:
    name = AttemptName(request_id=str(attempt.key.request), attempt=attempt.key.number)
    return DispatchMessage(dispatch=name, times_parked=attempt.times_parked).model_dump_json()


@dataclass(eq=False, slots=True)
class InvalidMessagesQueue:
    """The queue of messages that can't be read as any message of the contract."""

    client: SQSClient
    url: str

    def keep(self, message_id: str, body: str, error: InvalidInput, sent_at: float | None) -> None:
        """Keep a message unchanged, with attributes: the field and the rule that it breaks, its id, and its age.

        `sent_at` is when the call queue got it (epoch seconds), if that is known: this queue counts its age from now.
        """
        attributes = {
            "reason": f"{error.field}: {error.rule}",
            "field": error.field,
            "rule": error.rule,
            "messageId": message_id,
        }
        if sent_at is not None:
            attributes["sentAt"] = str(round(sent_at * 1000))
        self.client.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


@dataclass(eq=False, slots=True)
class FailedOutcomesQueue:
    """The queue of outcomes that couldn't be published."""

    client: SQSClient
    url: str

    def keep(self, image: Mapping[str, Any]) -> None:
        """Keep the key of a record that can't be read. The record itself stays in the table."""
        key = {name: image.get(name) for name in ("requestId", "attempt")}
        self.client.send_message(QueueUrl=self.url, MessageBody=json.dumps({"unreadableRecord": key}))
