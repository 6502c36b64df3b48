"""How a stack stands, seen again and again: what is under way, what has just ended, what needs a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from calls.records import UNDER_WAY, Found, Records
from outbound_calls.contracts import AttemptKey, Wire
from outbound_calls.lifecycle import Status

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MOST_RECENT = 15
_MOST_UNDER_WAY = 1000


class Depth(Wire):
    """How many messages a queue holds, by SQS's own estimate."""

    queue: str
    waiting: int
    held: int


class View(Wire):
    """How the stack stands now."""

    under_way: dict[str, int] = Field(description="attempts that have not ended, by status")
    at_most: int = Field(_MOST_UNDER_WAY, description="so many are counted, and no more")
    queues: list[Depth]
    ended: list[Found] = Field(description="those that ended under the eyes of this watch, the last one first")


@dataclass(slots=True)
class Watch:
    """Remembers what was under way at its last look, so that an outcome is one read and never a scan."""

    records: Records
    sqs: SQSClient
    queues: Mapping[str, str]
    """The queues' URLs by the name that is shown."""

    _open: set[AttemptKey] = field(default_factory=set)
    _ended: list[Found] = field(default_factory=list)

    def look(self) -> View:
        """How it stands."""
        now_open = {_key(call): call for call in self.records.under_way(_MOST_UNDER_WAY).calls}
        gone = self.records.find(self._open - now_open.keys()).values()
        ended = sorted(
            (call for call in gone if call.status not in UNDER_WAY),
            key=lambda call: call.recorded_at or "",
            reverse=True,
        )
        self._ended = [*ended, *self._ended][:_MOST_RECENT]
        self._open = set(now_open)
        counts = Counter(call.status.value for call in now_open.values())
        return View(
            under_way={status.value: counts[status.value] for status in Status if status in UNDER_WAY},
            queues=[depth(self.sqs, name, url) for name, url in self.queues.items()],
            ended=self._ended,
        )


def depth(sqs: SQSClient, name: str, url: str) -> Depth:
    """How many messages a queue holds."""
    attributes = sqs.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return Depth(
        queue=name,
        waiting=int(attributes["ApproximateNumberOfMessages"]),
        held=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
    )


def _key(call: Found) -> AttemptKey:
    return AttemptKey(request_id=call.request_id, attempt=call.attempt)
