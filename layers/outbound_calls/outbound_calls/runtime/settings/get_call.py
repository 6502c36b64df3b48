"""The settings of get_call."""

from pydantic import Field

from outbound_calls.runtime.settings import Settings


class GetCallSettings(Settings):
    """The settings of get_call."""

    calls_table_name: str = Field(min_length=1)
