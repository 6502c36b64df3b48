"""The callback URLs, one per attempt, signed so that only AlloMia can report that attempt's outcome.

AlloMia signs no webhooks, so the URL itself is the proof. The signature is an HMAC-SHA256 over a version, the request's
key and the attempt number, base64url without padding. None of the three can contain the separator.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from outbound_calls.adapters.secrets import Secret
from outbound_calls.domain.attempts import AttemptKey

_VERSION = "v1"


def sign(signing_key: str, key: AttemptKey) -> str:
    """The signature of an attempt: 43 characters of base64url."""
    signed = f"{_VERSION}\n{key.request}\n{key.number}".encode()
    return urlsafe_b64encode(hmac.digest(signing_key.encode(), signed, hashlib.sha256)).rstrip(b"=").decode()


@dataclass(eq=False, slots=True)
class CallbackUrls:
    """Makes and verifies callback URLs with the signing secret, through its rotations."""

    secret: Secret
    base_url: str = ""

    def url(self, key: AttemptKey) -> str:
        """The URL for one attempt, signed with the secret's current version.

        Raises:
            SecretUnusable: When there is no key to sign with.
        """
        return f"{self.base_url}/{key.request}/{key.number}/{sign(self.secret.current(), key)}"

    def verify(self, key: AttemptKey, signature: str) -> bool:
        """Whether this stack signed this attempt, with the secret's current version or the previous one.

        An invalid signature may be newer than the cached secret, so the secret is read again, at most once per 30 s.
        If that fails, the versions read before decide.

        Raises:
            SecretUnusable: When there is no key to verify with.
        """
        return self._matches(key, signature) or (self.secret.expire() and self._matches(key, signature))

    def _matches(self, key: AttemptKey, signature: str) -> bool:
        if _equal(sign(self.secret.current(), key), signature):
            return True
        previous = self.secret.previous()
        return previous is not None and _equal(sign(previous, key), signature)


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
