"""The state of a stack at a glance, again and again: what is open, what just ended, what waits in the queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from calls.operations.records import OPEN, FoundAttempt, Records
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.attempts import AttemptKey

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MAX_ENDED = 15
_MAX_OPEN = 1000


class QueueDepth(WireModel):
    """How many messages a queue holds, by SQS's own estimate."""

    queue: str
    waiting: int
    held: int = Field(description="received, and hidden until deleted or released")


class StackState(WireModel):
    """The state of the stack now."""

    open: dict[str, int] = Field(description="attempts that have not ended, by status")
    at_most: int = Field(_MAX_OPEN, description="the count stops here")
    queues: list[QueueDepth]
    ended: list[FoundAttempt] = Field(description="those that ended during this watch, newest first")


@dataclass(slots=True)
class Watch:
    """Remembers which attempts were open at its last look, so that an outcome costs one read and never a scan."""

    records: Records
    sqs: SQSClient
    queues: Mapping[str, str]
    """The queues' URLs, by the name to show."""

    _open: set[AttemptKey] = field(default_factory=set)
    _ended: list[FoundAttempt] = field(default_factory=list)

    def look(self) -> StackState:
        """The state now."""
        open_now = {attempt.key: attempt for attempt in self.records.open_attempts(_MAX_OPEN).calls}
        gone = self.records.find(self._open - open_now.keys()).values()
        ended = sorted(
            (attempt for attempt in gone if attempt.status not in OPEN),
            key=lambda attempt: attempt.recorded_at or "",
            reverse=True,
        )
        self._ended = [*ended, *self._ended][:_MAX_ENDED]
        self._open = set(open_now)
        counts = Counter(attempt.status for attempt in open_now.values())
        return StackState(
            open={status.value: counts[status] for status in Status if status in OPEN},
            queues=[queue_depth(self.sqs, name, url) for name, url in self.queues.items()],
            ended=self._ended,
        )


def queue_depth(sqs: SQSClient, name: str, url: str) -> QueueDepth:
    """How many messages a queue holds."""
    attributes = sqs.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return QueueDepth(
        queue=name,
        waiting=int(attributes["ApproximateNumberOfMessages"]),
        held=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
    )
