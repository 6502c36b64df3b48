"""publish_outcome: items of the table's stream that became terminal in, events on the outcome bus out."""

import os
from typing import Any

from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings import PublishOutcomeSettings

settings = PublishOutcomeSettings.from_environment(os.environ)
publish_outcomes = Assembly().publish_outcomes(settings)


def handler(event: dict[str, Any], _context: object) -> None:
    """Publish the outcomes of a batch. Logs nothing: each outcome was logged when it was recorded.

    Raises NotPublished, so that the stream delivers the batch again.
    """
    publish_outcomes.publish(record["dynamodb"]["NewImage"] for record in event["Records"])
