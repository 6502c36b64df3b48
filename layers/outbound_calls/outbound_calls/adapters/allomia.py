"""AlloMia's API over httpx.

An answer says what happened to the call, not which number came back::

    PlaceAnswer                    may a call have been placed?
      Accepted                     yes; `state` is the call as AlloMia reports it
      Failed                       it failed at once, and AlloMia gave no id for it
      Declined                     no, and never will be: the request itself is wrong
      NotAccepted                  no; it may be tried again later
        Throttled                    AlloMia said when
        KeyUnusable                  once a person has replaced the key
      Ambiguous                    maybe: the POST must never be sent again

    StatusAnswer
      Found                        the call as AlloMia reports it
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

from outbound_calls.adapters.call_states import outcome_from_state
from outbound_calls.adapters.secrets import Secret, SecretUnusable, api_key
from outbound_calls.contracts.allomia import CallState, OutboundCallOrder, is_failed_without_id, read_call_state
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import CallRequest, Outcome

CONNECT_SECONDS = 3.0
_CONNECT_RETRIES = 1
READ_SECONDS = 12.0
WRITE_SECONDS = 5.0
_POOL_SECONDS = 1.0
MAX_EXCHANGE_SECONDS = (1 + _CONNECT_RETRIES) * CONNECT_SECONDS + _POOL_SECONDS + WRITE_SECONDS + READ_SECONDS
"""How long one exchange takes at most, when nothing trickles."""

MAX_ANSWER_BYTES = 64 * 1024
_MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
_MAX_WORDS_LENGTH = 300
_NO_WORDS = "no words"
_REDACTED = "[…]"
_MIN_PART_LENGTH = 5
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[\"\\/])")
_LONG_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")


@dataclass(frozen=True, slots=True)
class Accepted:
    """AlloMia accepted the call. `outcome` is set when the call has ended already."""

    outbound_call_id: str
    contact_id: str | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Failed:
    """AlloMia accepted the request and reports that the call failed, without an id for it."""


@dataclass(frozen=True, slots=True)
class Declined:
    """AlloMia will not place this call, whenever it is asked. `words` are its own, redacted."""

    words: str


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Nothing was sent, or nothing was accepted. `detail` is safe to log."""

    reason: ParkReason
    detail: str


@dataclass(frozen=True, slots=True)
class Throttled(NotAccepted):
    """AlloMia accepted nothing and asks to wait for `retry_after` seconds (0 when it did not say)."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class KeyUnusable(NotAccepted):
    """AlloMia declines the key, or there is none to send."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The POST may have been accepted. `detail` is safe to log."""

    detail: str


type PlaceAnswer = Accepted | Failed | Declined | NotAccepted | Ambiguous


@dataclass(frozen=True, slots=True)
class Found:
    """AlloMia reports the call. `outcome` is None while it goes on."""

    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class StatusUnavailable:
    """Nothing was learned about the call. `reason` is one of the fixed words below, safe to log and count."""

    reason: str


NOT_FOUND = "not-found"
KEY_UNUSABLE = "key-unusable"
UNREADABLE = "unreadable-answer"

