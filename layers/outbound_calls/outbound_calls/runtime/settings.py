"""The settings of each function: its environment variables, checked when it starts.

A field's environment variable is its name in capitals.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.contracts.wire import Uuid
from outbound_calls.domain.timing import PollSchedule

type OptionalUuid = Annotated[Uuid | None, BeforeValidator(lambda value: value or None)]
type HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]


class Settings(BaseModel):
    """What every function needs."""

    # A function uses one of the classes below; the models of the others are never built.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    powertools_service_name: str = Field(min_length=1, description="the stack's name, the one dimension of its metrics")
    powertools_metrics_namespace: str = Field(min_length=1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            pydantic.ValidationError: Naming those that are missing or wrong.
        """
        return cls.model_validate(
            {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        )


class PlaceCallSettings(Settings):
    """The settings of place_call."""

    calls_table_name: str = Field(min_length=1)
    policy_table_name: str = Field(min_length=1)
    number_hash_secret_arn: str = Field(min_length=1)
    calling_policy: Preset = Field(description="applies to whatever the policy document doesn't say")
    invalid_messages_queue_url: HttpUrl
    handed_on_queue_url: HttpUrl
    allomia_api_key_secret_arn: str = Field(min_length=1)
    allomia_base_url: HttpUrl
    signing_secret_arn: str = Field(min_length=1)
    webhook_url: HttpUrl
    default_assistant_id: OptionalUuid = None
    default_phone_number_id: OptionalUuid = None
    webhook_grace_seconds: int = Field(ge=1)
    call_deadline_seconds: int = Field(ge=1)
    due_shards: int = Field(ge=1, le=16)
    retention_days: int = Field(ge=1)


class ReceiveWebhookSettings(Settings):
    """The settings of receive_webhook."""

    calls_table_name: str = Field(min_length=1)
    signing_secret_arn: str = Field(min_length=1)
    retention_days: int = Field(ge=1)


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


class PublishOutcomeSettings(Settings):
    """The settings of publish_outcome."""

    outcome_bus_name: str = Field(min_length=1)
    failed_outcomes_queue_url: HttpUrl


class ReleaseLinesSettings(Settings):
    """The settings of release_lines."""

    calls_table_name: str = Field(min_length=1)
    policy_table_name: str = Field(min_length=1)
    calling_policy: Preset
    handed_on_queue_url: HttpUrl


class GetCallSettings(Settings):
    """The settings of get_call."""

    calls_table_name: str = Field(min_length=1)


class CheckReleaseSettings(Settings):
    """The settings of check_release."""
