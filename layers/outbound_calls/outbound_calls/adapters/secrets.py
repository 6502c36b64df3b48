"""Secrets from AWS Secrets Manager, cached, and read again when a cached value turns out to be outdated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

type Version = Literal["AWSCURRENT", "AWSPREVIOUS"]

CACHE_SECONDS = 300.0
"""A new version of a secret is in use after this long at the latest."""

REREAD_SECONDS = 30.0
"""A secret that may be outdated is read again at most this often, however many forged requests come in."""


class SecretUnusable(Exception):
    """The secret was read, but its content can't be used. Names the rule, never the content."""


@dataclass(slots=True)
class Secret:
    """One secret's versions, each read at its first use.

    `clock` counts seconds and never goes back (`time.monotonic`).
    """

    client: SecretsManagerClient
    arn: str
    clock: Callable[[], float]
    _values: dict[Version, str | None] = field(default_factory=dict)
    _read_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> str:
        """The current version's text.

        Raises:
            SecretUnusable: When the secret holds no text.
            botocore.exceptions.ClientError: When it can't be read.
        """
        value = self._version("AWSCURRENT")
        if not value:
            raise SecretUnusable("the secret has no SecretString")
        return value

    def previous(self) -> str | None:
        """The previous version, while AWS still keeps it."""
        return self._version("AWSPREVIOUS")

    def expire(self) -> bool:
        """Drop the cached value, so that the next use reads it again; False if it was read less than 30 s ago."""
        with self._lock:
            if self._values and self.clock() - self._read_at < REREAD_SECONDS:
                return False
            self._values.clear()
            return True

    def _version(self, version: Version) -> str | None:
        with self._lock:
            if self._values and self.clock() - self._read_at >= CACHE_SECONDS:
                self._values.clear()
            if not self._values:
                self._read_at = self.clock()
            if version not in self._values:
                self._values[version] = self._read(version)
            return self._values[version]

    def _read(self, version: Version) -> str | None:
        try:
            return self.client.get_secret_value(SecretId=self.arn, VersionStage=version).get("SecretString")
        except self.client.exceptions.ResourceNotFoundException:
            if version == "AWSCURRENT":
                raise
            return None


def api_key(secret_text: str) -> str:
    """The AlloMia key in a secret's text: the bare key, or ``{"apiKey": "…"}``.

    Raises:
        SecretUnusable: When there is none that fits in an HTTP header.
    """
    text = secret_text.strip()
    if text.startswith("{"):
        try:
            text = json.loads(text)["apiKey"].strip()
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise SecretUnusable('the secret is JSON, but not {"apiKey": "…"}') from None
    if not text or not all("!" <= character <= "~" for character in text):
        raise SecretUnusable("the secret holds no key of printable ASCII characters")
    return text
