"""The callback URLs: one for each attempt, signed, so that only whom we gave it can report that attempt's outcome.

AlloMia signs no webhooks, so the URL itself is the proof. The signature is an HMAC-SHA256 over a version, the request
id and the attempt, base64url without padding; none of the three can contain the separator.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from outbound_calls.contracts import AttemptKey
from outbound_calls.secrets import Secret

_VERSION = "v1"


def sign(signing_key: str, key: AttemptKey) -> str:
    """The signature of an attempt: 43 characters of base64url."""
    signed = f"{_VERSION}\n{key.request_id}\n{key.attempt}".encode()
    return urlsafe_b64encode(hmac.digest(signing_key.encode(), signed, hashlib.sha256)).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """Makes and checks callback URLs with the signing secret, through its rotations."""

    secret: Secret
    base_url: str = ""

    def url(self, key: AttemptKey) -> str:
        """The URL for one attempt, signed with the secret's current version."""
        return f"{self.base_url}/{key.request_id}/{key.attempt}/{sign(self.secret.current(), key)}"

    def verify(self, key: AttemptKey, signature: str) -> bool:
        """Whether this stack signed this very attempt, with the secret's current version or the one before.

        A signature that fails may be newer than what is kept here, so the secret is reread, at most once per 30 s.
        """
        return self._matches(key, signature) or (self.secret.forget() and self._matches(key, signature))

    def _matches(self, key: AttemptKey, signature: str) -> bool:
        if _same(sign(self.secret.current(), key), signature):
            return True
        previous = self.secret.previous()
        return previous is not None and _same(sign(previous, key), signature)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
