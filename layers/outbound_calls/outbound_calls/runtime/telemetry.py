"""Logs and metrics: one JSON line per event, log and metrics at once.

A line with metrics is in CloudWatch's embedded metric format: CloudWatch counts the metrics in it and keeps it as a log
line with its fields. Only what is listed here is logged: ids, statuses, codes. No phone number, name, variable, key or
signature; and of an exception only its type and where it was raised, since its text may hold any of them.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError

from outbound_calls.contracts.vocabulary import OutcomeSource, Priority, ReasonCode, Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbound_calls.contracts.vocabulary import ParkReason
    from outbound_calls.domain.attempts import Attempt, AttemptKey, Outcome
    from outbound_calls.domain.lines import LinesSeen
    from outbound_calls.runtime.settings import Settings


class Metric(StrEnum):
    """The metrics of the stack, in namespace AllomiaOutboundCalls, dimension `service` (the stack's name)."""

    CALLS_PLACED = "CallsPlaced"
    CALLS_PARKED = "CallsParked"
    CALLS_DEFERRED = "CallsDeferred"
    CALLS_REFUSED = "CallsRefused"
    CALLS_REJECTED = "CallsRejected"
    CALLS_CANCELLED = "CallsCancelled"
    REDIALS_DROPPED = "RedialsDropped"
    CANCELLATIONS = "Cancellations"
    DO_NOT_CALL_ENTRIES = "DoNotCallEntries"
    AMBIGUOUS_ANSWERS = "AmbiguousAnswers"
    DUPLICATE_MESSAGES = "DuplicateMessages"
    INVALID_MESSAGES = "InvalidMessages"
    FAILED_MESSAGES = "FailedMessages"
    POLICY_UNREADABLE = "PolicyUnreadable"
    KEY_DECLINED = "AllomiaKeyDeclined"
    CIRCUIT_OPEN = "CircuitOpen"
    CALL_IDS_CONTRADICTING = "CallIdsContradicting"
    STATUSES_UNFAMILIAR = "UnfamiliarStatuses"

    DISPATCH_TO_OUTCOME_SECONDS = "DispatchToOutcomeSeconds"
    REQUESTS_TO_CORRECT = "RequestsToCorrect"

    WEBHOOKS_INVALID = "WebhooksInvalid"
    WEBHOOKS_DUPLICATED = "WebhooksDuplicated"
    WEBHOOKS_CONTRADICTING = "WebhooksContradicting"
    WEBHOOKS_FAILED = "WebhooksFailed"

    POLLS = "Polls"
    POLLS_UNAVAILABLE = "PollsUnavailable"
    POLLS_FAILED = "PollsFailed"
    CALL_LOG_PAGES = "CallLogPages"
    DISPATCHES_SENT = "DispatchesSent"
    REDIALS_MADE = "RedialsMade"

    LINES_LOOKED_AT = "LinesLookedAt"
    LINES_IN_USE = "LinesInUse"
    CALLS_WAITING = "CallsWaiting"
    WAITED_SECONDS = "WaitedSeconds"
    URGENT_WAITED_SECONDS = "UrgentWaitedSeconds"


REJECTED_ON_PURPOSE = frozenset({ReasonCode.DO_NOT_CALL, ReasonCode.RECIPIENT_CAP})
"""Why policy rejects a request just as it is meant to: no one has to look."""


def needs_a_person(status: Status, code: ReasonCode | None, source: OutcomeSource | None = None) -> bool:
    """Whether an outcome has an alarm. What a person decided has none.

    It is counted when it is published: the table's stream delivers an outcome until that has worked, whatever happened
    to the function that recorded it.
    """
    if source is OutcomeSource.OPERATOR:
        return False
    return status is Status.UNKNOWN or (status is Status.REJECTED and code not in REJECTED_ON_PURPOSE)


def status_metric(status: Status) -> str:
    """The counter of outcomes with a status: `OutcomeNoAnswer`."""
    return f"Outcome{_camel(status)}"


def source_metric(source: OutcomeSource) -> str:
    """The counter of outcomes from a source: `OutcomeByWebhook`."""
    return f"OutcomeBy{_camel(source)}"


def deferral_metric(reason: ParkReason) -> str:
    """The counter of attempts that policy lets wait for a reason: `DeferredOutsideCallingWindow`."""
    return f"Deferred{_camel(reason)}"


def waiting_metric(priority: Priority) -> str:
    """The number of attempts of a priority that wait for a line: `CallsWaitingUrgent`."""
    return f"{Metric.CALLS_WAITING}{_camel(priority)}"


def lines_metrics(seen: LinesSeen) -> dict[str, int]:
    """What a keeper saw of an organization's lines and of those who wait for one."""
    by_priority = {waiting_metric(priority): count for priority, count in seen.waiting.items()}
    return by_priority | {
        Metric.LINES_IN_USE: seen.in_use,
        Metric.CALLS_WAITING: sum(seen.waiting.values()),
        Metric.WAITED_SECONDS: max(seen.waited_seconds.values(), default=0),
        Metric.URGENT_WAITED_SECONDS: seen.waited_seconds.get(Priority.URGENT, 0),
    }


def rejection_metric(code: ReasonCode) -> str:
    """The counter of requests that were rejected for a reason: `RejectedExpired`."""
    return f"Rejected{_camel(code)}"


def ending_metrics(status: Status, code: ReasonCode | None) -> tuple[str, ...]:
    """What an attempt counts as by how it ended.

    A rejected one counts by its reason too. If someone has to correct the request or a setting, it also counts as that.
    """
    if status is not Status.REJECTED:
        return (status_metric(status),)
    by_reason = (rejection_metric(code),) if code else ()
    to_correct = needs_a_person(status, code) and code is not ReasonCode.EXPIRED
    return (status_metric(status), *by_reason, *((Metric.REQUESTS_TO_CORRECT,) if to_correct else ()))


def outcome_metrics(outcome: Outcome) -> tuple[str, ...]:
    """What an outcome counts as when it is recorded: its source, and how it ended unless it needs a person."""
    by_source = source_metric(outcome.source)
    if needs_a_person(outcome.status, outcome.reason_code):
        return (by_source,)
    return (*ending_metrics(outcome.status, outcome.reason_code), by_source)


def seconds_to_outcome(outcome: Outcome, attempt: Attempt | None) -> int | None:
    """How long after its dispatch an outcome was recorded; None for what was never dialled."""
    if outcome.status is Status.REJECTED or not (attempt and attempt.dispatched_at and attempt.recorded_at):
        return None
    return attempt.recorded_at - attempt.dispatched_at


@dataclass(eq=False, slots=True)
class Telemetry:
    """A function's log and metrics. Not thread-safe: the handler logs what its worker threads return."""

    logger: Logger
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings) -> Telemetry:
        """The telemetry of a function with these settings."""
        service, namespace = settings.powertools_service_name, settings.powertools_metrics_namespace
        return cls(Logger(service=service, location=None), Metrics(namespace=namespace, service=service))

    def log(
        self,
        event: str,
        *counted: str,
        key: AttemptKey | None = None,
        outcome: Outcome | None = None,
        attempt: Attempt | None = None,
        measured: Mapping[str, int] | None = None,
        organization: str | None = None,
        **fields: str | int | None,
    ) -> None:
        """Log one event in one line, and count it.

        Args:
            event: Its name; the same name for the same event.
            counted: What it counts as: metrics, or names made of them above.
            key: The attempt it is about.
            outcome: The outcome that was recorded with it; it counts as such.
            attempt: The attempt as it is now.
            measured: Metrics that aren't counters, each with its value.
            organization: Whose it is, where it is about no attempt. None for the default one.
            fields: What else may be logged of it; those without a value are left out.
        """
        metrics = dict.fromkeys([*counted, *(outcome_metrics(outcome) if outcome else ())], 1) | dict(measured or {})
        if outcome and (seconds := seconds_to_outcome(outcome, attempt)) is not None:
            metrics[Metric.DISPATCH_TO_OUTCOME_SECONDS] = seconds
        names: dict[str, str | int | None] = {"organization": organization}
        if key:
            names = {
                "organization": key.request.organization,
                "requestId": key.request.request_id,
                "attempt": key.number,
            }
        self._write("INFO", event, metrics, names | fields)

    def log_count(self, event: str, metric: Metric, count: int) -> None:
        """Log how often something happened that has no line of its own, and count it."""
        self._write("INFO", event, {metric: count}, {"count": count})

    def log_fault(self, event: str, error: BaseException, *counted: Metric, **fields: str | int | None) -> None:
        """Log a fault of this stack's own parts, without the exception's text."""
        self._write("ERROR", event, dict.fromkeys(counted, 1), fields | {"error": describe(error)})

    def _write(
        self, level: str, event: str, metrics: Mapping[str, int], fields: Mapping[str, str | int | None]
    ) -> None:
        kept = {name: value for name, value in fields.items() if value}
        if not metrics:
            (self.logger.error if level == "ERROR" else self.logger.info)(event, extra=kept)
            return
        for name, value in metrics.items():
            unit = MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count
            self.metrics.add_metric(name=name, unit=unit, value=value)
        for field, content in {"level": level, "message": event, **kept}.items():
            self.metrics.add_metadata(field, content)
        self.metrics.flush_metrics()


def request_names(text: str) -> dict[str, str]:
    """What names a request in the log, by its key's text, which need not be valid."""
    organization, _, request_id = text.rpartition(ORGANIZATION_SEPARATOR)
    return {"organization": organization.rstrip(ORGANIZATION_SEPARATOR), "requestId": request_id}


def describe(error: BaseException) -> str:
    """An exception's type, its AWS error code, and the place where it was raised: all that may be logged of it."""
    code = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else getattr(error, "aws_code", "")
    frames = traceback.extract_tb(error.__traceback__)
    place = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-6:])
    return f"{type(error).__name__}{f' {code}' if code else ''} at {place}"


def _camel(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("-"))
