"""Secrets from AWS Secrets Manager, cached, and read again when a cached value turns out to be outdated.

Secrets Manager may be slow or out of reach while calls are in progress. So a text stays in use until a newer one is
read, one thread reads while the others use what there is, and a failure is remembered for some seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

type Version = Literal["AWSCURRENT", "AWSPREVIOUS"]

CACHE_SECONDS = 300.0
"""A new version of a secret is in use after this long at the latest, unless Secrets Manager can't be reached."""

REREAD_SECONDS = 30.0
"""A secret that was read is read again at most this often, however many forged requests come in."""

FAILURE_SECONDS = 5.0
"""A secret that can't be read is tried again after this long. Until then every use fails at once."""

WAIT_SECONDS = 8.0
"""How long a thread waits for a read by another one: more than the functions' client needs to give up."""


class SecretUnusable(Exception):
    """A secret can't be read, or its content can't be used. Names the fault or the rule, never the content."""


class SecretUnreadable(SecretUnusable):
    """Secrets Manager declined or could not be reached. `aws_code` is its error code, or the type of the exception."""

    def __init__(self, aws_code: str) -> None:
        super().__init__(f"the secret can't be read: {aws_code}")
        self.aws_code = aws_code


@dataclass(eq=False, slots=True)
class Secret:
    """One secret's versions, each read at its first use. Shared by threads, and read by one of them at a time.

    `clock` counts seconds and never goes back (`time.monotonic`). No lock is held while Secrets Manager is asked.
    """

    client: SecretsManagerClient
    arn: str
    clock: Callable[[], float]
    wait_seconds: float = WAIT_SECONDS
    _texts: dict[Version, str | None] = field(default_factory=dict)
    _fresh: set[Version] = field(default_factory=set)
    _refreshed_at: float = -inf
    _outdated_at: float = -inf
    _failure: str = ""
    _failed_until: float = -inf
    _reads: dict[Version, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> str:
        """The current version's text. When it's outdated and can't be read again, the text that was read before.

        Raises:
            SecretUnreadable: When no text was ever read.
            SecretUnusable: When the secret holds no text.
        """
        return _text(self._version("AWSCURRENT"))

    def recent(self, max_age_seconds: float) -> str:
        """The current version's text, read less than that long ago.

        Raises:
            SecretUnreadable: When it can't be read now, whatever was read before.
            SecretUnusable: When the secret holds no text.
        """
        with self._lock:
            now = self.clock()
            if now - self._refreshed_at >= max_age_seconds:
                self._outdated_at = now
        return _text(self._version("AWSCURRENT", may_be_old=False))

    def previous(self) -> str | None:
        """The previous version, while AWS still keeps it.

        Raises:
            SecretUnreadable: When it was never read and can't be.
        """
        return self._version("AWSPREVIOUS")

    def expire(self) -> bool:
        """Have the next use read the secret again; False if one did so less than 30 s ago."""
        with self._lock:
            now = self.clock()
            if now - self._refreshed_at < REREAD_SECONDS:
                return False
            self._outdated_at = now
            return True

    def _version(self, version: Version, *, may_be_old: bool = True) -> str | None:
        with self._lock:
            now = self.clock()
            if now >= self._outdated_at:
                # All versions at once: after a rotation the new current one goes with the new previous one.
                self._fresh.clear()
                self._refreshed_at, self._outdated_at = now, now + CACHE_SECONDS
            read = self._reads.get(version)
            failed = now < self._failed_until
            if failed and not may_be_old:
                raise SecretUnreadable(self._failure)
            if version in self._texts and (version in self._fresh or (may_be_old and (read or failed))):
                return self._texts[version]
            if failed:
                raise SecretUnreadable(self._failure)
            mine = read is None
            if read is None:
                read = self._reads[version] = threading.Event()
        if mine:
            self._read(version)
        elif not read.wait(self.wait_seconds):
            raise SecretUnreadable("NoAnswerInTime")
        with self._lock:
            failed = self.clock() < self._failed_until
            if version not in self._texts or (failed and not may_be_old):
                raise SecretUnreadable(self._failure)
            return self._texts[version]

    def _read(self, version: Version) -> None:
        """Ask for a version, and keep its text or the failure."""
        text, failure = None, "Interrupted"
        try:
            text = self.client.get_secret_value(SecretId=self.arn, VersionStage=version).get("SecretString")
            failure = ""
        except ClientError as error:
            code = error.response["Error"].get("Code")
            failure = "" if (version, code) == ("AWSPREVIOUS", "ResourceNotFoundException") else code or "ClientError"
        except Exception as error:  # noqa: BLE001 - whatever it is, the secret wasn't read
            failure = type(error).__name__
        finally:
            self._keep(version, text, failure)

    def _keep(self, version: Version, text: str | None, failure: str) -> None:
        with self._lock:
            if failure:
                now = self.clock()
                self._failure, self._failed_until = failure, now + FAILURE_SECONDS
                # What was read before stays in use.
                self._fresh.update(self._texts)
                self._outdated_at = min(self._outdated_at, now + REREAD_SECONDS)
            else:
                self._texts[version] = text
                self._fresh.add(version)
            self._reads.pop(version).set()


def _text(found: str | None) -> str:
    if not found:
        raise SecretUnusable("the secret has no SecretString")
    return found
