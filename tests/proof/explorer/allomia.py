"""What AlloMia, and the network on the way to it, may answer; and whether a call was placed, which no answer proves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import httpx


class Word(NamedTuple):
    """One way a POST can go."""

    accepted: bool
    """Whether AlloMia placed the call."""

    means: str
    """What the stack may conclude: `accepted`, `refused` for good, `not accepted` now, or `ambiguous`."""

    status: int = 0
    body: str = ""
    retry_after: str = ""
    error: type[httpx.RequestError] | None = None
    cut: bool = False
    """The body ends in the middle."""

    def response(self, call_id: str) -> httpx.Response:
        if self.error and not self.cut:
            raise self.error("told so")
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        content = self.body.replace("CALL", call_id).encode()
        return httpx.Response(self.status, headers=headers, stream=_Stream(content, self.cut))


class _Stream(httpx.SyncByteStream):
    def __init__(self, content: bytes, cut: bool) -> None:
        self._content, self._cut = content, cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        if self._cut:
            raise httpx.ReadError("told so")


def _both(name: str, **word: object) -> dict[str, Word]:
    """An ambiguous answer, with a call placed and without."""
    return {
        f"{name}, call placed": Word(True, "ambiguous", **word),  # type: ignore[arg-type]
        f"{name}, no call": Word(False, "ambiguous", **word),  # type: ignore[arg-type]
    }


_CALLING = '{"outboundCallId": "CALL", "status": "calling"}'
_FAILED = '{"outboundCallId": "CALL", "status": "failed"}'

HEALTHY = "200 calling"

ANSWERS: dict[str, Word] = {
    HEALTHY: Word(True, "accepted", 200, _CALLING),
    "200 failed": Word(True, "accepted", 200, _FAILED),
    "200 failed, no id": Word(True, "failed without an id", 200, '{"status": "failed"}'),
    "200 unreadable": Word(True, "ambiguous", 200, "<html>"),
    "200 cut off": Word(True, "ambiguous", 200, _CALLING[:20], error=httpx.ReadError, cut=True),
    "connect error": Word(False, "not accepted", error=httpx.ConnectError),
    "connect timeout": Word(False, "not accepted", error=httpx.ConnectTimeout),
    "pool timeout": Word(False, "not accepted", error=httpx.PoolTimeout),
    "429": Word(False, "not accepted", 429),
    "429 with Retry-After": Word(False, "not accepted", 429, retry_after="45"),
    "503 with Retry-After": Word(False, "not accepted", 503, retry_after="45"),
    "401": Word(False, "not accepted", 401),
    "403": Word(False, "not accepted", 403),
    "400": Word(False, "refused", 400, '{"error": "assistantId: no such assistant"}'),
    "404": Word(False, "refused", 404),
    "422": Word(False, "refused", 422),
    **_both("read timeout", error=httpx.ReadTimeout),
    **_both("read error", error=httpx.ReadError),
    **_both("write timeout", error=httpx.WriteTimeout),
    **_both("write error", error=httpx.WriteError),
    **_both("connection dropped", error=httpx.RemoteProtocolError),
    **_both("302", status=302),
    **_both("408", status=408),
    **_both("500", status=500),
    **_both("502", status=502),
    **_both("503 bare", status=503),
    **_both("504", status=504),
}

ONE_OF_EACH = (
    HEALTHY,
    "200 failed",
    "200 unreadable",
    "connect error",
    "429 with Retry-After",
    "400",
    "read timeout, call placed",
    "read timeout, no call",
    "500, call placed",
    "500, no call",
)
"""Answers that lead the code along each of its ways: enough where the number of schedules matters."""

TIMEOUT, NOT_FOUND, BROKEN, ANOTHER = "timeout", "404", "500", "another call"


def status_response(answer: str) -> httpx.Response:
    """The status answer: `STATUS CALL-ID`, or one of the first three words above."""
    match answer:
        case "timeout":
            raise httpx.ReadTimeout("told so")
        case "404" | "500":
            return httpx.Response(int(answer))
    status, call_id = answer.split(" ")
    return httpx.Response(200, content=json.dumps({"outboundCallId": call_id, "status": status}))


def call_id(request_id: str, attempt: int, dial: int) -> str:
    """The id that AlloMia gives to the call of this dial."""
    return str(UUID(bytes=f"{request_id[-8:]:>8}".encode() + attempt.to_bytes(4) + dial.to_bytes(4)))
