"""Outcomes are published as v1 events, ten per request, and a failed entry is not ignored."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from boto3.dynamodb.types import TypeSerializer

from outbound_calls.adapters.outcome_bus import NotPublished, OutcomeBus
from outbound_calls.adapters.queues import FailedOutcomesQueue
from outbound_calls.use_cases.publish import PublishOutcomes
from tests.unit.parts import CALL_ID, CONTACT_ID

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

CANARY = "Zqx canary"


@dataclass
class Bus:
    """Takes events as EventBridge does, except those at the positions in `fails`, counted over all requests."""

    fails: frozenset[int] = frozenset()
    requests: list[list[dict[str, str]]] = field(default_factory=list)

    def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        seen = sum(map(len, self.requests))
        self.requests.append(list(Entries))
        answers = [
            {"ErrorCode": "ThrottlingException", "ErrorMessage": CANARY} if seen + i in self.fails else {"EventId": i}
            for i in range(len(Entries))
        ]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}


@dataclass
class FailedOutcomes:
    """The queue of failed outcomes, as SQS has it."""

    bodies: list[str] = field(default_factory=list)

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - AWS's names
        assert QueueUrl == "https://sqs.example/failed-outcomes"
        self.bodies.append(MessageBody)


def publisher(bus: Bus, failed: FailedOutcomes | None = None) -> PublishOutcomes:
    return PublishOutcomes(
        OutcomeBus(cast("EventBridgeClient", bus), "calls-dev-outcomes"),
        FailedOutcomesQueue(cast("SQSClient", failed or FailedOutcomes()), "https://sqs.example/failed-outcomes"),
    )


def image(**changes: Any) -> dict[str, Any]:
    """A terminal item as the stream has it."""
    item = {
        "requestId": "visit-2031",
        "attempt": 1,
        "status": "completed",
        "createdAt": 1_775_053_700,
        "timesParked": 0,
        "outcomeSource": "webhook",
        "recordedAt": 1_775_053_951,
        "expiresAt": 1_782_829_951,
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
        "callDetails": {
            "startedAt": "2026-04-01T14:30:00Z",
            "endedAt": "2026-04-01T14:32:30Z",
            "duration": 150,
            "endedReason": "customer-ended-call",
        },
        "metadata": {"clinic": "7"},
        "batch": "monday",
    }
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in (item | changes).items() if value is not None}


def details(bus: Bus) -> list[dict[str, Any]]:
    return [json.loads(entry["Detail"]) for request in bus.requests for entry in request]


def test_an_event_has_the_v1_shape() -> None:
    bus = Bus()

    publisher(bus).publish([image()])

    ((entry,),) = bus.requests
    assert entry | {"Detail": ""} == {
        "EventBusName": "calls-dev-outcomes",
        "Source": "allomia.outbound-calls",
        "DetailType": "Call Outcome Recorded",
        "Detail": "",
    }
    assert json.loads(entry["Detail"]) == {
        "version": "1",
        "organization": None,
        "requestId": "visit-2031",
        "attempt": 1,
        "final": True,
        "nextAttemptAt": None,
        "batch": "monday",
        "purpose": None,
        "cancelRequestedAt": None,
        "status": "completed",
        "dialled": "yes",
        "reasonCode": None,
        "outboundCallId": CALL_ID,
        "contactId": CONTACT_ID,
        "callDetails": {
            "startedAt": "2026-04-01T14:30:00Z",
            "endedAt": "2026-04-01T14:32:30Z",
            "duration": 150,
            "endedReason": "customer-ended-call",
        },
        "outcomeSource": "webhook",
        "recordedAt": "2026-04-01T14:32:31Z",
        "metadata": {"clinic": "7"},
    }
    assert '"duration":150,' in entry["Detail"]


@pytest.mark.parametrize(
    ("status", "final"),
    [
        ("completed", True),
        ("failed", True),
        ("busy", True),
        ("no-answer", True),
        ("rejected", True),
        ("cancelled", True),
        ("unknown", False),
    ],
)
def test_only_unknown_is_not_final(status: str, final: bool) -> None:
    bus = Bus()

    publisher(bus).publish([image(status=status)])

    assert [(detail["status"], detail["final"]) for detail in details(bus)] == [(status, final)]


def test_an_outcome_that_a_redial_follows_is_provisional() -> None:
    bus = Bus()

    publisher(bus).publish([image(status="busy", callDetails=None, redialAt=1_775_057_400, purpose="reminder")])

    (detail,) = details(bus)
    assert (detail["status"], detail["final"], detail["nextAttemptAt"]) == ("busy", False, "2026-04-01T15:30:00Z")
    assert detail["purpose"] == "reminder"


def test_a_cancellation_that_came_too_late_is_published_with_the_outcome() -> None:
    bus = Bus()

    publisher(bus).publish([image(cancelRequestedAt=1_775_053_800)])

    assert [(detail["final"], detail["cancelRequestedAt"]) for detail in details(bus)] == [
        (True, "2026-04-01T14:30:00Z")
    ]


@pytest.mark.parametrize(
    "not_published",
    [{"status": "busy", "nextAttempt": 2}, {"status": "cancelled", "reasonCode": "expired", "isDropped": True}],
)
def test_what_is_no_outcome_of_a_request_is_not_published_and_not_kept(not_published: dict[str, Any]) -> None:
    # Given a record that the stream's filter should have held back
    bus, failed = Bus(), FailedOutcomes()

    published = publisher(bus, failed).publish([image(requestId="before"), image(**not_published), image()])

    assert [detail["requestId"] for detail in details(bus)] == ["before", "visit-2031"]
    assert len(published.attempts) == 2
    assert not published.unreadable
    assert not failed.bodies


def test_a_rejected_request_has_a_reason_code_and_was_not_dialled() -> None:
    bus = Bus()

    publisher(bus).publish(
        [
            image(
                status="rejected",
                outcomeSource="dispatch",
                outboundCallId=None,
                contactId=None,
                callDetails=None,
                metadata=None,
                reasonCode="refused-by-allomia",
                reason="HTTP 400: no such assistant",
            )
        ]
    )

    (detail,) = details(bus)
    assert (detail["outboundCallId"], detail["contactId"], detail["callDetails"]) == (None, None, None)
    assert (detail["dialled"], detail["reasonCode"]) == ("no", "refused-by-allomia")
    assert detail["metadata"] == {}
    assert "reason" not in detail


def test_an_event_holds_nothing_of_the_request_itself() -> None:
    bus = Bus()

    publisher(bus).publish(
        [
            image(
                request={"phoneNumber": CANARY, "assistantId": CANARY, "phoneNumberId": CANARY, "customerName": CANARY},
                claimId=CANARY,
            )
        ]
    )

    assert "Zqx" not in json.dumps(bus.requests)


@pytest.mark.parametrize(("count", "chunks"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (30, [10, 10, 10])])
def test_events_are_published_ten_per_request_in_order(count: int, chunks: list[int]) -> None:
    bus = Bus()

    publisher(bus).publish(image(requestId=f"visit-{i}") for i in range(count))

    assert [len(request) for request in bus.requests] == chunks
    assert [detail["requestId"] for detail in details(bus)] == [f"visit-{i}" for i in range(count)]


@pytest.mark.parametrize("failed", [{0}, {9}, {10}, {3, 4}])
def test_a_failed_event_raises_its_code_and_not_its_message(failed: set[int]) -> None:
    bus = Bus(frozenset(failed))

    with pytest.raises(NotPublished) as caught:
        publisher(bus).publish(image() for _ in range(11))

    assert str(caught.value) in {
        f"{len(failed)} of 10 events: ThrottlingException",
        f"{len(failed)} of 1 events: ThrottlingException",
    }


def test_an_organization_is_named_apart_from_the_request_id() -> None:
    bus = Bus()

    publisher(bus).publish([image(requestId="north~visit-2031")])

    assert [(detail["organization"], detail["requestId"]) for detail in details(bus)] == [("north", "visit-2031")]


@pytest.mark.parametrize(("call_id", "dialled"), [(CALL_ID, "yes"), (None, "maybe")])
def test_unknown_says_whether_allomia_accepted_the_call(call_id: str | None, dialled: str) -> None:
    bus = Bus()

    publisher(bus).publish([image(status="unknown", outboundCallId=call_id, reasonCode="no-outcome")])

    assert [(detail["dialled"], detail["reasonCode"]) for detail in details(bus)] == [(dialled, "no-outcome")]


@pytest.mark.parametrize(
    "broken",
    [
        image() | {"status": {"S": CANARY}},
        image(status="calling", recordedAt=None),
        image(status="scheduled"),
        image() | {"requestId": {"N": "7"}},
        {name: value for name, value in image().items() if name != "requestId"},
        {},
    ],
)
def test_a_record_that_cannot_be_read_is_kept_and_holds_back_no_other(broken: dict[str, Any]) -> None:
    bus, failed = Bus(), FailedOutcomes()

    published = publisher(bus, failed).publish([image(requestId="before"), broken, image(requestId="after")])

    assert [detail["requestId"] for detail in details(bus)] == ["before", "after"]
    assert [attempt.key.request.request_id for attempt in published.attempts] == ["before", "after"]
    assert len(published.unreadable) == 1
    (body,) = failed.bodies
    key = {"requestId": broken.get("requestId"), "attempt": broken.get("attempt")}
    assert json.loads(body) == {"unreadableRecord": key}


def test_a_record_is_kept_only_once_the_others_are_published() -> None:
    bus, failed = Bus(frozenset({0})), FailedOutcomes()

    with pytest.raises(NotPublished):
        publisher(bus, failed).publish([image(), {}])
    assert failed.bodies == []
