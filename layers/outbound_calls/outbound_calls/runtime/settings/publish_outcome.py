"""The settings of publish_outcome."""

from pydantic import Field

from outbound_calls.runtime.settings import HttpUrl, Settings


class PublishOutcomeSettings(Settings):
    """The settings of publish_outcome."""

    outcome_bus_name: str = Field(min_length=1)
    failed_outcomes_queue_url: HttpUrl
