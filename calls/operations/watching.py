"""The state of a stack at a glance, again and again: what is open, what just ended, what waits in the queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from calls.operations.records import OPEN, STATUS_ORDER, FoundAttempt, Records, tally
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.transitions import TERMINAL

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MAX_ENDED = 15
_MAX_READ = 1000
"""How many records one look reads at most. What it doesn't get to, the next ones do."""


class QueueDepth(WireModel):
    """How many messages a queue holds, by SQS's own estimate."""

    queue: str
    waiting: int
    held: int = Field(description="received, and hidden until deleted or released")


class StackState(WireModel):
    """The state of the stack now."""

    total: int = Field(description="how many attempts are open")
    open: dict[str, int] = Field(description="these by status, as far as it was read")
    not_read: int = Field(description="how many of these weren't read yet: one look reads up to 1,000")
    queues: list[QueueDepth]
    ended_by_status: dict[str, int] = Field(description="how many ended during this watch")
    ended: list[FoundAttempt] = Field(description="the last of these, newest first")


@dataclass(slots=True)
class Watch:
    """Remembers each open attempt, and reads only what has changed: the index says when each is due next.

    So an outcome costs one read, and a look at many calls little more than the index.
    """

    records: Records
    sqs: SQSClient
    queues: Mapping[str, str]
    """The queues' URLs, by the name to show."""

    _seen: dict[AttemptKey, tuple[int, Status | None]] = field(default_factory=dict)
    """When each open attempt was due, and its status then; None for one that wasn't read yet."""

    _gone: dict[AttemptKey, None] = field(default_factory=dict)
    """Those that left the index and weren't read since."""

    _counts: Counter[Status] = field(default_factory=Counter)
    _ended: list[FoundAttempt] = field(default_factory=list)

    def look(self) -> StackState:
        """The state now."""
        due = {each.key: each.due_at for each in self.records.due()}
        self._gone |= dict.fromkeys(key for key in self._seen if key not in due)
        self._seen = {key: (due_at, self._known(key, due_at)) for key, due_at in due.items()}
        unread = [*self._gone, *(key for key, (_, status) in self._seen.items() if status is None)][:_MAX_READ]
        for key, attempt in self.records.find(unread).items():
            if attempt.status in TERMINAL and not attempt.redial_pending:
                self._seen.pop(key, None)
                self._counts[attempt.status] += 1
                self._ended.append(attempt)
            elif key in self._seen:
                self._seen[key] = (due[key], Status.SCHEDULED if attempt.redial_pending else attempt.status)
        for key in unread:
            # The record of one that expired is gone too.
            self._gone.pop(key, None)
        self._ended = sorted(self._ended, key=lambda each: each.recorded_at or "", reverse=True)[:_MAX_ENDED]
        counts = Counter(status for _, status in self._seen.values())
        return StackState(
            total=len(self._seen),
            open={status.value: counts[status] for status in STATUS_ORDER if status in OPEN},
            not_read=counts[None],
            queues=[queue_depth(self.sqs, name, url) for name, url in self.queues.items()],
            ended_by_status=tally(self._counts.elements()),
            ended=self._ended,
        )

    def _known(self, key: AttemptKey, due_at: int) -> Status | None:
        """The status of an attempt that is still due as it was; None where that may have changed."""
        before, status = self._seen.get(key, (None, None))
        return status if before == due_at and status is not Status.DISPATCHING else None


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
