"""Fingerprints of requests: they distinguish a repeated request from another one under the same id, and nothing else.

A fingerprint is an HMAC-SHA256 over what upstream asked for, with the signing secret: ``KEY:HASH``, where KEY names the
version of the secret. After the secret's second rotation an old fingerprint can't be compared any more.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outbound_calls.adapters.secrets import Secret

_KEY_CHARACTERS = 4
_HASH_CHARACTERS = 16


@dataclass(eq=False, slots=True)
class Fingerprints:
    """Makes and compares fingerprints."""

    secret: Secret

    def of(self, content: Mapping[str, Any]) -> str:
        """The fingerprint of a request, given as JSON values."""
        return _fingerprint(self.secret.current(), content)

    def differs(self, fingerprint: str, content: Mapping[str, Any]) -> bool:
        """Whether this is the fingerprint of another request; False where that isn't known."""
        for key in filter(None, (self.secret.current(), self.secret.previous())):
            own = _fingerprint(key, content)
            if own[:_KEY_CHARACTERS] == fingerprint[:_KEY_CHARACTERS]:
                return own != fingerprint
        return False


def _fingerprint(key: str, content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{_digest(key, 'key')[:_KEY_CHARACTERS]}:{_digest(key, text)[:_HASH_CHARACTERS]}"


def _digest(key: str, text: str) -> str:
    # The prefix keeps these apart from the signatures of callback URLs.
    signed = f"fingerprint\n{text}".encode()
    return urlsafe_b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode()
