"""AlloMia without I/O: a request goes in; an answer and planned webhooks come out. The clock is passed in.

Two faces share it: `local.simulator.app` speaks HTTP, `local.simulator.transport` is an httpx transport.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from random import Random
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from local.simulator.behaviours import (
    ANSWERS,
    CALL_NOT_FOUND,
    LOG_ANSWERS,
    MEDIA_ANSWERS,
    NOT_FOUND,
    NOTHING_SENT,
    ORGANIZATION_NOT_FOUND,
    STATUS_ANSWERS,
    WEBHOOKS,
    Answer,
    Body,
    PostAnswer,
)
from local.simulator.call_log import LogEntry, LogQuery, media, organization_id, page_of, planned_entries, signed_until
from local.simulator.calls import Call, Dials, ShownCall, call_id, contact_id
from local.simulator.faults import Faults
from local.simulator.magic_numbers import behaviour_of
from local.simulator.orders import Order, explain


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to send.

    Attributes:
        answer: How it is sent.
        content: Its body.
        headers: Its headers beside the content type.
        latency_seconds: The wait before it.
        hang_seconds: How long it hangs, or trickles.
        accepted: The call that the POST placed; its planned webhooks are to be sent.
        webhooks_first: Whether they are to be sent before the answer.
    """

    answer: Answer
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_seconds: float = 0.0
    hang_seconds: float = 60.0
    accepted: Call | None = None
    webhooks_first: bool = False


class Memory(BaseModel):
    """Everything that AlloMia remembers; it can be kept in a file while a process is down."""

    faults: Faults
    calls: dict[str, Call] = {}
    log: list[LogEntry] = []
    attempted: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    answered_once: set[str] = set()


