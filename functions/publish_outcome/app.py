"""publish_outcome: items of the table's stream that became terminal in, events on the outcome bus out."""

import os
from typing import Any

from outbound_calls import aws
from outbound_calls.publish import PublishOutcomes
from outbound_calls.settings import PublishOutcomeSettings

settings = PublishOutcomeSettings.from_environment(os.environ)
publish_outcomes = PublishOutcomes(aws.client("events"), settings.outcome_bus_name)


def handler(event: dict[str, Any], _context: object) -> None:
    """Publish the outcomes of a batch, and say nothing of it: each was told when it was recorded.

    Raises NotPublished, so that the stream delivers the batch again.
    """
    publish_outcomes.publish(record["dynamodb"]["NewImage"] for record in event["Records"])
