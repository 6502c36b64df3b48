"""receive_webhook: one HTTP API request in, its answer out."""

import json
import os
from http import HTTPStatus
from typing import Any

from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.telemetry import Metric, Telemetry
from outbound_calls.use_cases.receive import Receipt, Webhook

settings = ReceiveWebhookSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
receive_webhooks = Assembly().receive_webhooks(settings)

COUNTERS: dict[RecordResult | None, Metric] = {
    RecordResult.ALREADY_RECORDED: Metric.WEBHOOKS_DUPLICATED,
    RecordResult.CONTRADICTS: Metric.WEBHOOKS_CONTRADICTING,
    RecordResult.REPLACED: Metric.WEBHOOKS_CONTRADICTING,
    RecordResult.NEXT_CANCELLED: Metric.WEBHOOKS_CONTRADICTING,
    RecordResult.OTHER_CALL: Metric.CALL_IDS_CONTRADICTING,
}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Record the outcome in a webhook."""
    path = event.get("pathParameters") or {}
    webhook = Webhook(
        path.get("requestId", ""),
        path.get("attempt", ""),
        path.get("signature", ""),
        event.get("body") or "",
        event.get("isBase64Encoded", False),
    )
    try:
        receipt = receive_webhooks.receive(webhook)
        log(receipt)
    except Exception as error:  # noqa: BLE001 - Lambda would log the text of an exception that left the function
        telemetry.log_fault("webhook not stored", error, Metric.WEBHOOKS_FAILED)
        receipt = Receipt(HTTPStatus.INTERNAL_SERVER_ERROR, "not stored, try again")
    field = "message" if receipt.status is HTTPStatus.OK else "error"
    return {
        "statusCode": receipt.status.value,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({field: receipt.message}),
    }


def log(receipt: Receipt) -> None:
    """Log and count what happened to a webhook."""
    stored = receipt.outcome is not None and receipt.result in {RecordResult.STORED, RecordResult.REPLACED}
    telemetry.log(
        "outcome recorded" if stored else f"webhook: {receipt.message}",
        *counters(receipt),
        key=receipt.key,
        outcome=receipt.outcome if stored else None,
        attempt=receipt.attempt,
        status=receipt.outcome.status if receipt.outcome else None,
        allomiaStatus=receipt.allomia_status,
    )


def counters(receipt: Receipt) -> list[Metric]:
    """What a webhook counts as, beside the outcome that it brought."""
    counted = [] if receipt.allomia_status is None else [Metric.STATUSES_UNFAMILIAR]
    noted = receipt.outcome is None and receipt.status is HTTPStatus.OK
    if receipt.result is not RecordResult.STORED and not noted:
        counted.append(COUNTERS.get(receipt.result, Metric.WEBHOOKS_INVALID))
    return counted
