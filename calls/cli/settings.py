"""The configuration file: what a person would otherwise pass with every command.

An option wins over an environment variable, and that over the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class UnreadableSettings(Exception):
    """The configuration file can't be used. Says where it is and why."""


class _File(BaseModel):
    """What the file may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stack: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says, and where it is, or would be."""

    path: Path
    stack: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read `CALLS_CONFIG`, or else `calls/config.toml` in `XDG_CONFIG_HOME` (`~/.config`).

    A variable of the AWS SDK for the profile, the region or the endpoint wins over the file.

    Raises:
        UnreadableSettings: When it isn't TOML, or says something else; or when `CALLS_CONFIG` isn't there.
    """
    named = environment.get("CALLS_CONFIG")
    home = Path(environment.get("HOME") or "/")
    path = Path(named) if named else Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "calls/config.toml"
    try:
        said = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if named:
            raise UnreadableSettings(f"{path}: there is no such file, which CALLS_CONFIG names") from None
        return Settings(path)
    except OSError as error:
        raise UnreadableSettings(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        fields = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise UnreadableSettings(f"{path}: {fields}: it takes the texts {', '.join(_File.model_fields)}") from None
    except ValueError as error:
        raise UnreadableSettings(f"{path}: not TOML: {error}") from None
    return Settings(
        path,
        stack=said.stack,
        profile=None if environment.get("AWS_PROFILE") else said.profile,
        region=None if environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") else said.region,
        endpoint_url=None if environment.get("AWS_ENDPOINT_URL") else said.endpoint_url,
    )
