"""The event bus on which outcomes are published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from outbound_calls.contracts.events import DETAIL_TYPE, SOURCE, OutcomeEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

MAX_ENTRIES = 10  # per PutEvents request, by EventBridge's quota


class NotPublished(Exception):
    """EventBridge declined some of the events. Says how many, and its error codes."""


@dataclass(eq=False, slots=True)
class OutcomeBus:
    """The bus. Its rules deliver each event at least once."""

    client: EventBridgeClient
    name: str

    def publish(self, events: Iterable[OutcomeEvent]) -> None:
        """Publish events, ten per request.

        Raises:
            NotPublished: When EventBridge declines some. Those before and beside them are out, so a retry of all of
                them publishes some twice.
        """
        for chunk in batched(events, MAX_ENTRIES, strict=False):
            answer = self.client.put_events(
                Entries=[
                    {
                        "EventBusName": self.name,
                        "Source": SOURCE,
                        "DetailType": DETAIL_TYPE,
                        "Detail": event.model_dump_json(),
                    }
                    for event in chunk
                ]
            )
            if answer["FailedEntryCount"]:
                codes = sorted({entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry})
                raise NotPublished(f"{answer['FailedEntryCount']} of {len(chunk)} events: {', '.join(codes)}")
