"""Put many messages on a queue, and know of each whether it is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MOST_MESSAGES = 10
_MOST_BYTES = 256 * 1024
_PAUSES_SECONDS = (0.5, 1.0, 2.0)
"""Before each try after the first."""

NOT_TRIED = "not tried, since another request failed"

type Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one queue, in batches."""

    client: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    def send(self, bodies: Sequence[str], sent: Told = lambda _number: None) -> dict[int, str]:
        """Send all of these; `sent` is told the place of each that SQS has taken.

        Returns:
            The places of those that SQS has not confirmed, each with the reason. One of them may be on the queue all
            the same, so that sending it again must be harmless: the request's id makes it so.
        """
        unsent: dict[int, str] = dict.fromkeys(range(len(bodies)), NOT_TRIED)
        left: Mapping[int, str] = dict(enumerate(bodies))
        for pause in (0.0, *_PAUSES_SECONDS):
            self.sleep(pause)
            again: list[int] = []
            for batch in _batches(left):
                try:
                    again += self._send(batch, unsent, sent)
                except (ClientError, BotoCoreError) as error:
                    # The SDK has tried it several times by now: the next batch would fare no better.
                    return unsent | dict.fromkeys(batch, _code(error))
            left = {number: left[number] for number in again}
            if not left:
                break
        return unsent

    def _send(self, batch: Mapping[int, str], unsent: dict[int, str], sent: Told) -> list[int]:
        """Send one batch, and strike out what was taken; returns the places that are worth another try."""
        answer = self.client.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[{"Id": str(number), "MessageBody": body} for number, body in batch.items()],
        )
        for taken in answer.get("Successful", []):
            del unsent[int(taken["Id"])]
            sent(int(taken["Id"]))
        failed = answer.get("Failed", [])
        for entry in failed:
            unsent[int(entry["Id"])] = entry["Code"]
        return [int(entry["Id"]) for entry in failed if not entry["SenderFault"]]


def _batches(bodies: Mapping[int, str]) -> Iterator[dict[int, str]]:
    """As much at a time as SendMessageBatch takes."""
    batch: dict[int, str] = {}
    size = 0
    for number, body in bodies.items():
        length = len(body.encode())
        if batch and (len(batch) == _MOST_MESSAGES or size + length > _MOST_BYTES):
            yield batch
            batch, size = {}, 0
        batch[number] = body
        size += length
    if batch:
        yield batch


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
