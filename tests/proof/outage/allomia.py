"""AlloMia with an outage: an HTTP transport on virtual time that counts what rings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import httpx

from outbound_calls.allomia import CONNECT_SECONDS, READ_SECONDS
from tests.proof.outage.virtual_time import VirtualTime

RING_SECONDS = 45.0
ANSWER_SECONDS = 0.4
RETRY_AFTER_SECONDS = 60


class Kind(StrEnum):
    """How AlloMia fails."""

    CONNECTION_REFUSED = "connection refused"
    UNREACHABLE = "no connection: timeout"
    THROTTLED_429 = "429 with Retry-After"
    DOWN_503 = "503 with Retry-After"
    KEY_REFUSED_401 = "401"
    FAILED_500 = "500 after accepting"
    HANG = "hang after accepting"


AMBIGUOUS = frozenset({Kind.FAILED_500, Kind.HANG})
"""Kinds in which nobody can tell whether the person was rung."""


@dataclass
class Allomia(httpx.BaseTransport):
    """Healthy but from `fails_from` to `fails_until`, when webhooks get lost as well."""

    time: VirtualTime
    kind: Kind
    fails_from: float
    fails_until: float
    send_webhook: Callable[[str, str], None]
    posts: Counter[str] = field(default_factory=Counter)
    posts_in_outage: int = 0
    gets: int = 0
    accepted_at: dict[str, list[float]] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)

    @property
    def down(self) -> bool:
        return self.fails_from <= self.time.now < self.fails_until

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.gets += 1
            return self._fail() if self.down else self._status(request.url.path.split("/")[-2])
        url = json.loads(request.read())["callbackUrl"]
        self.posts[url] += 1
        if self.down:
            self.posts_in_outage += 1
            if self.kind in AMBIGUOUS:
                self._accept(url)
            return self._fail()
        call_id = self._accept(url)
        self.time.after(RING_SECONDS, lambda: None if self.down else self.send_webhook(url, call_id))
        self.time.sleep(ANSWER_SECONDS)
        return httpx.Response(200, json={"outboundCallId": call_id, "status": "calling"})

    def _accept(self, url: str) -> str:
        self.accepted_at.setdefault(url, []).append(self.time.now)
        call_id = str(UUID(int=len(self.ends) + 1))
        self.ends[call_id] = self.time.now + RING_SECONDS
        return call_id

    def _status(self, call_id: str) -> httpx.Response:
        self.time.sleep(ANSWER_SECONDS)
        status = "completed" if self.time.now >= self.ends[call_id] else "calling"
        return httpx.Response(200, json={"outboundCallId": call_id, "status": status})

    def _fail(self) -> httpx.Response:
        later = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        match self.kind:
            case Kind.CONNECTION_REFUSED:
                self.time.sleep(0.002)
                raise httpx.ConnectError("refused")
            case Kind.UNREACHABLE:
                self.time.sleep(2 * CONNECT_SECONDS)
                raise httpx.ConnectTimeout("no answer")
            case Kind.HANG:
                self.time.sleep(READ_SECONDS)
                raise httpx.ReadTimeout("no answer")
        self.time.sleep(ANSWER_SECONDS)
        match self.kind:
            case Kind.THROTTLED_429:
                return httpx.Response(429, headers=later)
            case Kind.DOWN_503:
                return httpx.Response(503, headers=later)
            case Kind.KEY_REFUSED_401:
                return httpx.Response(401, json={"error": "Unauthorized"})
            case _:
                return httpx.Response(500, json={"error": "Internal server error"})
