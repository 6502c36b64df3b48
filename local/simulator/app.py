"""The HTTP face: AlloMia's API, and beside it `/_control`, which AlloMia does not have."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import httpx
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.simulator.allomia import Allomia, Memory, Reply, error
from local.simulator.behaviours import odd
from local.simulator.calls import Call, PlannedWebhook, SentWebhook
from local.simulator.faults import Faults
from local.simulator.gateway import GatewayTransport
from local.simulator.orders import explain

_WEBHOOK_TIMEOUT_SECONDS = 30.0
"""AlloMia documents none."""

_ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""AlloMia itself decides which of them it answers with 405."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a simulator starts.

    Attributes:
        faults: How it behaves at first and after a reset.
        gateway: The local cloud's URL, which gets callbacks for an API Gateway; None sends them to AWS.
        memory_file: Where calls are kept while the process is down; None forgets them.
    """

    faults: Faults = field(default_factory=Faults)
    gateway: str | None = None
    memory_file: Path | None = None


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """The simulator as an ASGI application.

    Args:
        settings: How it starts.
        transport: Carries the webhooks; real HTTP when None.
    """
    transport = transport or httpx.AsyncHTTPTransport()
    if settings.gateway is not None:
        transport = GatewayTransport(settings.gateway, transport)
    allomia = Allomia(settings.faults)
    webhooks = _Webhooks(httpx.AsyncClient(transport=transport, trust_env=False, headers={"User-Agent": "AlloMia"}))

    async def answer(request: Request) -> Response:
        authorization = request.headers.get("Authorization", "")
        reply = allomia.handle(
            request.method,
            request.url.path,
            authorization,
            await request.body(),
            query=request.url.query,
            base_url=str(request.base_url).rstrip("/"),
        )
        if reply.accepted and reply.webhooks_first:
            await webhooks.send(reply.accepted)
        elif reply.accepted:
            webhooks.send_later(reply.accepted)
        await asyncio.sleep(reply.latency_seconds)
        return _response(reply)

    async def crashed(_: Request, __: Exception) -> Response:
        words = "The simulator itself failed; see its standard error"
        return _response(error(HTTPStatus.INTERNAL_SERVER_ERROR, words))

    return Starlette(
        routes=[*_control(allomia, webhooks), Route("/{path:path}", answer, methods=_ANY_METHOD)],
        exception_handlers={Exception: crashed},
        lifespan=lambda _: _remembering(allomia, webhooks, settings),
    )


@contextlib.asynccontextmanager
async def _remembering(allomia: Allomia, webhooks: "_Webhooks", settings: Settings) -> AsyncIterator[None]:
    """Remember calls from one run of the simulator to the next."""
    memory_file = settings.memory_file
    if memory_file is not None and memory_file.exists():
        allomia.restore(Memory.model_validate_json(memory_file.read_bytes()))
        # Webhooks whose time has passed are sent now.
        for call in allomia.memory.calls.values():
            webhooks.send_later(call)
    try:
        yield
    finally:
        await webhooks.close()
        if memory_file is not None:
            memory_file.write_text(allomia.memory.model_dump_json())


def _control(allomia: Allomia, webhooks: "_Webhooks") -> list[Route]:
    """How tests and people make the simulator misbehave, and see what it did."""

    async def show(_: Request) -> Response:
        return _json(allomia.faults)

    async def configure(request: Request) -> Response:
        try:
            patch = Faults.model_validate_json(await request.body())
        except ValidationError as invalid:
            return _response(error(HTTPStatus.BAD_REQUEST, explain(invalid)))
        allomia.configure(patch)
        return _json(allomia.faults)

    async def reset(_: Request) -> Response:
        await webhooks.cancel()
        allomia.reset()
        return _json(allomia.faults)

    async def calls(_: Request) -> Response:
        return JSONResponse([call.model_dump(mode="json") for call in allomia.shown_calls()])

    async def dials(_: Request) -> Response:
        return _json(allomia.dials())

    return [
        Route("/_control", show, methods=["GET"]),
        Route("/_control", configure, methods=["PATCH"]),
        Route("/_control/reset", reset, methods=["POST"]),
        Route("/_control/calls", calls, methods=["GET"]),
        Route("/_control/dials", dials, methods=["GET"]),
    ]


def _json(model: BaseModel) -> Response:
    return JSONResponse(model.model_dump(mode="json"))


class _Webhooks:
    """Sends the planned webhooks of calls. Each is sent once: AlloMia documents no retry."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def send_later(self, call: Call) -> None:
        """Send them, without waiting for them."""
        task = asyncio.create_task(self.send(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send(self, call: Call) -> None:
        """Send each at its time, and return after the last."""
        while call.webhooks_planned:
            planned = call.webhooks_planned[0]
            await asyncio.sleep((planned.at - datetime.now(UTC)).total_seconds())
            call.webhooks_sent.append(await self._post(call, planned))
            call.webhooks_planned.remove(planned)

    async def _post(self, call: Call, planned: PlannedWebhook) -> SentWebhook:
        sent = SentWebhook(at=datetime.now(UTC), status=planned.status)
        body = call.body(planned.status)
        try:
            answer = await self._client.post(
                call.callback_url,
                content=odd(body) if planned.odd else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                timeout=_WEBHOOK_TIMEOUT_SECONDS,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            return sent.model_copy(update={"error": type(failure).__name__})
        return sent.model_copy(update={"answer": answer.status_code})

    async def cancel(self) -> None:
        """Send no more of them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Send no more of them, and close the client."""
        await self.cancel()
        await self._client.aclose()


def _response(reply: Reply) -> Response:
    answer = reply.answer
    if answer.error is httpx.ReadTimeout:
        return _Dropped(reply.hang_seconds)
    if answer.error is not None:
        return _Dropped()
    media_type = "text/html" if reply.content.startswith(b"<") else "application/json"
    if answer.trickles:
        return StreamingResponse(_trickle(reply), answer.code, reply.headers, media_type)
    return Response(reply.content, answer.code, reply.headers, media_type)


async def _trickle(reply: Reply) -> AsyncIterator[bytes]:
    for byte in reply.content:
        yield bytes([byte])
        await asyncio.sleep(reply.hang_seconds / len(reply.content))


class _Dropped(Response):
    """No answer: waits, then closes the connection. The client reads its end where a status line should be.

    ASGI has no such message, so `local.simulator.server` adds `close_connection` to the state of a request.
    """

    def __init__(self, after_seconds: float = 0.0) -> None:
        super().__init__()
        self._after_seconds = after_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Return when the connection is closed, by this side or by the client."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._after_seconds):
                await _disconnected(receive)
                return
        close = scope.get("state", {}).get("close_connection")
        if close is None:
            raise ConnectionAbortedError("the simulator dropped the connection")
        close()
        await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
