"""receive_webhook: one HTTP API request in, its answer out."""

import json
import os
import time
from http import HTTPStatus
from typing import Any

from outbound_calls import aws
from outbound_calls.callbacks import CallbackUrls
from outbound_calls.ledger import Ledger, Recorded
from outbound_calls.receive import Receipt, ReceiveWebhooks, Webhook
from outbound_calls.secrets import Secret
from outbound_calls.settings import ReceiveWebhookSettings
from outbound_calls.telemetry import Metric, Telemetry

settings = ReceiveWebhookSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
receive_webhooks = ReceiveWebhooks(
    ledger=Ledger(aws.client("dynamodb"), settings.calls_table_name, settings.retention_days),
    callbacks=CallbackUrls(Secret(aws.client("secretsmanager"), settings.signing_secret_arn, time.monotonic)),
)

COUNTERS: dict[Recorded | None, Metric] = {
    Recorded.ALREADY_THERE: Metric.WEBHOOKS_REPEATED,
    Recorded.CONTRADICTS: Metric.WEBHOOKS_CONTRADICTING,
    Recorded.OTHER_CALL: Metric.CALL_IDS_CONTRADICTING,
}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Record the outcome that a webhook brings."""
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
        tell(receipt)
    except Exception as error:  # noqa: BLE001 - an exception that left the function would be logged with its text
        telemetry.tell_fault("webhook not stored", error, Metric.WEBHOOKS_FAILED)
        receipt = Receipt(HTTPStatus.INTERNAL_SERVER_ERROR, "not stored, try again")
    field = "message" if receipt.status is HTTPStatus.OK else "error"
    return {
        "statusCode": receipt.status.value,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({field: receipt.words}),
    }


def tell(receipt: Receipt) -> None:
    """Tell what became of a webhook."""
    stored = receipt.result is Recorded.STORED
    telemetry.tell(
        f"webhook: {receipt.words}",
        *([] if stored else [COUNTERS.get(receipt.result, Metric.WEBHOOKS_REFUSED)]),
        key=receipt.key,
        recorded=receipt.outcome if stored else None,
        call=receipt.call,
        status=receipt.outcome.status if receipt.outcome else None,
    )
