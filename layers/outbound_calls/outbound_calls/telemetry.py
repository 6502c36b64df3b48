"""What the functions tell operators: one JSON line for each thing done, its log and its metrics at once.

The line is in CloudWatch's embedded metric format: CloudWatch counts the metrics in it, and keeps it as a log line with
the facts beside them. Only what is listed here is ever told: ids, statuses, fixed words. No number, name, variable, key
or signature; and of an exception only its type and where it was raised, since its text may hold any of them.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider
from botocore.exceptions import ClientError

from outbound_calls.lifecycle import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbound_calls.contracts import AttemptKey, Outcome
    from outbound_calls.ledger import Call
    from outbound_calls.settings import Settings


class Metric(StrEnum):
    """The metrics of the stack, in namespace AllomiaOutboundCalls, dimension `service` (the stack's name)."""

    CALLS_PLACED = "CallsPlaced"
    CALLS_PARKED = "CallsParked"
    CALLS_REJECTED = "CallsRejected"
    AMBIGUOUS_ANSWERS = "AmbiguousAnswers"
    DUPLICATE_MESSAGES = "DuplicateMessages"
    INVALID_MESSAGES = "InvalidMessages"
    FAILED_MESSAGES = "FailedMessages"
    KEY_REFUSED = "AllomiaKeyRefused"
    CIRCUIT_OPEN = "CircuitOpen"
    CALL_IDS_CONTRADICTING = "CallIdsContradicting"

    SECONDS_TO_OUTCOME = "SecondsFromDispatchToOutcome"

    WEBHOOKS_REFUSED = "WebhooksRefused"
    WEBHOOKS_REPEATED = "WebhooksRepeated"
    WEBHOOKS_CONTRADICTING = "WebhooksContradicting"
    WEBHOOKS_FAILED = "WebhooksFailed"

    POLLS = "Polls"
    POLLS_UNAVAILABLE = "PollsUnavailable"
    POLLS_FAILED = "PollsFailed"
    CALLS_RELEASED = "CallsReleased"


def outcome_metrics(outcome: Outcome) -> tuple[str, str]:
    """The counters of an outcome: by status (`OutcomeNoAnswer`) and by source (`OutcomeByWebhook`)."""
    status = "".join(word.capitalize() for word in outcome.status.value.split("-"))
    return f"Outcome{status}", f"OutcomeBy{outcome.source.value.capitalize()}"


def seconds_to_outcome(outcome: Outcome, call: Call | None) -> int | None:
    """How long after its dispatch an outcome was recorded; None for what was never dialled."""
    if outcome.status is Status.REJECTED or not (call and call.dispatched_at and call.recorded_at):
        return None
    return call.recorded_at - call.dispatched_at


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A function's log and metrics. Not for its worker threads: what they find, the handler tells."""

    service: str
    metrics: AmazonCloudWatchEMFProvider

    @classmethod
    def of(cls, settings: Settings) -> Telemetry:
        """The telemetry of a function with these settings."""
        service, namespace = settings.powertools_service_name, settings.powertools_metrics_namespace
        return cls(service, AmazonCloudWatchEMFProvider(namespace=namespace, service=service))

    def tell(
        self,
        words: str,
        *counted: Metric,
        key: AttemptKey | None = None,
        recorded: Outcome | None = None,
        call: Call | None = None,
        **facts: str | int | None,
    ) -> None:
        """Tell one thing, in one line, and count it.

        Args:
            words: What was done; the same words for the same thing.
            counted: What it counts as.
            key: The attempt that it was done for.
            recorded: An outcome that was recorded by it; it counts as such.
            call: The attempt as it stands since then.
            facts: What may be told of it; those without a value are left out.
        """
        metrics = dict.fromkeys([*counted, *(outcome_metrics(recorded) if recorded else ())], 1)
        if recorded and (seconds := seconds_to_outcome(recorded, call)) is not None:
            metrics[Metric.SECONDS_TO_OUTCOME] = seconds
        names: dict[str, str | int | None] = {"requestId": key.request_id, "attempt": key.attempt} if key else {}
        self._write("INFO", words, metrics, names | facts)

    def tell_fault(self, words: str, error: BaseException, *counted: Metric, **facts: str | int | None) -> None:
        """Tell a fault of this stack's own parts, without the exception's text."""
        self._write("ERROR", words, dict.fromkeys(counted, 1), facts | {"error": describe(error)})

    def _write(self, level: str, words: str, metrics: Mapping[str, int], facts: Mapping[str, str | int | None]) -> None:
        line: dict[str, object] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "message": words,
            "service": self.service,
            **{name: fact for name, fact in facts.items() if fact},
        }
        for name, value in metrics.items():
            unit = "Seconds" if name == Metric.SECONDS_TO_OUTCOME else "Count"
            self.metrics.add_metric(name=name, unit=unit, value=value)
        if metrics:
            line |= self.metrics.serialize_metric_set()
            self.metrics.clear_metrics()
        # Without spaces: CloudWatch Logs is paid for by the byte.
        print(json.dumps(line, separators=(",", ":")))  # noqa: T201 - what a function prints is its log


def describe(error: BaseException) -> str:
    """An exception's type, its AWS error code, and the place it was raised at: all that may be logged of it."""
    code = f" {error.response['Error'].get('Code', '')}" if isinstance(error, ClientError) else ""
    frames = traceback.extract_tb(error.__traceback__)
    place = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-6:])
    return f"{type(error).__name__}{code} at {place}"
