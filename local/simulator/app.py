"""The HTTP face of the simulator: AlloMia's API, and beside it `/_control`, which AlloMia has not."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulator.answers import error
from local.simulator.calls import Organization
from local.simulator.exchange import Exchange
from local.simulator.faults import Faults
from local.simulator.gateway import GatewayTransport
from local.simulator.orders import Order, words_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How a simulator starts.

    Attributes:
        faults: How it behaves until it is told otherwise.
        gateway: The local cloud's URL, which gets callbacks for an API Gateway; None sends them to AWS.
        memory_file: Where calls are kept while the process is down; None forgets them.
    """

    faults: Faults = field(default_factory=Faults)
    gateway: str | None = None
    memory_file: Path | None = None


def create_app(settings: Settings | None = None, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """The simulator as an ASGI application.

    Args:
        settings: How it starts.
        transport: Carries the webhooks; real HTTP when None.
    """
    settings = settings or Settings()
    transport = transport or httpx.AsyncHTTPTransport()
    if settings.gateway is not None:
        transport = GatewayTransport(settings.gateway, transport)
    client = httpx.AsyncClient(transport=transport, trust_env=False, headers={"User-Agent": "AlloMia"})
    exchange = Exchange(settings.faults, client, settings.memory_file)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        exchange.open()
        try:
            yield
        finally:
            await exchange.close()

    return Starlette(
        routes=[*_AlloMia(exchange).routes(), *_Control(exchange).routes()],
        exception_handlers={HTTPException: _http_error, ValidationError: _invalid, Exception: _crash},
        lifespan=lifespan,
    )


class _AlloMia:
    """What docs.allomia.com describes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[Route]:
        return [
            Route("/api/outbound", self.place, methods=["POST"]),
            Route("/api/outbound/{id}/status", self.status, methods=["GET"]),
        ]

    async def place(self, request: Request) -> Response:
        body = await request.body()
        self._exchange.count_attempt(_callback_url_in(body))
        organization = self._organization_asking(request)
        return await self._exchange.place(Order.model_validate_json(body), organization)

    async def status(self, request: Request) -> Response:
        organization = self._organization_asking(request)
        return await self._exchange.tell_status(request.path_params["id"], organization)

    def _organization_asking(self, request: Request) -> Organization:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        organization = self._exchange.organization_of(key) if scheme.lower() == "bearer" else None
        if organization is None:
            raise HTTPException(HTTPStatus.UNAUTHORIZED)
        return organization


class _Control:
    """How tests and people make the simulator misbehave, and see what it did."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[Route]:
        return [
            Route("/_control", self.show, methods=["GET"]),
            Route("/_control", self.configure, methods=["PATCH"]),
            Route("/_control/reset", self.reset, methods=["POST"]),
            Route("/_control/calls", self.calls, methods=["GET"]),
            Route("/_control/dials", self.dials, methods=["GET"]),
        ]

    async def show(self, _: Request) -> Response:
        return _json(self._exchange.faults)

    async def configure(self, request: Request) -> Response:
        self._exchange.configure(Faults.model_validate_json(await request.body()))
        return _json(self._exchange.faults)

    async def reset(self, _: Request) -> Response:
        await self._exchange.reset()
        return _json(self._exchange.faults)

    async def calls(self, _: Request) -> Response:
        return JSONResponse([call.model_dump(mode="json") for call in self._exchange.reports()])

    async def dials(self, _: Request) -> Response:
        return _json(self._exchange.dials())


def _json(model: BaseModel) -> Response:
    return JSONResponse(model.model_dump(mode="json"))


def _callback_url_in(body: bytes) -> str:
    """The callback URL of an order that may be invalid otherwise, for it is an attempt all the same."""
    try:
        order = json.loads(body)
    except ValueError:
        return ""
    url = order.get("callbackUrl") if isinstance(order, dict) else None
    return url if isinstance(url, str) else ""


async def _http_error(_: Request, failure: Exception) -> Response:
    if not isinstance(failure, HTTPException):
        raise failure
    return error(failure.status_code, failure.detail)


async def _invalid(_: Request, failure: Exception) -> Response:
    if not isinstance(failure, ValidationError):
        raise failure
    return error(HTTPStatus.BAD_REQUEST, words_of(failure))


async def _crash(_: Request, __: Exception) -> Response:
    return error(HTTPStatus.INTERNAL_SERVER_ERROR, "The simulator itself has failed; see its standard error")
