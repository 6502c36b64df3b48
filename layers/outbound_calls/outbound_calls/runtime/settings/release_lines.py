"""The settings of release_lines."""

from pydantic import Field

from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.runtime.settings import HttpUrl, Settings


class ReleaseLinesSettings(Settings):
    """The settings of release_lines."""

    calls_table_name: str = Field(min_length=1)
    policy_table_name: str = Field(min_length=1)
    calling_policy: Preset
    handed_on_queue_url: HttpUrl
