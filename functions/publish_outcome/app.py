"""publish_outcome: items of the table's stream that became terminal in, events on the outcome bus out."""

import os
from typing import Any

from outbound_calls import aws
from outbound_calls.publish import PublishOutcomes
from outbound_calls.settings import PublishOutcomeSettings
from outbound_calls.telemetry import Metric, Telemetry

settings = PublishOutcomeSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
publish_outcomes = PublishOutcomes(aws.client("events"), settings.outcome_bus_name)


def handler(event: dict[str, Any], _context: object) -> None:
    """Publish the outcomes of a batch. Raises NotPublished, so that the stream delivers the batch again."""
    for published in publish_outcomes.publish(record["dynamodb"]["NewImage"] for record in event["Records"]):
        telemetry.tell("outcome published", published, status=published.status, source=published.outcome_source)
        telemetry.count(Metric.OUTCOMES_PUBLISHED)
    telemetry.flush()
