"""Send many messages to a queue, and know for each whether SQS confirmed it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MAX_MESSAGES = 10
_MAX_BYTES = 256 * 1024
_PAUSES_SECONDS = (0.5, 1.0, 2.0)
"""Before each retry."""

_ESCAPES = {0xFFFE: r"\ufffe", 0xFFFF: r"\uffff"}
"""For the two characters that JSON text may hold and SQS declines, with all messages of the request."""

NOT_CONFIRMED = "not confirmed"
NOT_TRIED = "not tried, because another request failed"

type OnSent = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one queue, in batches."""

    client: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    def send(self, bodies: Sequence[str], on_sent: OnSent = lambda _position: None) -> dict[int, str]:
        """Send all of these JSON documents, and call `on_sent` with the position of each that SQS confirms.

        Returns:
            The positions that SQS did not confirm, each with the reason. Such a message may be on the queue all the
            same, so sending it again must be harmless: the request's id makes it so.
        """
        unsent: dict[int, str] = dict.fromkeys(range(len(bodies)), NOT_TRIED)
        left: Sequence[int] = range(len(bodies))
        for pause in (0.0, *_PAUSES_SECONDS):
            self.sleep(pause)
            retry: list[int] = []
            for batch in _batches(bodies, left):
                try:
                    retry += self._send(batch, unsent, on_sent)
                except (ClientError, BotoCoreError) as error:
                    # The SDK has already retried, so the next batch would fail as well.
                    return unsent | dict.fromkeys(batch, _code(error))
            left = retry
            if not left:
                break
        return unsent

    def _send(self, batch: Mapping[int, str], unsent: dict[int, str], on_sent: OnSent) -> list[int]:
        """Send one batch and remove what was confirmed from `unsent`; returns the positions worth a retry."""
        answer = self.client.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[{"Id": str(position), "MessageBody": body} for position, body in batch.items()],
        )
        for confirmed in answer.get("Successful", []):
            del unsent[int(confirmed["Id"])]
            on_sent(int(confirmed["Id"]))
        failed = answer.get("Failed", [])
        for entry in failed:
            unsent[int(entry["Id"])] = entry["Code"]
        return [int(entry["Id"]) for entry in failed if not entry["SenderFault"]]


def _batches(bodies: Sequence[str], positions: Iterable[int]) -> Iterator[dict[int, str]]:
    """As much at a time as SendMessageBatch accepts."""
    batch: dict[int, str] = {}
    size = 0
    for position in positions:
        body = bodies[position].translate(_ESCAPES)
        length = len(body.encode())
        if batch and (len(batch) == _MAX_MESSAGES or size + length > _MAX_BYTES):
            yield batch
            batch, size = {}, 0
        batch[position] = body
        size += length
    if batch:
        yield batch


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
