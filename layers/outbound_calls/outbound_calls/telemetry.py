"""What the functions tell operators: one JSON log line for each thing done, and metrics in embedded metric format.

Only what is listed here is ever logged: ids, statuses, fixed words. No number, name, variable, key or signature; and of
an exception only its type and where it was raised, since its text may hold any of them.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider
from botocore.exceptions import ClientError

from outbound_calls.lifecycle import Status

if TYPE_CHECKING:
    from outbound_calls.contracts import AttemptKey, Outcome, OutcomeEvent
    from outbound_calls.ledger import Call
    from outbound_calls.settings import Settings


class Metric(StrEnum):
    """The metrics of the stack, in namespace AllomiaOutboundCalls, dimension `service` (the stack's name)."""

    CALLS_PLACED = "CallsPlaced"
    CALLS_PARKED = "CallsParked"
    CALLS_REJECTED = "CallsRejected"
    AMBIGUOUS_ANSWERS = "AmbiguousAnswers"
    DUPLICATE_MESSAGES = "DuplicateMessages"
    REFUSED_MESSAGES = "RefusedMessages"
    FAILED_MESSAGES = "FailedMessages"
    KEY_REFUSED = "AllomiaKeyRefused"
    CIRCUIT_OPEN = "CircuitOpen"
    CALL_IDS_CONTRADICTING = "CallIdsContradicting"

    OUTCOMES = "Outcomes"
    SECONDS_TO_OUTCOME = "SecondsFromDispatchToOutcome"

    WEBHOOKS_REFUSED = "WebhooksRefused"
    WEBHOOKS_REPEATED = "WebhooksRepeated"
    WEBHOOKS_CONTRADICTING = "WebhooksContradicting"
    WEBHOOKS_FAILED = "WebhooksFailed"

    POLLS = "Polls"
    POLLS_UNAVAILABLE = "PollsUnavailable"
    POLLS_FAILED = "PollsFailed"
    CALLS_RELEASED = "CallsReleased"

    OUTCOMES_PUBLISHED = "OutcomesPublished"


def outcome_metrics(outcome: Outcome) -> tuple[str, str]:
    """The counters of an outcome: by status (`OutcomeNoAnswer`) and by source (`OutcomeByWebhook`)."""
    status = "".join(word.capitalize() for word in outcome.status.value.split("-"))
    return f"Outcome{status}", f"OutcomeBy{outcome.source.value.capitalize()}"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A function's log and metrics. Not for its worker threads: what they find, the handler tells."""

    logger: Logger
    metrics: AmazonCloudWatchEMFProvider

    @classmethod
    def of(cls, settings: Settings) -> Telemetry:
        """The telemetry of a function with these settings."""
        service = settings.powertools_service_name
        return cls(
            Logger(service=service, log_uncaught_exceptions=False, utc=True),
            AmazonCloudWatchEMFProvider(namespace=settings.powertools_metrics_namespace, service=service),
        )

    def tell(self, words: str, key: AttemptKey | OutcomeEvent | None = None, **facts: str | int | None) -> None:
        """Log one line about an attempt; `facts` without a value are left out."""
        names = {"requestId": key.request_id, "attempt": key.attempt} if key else {}
        self.logger.info(words, extra=names | {name: fact for name, fact in facts.items() if fact})

    def tell_fault(self, words: str, error: BaseException, **names: str | int) -> None:
        """Log a fault of this stack's own parts, without the exception's text."""
        self.logger.error(words, extra=names | {"error": describe(error)})

    def count(self, metric: str, amount: float = 1) -> None:
        """Count something."""
        self.metrics.add_metric(name=metric, unit=MetricUnit.Count, value=amount)

    def count_outcome(self, outcome: Outcome, call: Call | None) -> None:
        """Count an outcome that was recorded, and how long after its dispatch that was."""
        self.count(Metric.OUTCOMES)
        for name in outcome_metrics(outcome):
            self.count(name)
        if outcome.status is not Status.REJECTED and call and call.dispatched_at and call.recorded_at:
            seconds = call.recorded_at - call.dispatched_at
            self.metrics.add_metric(name=Metric.SECONDS_TO_OUTCOME, unit=MetricUnit.Seconds, value=seconds)

    def flush(self) -> None:
        """Write out the metrics of this invocation, if there are any."""
        if self.metrics.metric_set:
            self.metrics.flush_metrics()


def describe(error: BaseException) -> str:
    """An exception's type, its AWS error code, and the place it was raised at: all that may be logged of it."""
    code = f" {error.response['Error'].get('Code', '')}" if isinstance(error, ClientError) else ""
    frames = traceback.extract_tb(error.__traceback__)
    place = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-6:])
    return f"{type(error).__name__}{code} at {place}"
