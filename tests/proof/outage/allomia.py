"""AlloMia with an outage, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import override

import httpx

from local.simulator import ANSWERS, Means, ScriptedAllomia, Webhook
from tests.proof.outage.virtual_time import VirtualTime
from tests.unit.parts import API_KEY


class Kind(StrEnum):
    """How AlloMia fails: names of `ANSWERS`."""

    CONNECTION_REFUSED = "connect-error"
    UNREACHABLE = "connect-timeout"
    THROTTLED_429 = "decline-429"
    DOWN_503 = "decline-503"
    KEY_DECLINED_401 = "decline-401"
    FAILED_500 = "fail-500-after-accept"
    HANG = "hang-after-accept"


AMBIGUOUS = frozenset(kind for kind in Kind if ANSWERS[kind].means is Means.AMBIGUOUS)
"""Kinds in which the client can't know whether the person was rung."""


class AllomiaWithOutage(ScriptedAllomia):
    """Healthy except from `fails_from` to `fails_until`. No webhook is sent then, nor for a call accepted then."""

    def __init__(
        self,
        time: VirtualTime,
        kind: Kind,
        fails_from: float,
        fails_until: float,
        send_webhook: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        super().__init__(
            time.clock,
            sleep=time.sleep,
            on_webhook=self._send_later,
            connect_attempts=2,  # as the client's own transport
            accepted_keys=(API_KEY,),
            ring_seconds=45,
            webhook_delay_seconds=0,
            latency_seconds=0.4,
            hang_seconds=3600,
            retry_after_seconds=60,
        )
        self.fails_until = fails_until
        self.posts_in_outage = 0
        self.on_order: Callable[[dict[str, object]], None] = lambda _: None
        """Called with each order before AlloMia takes it."""
        self._time, self._failure, self._fails_from = time, ANSWERS[kind], fails_from
        self._send_webhook = send_webhook

    @property
    def down(self) -> bool:
        return self._fails_from <= self._time.now < self.fails_until

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.posts_in_outage += self.down and request.method == "POST"
        self.post = self.status = self._failure if self.down else None
        if request.method == "POST":
            self.on_order(json.loads(request.read()))
        return super().handle_request(request)

    def _send_later(self, webhook: Webhook) -> None:
        def send() -> None:
            if not self.down:
                self._send_webhook(webhook.url, webhook.body)

        if not self.down:
            self._time.after(webhook.at - self._time.now, send)
