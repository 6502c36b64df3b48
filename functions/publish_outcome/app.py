"""publish_outcome: items of the table's stream that became terminal in, events on the outcome bus out."""

import os
from typing import Any

from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.publish_outcome import PublishOutcomeSettings
from outbound_calls.runtime.telemetry import Telemetry, ending_metrics, needs_a_person

settings = PublishOutcomeSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
publish_outcomes = Assembly().publish_outcomes(settings)


def handler(event: dict[str, Any], _context: object) -> None:
    """Publish the outcomes of a batch. Logs and counts those that need a person.

    Raises NotPublished, so that the stream delivers the batch again.
    """
    published = publish_outcomes.publish(record["dynamodb"]["NewImage"] for record in event["Records"])
    for attempt in published.attempts:
        if attempt.status and needs_a_person(attempt.status, attempt.reason_code, attempt.outcome_source):
            telemetry.log(
                "outcome published",
                *ending_metrics(attempt.status, attempt.reason_code),
                key=attempt.key,
                status=attempt.status,
                code=attempt.reason_code,
            )
    for error in published.unreadable:
        telemetry.log_fault("record unreadable", error)
