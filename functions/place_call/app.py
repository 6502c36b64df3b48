"""place_call: a batch of queue messages in, the ones to deliver again out."""

import os
import time
from typing import Any

from outbound_calls import aws, workers
from outbound_calls.allomia import AllomiaClient, http_client
from outbound_calls.breaker import Breaker
from outbound_calls.callbacks import CallbackUrls
from outbound_calls.ledger import Ledger
from outbound_calls.place import CIRCUIT_OPEN, OTHER_CALL, InvalidMessages, Message, PlaceCalls, Placed, Placement
from outbound_calls.secrets import Secret
from outbound_calls.settings import PlaceCallSettings
from outbound_calls.telemetry import Metric, Telemetry

settings = PlaceCallSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
pool = workers.new_pool()
secrets = aws.client("secretsmanager")
place_calls = PlaceCalls(
    ledger=Ledger(
        aws.client("dynamodb", workers.WORKERS),
        settings.calls_table_name,
        settings.retention_days,
        settings.due_shards,
    ),
    allomia=AllomiaClient(
        http_client(settings.allomia_base_url, connections=workers.WORKERS),
        Secret(secrets, settings.allomia_api_key_secret_arn, time.monotonic),
    ),
    callbacks=CallbackUrls(Secret(secrets, settings.signing_secret_arn, time.monotonic), settings.webhook_url),
    rejected=InvalidMessages(aws.client("sqs", workers.WORKERS), settings.invalid_messages_queue_url),
    breaker=Breaker(time.monotonic),
    grace=settings.webhook_grace_seconds,
    default_assistant_id=settings.default_assistant_id,
    default_phone_number_id=settings.default_phone_number_id,
)

COUNTERS = {
    Placed.CALLING: Metric.CALLS_PLACED,
    Placed.ENDED: Metric.CALLS_PLACED,
    Placed.PARKED: Metric.CALLS_PARKED,
    Placed.AMBIGUOUS: Metric.AMBIGUOUS_ANSWERS,
    Placed.REJECTED: Metric.CALLS_REJECTED,
    Placed.DUPLICATE: Metric.DUPLICATE_MESSAGES,
    Placed.REFUSED: Metric.INVALID_MESSAGES,
}
COUNTED_REASONS = {CIRCUIT_OPEN: Metric.CIRCUIT_OPEN, OTHER_CALL: Metric.CALL_IDS_CONTRADICTING}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Place the calls that a batch of messages asks for. Messages that met a fault of ours are delivered again."""

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    messages = [Message(record["messageId"], record["body"], seconds_left) for record in event["Records"]]
    failed = []
    for message, result in workers.each(pool, place_calls.place, messages):
        if isinstance(result, Exception):
            failed.append(message.message_id)
            telemetry.tell_fault(
                "message will be delivered again", result, Metric.FAILED_MESSAGES, messageId=message.message_id
            )
        else:
            tell(result, message.message_id)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def tell(placement: Placement, message_id: str) -> None:
    """Tell what became of a message."""
    counted = [COUNTERS[placement.result]]
    if placement.reason in COUNTED_REASONS:
        counted.append(COUNTED_REASONS[placement.reason])
    if placement.key_refused:
        counted.append(Metric.KEY_REFUSED)
    telemetry.tell(
        f"message {placement.result}",
        *counted,
        key=placement.key,
        recorded=placement.outcome,
        messageId=message_id,
        reason=placement.reason,
        outboundCallId=placement.outbound_call_id,
    )
