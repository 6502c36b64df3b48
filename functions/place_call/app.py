"""place_call: a batch of queue messages in, the ones to deliver again out."""

import os
from typing import Any

from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.timing import DEFERRALS
from outbound_calls.runtime import workers
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.telemetry import Metric, Telemetry, deferral_metric
from outbound_calls.use_cases.place import Message
from outbound_calls.use_cases.placement import OTHER_CALL, Placement, PlaceResult

settings = PlaceCallSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
pool = workers.new_pool()
place_calls = Assembly().place_calls(settings)

EVENTS = {
    PlaceResult.CALLING: ("call placed", Metric.CALLS_PLACED),
    PlaceResult.ENDED: ("call placed", Metric.CALLS_PLACED),
    PlaceResult.PARKED: ("attempt parked", Metric.CALLS_PARKED),
    PlaceResult.AMBIGUOUS: ("answer lost", Metric.AMBIGUOUS_ANSWERS),
    PlaceResult.REJECTED: ("request rejected", Metric.CALLS_REJECTED),
    PlaceResult.CANCELLED: ("request cancelled", Metric.CALLS_CANCELLED),
    PlaceResult.REDIAL_DROPPED: ("redial dropped", Metric.REDIALS_DROPPED),
    PlaceResult.CANCELLATION: ("cancellation", Metric.CANCELLATIONS),
    PlaceResult.DO_NOT_CALL: ("do-not-call entry", Metric.DO_NOT_CALL_ENTRIES),
    PlaceResult.HANDED_ON: ("free lines handed on", Metric.LINES_LOOKED_AT),
    PlaceResult.DUPLICATE: ("duplicate message", Metric.DUPLICATE_MESSAGES),
    PlaceResult.INVALID: ("invalid message", Metric.INVALID_MESSAGES),
}
"""What each result is logged and counted as."""

CODE_COUNTERS = {
    ParkReason.CIRCUIT_OPEN: Metric.CIRCUIT_OPEN,
    ParkReason.KEY_DECLINED: Metric.KEY_DECLINED,
    ParkReason.KEY_UNREADABLE: Metric.KEY_DECLINED,
    ParkReason.REFUSED_BY_ALLOMIA: Metric.CALLS_REFUSED,
    OTHER_CALL: Metric.CALL_IDS_CONTRADICTING,
}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Place the calls that a batch of messages asks for. Messages that met a fault of ours are delivered again."""

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    messages = [
        Message(record["messageId"], record["body"], seconds_left, sent_at(record)) for record in event["Records"]
    ]
    failed = []
    for message, result in workers.each(pool, place_calls.place, messages):
        if isinstance(result, Exception):
            failed.append(message.message_id)
            telemetry.log_fault("message failed", result, Metric.FAILED_MESSAGES, messageId=message.message_id)
        else:
            log(result, message.message_id)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def sent_at(record: dict[str, Any]) -> float | None:
    """When the queue got a message (epoch seconds); None in a sample event that doesn't say so."""
    milliseconds = record.get("attributes", {}).get("SentTimestamp")
    return None if milliseconds is None else int(milliseconds) / 1000


def log(placement: Placement, message_id: str) -> None:
    """Log and count what happened to a message."""
    telemetry.log(
        EVENTS[placement.result][0],
        *counters(placement),
        key=placement.key,
        organization=placement.organization,
        outcome=placement.outcome,
        messageId=message_id,
        code=placement.code,
        detail=placement.detail,
        outboundCallId=placement.outbound_call_id,
        allomiaStatus=placement.allomia_status,
    )


def counters(placement: Placement) -> list[str]:
    """What a message counts as, beside the outcome that it brought."""
    counted: list[str] = [EVENTS[placement.result][1]]
    if placement.result is PlaceResult.PARKED:
        # Only what AlloMia or this stack fails to do counts as parked. A policy that can't be read has its own alarm.
        if placement.code in DEFERRALS:
            counted = [Metric.CALLS_DEFERRED, deferral_metric(ParkReason(placement.code))]
        elif placement.code == ParkReason.POLICY_UNREADABLE:
            counted = [Metric.POLICY_UNREADABLE]
    if placement.code in CODE_COUNTERS:
        counted.append(CODE_COUNTERS[placement.code])
    if placement.allomia_status is not None:
        counted.append(Metric.STATUSES_UNFAMILIAR)
    return counted
