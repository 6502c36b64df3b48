"""Recorded outcomes are published again as publish_outcome does, and what was published is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from calls.operations.republishing import Republishing, RepublishReport, find_outcomes
from outbound_calls.adapters.outcome_bus import OutcomeBus
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, Labels, RequestKey
from outbound_calls.use_cases.publish import outcome_event

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

NOW = 1_775_053_800
DENIED = ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutEvents")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://events")


@dataclass
class Bus:
    """Takes events as EventBridge does. `fault` returns, for the number of a request, what goes wrong with it."""

    fault: Callable[[int], Exception | str | None] = lambda _request: None
    requests: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)

    def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        self.requests += 1
        fault = self.fault(self.requests)
        if isinstance(fault, Exception):
            raise fault
        if fault:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": fault}]}
        self.taken += [json.loads(entry["Detail"]) for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": []}


def attempt(number: int, status: Status = Status.COMPLETED) -> Attempt:
    return Attempt(
        AttemptKey(RequestKey(f"visit-{number}"), 1),
        NOW,
        status,
        labels=Labels({"clinic": "7"}),
        outcome_source=OutcomeSource.WEBHOOK,
        recorded_at=NOW + number,
    )


def republish(bus: Bus, attempts: Sequence[Attempt]) -> tuple[RepublishReport, list[float], list[int]]:
    found, events = find_outcomes(attempts, NOW, NOW + 3600)
    slept: list[float] = []
    counted: list[int] = []
    republishing = Republishing(OutcomeBus(cast("EventBridgeClient", bus), "outcomes"), slept.append)
    return republishing.publish(found, events, counted.append), slept, counted


def test_outcomes_are_counted_by_status_and_ordered_by_time() -> None:
    found, events = find_outcomes([attempt(9), attempt(3, Status.UNKNOWN), attempt(5)], NOW, NOW + 3600)

    assert (found.to_publish, found.by_status) == (3, {"completed": 2, "unknown": 1})
    assert (found.since, found.until) == ("2026-04-01T14:30:00Z", "2026-04-01T15:30:00Z")
    assert (found.first_recorded_at, found.last_recorded_at) == ("2026-04-01T14:30:03Z", "2026-04-01T14:30:09Z")
    assert [event.request_id for event in events] == ["visit-3", "visit-5", "visit-9"]


def test_what_publish_outcome_does_not_publish_is_not_published_again() -> None:
    found, events = find_outcomes(
        [replace(attempt(1), next_attempt=2), replace(attempt(2), is_dropped=True), attempt(3)], NOW, NOW + 3600
    )

    assert (found.to_publish, [event.request_id for event in events]) == (1, ["visit-3"])


def test_without_outcomes_there_is_nothing_to_publish() -> None:
    found, events = find_outcomes([], NOW, NOW + 3600)

    assert (found.to_publish, found.first_recorded_at, events) == (0, None, [])


def test_events_are_those_that_publish_outcome_makes() -> None:
    bus = Bus()

    report, _, counted = republish(bus, [attempt(number) for number in range(25)])

    assert (report.published, report.not_published, report.reason) == (25, 0, None)
    assert bus.taken == [json.loads(outcome_event(attempt(number)).model_dump_json()) for number in range(25)]
    assert (bus.requests, counted) == (3, [10, 10, 5])


def test_what_eventbridge_declines_is_tried_again() -> None:
    bus = Bus(lambda request: "ThrottlingException" if request in {2, 3} else None)

    report, slept, _ = republish(bus, [attempt(number) for number in range(25)])

    assert report.published == len(bus.taken) == 25
    assert sum(slept) > 1


@pytest.mark.parametrize(
    ("fault", "tries", "reason"),
    [
        ("ThrottlingException", 4, "1 of 10 events: ThrottlingException"),
        (DENIED, 1, "AccessDeniedException"),
        (UNREACHABLE, 1, "EndpointConnectionError"),
    ],
)
def test_a_fault_that_stays_ends_it_and_says_where_to_go_on(fault: Exception | str, tries: int, reason: str) -> None:
    bus = Bus(lambda request: fault if request > 1 else None)

    report, _, _ = republish(bus, [attempt(number) for number in range(25)])

    assert (report.published, report.not_published, report.reason) == (10, 15, reason)
    assert report.continue_since == "2026-04-01T14:30:10Z"
    assert bus.requests == 1 + tries


def test_an_attempt_that_has_not_ended_has_no_event() -> None:
    with pytest.raises(ValueError, match="no outcome"):
        find_outcomes([replace(attempt(1), outcome_source=None)], NOW, NOW)
