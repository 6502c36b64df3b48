"""AlloMia's API over httpx. The only module that knows it.

An answer says what we now know about the call, not which number came back::

    PlaceAnswer                    may a call have been placed?
      Accepted                     yes; AlloMia's word on it is in `state`
      Failed                       it failed at once, and AlloMia named no call to ask about
      Refused                      no, and never will be: the request itself is wrong
      NotAccepted                  no; it may be tried again later
        Throttled                    AlloMia said when
        KeyRefused                   when a person has mended the key
      Ambiguous                    maybe: the POST must never be sent again

    StatusAnswer
      CallState                    AlloMia's word on the call
      StatusUnavailable            nothing learned, ask again later

Source of paths and statuses: docs.allomia.com, outbound calls. AlloMia documents no idempotency key, so whatever is not
proof that nothing was accepted is `Ambiguous`.
"""

import html
import re
import time
import unicodedata
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from outbound_calls.contracts import CallRequest, CallState, InvalidInput, read_call_state, says_failed
from outbound_calls.secrets import Secret, SecretUnusable, api_key

CONNECT_SECONDS = 3.0
_CONNECT_RETRIES = 1
READ_SECONDS = 12.0
WRITE_SECONDS = 5.0
_POOL_SECONDS = 1.0
LONGEST_EXCHANGE_SECONDS = (1 + _CONNECT_RETRIES) * CONNECT_SECONDS + _POOL_SECONDS + WRITE_SECONDS + READ_SECONDS
"""What one exchange takes at the most, when nothing trickles."""

MAX_ANSWER_BYTES = 64 * 1024
_LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0
_LONGEST_WORDS = 300
_NO_WORDS = "no words"
_LEFT_OUT = "[…]"
_LONG_ENOUGH = 5
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[\"\\/])")
_LONG_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")


@dataclass(frozen=True, slots=True)
class Accepted:
    """AlloMia took the call."""

    state: CallState


@dataclass(frozen=True, slots=True)
class Failed:
    """AlloMia took the request and says that the call failed, without an id for it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """AlloMia will not place this call, whenever it is asked. `words` are its own, without personal data."""

    words: str


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Nothing was sent, or nothing was accepted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled(NotAccepted):
    """AlloMia took nothing and asks for `retry_after` seconds of patience (0 when it did not say)."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class KeyRefused(NotAccepted):
    """AlloMia does not accept the key, or there is none to send."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The POST may have been accepted; nobody can tell."""

    reason: str


type PlaceAnswer = Accepted | Failed | Refused | NotAccepted | Ambiguous


@dataclass(frozen=True, slots=True)
class StatusUnavailable:
    """Nothing was learned about the call. `reason` is one of the fixed words below, safe to log and count."""

    reason: str


NOT_FOUND = "not-found"
KEY_REFUSED = "key-refused"
UNREADABLE = "unreadable-answer"

