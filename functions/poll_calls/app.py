"""poll_calls: a page of due attempts in, a count of the results out."""

import os
import time
from collections import Counter
from typing import Any

from outbound_calls.adapters.due_entries import DueBatch, DueKeeper, due_entry, shard_of
from outbound_calls.adapters.rate_limiter import RateLimiter
from outbound_calls.runtime import workers
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.telemetry import Metric, Telemetry, lines_metrics, request_names
from outbound_calls.use_cases.log_reads import LogReads, pages_of_shard
from outbound_calls.use_cases.polls import KEY_FAULTS, SECONDS_TO_POLL, SHORT_OF_TIME, Poll, PollResult

settings = PollCallsSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
pool = workers.new_pool()
poll_calls = Assembly().poll_calls(settings)

EVENTS = {
    PollResult.RECORDED: "outcome recorded",
    PollResult.DISPATCHED: "dispatch sent",
    PollResult.REDIALLED: "next attempt made",
    PollResult.KEPT: "waiting attempts kept",
    PollResult.BATCH_CANCELLED: "batch cancelled",
    PollResult.WAITING: "call in progress",
    PollResult.UNAVAILABLE: "status unavailable",
    PollResult.SKIPPED: "poll skipped",
}
COUNTERS = {
    PollResult.UNAVAILABLE: Metric.POLLS_UNAVAILABLE,
    PollResult.DISPATCHED: Metric.DISPATCHES_SENT,
    PollResult.REDIALLED: Metric.REDIALS_MADE,
}


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Look at the attempts of a page. One that meets a fault stays due, or comes due again when its lease ends.

    It keeps to its share of the rate limit for AlloMia, and starts no poll after `until` (epoch seconds), when the next
    sweep starts its own. Only the first page of a shard reads AlloMia's call log.
    """

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    def poll(entry: dict[str, Any]) -> Poll:
        due = due_entry(entry)
        if isinstance(due, DueKeeper):
            return poll_calls.keep(due, seconds_left)
        if isinstance(due, DueBatch):
            return poll_calls.cancel_batch(due, seconds_left)
        if not permit():
            return Poll(PollResult.SKIPPED, due.key, SHORT_OF_TIME)
        return poll_calls.poll(due, seconds_left, reads)

    def permit() -> bool:
        return limiter.acquire(timeout_seconds=min(seconds_left() - SECONDS_TO_POLL, until - time.time()))

    limiter, until = RateLimiter(settings.polls_per_second), float(event.get("until", "inf"))
    pages = pages_of_shard(shard_of(event["items"]), settings.due_shards, int(event.get("until", 0)))
    reads = LogReads(permit, pages if event.get("isFirst", True) else 0)
    results: Counter[str] = Counter()
    for entry, result in workers.each(pool, poll, event["items"]):
        if isinstance(result, Exception):
            results["failed"] += 1
            request = str(entry.get("requestId", {}).get("S"))
            telemetry.log_fault("poll failed", result, Metric.POLLS, Metric.POLLS_FAILED, **request_names(request))
        else:
            results[result.result] += 1
            log(result)
    if read := reads.pages.total():
        telemetry.log_count("call log read", Metric.CALL_LOG_PAGES, read)
    return {"polled": len(event["items"])} | {result: results[result] for result in (*PollResult, "failed")}


def log(poll: Poll) -> None:
    """Log and count what happened to a due attempt."""
    counted = [Metric.POLLS]
    if poll.result in COUNTERS:
        counted.append(COUNTERS[poll.result])
    if poll.detail in KEY_FAULTS:
        counted.append(Metric.KEY_DECLINED)
    if poll.allomia_status is not None:
        counted.append(Metric.STATUSES_UNFAMILIAR)
    telemetry.log(
        EVENTS[poll.result],
        *counted,
        key=poll.key,
        organization=poll.organization,
        outcome=poll.outcome,
        attempt=poll.attempt,
        detail=poll.detail,
        measured=lines_metrics(poll.lines) if poll.lines else None,
        released=poll.released,
        status=poll.outcome.status if poll.outcome else None,
        allomiaStatus=poll.allomia_status,
    )
