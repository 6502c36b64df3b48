"""The ways to answer a request, well and badly, and which of them belongs to which behaviour."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.simulator.behaviour import Post, Status
from local.simulator.faults import Faults

type Body = Mapping[str, object]
type Answer = Callable[[Body, Faults], Response]
"""Turns what a healthy AlloMia would say (or the order, where it accepts no call) into what this one says."""

UNKNOWN_STATUS = "transferred"
"""A status that AlloMia does not document."""

HUGE_BODY_BYTES = 16 * 1024 * 1024


def error(code: int, words: str) -> JSONResponse:
    """An error as AlloMia words it."""
    return JSONResponse({"error": words}, code)


class Severed(Response):
    """Closes the connection instead of answering: the client reads the end where a status line should be."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's own)
        """Close the connection, and return when it is closed.

        ASGI has no word for that: the server lends its own (`local.simulator.server`).
        """
        close = scope.get("state", {}).get("close_connection")
        if close is None:
            raise ConnectionAbortedError("the simulator dropped the connection")
        close()
        await _client_gone(receive)


class Hanging(Severed):
    """Says nothing for a long time, then closes the connection."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the time is over or the client has had enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _client_gone(receive)
                return
        await super().__call__(scope, receive, send)


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _truth(body: Body, _: Faults) -> Response:
    return JSONResponse(body)


def _truth_but(**changes: object) -> Answer:
    """The truth with other values; a value of None leaves the field out."""

    def answer(body: Body, _: Faults) -> Response:
        return JSONResponse({name: value for name, value in {**body, **changes}.items() if value is not None})

    return answer


def _says(code: int, words: str) -> Answer:
    return lambda _, __: error(code, words)


def _says_later(code: int, words: str) -> Answer:
    def answer(_: Body, faults: Faults) -> Response:
        response = error(code, words)
        response.headers["Retry-After"] = str(faults.retry_after_seconds)
        return response

    return answer


def _html(_: Body, __: Faults) -> Response:
    return HTMLResponse("<!doctype html><title>AlloMia</title><h1>We will be right back</h1>")


def _huge(body: Body, _: Faults) -> Response:
    head, tail = _text_around_message(body)

    async def chunks() -> AsyncIterator[bytes]:
        yield head
        chunk = b"." * 65_536
        for _ in range(HUGE_BODY_BYTES // len(chunk)):
            yield chunk
        yield tail

    return StreamingResponse(chunks(), media_type="application/json")


def _trickle(body: Body, faults: Faults) -> Response:
    text = json.dumps(body).encode()

    async def crumbs() -> AsyncIterator[bytes]:
        for byte in text:
            yield bytes([byte])
            await asyncio.sleep(faults.hang_seconds / len(text))

    return StreamingResponse(crumbs(), media_type="application/json")


def _text_around_message(body: Body) -> tuple[bytes, bytes]:
    """The JSON of `body` cut where its last field, an emptied message, can be filled."""
    text = json.dumps({**body, "message": ""}).encode()
    return text[:-2], text[-2:]


def _sever(_: Body, __: Faults) -> Response:
    return Severed()


def _hang(_: Body, faults: Faults) -> Response:
    return Hanging(faults.hang_seconds)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of request is treated.

    Attributes:
        answer: What the client gets.
        rings: Whether the person is rung first (for a POST).
        once: Whether the rule holds for one request only, and the next about the same call are treated well.
    """

    answer: Answer
    rings: bool = False
    once: bool = False


_BUSY_WORDS = "Too many requests"
_DOWN_WORDS = "Service temporarily unavailable"
_CRASH_WORDS = "Internal server error"
_KEY_WORDS = "Unauthorized"
_NOT_FOUND_WORDS = "Outbound call not found"

POST_RULES: Mapping[Post, Rule] = MappingProxyType(
    {
        Post.OK: Rule(_truth, rings=True),
        Post.FAILED: Rule(_truth_but(status="failed", message="Outbound call failed"), rings=True),
        # Proof that nobody was rung.
        Post.REFUSE_400: Rule(lambda body, _: error(400, f"Invalid phone number: {body['phoneNumber']}")),
        Post.REFUSE_401: Rule(_says(401, _KEY_WORDS)),
        Post.REFUSE_403: Rule(_says(403, "Forbidden")),
        Post.REFUSE_404: Rule(_says(404, "Assistant not found")),
        Post.REFUSE_409: Rule(_says(409, "Contact is being called already")),
        Post.REFUSE_422: Rule(_says(422, "Phone number cannot be called")),
        Post.REFUSE_429: Rule(_says_later(429, _BUSY_WORDS)),
        Post.REFUSE_429_ONCE: Rule(_says_later(429, _BUSY_WORDS), once=True),
        Post.REFUSE_503: Rule(_says_later(503, _DOWN_WORDS)),
        Post.REFUSE_503_ONCE: Rule(_says_later(503, _DOWN_WORDS), once=True),
        # Nobody was rung, and the client cannot know it.
        Post.FAIL_408: Rule(_says(408, "Request timeout")),
        Post.FAIL_500: Rule(_says(500, _CRASH_WORDS)),
        Post.FAIL_502: Rule(_says(502, "Bad gateway")),
        Post.FAIL_503: Rule(_says(503, _DOWN_WORDS)),
        Post.FAIL_504: Rule(_says(504, "Gateway timeout")),
        Post.DROP_BEFORE_ACCEPT: Rule(_sever),
        Post.HANG_BEFORE_ACCEPT: Rule(_hang),
        # The person was rung, and the client cannot know it.
        Post.FAIL_500_AFTER_ACCEPT: Rule(_says(500, _CRASH_WORDS), rings=True),
        Post.DROP_AFTER_ACCEPT: Rule(_sever, rings=True),
        Post.HANG_AFTER_ACCEPT: Rule(_hang, rings=True),
        Post.GARBAGE_AFTER_ACCEPT: Rule(_html, rings=True),
        Post.UNKNOWN_STATUS_AFTER_ACCEPT: Rule(_truth_but(status=UNKNOWN_STATUS), rings=True),
        Post.NO_IDS_AFTER_ACCEPT: Rule(_truth_but(outboundCallId=None, contactId=None), rings=True),
        Post.HUGE_AFTER_ACCEPT: Rule(_huge, rings=True),
        Post.TRICKLE_AFTER_ACCEPT: Rule(_trickle, rings=True),
    }
)

STATUS_RULES: Mapping[Status, Rule] = MappingProxyType(
    {
        Status.NORMAL: Rule(_truth),
        Status.STUCK: Rule(_truth_but(status="calling", callDetails=None)),
        Status.NOT_FOUND: Rule(_says(404, _NOT_FOUND_WORDS)),
        Status.REFUSE_401: Rule(_says(401, _KEY_WORDS)),
        Status.REFUSE_429: Rule(_says_later(429, _BUSY_WORDS)),
        Status.FAIL_500: Rule(_says(500, _CRASH_WORDS)),
        Status.FAIL_500_ONCE: Rule(_says(500, _CRASH_WORDS), once=True),
        Status.FAIL_503: Rule(_says_later(503, _DOWN_WORDS)),
        Status.DROP: Rule(_sever),
        Status.HANG: Rule(_hang),
        Status.GARBAGE: Rule(_html),
        Status.UNKNOWN_STATUS: Rule(_truth_but(status=UNKNOWN_STATUS)),
    }
)


def call_not_found() -> Response:
    """The answer about a call that does not exist, or is another organization's."""
    return error(404, _NOT_FOUND_WORDS)