type StatusAnswer = CallState | StatusUnavailable

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def http_client(base_url: str, transport: httpx.BaseTransport | None = None, connections: int = 10) -> httpx.Client:
    """The HTTP client for AlloMia.

    Retries are of connecting only, so they are safe for a POST. Idle connections are dropped after 4 s: one that the
    other side has closed meanwhile (as while an execution environment is frozen) makes a POST's fate unknown.
    """
    return httpx.Client(
        base_url=base_url.rstrip("/"),
        transport=transport
        or httpx.HTTPTransport(
            retries=_CONNECT_RETRIES,
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=4.0),
        ),
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=_POOL_SECONDS),
        headers={"Accept": "application/json", "User-Agent": "allomia-outbound-calls"},
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class AllomiaClient:
    """Places calls and asks for their status; never raises for what AlloMia or the network does."""

    http: httpx.Client
    key: Secret
    clock: Callable[[], float] = time.monotonic

    def place_call(self, request: CallRequest, callback_url: str) -> PlaceAnswer:
        """POST /api/outbound, once. `request` must name an assistant and a number to call from."""
        try:
            authorization = self._authorization()
        except SecretUnusable as error:
            return KeyRefused(str(error))
        try:
            response = self._exchange(
                "POST", "/api/outbound", json=request.order() | {"callbackUrl": callback_url}, headers=authorization
            )
        except _NOTHING_SENT as error:
            return NotAccepted(type(error).__name__)
        except httpx.RequestError as error:
            return Ambiguous(type(error).__name__)
        key = authorization["Authorization"].removeprefix("Bearer ")
        signature = callback_url.rsplit("/", 1)[-1]
        return self._place_answer(response, _personal(request) | {key, callback_url, signature})

    def call_status(self, outbound_call_id: str) -> StatusAnswer:
        """GET /api/outbound/{id}/status."""
        try:
            response = self._exchange("GET", f"/api/outbound/{outbound_call_id}/status", headers=self._authorization())
        except SecretUnusable:
            return StatusUnavailable(KEY_REFUSED)
        except httpx.RequestError as error:
            return StatusUnavailable(type(error).__name__)
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                return StatusUnavailable(NOT_FOUND)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.key.forget()
                return StatusUnavailable(KEY_REFUSED)
            case code if not response.is_success:
                return StatusUnavailable(f"HTTP {code}")
        try:
            state = read_call_state(response.content)
        except InvalidInput:
            return StatusUnavailable(UNREADABLE)
        return state if state.outbound_call_id == outbound_call_id else StatusUnavailable(UNREADABLE)

    def _place_answer(self, response: httpx.Response, private: Set[str]) -> PlaceAnswer:
        code = response.status_code
        said = f"HTTP {code}"
        if response.is_success:
            try:
                return Accepted(read_call_state(response.content))
            except InvalidInput as refusal:
                if says_failed(response.content):
                    return Failed()
                return Ambiguous(f"{said}, unreadable: {refusal.field}")
        match code:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.key.forget()
                return KeyRefused(said)
            case HTTPStatus.TOO_MANY_REQUESTS:
                return Throttled(said, _retry_after(response) or 0.0)
            case HTTPStatus.SERVICE_UNAVAILABLE if (wait := _retry_after(response)) is not None:
                return Throttled(said, wait)
            case HTTPStatus.REQUEST_TIMEOUT:
                return Ambiguous(said)
            case _ if response.is_client_error:
                return Refused(f"{said}: {_words(response, private)}")
            case _:
                return Ambiguous(said)

    def _authorization(self) -> dict[str, str]:
        try:
            text = self.key.current()
        except ClientError as error:
            raise SecretUnusable(f"the secret cannot be read: {error.response['Error'].get('Code', '')}") from None
        except BotoCoreError as error:
            raise SecretUnusable(f"the secret cannot be read: {type(error).__name__}") from None
        return {"Authorization": f"Bearer {api_key(text)}"}

    def _exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, with as much of its answer as comes within the limits of size and time.

        Once the status line is there it counts, whatever becomes of the body: what is missing makes a body unreadable.
        """
        give_up_at = self.clock() + LONGEST_EXCHANGE_SECONDS
        content = bytearray()
        with self.http.stream(method, path, **options) as response:
            try:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES or self.clock() > give_up_at:
                        content.clear()
                        break
            except httpx.RequestError:
                content.clear()
        # The content is decoded by now, so its encoding must not be named again.
        kept = [(name, value) for name, value in response.headers.raw if name.lower() == b"retry-after"]
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds asked for by Retry-After (RFC 9110, section 10.2.3), at most a day; None when absent or unreadable."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_RETRY_AFTER_SECONDS)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def _personal(request: CallRequest) -> Set[str]:
    name = request.customer_name or ""
    return {request.phone_number, name, *name.split(), *(request.dynamic_variables or {}).values()}


def _words(response: httpx.Response, private: Set[str]) -> str:
    """AlloMia's `error` text, with whatever it repeats of what is private left out."""
    try:
        words = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _NO_WORDS
    if not isinstance(words, str):
        # What private values look like inside a structure, nobody knows.
        return _NO_WORDS
    words = _undressed(words)
    for value in sorted(map(_undressed, private), key=len, reverse=True):
        # In a form, a plus stands for a space.
        if pattern := r"[\s+]+".join(map(re.escape, value.split())):
            # A short value may be a part of any word: it is left out where it stands alone.
            whole = pattern if len(value) >= _LONG_ENOUGH else rf"(?<![^\W_]){pattern}(?![^\W_])"
            words = re.sub(whole, _LEFT_OUT, words, flags=re.IGNORECASE)
    words = _LONG_NUMBER.sub(_LEFT_OUT, _URL.sub(_LEFT_OUT, words))
    return "".join(character if character.isprintable() else " " for character in words)[:_LONGEST_WORDS]


def _undressed(text: str) -> str:
    """A text without the escapes of URLs, JSON and HTML, in which a value would not be recognised."""
    for _ in range(2):
        text = html.unescape(unquote(text))
        text = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[0][1], text)
    # An escaped character beyond the first 65,536 came as two.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return unicodedata.normalize("NFC", whole)
