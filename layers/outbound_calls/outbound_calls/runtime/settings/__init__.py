"""The settings of each function: its environment variables, checked when it starts.

A field's environment variable is its name in capitals. Each function's settings are a module of their own, because
every class costs each cold start that loads it.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from outbound_calls.contracts.wire import Uuid

type OptionalUuid = Annotated[Uuid | None, BeforeValidator(lambda value: value or None)]
type HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]


class Settings(BaseModel):
    """What every function needs."""

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
