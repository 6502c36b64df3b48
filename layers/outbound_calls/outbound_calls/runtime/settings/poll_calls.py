"""The settings of poll_calls."""

from typing import Self

from pydantic import Field, model_validator

from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.domain.timing import PollSchedule
from outbound_calls.runtime.settings import HttpUrl, Settings


class PollCallsSettings(Settings):
    """The settings of poll_calls."""

    calls_table_name: str = Field(min_length=1)
    policy_table_name: str = Field(min_length=1)
    calling_policy: Preset
    call_queue_url: HttpUrl
    handed_on_queue_url: HttpUrl
    allomia_api_key_secret_arn: str = Field(min_length=1)
    allomia_base_url: HttpUrl
    webhook_grace_seconds: int = Field(ge=1)
    call_deadline_seconds: int = Field(ge=1)
    retention_days: int = Field(ge=1)
    due_shards: int = Field(ge=1, le=16)
    max_polls_per_second: int = Field(ge=1)

    @property
    def polls_per_second(self) -> float:
        """The rate limit of one page: the shards are swept side by side, one page of each at a time."""
        return self.max_polls_per_second / self.due_shards

    @property
    def schedule(self) -> PollSchedule:
        """When a dispatched attempt is polled."""
        return PollSchedule(self.webhook_grace_seconds, self.call_deadline_seconds)

    @model_validator(mode="after")
    def _deadline_after_grace(self) -> Self:
        if self.call_deadline_seconds < self.webhook_grace_seconds:
            raise ValueError("CALL_DEADLINE_SECONDS must not be less than WEBHOOK_GRACE_SECONDS")
        return self
