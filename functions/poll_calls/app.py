"""poll_calls: a page of due attempts in, how many of them came to what out."""

import math
import os
import time
from collections import Counter
from typing import Any

from outbound_calls import aws, workers
from outbound_calls.allomia import KEY_REFUSED, AllomiaClient, http_client
from outbound_calls.ledger import DueItem, Ledger
from outbound_calls.pace import Pace
from outbound_calls.poll import SECONDS_TO_POLL, SHORT_OF_TIME, CallQueue, Look, PollCalls, Polled
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
    """Look at the attempts of a page. One that meets a fault stays due, or comes due again when its lease ends.

    It keeps to its share of the pace at which AlloMia may be asked, and begins none after `until` (epoch seconds), when
    the next sweep begins its own.
    """

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    def poll(item: dict[str, Any]) -> Look:
        due = DueItem.from_index(item)
        if not pace.wait(at_most=min(seconds_left() - SECONDS_TO_POLL, until - time.time())):
            return Look(Polled.SKIPPED, due.key, SHORT_OF_TIME)
        return poll_calls.poll(due, seconds_left)

    pace, until = Pace(settings.polls_per_second), float(event.get("until", math.inf))

    results: Counter[str] = Counter()
    for item, look in workers.each(pool, poll, event["items"]):
        if isinstance(look, Exception):
            results["failed"] += 1
            request_id = str(item.get("requestId", {}).get("S"))
            telemetry.tell_fault("poll failed", look, Metric.POLLS, Metric.POLLS_FAILED, requestId=request_id)
        else:
            results[look.result] += 1
            tell(look)
    return {"polled": len(event["items"])} | {result: results[result] for result in (*Polled, "failed")}


def tell(look: Look) -> None:
    """Tell what became of a due attempt."""
    counted = [Metric.POLLS]
    if look.result in COUNTERS:
        counted.append(COUNTERS[look.result])
    if look.reason == KEY_REFUSED:
        counted.append(Metric.KEY_REFUSED)
    telemetry.tell(
        f"poll: {look.result}",
        *counted,
        key=look.key,
        recorded=look.outcome,
        call=look.call,
        reason=look.reason,
        status=look.outcome.status if look.outcome else None,
    )
