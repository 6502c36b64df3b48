"""AlloMia's API over httpx.

An answer says what happened to the call, not which number came back::

    PlaceAnswer                    may a call have been placed?
      Accepted                     yes; `state` is the call as AlloMia reports it
      Ended                        it ended at once, and AlloMia gave no id for it
      Declined                     no: AlloMia, or something before it, refuses this request
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

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

import httpx

from outbound_calls.adapters.bounded_http import BoundedTransport, deadline
from outbound_calls.adapters.call_states import outcome_from_state, unfamiliar_status
from outbound_calls.adapters.organizations import Organization, Organizations
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.allomia import (
    MAX_WEBHOOK_BYTES,
    CallState,
    OutboundCallOrder,
    read_call_state,
    read_error,
)
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import CallRequest, Outcome

CONNECT_SECONDS = 3.0
_CONNECT_RETRIES = 1
READ_SECONDS = 12.0
WRITE_SECONDS = 5.0
_POOL_SECONDS = 1.0
MAX_EXCHANGE_SECONDS = (1 + _CONNECT_RETRIES) * CONNECT_SECONDS + _POOL_SECONDS + WRITE_SECONDS + READ_SECONDS
"""How long one exchange takes at most, from the name's resolution to the last byte of the answer."""

MAX_ANSWER_BYTES = MAX_WEBHOOK_BYTES
MAX_RETRY_AFTER_SECONDS = 900.0
"""AlloMia's `Retry-After` counts up to this. A day, a time in epoch seconds or a date far away is a mistake more likely
than a wish, and would leave an attempt no time for another try."""

_FIELDS = ("phoneNumberId", "phoneNumber", "assistantId", "customerName", "dynamicVariables", "callbackUrl")
_WORDS = {
    "not found": ("not found", "no such", "not exist"),
    "invalid": ("invalid", "not valid", "malformed"),
    "required": ("required", "missing"),
    "credit": ("credit", "balance", "payment", "billing"),
    "limit": ("limit", "quota", "too many"),
    "not allowed": ("not allowed", "forbidden", "permission", "blocked"),
    "inactive": ("inactive", "disabled", "suspended", "deleted"),
    "conflict": ("conflict", "already", "duplicate"),
    "too long": ("too long", "too large"),
}
"""What a refusal may say, and how AlloMia may word it."""

_BETWEEN_WORDS = dict.fromkeys(map(ord, " _-"))
_MAX_ERROR_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Accepted:
    """AlloMia accepted the call. `outcome` is set when the call has ended already."""

    outbound_call_id: str
    contact_id: str | None
    outcome: Outcome | None
    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document; empty where it is no word. None for a documented one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """AlloMia accepted the request and reports how the call ended, without an id for it."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Declined:
    """A 4xx to this request. `reason` is made of fixed words, safe to log and keep."""

    reason: str


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


type PlaceAnswer = Accepted | Ended | Declined | NotAccepted | Ambiguous


@dataclass(frozen=True, slots=True)
class Found:
    """AlloMia reports the call. `outcome` is None while it goes on."""

    outcome: Outcome | None
    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document; None for a documented one."""


@dataclass(frozen=True, slots=True)
class StatusUnavailable:
    """Nothing was learned. `reason` is one of the fixed words below, safe to log and count."""

    reason: str


NOT_FOUND = "not-found"
KEY_UNUSABLE = "key-unusable"
UNREADABLE = "unreadable-answer"

