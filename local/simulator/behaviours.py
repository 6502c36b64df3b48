"""What AlloMia can do with a POST, a status request, a webhook and its call log: tables, by name.

`ANSWERS` also says what each answer to a POST means. Its names are used by the control endpoint, by the explorer and by
tests that script `ScriptedAllomia`.
"""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType

import httpx

type Body = Mapping[str, object]
type Content = Callable[[Body], bytes]
"""Makes an answer's content from what a healthy AlloMia would answer (from the order, where it accepts no call)."""

OUTCOMES = ("completed", "busy", "no-answer", "failed")
"""AlloMia's terminal statuses."""

UNKNOWN_STATUS = "transferred"
"""A status that AlloMia does not document."""

HUGE_BODY_BYTES = 16 * 1024 * 1024

NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors that occur before the request leaves the client."""


class Means(StrEnum):
    """What a client may conclude from the answer to its POST."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    """Accepted, and over at once; there is no id to ask for."""
    DECLINED = "declined"
    """Not accepted, and a retry would not help."""
    NOT_ACCEPTED = "not accepted"
    """Not accepted; a later retry is safe."""
    AMBIGUOUS = "ambiguous"
    """Maybe accepted: a retry could call the person twice."""

    @property
    def may_be_accepted(self) -> bool:
        """False only on proof that no call was placed."""
        return self not in {Means.DECLINED, Means.NOT_ACCEPTED}


def _json(body: Body) -> bytes:
    return json.dumps(body).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way to answer a request.

    Attributes:
        code: The HTTP status.
        content: The body.
        headers: Headers beside the content type.
        retry_after: Adds `Retry-After`, as set in the faults.
        once: Only the first request about a call gets this answer; later ones get a healthy one.
        error: Raised in the client instead of an answer. Over HTTP, `ReadTimeout` is a connection that hangs and
            `RemoteProtocolError` one that is closed; no server can cause the others.
        cut: The body ends in the middle.
        trickles: The body arrives byte by byte.
    """

    code: int = HTTPStatus.OK
    content: Content = _json
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: bool = False
    once: bool = False
    error: type[BaseException] | None = None
    cut: bool = False
    trickles: bool = False

    @property
    def over_http(self) -> bool:
        """Whether the HTTP server can give this answer."""
        return self.error in {None, httpx.ReadTimeout, httpx.RemoteProtocolError} and not self.cut


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnswer(Answer):
    """One way to answer `POST /api/outbound`.

    Attributes:
        means: What the client may conclude.
        accepted: Whether AlloMia placed the call, which an ambiguous answer hides.
        call_fails: Whether the call that was placed fails at once.
    """

    means: Means = Means.ACCEPTED
    accepted: bool = True
    call_fails: bool = False


