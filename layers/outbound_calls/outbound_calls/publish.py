"""Publish outcomes: from the table's stream to the outcome bus, at least once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from outbound_calls.reports import outcome_event

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "allomia.outbound-calls"
DETAIL_TYPE = "Call Outcome Recorded"
_MOST_ENTRIES = 10  # of one PutEvents, by EventBridge's quota


class NotPublished(Exception):
    """EventBridge refused some of the events. Says how many, and its error codes."""


@dataclass(frozen=True, slots=True)
class PublishOutcomes:
    """The use case: one event for each item of the table that became terminal."""

    client: EventBridgeClient
    bus_name: str

    def publish(self, images: Iterable[Mapping[str, Any]]) -> None:
        """Publish the outcome in each item, given as the stream has it (DynamoDB's typed JSON).

        Raises:
            NotPublished: when EventBridge refuses a part; the whole batch is then to be tried again, so an event may
                come twice.
        """
        events = [outcome_event(image) for image in images]
        for chunk in batched(events, _MOST_ENTRIES, strict=False):
            answer = self.client.put_events(
                Entries=[
                    {
                        "EventBusName": self.bus_name,
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
