"""The settings of receive_webhook."""

from pydantic import Field

from outbound_calls.runtime.settings import Settings


class ReceiveWebhookSettings(Settings):
    """The settings of receive_webhook."""

    calls_table_name: str = Field(min_length=1)
    signing_secret_arn: str = Field(min_length=1)
    retention_days: int = Field(ge=1)
