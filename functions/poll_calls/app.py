"""poll_calls: a page of due attempts in, how many of them came to what out."""

import os
import time
from collections import Counter
from typing import Any

from outbound_calls import aws, workers
from outbound_calls.allomia import KEY_REFUSED, AllomiaClient, http_client
from outbound_calls.ledger import DueItem, Ledger
from outbound_calls.poll import CallQueue, Look, PollCalls, Polled
from outbound_calls.secrets import Secret
from outbound_calls.settings import PollCallsSettings
from outbound_calls.telemetry import Metric, Telemetry

settings = PollCallsSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
pool = workers.new_pool()
poll_calls = PollCalls(
    ledger=Ledger(aws.client("dynamodb", workers.WORKERS), settings.calls_table_name, settings.retention_days),
    allomia=AllomiaClient(
        http_client(settings.allomia_base_url, connections=workers.WORKERS),
        Secret(aws.client("secretsmanager"), settings.allomia_api_key_secret_arn, time.monotonic),
    ),
    queue=CallQueue(aws.client("sqs", workers.WORKERS), settings.call_queue_url),
    schedule=settings.schedule,
)

COUNTERS = {Polled.UNAVAILABLE: Metric.POLLS_UNAVAILABLE, Polled.RELEASED: Metric.CALLS_RELEASED}


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Look at the attempts of a page. One that meets a fault stays due, or comes due again when its lease ends."""

    def poll(item: dict[str, Any]) -> Look:
        return poll_calls.poll(DueItem.from_index(item), lambda: float(context.get_remaining_time_in_millis()) / 1000)

    results: Counter[str] = Counter()
    for item, look in workers.each(pool, poll, event["items"]):
        telemetry.count(Metric.POLLS)
        if isinstance(look, Exception):
            results["failed"] += 1
            telemetry.count(Metric.POLLS_FAILED)
            telemetry.tell_fault("poll failed", look, requestId=str(item.get("requestId", {}).get("S")))
        else:
            results[look.result] += 1
            tell(look)
    telemetry.flush()
    return {"polled": len(event["items"])} | {result: results[result] for result in (*Polled, "failed")}


def tell(look: Look) -> None:
    """Log and count what became of a due attempt."""
    if look.result is not Polled.SKIPPED:
        telemetry.tell(
            f"poll: {look.result}",
            look.key,
            reason=look.reason,
            status=look.outcome.status if look.outcome else None,
        )
    if look.result in COUNTERS:
        telemetry.count(COUNTERS[look.result])
    if look.reason == KEY_REFUSED:
        telemetry.count(Metric.KEY_REFUSED)
    if look.outcome:
        telemetry.count_outcome(look.outcome, look.call)