class Allomia:
    """AlloMia behind its API.

    Args:
        faults: How it behaves at first and after a reset.
        clock: Unix time in seconds.
    """

    def __init__(self, faults: Faults | None = None, clock: Callable[[], float] = time.time) -> None:
        self._first_faults = faults or Faults()
        self._clock = clock
        self._random = Random()  # noqa: S311 - repeatable on purpose
        self.memory = Memory(faults=self._first_faults)
        self.restore(self.memory)

    @property
    def faults(self) -> Faults:
        """The faults as they are now."""
        return self.memory.faults

    def configure(self, patch: Faults) -> None:
        """Set the fields that `patch` was given; a seed restarts the draws."""
        self.memory.faults = self.faults.changed_by(patch)
        if "seed" in patch.model_fields_set:
            self._random.seed(patch.seed)

    def reset(self) -> None:
        """Forget all calls, and behave as at the start."""
        self.restore(Memory(faults=self._first_faults))

    def restore(self, memory: Memory) -> None:
        """Continue from `memory`."""
        self.memory = memory
        self._random.seed(memory.faults.seed)

    def handle(
        self,
        method: str,
        path: str,
        authorization: str,
        body: bytes,
        *,
        query: str = "",
        base_url: str = "https://allomia.example",
        post: PostAnswer | None = None,
        status: Answer | None = None,
    ) -> Reply:
        """Act on a request and answer it.

        Args:
            method: `POST` or `GET`.
            path: The path of the URL.
            authorization: The header's value; empty where it is missing.
            body: The content.
            query: The query of the URL.
            base_url: Where this is served: pre-signed URLs begin with it.
            post: Answers a valid POST instead of the faults and the magic numbers.
            status: The same for a status request.
        """
        match method, path.strip("/").split("/"):
            case "POST", ["api", "outbound"]:
                return self._post(authorization, body, post)
            case "GET", ["api", "outbound", outbound_call_id, "status"]:
                return self._status(authorization, outbound_call_id.lower(), status)
            case "GET", ["api", "calls"]:
                return self._call_log(authorization, query)
            case "GET", ["api", "calls", call]:
                return self._record(authorization, call.lower(), base_url)
            case "GET", ["media", call, file]:
                return self._media(authorization, call, file, query)
            case _, ["api", "outbound" | "calls"] | ["api", "outbound", _, "status"] | ["api", "calls", _]:
                return error(HTTPStatus.METHOD_NOT_ALLOWED)
            case _:
                return error(HTTPStatus.NOT_FOUND)

    def shown_calls(self) -> list[ShownCall]:
        """The accepted calls, in the order of acceptance."""
        return [call.shown(self._now()) for call in self.memory.calls.values()]

    def dials(self) -> Dials:
        """How many POSTs arrived and how many were accepted, for each callback URL."""
        return Dials(attempted=dict(self.memory.attempted), accepted=dict(self.memory.accepted))

    def _post(self, authorization: str, body: bytes, answer: PostAnswer | None) -> Reply:
        if answer is not None and answer.error in NOTHING_SENT:
            return reply(answer, {}, self.faults)
        # An order that is invalid otherwise is still an attempt.
        self.memory.attempted[str(read_order(body).get("callbackUrl", ""))] += 1
        organizations = self._organizations(authorization)
        if not organizations:
            return error(HTTPStatus.UNAUTHORIZED)
        try:
            order = Order.model_validate_json(body)
        except ValidationError as invalid:
            return error(HTTPStatus.BAD_REQUEST, explain(invalid))
        behaviour = self.faults.applied_to(behaviour_of(order.phone_number), self._random)
        if answer is None:
            answer = self._unless_answered(ANSWERS[behaviour.post], ANSWERS["ok"], order.subject)
        if not answer.accepted:
            return reply(answer, order.model_dump(by_alias=True), self.faults)
        early = WEBHOOKS[behaviour.webhooks].early
        now = self._now()
        rung_at = now if early else now + timedelta(seconds=self.faults.ring_seconds)
        self.memory.accepted[order.callback_url] += 1
        call = Call(
            outbound_call_id=call_id(order.callback_url, self.memory.accepted[order.callback_url]),
            contact_id=contact_id(order.phone_number),
            callback_url=order.callback_url,
            organization=organizations[0],
            accepted_at=now,
            ends_at=now if answer.call_fails else rung_at,
            outcome="failed" if answer.call_fails else behaviour.outcome,
            status_answer=behaviour.status,
        )
        if order.callback_url:
            call.plan_webhooks(behaviour, self.faults, rung_at)
        self.memory.calls[call.outbound_call_id] = call
        self.memory.log += planned_entries(call, order, behaviour.log_entries, self.faults)
        calling = call.body("calling") | {"message": "Outbound call initiated"}
        return replace(reply(answer, calling, self.faults), accepted=call, webhooks_first=early)

    def _status(self, authorization: str, outbound_call_id: str, answer: Answer | None) -> Reply:
        organizations = self._organizations(authorization)
        if not organizations:
            return error(HTTPStatus.UNAUTHORIZED)
        call = self.memory.calls.get(outbound_call_id)
        if call is None or call.organization not in organizations:
            return reply(answer or NOT_FOUND, {}, self.faults)
        call.status_reads += 1
        if answer is None:
            name = self.faults.status_for(call.status_answer, self._random)
            answer = self._unless_answered(STATUS_ANSWERS[name], STATUS_ANSWERS["normal"], outbound_call_id)
        return reply(answer, call.body(call.status_at(self._now())), self.faults)

    def _call_log(self, authorization: str, query: str) -> Reply:
        organizations = self._organizations(authorization)
        if not organizations:
            return error(HTTPStatus.UNAUTHORIZED)
        try:
            asked = LogQuery.model_validate(dict(parse_qsl(query)))
        except ValidationError as invalid:
            return error(HTTPStatus.BAD_REQUEST, explain(invalid))
        named = [name for name in organizations if organization_id(name) == asked.organization_id.lower()]
        if not named:
            return reply(ORGANIZATION_NOT_FOUND, {}, self.faults)
        now = self._now()
        entries = [each for each in self.memory.log if each.organization in named and each.visible_at <= now]
        return reply(self._log_answer("log"), page_of(entries, asked, now), self.faults)

    def _record(self, authorization: str, id_: str, base_url: str) -> Reply:
        organizations = self._organizations(authorization)
        if not organizations:
            return error(HTTPStatus.UNAUTHORIZED)
        entry = self._entry(id_)
        if entry is None or entry.organization not in organizations:
            return reply(CALL_NOT_FOUND, {}, self.faults)
        return reply(self._log_answer(id_), entry.record(self._now(), base_url), self.faults)

    def _media(self, authorization: str, id_: str, file: str, query: str) -> Reply:
        """A file by its pre-signed URL. As with S3, such a request carries no other authorization."""
        if authorization:
            return error(HTTPStatus.BAD_REQUEST, "Only one authentication mechanism is allowed")
        entry, now = self._entry(id_), self._now()
        until = signed_until(f"/media/{id_}/{file}", dict(parse_qsl(query)))
        if entry is None or until is None or until < now.timestamp():
            return reply(MEDIA_ANSWERS["expired"], {}, self.faults)
        name = self.faults.media_answer(self._random)
        given = reply(MEDIA_ANSWERS[name], {}, self.faults)
        if name not in {"normal", "trickle"}:
            return given
        content, kind = media(entry, file)
        return replace(given, content=content, headers={"Content-Type": kind})

    def _entry(self, id_: str) -> LogEntry | None:
        now = self._now()
        return next((each for each in self.memory.log if each.id == id_ and each.visible_at <= now), None)

    def _log_answer(self, subject: str) -> Answer:
        answer = LOG_ANSWERS[self.faults.log_answer(self._random)]
        return self._unless_answered(answer, LOG_ANSWERS["normal"], f"log {subject}")

    def _unless_answered[Kind: Answer](self, answer: Kind, healthy: Kind, subject: str) -> Kind:
        """`answer`, unless it is for one request only and `subject` had it already."""
        if not answer.once:
            return answer
        if subject in self.memory.answered_once:
            return healthy
        self.memory.answered_once.add(subject)
        return answer

    def _organizations(self, authorization: str) -> tuple[str, ...]:
        scheme, _, key = authorization.partition(" ")
        return self.faults.organizations_of(key) if scheme.lower() == "bearer" else ()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def error(code: HTTPStatus, words: str = "") -> Reply:
    """An error as AlloMia words it."""
    return Reply(Answer(code=code), json.dumps({"error": words or code.phrase}).encode())


def reply(answer: Answer, healthy: Body, faults: Faults) -> Reply:
    """`answer` where a healthy AlloMia would answer `healthy`."""
    wait = {"Retry-After": str(faults.retry_after_seconds)} if answer.retry_after else {}
    return Reply(
        answer, answer.content(healthy), {**answer.headers, **wait}, faults.latency_seconds, faults.hang_seconds
    )


def read_order(body: bytes) -> dict[str, object]:
    """An order as it arrived, valid or not; empty where it is not even an object."""
    try:
        order = json.loads(body)
    except ValueError:
        return {}
    return order if isinstance(order, dict) else {}
