"""What the template tells each function through its environment, checked when the function starts.

A field's environment variable is its name in capitals.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from outbound_calls.contracts import Uuid
from outbound_calls.lifecycle import PollSchedule

type OptionalUuid = Annotated[Uuid | None, BeforeValidator(lambda value: value or None)]
type HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]


class Settings(BaseModel):
    """What every function is told."""

    # A function reads one of the classes below: of the others no model is built.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    powertools_service_name: str = Field(min_length=1, description="the stack's name, the one dimension of its metrics")
    powertools_metrics_namespace: str = Field(min_length=1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; raises pydantic.ValidationError naming those that are missing or wrong."""
        return cls.model_validate(
            {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        )


class PlaceCallSettings(Settings):
    """What place_call is told."""

    calls_table_name: str = Field(min_length=1)
    invalid_messages_queue_url: HttpUrl
    allomia_api_key_secret_arn: str = Field(min_length=1)
    allomia_base_url: HttpUrl
    signing_secret_arn: str = Field(min_length=1)
    webhook_url: HttpUrl
    default_assistant_id: OptionalUuid = None
    default_phone_number_id: OptionalUuid = None
    webhook_grace_seconds: int = Field(ge=1)
    due_shards: int = Field(ge=1, le=16)
    retention_days: int = Field(ge=1)


class ReceiveWebhookSettings(Settings):
    """What receive_webhook is told."""

    calls_table_name: str = Field(min_length=1)
    signing_secret_arn: str = Field(min_length=1)
    retention_days: int = Field(ge=1)


class PollCallsSettings(Settings):
    """What poll_calls is told."""

    calls_table_name: str = Field(min_length=1)
    call_queue_url: HttpUrl
    allomia_api_key_secret_arn: str = Field(min_length=1)
    allomia_base_url: HttpUrl
    webhook_grace_seconds: int = Field(ge=1)
    call_deadline_seconds: int = Field(ge=1)
    retention_days: int = Field(ge=1)
    due_shards: int = Field(ge=1, le=16)
    max_polls_per_second: int = Field(ge=1)

    @property
    def polls_per_second(self) -> float:
        """The pace of one page: the shards are swept side by side, one page of each at a time."""
        return self.max_polls_per_second / self.due_shards

    @property
    def schedule(self) -> PollSchedule:
        """When a dispatched attempt is looked at."""
        return PollSchedule(self.webhook_grace_seconds, self.call_deadline_seconds)

    @model_validator(mode="after")
    def _deadline_after_grace(self) -> Self:
        if self.call_deadline_seconds < self.webhook_grace_seconds:
            raise ValueError("CALL_DEADLINE_SECONDS must not be less than WEBHOOK_GRACE_SECONDS")
        return self


class PublishOutcomeSettings(Settings):
    """What publish_outcome is told."""

    outcome_bus_name: str = Field(min_length=1)


class GetCallSettings(Settings):
    """What get_call is told."""

    calls_table_name: str = Field(min_length=1)


class CheckReleaseSettings(Settings):
    """What check_release is told."""