def returns(code: int, body: object = None, **headers: str) -> PostAnswer:
    """An answer made for one test: `returns(503, {"error": "down"}, Retry_After="60")`.

    An answer that does not prove the opposite counts as accepted.

    Args:
        code: The HTTP status.
        body: Text or bytes, sent as they are; anything else as JSON; None for no body.
        headers: Header names, with `_` for `-`.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    means = _meaning(code, waits=named.get("Retry-After", "").isdigit())
    return PostAnswer(
        code=code,
        content=lambda _: b"" if body is None else content,
        headers=named,
        means=means,
        accepted=means.may_be_accepted,
    )


def fails(error: type[BaseException]) -> PostAnswer:
    """An exception raised in the client, for one test. Unless nothing was sent, it counts as accepted."""
    means = Means.NOT_ACCEPTED if issubclass(error, NOTHING_SENT) else Means.AMBIGUOUS
    return PostAnswer(error=error, means=means, accepted=means.may_be_accepted)


def _meaning(code: int, *, waits: bool) -> Means:
    match code:
        case 301 | 307 | 308 | 401 | 403 | 429:
            return Means.NOT_ACCEPTED
        case 503 if waits:
            return Means.NOT_ACCEPTED
        case 408:
            return Means.AMBIGUOUS
        case _ if 400 <= code < 500:
            return Means.DECLINED
        case _ if 200 <= code < 300:
            return Means.ACCEPTED
        case _:
            return Means.AMBIGUOUS


def _changed(**changes: object) -> Content:
    """The healthy body with other values; None removes a field."""
    return lambda body: _json({name: value for name, value in {**body, **changes}.items() if value is not None})


def _error(words: str) -> Content:
    return lambda _: _json({"error": words})


def _invalid_number(order: Body) -> bytes:
    return _json({"error": f"Invalid phone number: {order.get('phoneNumber', '')}"})


def _html(_: Body) -> bytes:
    return b"<!doctype html><title>AlloMia</title><h1>We will be right back</h1>"


def odd(body: Body) -> bytes:
    """The healthy body as AlloMia may send it after changes of its own, with everything that trips a parser.

    Another order, a byte order mark, nesting, half a surrogate pair, a number of 5,000 digits, a transcript.
    """
    members = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(body.items())]
    added = [
        '"half": "\\ud83d"',
        f'"digits": {"9" * 5000}',
        '"costs": {"total": NaN, "limit": -Infinity}',
        f'"nested": {"[" * 5000}{"]" * 5000}',
        f'"transcript": "{"hello " * 10_000}"',
    ]
    return ("\ufeff{" + ", ".join([*added, *members]) + "}").encode()


def _gzip_twice(body: Body) -> bytes:
    return gzip.compress(gzip.compress(_json({**body, "message": "." * HUGE_BODY_BYTES})))


def _proxy(_: Body) -> bytes:
    return b"<html><head><title>404 Not Found</title></head><body><center>nginx</center></body></html>"


def _huge(body: Body) -> bytes:
    return _json({**body, "message": "." * HUGE_BODY_BYTES})


_CRASH, _DOWN, _BUSY, _KEY = (
    _error(words)
    for words in ("Internal server error", "Service temporarily unavailable", "Too many requests", "Unauthorized")
)
NOT_FOUND = Answer(code=404, content=_error("Outbound call not found"))


def _declined(code: int, content: Content) -> PostAnswer:
    return PostAnswer(means=Means.DECLINED, accepted=False, code=code, content=content)


def _not_accepted(code: int, content: Content, *, retry_after: bool = False, once: bool = False) -> PostAnswer:
    return PostAnswer(
        means=Means.NOT_ACCEPTED, accepted=False, code=code, content=content, retry_after=retry_after, once=once
    )


def _not_sent(error: type[httpx.TransportError]) -> PostAnswer:
    return PostAnswer(means=Means.NOT_ACCEPTED, accepted=False, error=error)


def _either(
    name: str, *, code: int = HTTPStatus.OK, content: Content = _json, error: type[httpx.TransportError] | None = None
) -> dict[str, PostAnswer]:
    """An answer that hides whether AlloMia accepted the call: both cases."""
    return {
        f"{name}{suffix}": PostAnswer(means=Means.AMBIGUOUS, accepted=accepted, code=code, content=content, error=error)
        for suffix, accepted in {
            "-before-accept" if error else "": False,
            "-after-accept": True,
        }.items()
    }


def _unreadable(content: Content = _json, *, cut: bool = False) -> PostAnswer:
    return PostAnswer(means=Means.AMBIGUOUS, content=content, cut=cut)


ANSWERS: Mapping[str, PostAnswer] = MappingProxyType(
    {
        "ok": PostAnswer(),
        "failed": PostAnswer(content=_changed(status="failed", message="Outbound call failed"), call_fails=True),
        "failed-no-ids": PostAnswer(
            means=Means.FAILED,
            content=_changed(status="failed", outboundCallId=None, contactId=None),
            call_fails=True,
        ),
        # No call was placed, and the answer proves it.
        "decline-400": _declined(400, _invalid_number),
        "decline-404": _declined(404, _error("Assistant not found")),
        "decline-409": _declined(409, _error("Contact is being called already")),
        "decline-422": _declined(422, _error("Phone number cannot be called")),
        "decline-402": _declined(402, lambda _: _json({"error": {"code": "no_credit", "message": "No credit left"}})),
        "decline-404-proxy": _declined(404, _proxy),
        "decline-422-list": _declined(
            422, lambda _: _json({"message": ["assistantId must be a UUID"], "statusCode": 422})
        ),
        "redirect-307": _not_accepted(307, _html),
        "redirect-308": _not_accepted(308, _html),
        "decline-401": _not_accepted(401, _KEY),
        "decline-403": _not_accepted(403, _error("Forbidden")),
        "decline-429": _not_accepted(429, _BUSY, retry_after=True),
        "decline-429-once": _not_accepted(429, _BUSY, retry_after=True, once=True),
        "decline-429-bare": _not_accepted(429, _BUSY),
        "decline-503": _not_accepted(503, _DOWN, retry_after=True),
        "decline-503-once": _not_accepted(503, _DOWN, retry_after=True, once=True),
        "connect-error": _not_sent(httpx.ConnectError),
        "connect-timeout": _not_sent(httpx.ConnectTimeout),
        "pool-timeout": _not_sent(httpx.PoolTimeout),
        # The answer hides whether a call was placed.
        **_either("redirect-302", code=302, content=_html),
        **_either("fail-408", code=408, content=_error("Request timeout")),
        **_either("fail-500", code=500, content=_CRASH),
        **_either("fail-502", code=502, content=_error("Bad gateway")),
        **_either("fail-503", code=503, content=_DOWN),
        **_either("fail-504", code=504, content=_error("Gateway timeout")),
        **_either("drop", error=httpx.RemoteProtocolError),
        **_either("hang", error=httpx.ReadTimeout),
        **_either("read-error", error=httpx.ReadError),
        **_either("write-error", error=httpx.WriteError),
        **_either("write-timeout", error=httpx.WriteTimeout),
        # A call was placed, and the answer gives its id, whatever else is in it.
        "unknown-status-after-accept": PostAnswer(content=_changed(status=UNKNOWN_STATUS)),
        "no-status-after-accept": PostAnswer(content=_changed(status=None)),
        "odd-after-accept": PostAnswer(content=odd),
        "trickle-after-accept": PostAnswer(trickles=True),
        # A call was placed, and the answer says too little.
        "garbage-after-accept": _unreadable(_html),
        "no-ids-after-accept": _unreadable(_changed(outboundCallId=None, contactId=None)),
        "huge-after-accept": _unreadable(_huge),
        "gzip-after-accept": PostAnswer(
            means=Means.AMBIGUOUS, content=_gzip_twice, headers={"Content-Encoding": "gzip, gzip"}
        ),
        "cut-after-accept": _unreadable(cut=True),
    }
)
"""The answers to `POST /api/outbound`."""

OVER_HTTP = tuple(name for name, answer in ANSWERS.items() if answer.over_http)
"""Those that an HTTP server can give."""

STATUS_ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "normal": Answer(),
        "stuck": Answer(content=_changed(status="calling", callDetails=None)),
        "not-found": NOT_FOUND,
        "decline-401": Answer(code=401, content=_KEY),
        "decline-429": Answer(code=429, content=_BUSY, retry_after=True),
        "fail-500": Answer(code=500, content=_CRASH),
        "fail-500-once": Answer(code=500, content=_CRASH, once=True),
        "fail-503": Answer(code=503, content=_DOWN, retry_after=True),
        "drop": Answer(error=httpx.RemoteProtocolError),
        "hang": Answer(error=httpx.ReadTimeout),
        "garbage": Answer(content=_html),
        "unknown-status": Answer(content=_changed(status=UNKNOWN_STATUS)),
        "odd": Answer(content=odd),
        "redirect-307": Answer(code=307, content=_html),
    }
)
"""The answers to `GET /api/outbound/{id}/status` for a call that exists."""


ORGANIZATION_NOT_FOUND = Answer(code=404, content=_error("Organization not found"))
CALL_NOT_FOUND = Answer(code=404, content=_error("Call not found"))

LOG_ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "normal": Answer(),
        **{
            name: STATUS_ANSWERS[name]
            for name in (
                *("decline-401", "decline-429", "fail-500", "fail-500-once", "fail-503"),
                *("drop", "hang", "garbage", "odd", "redirect-307"),
            )
        },
        "huge": Answer(content=_huge),
    }
)
"""The answers to a valid `GET /api/calls`, and to `GET /api/calls/{id}` for a call that exists."""

MEDIA_ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "normal": Answer(),
        "expired": Answer(code=403, content=_error("Request has expired")),
        "not-found": Answer(code=404, content=_error("The file does not exist")),
        "fail-500": STATUS_ANSWERS["fail-500"],
        "redirect-302": Answer(code=302, headers={"Location": "/elsewhere"}),
        "drop": STATUS_ANSWERS["drop"],
        "hang": STATUS_ANSWERS["hang"],
        "huge": Answer(content=_huge),
        "trickle": Answer(trickles=True),
    }
)
"""The answers to a request for a transcript or a recording by its pre-signed URL."""


@dataclass(frozen=True, slots=True)
class LogEntries:
    """Which entries of the call log a call gets.

    Attributes:
        copies: How often its entry is there.
        late: It appears late: after the call's end, and only then.
        own_id: Its `id` is the call's `outboundCallId`.
        ends: It gets an end and a duration.
        shift_seconds: How far its times are from the client's clock.
        by_hand: Someone also called the same number by hand, seconds later; that call is in the log as well.
    """

    copies: int = 1
    late: bool = False
    own_id: bool = True
    ends: bool = True
    shift_seconds: int = 0
    by_hand: bool = False


LOG_ENTRIES: Mapping[str, LogEntries] = MappingProxyType(
    {
        "normal": LogEntries(),
        "late": LogEntries(late=True),
        "never": LogEntries(copies=0),
        "twice": LogEntries(copies=2),
        "other-id": LogEntries(own_id=False),
        "open": LogEntries(own_id=False, ends=False),
        "clock-apart": LogEntries(shift_seconds=600),
        "by-hand": LogEntries(by_hand=True),
    }
)
"""The entries of the call log."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Which statuses are sent to the callback URL, given the outcome, and when the first is sent."""

    statuses: Callable[[str], Sequence[str]]
    early: bool = False
    """Before the POST is answered."""
    late: bool = False
    odd: bool = False
    """Their content over HTTP is `odd`."""


WEBHOOKS: Mapping[str, Webhooks] = MappingProxyType(
    {
        "normal": Webhooks(lambda outcome: (outcome,)),
        "lost": Webhooks(lambda _: ()),
        "duplicated": Webhooks(lambda outcome: (outcome, outcome)),
        "early": Webhooks(lambda outcome: (outcome,), early=True),
        "late": Webhooks(lambda outcome: (outcome,), late=True),
        "contradictory": Webhooks(lambda outcome: (outcome, "completed" if outcome == "failed" else "failed")),
        "unknown-status-first": Webhooks(lambda outcome: (UNKNOWN_STATUS, outcome)),
        "unknown-status-only": Webhooks(lambda _: (UNKNOWN_STATUS,)),
        "odd": Webhooks(lambda outcome: (outcome,), odd=True),
    }
)
"""The webhooks of a call."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How AlloMia behaves for one call, as names of the tables above. The default is what AlloMia documents."""

    outcome: str = "completed"
    post: str = "ok"
    webhooks: str = "normal"
    status: str = "normal"
    log_entries: str = "normal"
