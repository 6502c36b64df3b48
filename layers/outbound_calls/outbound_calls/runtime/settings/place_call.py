"""The settings of place_call."""

from pydantic import Field

from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.runtime.settings import HttpUrl, OptionalUuid, Settings


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