type StatusAnswer = Found | StatusUnavailable

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def http_client(base_url: str, transport: httpx.BaseTransport | None = None, connections: int = 10) -> httpx.Client:
    """The HTTP client for AlloMia.

    It retries connecting only, which is safe for a POST. Idle connections are dropped after 4 s: AlloMia may have
    closed one while the execution environment was frozen, and then a POST's result would be unknown.
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
    """Places calls and asks for their status. Never raises for what AlloMia or the network does."""

    http: httpx.Client
    key: Secret
    clock: Callable[[], float] = time.monotonic

    def check_key(self) -> KeyUnusable | None:
        """Why no key can be sent; None when one can. Reads the key when it is outdated.

        Ask before the claim: reading the key may take seconds and fail.
        """
        try:
            _authorization(self.key.current())
        except SecretUnusable as error:
            return KeyUnusable(ParkReason.KEY_UNREADABLE, str(error))
        return None

    def place_call(self, request: CallRequest, callback_url: str) -> PlaceAnswer:
        """POST /api/outbound, once, with the key that `check_key` found."""
        try:
            authorization = _authorization(self.key.last_read())
        except SecretUnusable as error:
            return KeyUnusable(ParkReason.KEY_UNREADABLE, str(error))
        try:
            response = self._exchange(
                "POST", "/api/outbound", json=_order(request, callback_url).wire(), headers=authorization
            )
        except _NOTHING_SENT as error:
            return NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, type(error).__name__)
        except httpx.RequestError as error:
            return Ambiguous(type(error).__name__)
        key = authorization["Authorization"].removeprefix("Bearer ")
        signature = callback_url.rsplit("/", 1)[-1]
        return self._place_answer(response, _personal(request) | {key, callback_url, signature})

    def call_status(self, outbound_call_id: str) -> StatusAnswer:
        """GET /api/outbound/{id}/status."""
        try:
            authorization = _authorization(self.key.current())
            response = self._exchange("GET", f"/api/outbound/{outbound_call_id}/status", headers=authorization)
        except SecretUnusable:
            return StatusUnavailable(KEY_UNUSABLE)
        except httpx.RequestError as error:
            return StatusUnavailable(type(error).__name__)
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                return StatusUnavailable(NOT_FOUND)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.key.expire()
                return StatusUnavailable(KEY_UNUSABLE)
            case code if not response.is_success:
                return StatusUnavailable(f"HTTP {code}")
        try:
            state = read_call_state(response.content)
        except InvalidInput:
            return StatusUnavailable(UNREADABLE)
        if state.outbound_call_id != outbound_call_id:
            return StatusUnavailable(UNREADABLE)
        return Found(outcome_from_state(state, OutcomeSource.POLL))

    def _place_answer(self, response: httpx.Response, private: Set[str]) -> PlaceAnswer:
        code = response.status_code
        status = f"HTTP {code}"
        if response.is_success:
            try:
                return _accepted(read_call_state(response.content))
            except InvalidInput as error:
                if is_failed_without_id(response.content):
                    return Failed()
                return Ambiguous(f"{status}, unreadable: {error.field}")
        match code:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.key.expire()
                return KeyUnusable(ParkReason.KEY_DECLINED, status)
            case HTTPStatus.TOO_MANY_REQUESTS:
                return Throttled(ParkReason.RATE_LIMITED, status, _retry_after(response) or 0.0)
            case HTTPStatus.SERVICE_UNAVAILABLE if (wait := _retry_after(response)) is not None:
                return Throttled(ParkReason.RATE_LIMITED, status, wait)
            case HTTPStatus.REQUEST_TIMEOUT:
                return Ambiguous(status)
            case _ if response.is_client_error:
                return Declined(f"{status}: {_words(response, private)}")
            case _:
                return Ambiguous(status)

    def _exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, with as much of its answer as arrives within the limits of size and time.

        Once the status line is there it counts, whatever happens to the body: a body cut short is unreadable.
        """
        deadline = self.clock() + MAX_EXCHANGE_SECONDS
        content = bytearray()
        with self.http.stream(method, path, **options) as response:
            try:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES or self.clock() > deadline:
                        content.clear()
                        break
            except httpx.RequestError:
                content.clear()
        # The content is decoded, so its encoding must not be named again.
        kept = [(name, value) for name, value in response.headers.raw if name.lower() == b"retry-after"]
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))


def _authorization(secret_text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key(secret_text)}"}


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds asked for by Retry-After (RFC 9110, section 10.2.3), at most a day; None when absent or unreadable."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MAX_RETRY_AFTER_SECONDS)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), _MAX_RETRY_AFTER_SECONDS)


def _order(request: CallRequest, callback_url: str) -> OutboundCallOrder:
    return OutboundCallOrder(
        phone_number=request.phone_number,
        assistant_id=request.assistant_id,
        phone_number_id=request.phone_number_id,
        customer_name=request.customer_name,
        dynamic_variables=None if request.dynamic_variables is None else dict(request.dynamic_variables),
        callback_url=callback_url,
    )


def _accepted(state: CallState) -> Accepted:
    return Accepted(state.outbound_call_id, state.contact_id, outcome_from_state(state, OutcomeSource.DISPATCH))


def _personal(request: CallRequest) -> Set[str]:
    name = request.customer_name or ""
    return {request.phone_number, name, *name.split(), *(request.dynamic_variables or {}).values()}


def _words(response: httpx.Response, private: Set[str]) -> str:
    """AlloMia's `error` text, without the private values that it repeats."""
    try:
        words = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _NO_WORDS
    if not isinstance(words, str):
        # There is no telling what private values look like inside a structure.
        return _NO_WORDS
    words = _unescaped(words)
    for value in sorted(map(_unescaped, private), key=len, reverse=True):
        # In a form, a plus stands for a space.
        if pattern := r"[\s+]+".join(map(re.escape, value.split())):
            # A short value may be part of any word: it is redacted where it stands alone.
            whole = pattern if len(value) >= _MIN_PART_LENGTH else rf"(?<![^\W_]){pattern}(?![^\W_])"
            words = re.sub(whole, _REDACTED, words, flags=re.IGNORECASE)
    words = _LONG_NUMBER.sub(_REDACTED, _URL.sub(_REDACTED, words))
    return "".join(character if character.isprintable() else " " for character in words)[:_MAX_WORDS_LENGTH]


def _unescaped(text: str) -> str:
    """A text without the escapes of URLs, JSON and HTML, which hide a value."""
    for _ in range(2):
        text = html.unescape(unquote(text))
        text = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[0][1], text)
    # An escaped character beyond the first 65,536 came as a surrogate pair.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return unicodedata.normalize("NFC", whole)
