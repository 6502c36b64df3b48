"""What AlloMia and the network may answer to a POST, and whether a call was placed, which no answer proves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import httpx


class PostAnswer(NamedTuple):
    """One result of a POST."""

    accepted: bool
    """Whether AlloMia placed the call."""

    means: str
    """What the stack may conclude: `accepted`, `failed without an id`, `declined`, `not accepted` or `ambiguous`."""

    status: int = 0
    body: str = ""
    retry_after: str = ""
    error: type[httpx.RequestError] | None = None
    cut: bool = False
    """The connection breaks in the middle of the body."""

    def response(self, call_id: str) -> httpx.Response:
        if self.error and not self.cut:
            raise self.error("simulated")
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        content = self.body.replace("CALL", call_id).encode()
        return httpx.Response(self.status, headers=headers, stream=_Stream(content, self.cut))


class _Stream(httpx.SyncByteStream):
    def __init__(self, content: bytes, cut: bool) -> None:
        self._content, self._cut = content, cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        if self._cut:
            raise httpx.ReadError("simulated")


def _both(name: str, **answer: object) -> dict[str, PostAnswer]:
    """An ambiguous answer, with and without a call placed."""
    return {
        f"{name}, call placed": PostAnswer(True, "ambiguous", **answer),  # type: ignore[arg-type]
        f"{name}, no call": PostAnswer(False, "ambiguous", **answer),  # type: ignore[arg-type]
    }


_CALLING = '{"outboundCallId": "CALL", "status": "calling"}'
_FAILED = '{"outboundCallId": "CALL", "status": "failed"}'

HEALTHY = "200 calling"

ANSWERS: dict[str, PostAnswer] = {
    HEALTHY: PostAnswer(True, "accepted", 200, _CALLING),
    "200 failed": PostAnswer(True, "accepted", 200, _FAILED),
    "200 failed, no id": PostAnswer(True, "failed without an id", 200, '{"status": "failed"}'),
    "200 unreadable": PostAnswer(True, "ambiguous", 200, "<html>"),
    "200 cut off": PostAnswer(True, "ambiguous", 200, _CALLING[:20], error=httpx.ReadError, cut=True),
    "connect error": PostAnswer(False, "not accepted", error=httpx.ConnectError),
    "connect timeout": PostAnswer(False, "not accepted", error=httpx.ConnectTimeout),
    "pool timeout": PostAnswer(False, "not accepted", error=httpx.PoolTimeout),
    "429": PostAnswer(False, "not accepted", 429),
    "429 with Retry-After": PostAnswer(False, "not accepted", 429, retry_after="45"),
    "503 with Retry-After": PostAnswer(False, "not accepted", 503, retry_after="45"),
    "401": PostAnswer(False, "not accepted", 401),
    "403": PostAnswer(False, "not accepted", 403),
    "400": PostAnswer(False, "declined", 400, '{"error": "assistantId: no such assistant"}'),
    "400, call placed": PostAnswer(True, "declined", 400),
    "404": PostAnswer(False, "declined", 404),
    "422": PostAnswer(False, "declined", 422),
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
"""One answer for each path through the code. Enough for scenarios with many schedules."""

TIMEOUT, NOT_FOUND, BROKEN, OTHER_CALL = "timeout", "404", "500", "other call"


def status_response(answer: str) -> httpx.Response:
    """The status answer for `STATUS CALL-ID`, or for one of `TIMEOUT`, `NOT_FOUND`, `BROKEN`."""
    match answer:
        case "timeout":
            raise httpx.ReadTimeout("simulated")
        case "404" | "500":
            return httpx.Response(int(answer))
    status, call_id = answer.split(" ")
    return httpx.Response(200, content=json.dumps({"outboundCallId": call_id, "status": status}))


LOST_IN_LOG, OWN_ID, OTHER_ID = "missing", "own id", "other id"
"""What the call log shows of a call: nothing; its entry, under AlloMia's id of the call; or under another id."""


class Logged(NamedTuple):
    """An entry of the call log."""

    id: str
    number: str
    at: int
    spoken: bool
    """Whether it shows an end and a duration."""


def log_response(answer: str, assistant_id: str) -> httpx.Response:
    """A page of the call log with these entries, in JSON; or one of `TIMEOUT`, `BROKEN`."""
    if answer in {TIMEOUT, BROKEN}:
        return status_response(answer)
    calls = [
        {
            "id": entry.id,
            "callType": "Outbound",
            "agentId": assistant_id,
            "userPhoneNumber": entry.number,
            "createdAt": utc_text(entry.at),
            "callStartedAt": utc_text(entry.at),
            "callEndedAt": utc_text(entry.at + 1) if entry.spoken else None,
            "callDurationSeconds": "1" if entry.spoken else None,
        }
        for entry in (Logged(*each) for each in json.loads(answer))
    ]
    pagination = {"page": 1, "total": len(calls), "hasNextPage": False}
    return httpx.Response(200, content=json.dumps({"calls": calls, "pagination": pagination}))


def log_id(key: tuple[str, int], shown: str) -> str:
    """The id of a call's entry in the log."""
    return call_id(*key, 1) if shown == OWN_ID else call_id(f"log {key[0]}", key[1], 1)


def utc_text(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat()


def call_id(request_id: str, attempt: int, dial: int) -> str:
    """The id that AlloMia gives the call of this dial."""
    return str(UUID(bytes=f"{request_id[-8:]:>8}".encode() + attempt.to_bytes(4) + dial.to_bytes(4)))