type StatusAnswer = Found | StatusUnavailable

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def http_client(base_url: str, transport: httpx.BaseTransport | None = None, connections: int = 10) -> httpx.Client:
    """The HTTP client for AlloMia.

    It retries connecting only, which is safe for a POST. It asks for answers without compression, whose size could not
    be bounded before they are decoded, and keeps no cookies.
    """
    # At INFO, Lambda's level, httpx logs a line for each request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.Client(
        base_url=base_url.rstrip("/"),
        transport=transport or BoundedTransport(connections, _CONNECT_RETRIES),
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=_POOL_SECONDS),
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "allomia-outbound-calls",
        },
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(eq=False, slots=True)
class AllomiaClient:
    """Places calls and asks for their status. Never raises for what AlloMia or the network does."""

    http: httpx.Client
    organizations: Organizations
    clock: Callable[[], float] = time.monotonic
    exchange_seconds: float = MAX_EXCHANGE_SECONDS

    def organization_named(self, name: str | None) -> Organization | KeyUnusable:
        """An organization with its key, by its name here (None: the default one). Reads the secret when it is outdated.

        Ask before the claim: reading the secret may take seconds and fail.
        """
        try:
            return self.organizations.named(name)
        except SecretUnusable as error:
            return KeyUnusable(ParkReason.KEY_UNREADABLE, str(error))

    def place_call(self, organization: Organization, request: CallRequest, callback_url: str) -> PlaceAnswer:
        """POST /api/outbound, once, with the organization's key."""
        order = _order(request, callback_url).wire()
        try:
            response = self._exchange("POST", "/api/outbound", json=order, headers=_authorization(organization))
        except _NOTHING_SENT as error:
            return NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, type(error).__name__)
        except httpx.RequestError as error:
            return Ambiguous(type(error).__name__)
        return self._place_answer(response)

    def call_status(self, organization: Organization, outbound_call_id: str) -> StatusAnswer:
        """GET /api/outbound/{id}/status."""
        content = self.fetch(organization, f"/api/outbound/{outbound_call_id}/status")
        if isinstance(content, StatusUnavailable):
            return content
        try:
            state = read_call_state(content)
        except InvalidInput:
            return StatusUnavailable(UNREADABLE)
        if state.status is None or state.outbound_call_id not in {None, outbound_call_id}:
            return StatusUnavailable(UNREADABLE)
        return Found(outcome_from_state(state, OutcomeSource.POLL), unfamiliar_status(state))

    def fetch(
        self, organization: Organization, path: str, parameters: dict[str, str] | None = None
    ) -> bytes | StatusUnavailable:
        """GET a path with the organization's key: the content of a successful answer."""
        try:
            response = self._exchange("GET", path, params=parameters, headers=_authorization(organization))
        except httpx.RequestError as error:
            return StatusUnavailable(type(error).__name__)
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                return StatusUnavailable(NOT_FOUND)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.organizations.expire()
                return StatusUnavailable(KEY_UNUSABLE)
            case code if not response.is_success:
                return StatusUnavailable(f"HTTP {code}")
        return response.content

    def _place_answer(self, response: httpx.Response) -> PlaceAnswer:
        code = response.status_code
        status = f"HTTP {code}"
        if response.is_success:
            try:
                state = read_call_state(response.content)
            except InvalidInput as error:
                return Ambiguous(f"{status}, unreadable: {error.field}")
            return _accepted(state) or Ambiguous(f"{status}, unreadable: outboundCallId")
        match code:
            case HTTPStatus.MOVED_PERMANENTLY | HTTPStatus.TEMPORARY_REDIRECT | HTTPStatus.PERMANENT_REDIRECT:
                # The POST is to be sent elsewhere, so nothing was done here. 302 and 303 may answer one that was done.
                return NotAccepted(ParkReason.ALLOMIA_UNREACHABLE, status)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                self.organizations.expire()
                return KeyUnusable(ParkReason.KEY_DECLINED, status)
            case HTTPStatus.TOO_MANY_REQUESTS:
                return Throttled(ParkReason.RATE_LIMITED, status, _retry_after(response) or 0.0)
            case HTTPStatus.SERVICE_UNAVAILABLE if (wait := _retry_after(response)) is not None:
                return Throttled(ParkReason.RATE_LIMITED, status, wait)
            case HTTPStatus.REQUEST_TIMEOUT:
                return Ambiguous(status)
            case _ if response.is_client_error:
                return _declined(status, read_error(response.content))
            case _:
                return Ambiguous(status)

    def _exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, with as much of its answer as arrives within the limits of size and time.

        Once the status line is there it counts, whatever happens to the body. A body is unreadable if it is cut short
        or too large, or compressed although that wasn't asked for.
        """
        content = bytearray()
        with (
            deadline(self.exchange_seconds, self.clock) as seconds_left,
            self.http.stream(method, path, **options) as response,
        ):
            try:
                for chunk in _raw(response):
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES or seconds_left() < 0:
                        content.clear()
                        break
            except httpx.RequestError:
                content.clear()
        kept = [(name, value) for name, value in response.headers.raw if name.lower() == b"retry-after"]
        return httpx.Response(response.status_code, headers=kept, content=bytes(content))


def _authorization(organization: Organization) -> dict[str, str]:
    return {"Authorization": f"Bearer {organization.api_key}"}


def _raw(response: httpx.Response) -> Iterable[bytes]:
    """The body as it arrives; nothing of one in an encoding, which a few bytes can blow up to gigabytes."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    return cast("Iterable[bytes]", response.stream) if encoding in {"", "identity"} else ()


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds asked for by Retry-After (RFC 9110, section 10.2.3), bounded; None when it is absent or unreadable."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_SECONDS)


def _order(request: CallRequest, callback_url: str) -> OutboundCallOrder:
    if request.assistant_id is None or request.phone_number_id is None:
        raise ValueError("a call is placed with an assistant and a number to call from")
    return OutboundCallOrder(
        phone_number=request.phone_number,
        assistant_id=request.assistant_id,
        phone_number_id=request.phone_number_id,
        customer_name=request.customer_name,
        dynamic_variables=None if request.dynamic_variables is None else dict(request.dynamic_variables),
        callback_url=callback_url,
    )


def _accepted(state: CallState) -> Accepted | Ended | None:
    """What a 2xx says of the call; None when it gives neither its id nor its outcome."""
    outcome = outcome_from_state(state, OutcomeSource.DISPATCH)
    if state.outbound_call_id is None:
        return Ended(outcome) if outcome else None
    return Accepted(state.outbound_call_id, state.contact_id, outcome, unfamiliar_status(state))


def _declined(status: str, error: str | None) -> Declined:
    """A refusal in this stack's own words: AlloMia's own may repeat what it was sent."""
    if error is None:
        return Declined(f"{status}, not AlloMia's own answer")
    said = error[:_MAX_ERROR_LENGTH].lower()
    # However a field's name is written: phoneNumber, phone_number, "Phone number".
    names = said.translate(_BETWEEN_WORDS)
    fields = []
    for field in _FIELDS:
        # A longer name goes first, and is not found again as the shorter one that it contains.
        if (name := field.lower()) in names:
            fields.append(field)
            names = names.replace(name, " ")
    words = [word for word, wordings in _WORDS.items() if any(wording in said for wording in wordings)]
    named = f", names {', '.join(fields)}" if fields else ""
    return Declined(f"{status}{named}: {', '.join(words) or 'no known words'}")
