"""The messages of one queue that wait for a person: list some of them, and discard those that were chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from calls.operations.waiting_messages import Deletions, LastMoment, QueueListing, delete_messages, held_messages

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from calls.operations.masking import Mask

MAX_LISTED = 100
"""How many messages a list has at most."""

MAX_HELD = 1000
"""Among how many messages those to discard are looked for. SQS delivers them in any order."""

_HOLD_SECONDS = 120


class Discarded(StrEnum):
    """What happened to a message that was to be discarded."""

    DISCARDED = "discarded"
    NOT_FOUND = "not-found"
    NOT_CONFIRMED = "not-confirmed"


@dataclass(frozen=True, slots=True)
class MessageQueue:
    """One queue. `kept_by_stack` as for `held_messages`; `clock` is epoch seconds."""

    client: SQSClient
    name: str
    url: str
    kept_by_stack: bool
    last_moment: LastMoment
    clock: Callable[[], float] = time.time

    def list(self, mask: Mask) -> QueueListing:
        """Some of its messages, the oldest first. They stay, and other readers don't get them meanwhile."""
        with held_messages(
            self.client, self.url, MAX_LISTED, kept_by_stack=self.kept_by_stack, hold_seconds=_HOLD_SECONDS
        ) as messages:
            found = list(messages)
        now = self.clock()
        found.sort(key=lambda each: each.sent_at)
        return QueueListing(
            queue=self.name,
            messages=[each.summary(mask, now, self.last_moment) for each in found],
            more=len(found) == MAX_LISTED,
        )

    def discard(self, ids: Collection[str]) -> dict[str, Discarded]:
        """Delete the messages with exactly these ids. No one is called for them, and no outcome is reported."""
        deletions = Deletions()
        with held_messages(
            self.client, self.url, MAX_HELD, kept_by_stack=self.kept_by_stack, hold_seconds=_HOLD_SECONDS
        ) as messages:
            chosen = [each for each in messages if each.id in ids]
            delete_messages(self.client, self.url, chosen, deletions)
        done = dict.fromkeys(ids, Discarded.NOT_FOUND)
        done |= dict.fromkeys((each.id for each in chosen), Discarded.NOT_CONFIRMED)
        return done | dict.fromkeys(deletions.ids, Discarded.DISCARDED)
