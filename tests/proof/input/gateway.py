"""The HTTP API in front of the handlers, in one process: routes, authorizers and events as API Gateway makes them."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.functions import load_function
from tests.tooling.template.rendering import read_template

type Event = dict[str, Any]
type Handler = Callable[[Event, object], Event]


@dataclass(frozen=True)
class HttpRoute:
    """A route of the template, and the folder of its function's code."""

    method: str
    path: str
    needs_iam: bool
    folder: str


def routes() -> list[HttpRoute]:
    """The routes of the template's HTTP API."""
    return [
        HttpRoute(
            event["Properties"]["Method"],
            event["Properties"]["Path"],
            event["Properties"].get("Auth", {}).get("Authorizer") == "AWS_IAM",
            resource["Properties"]["CodeUri"],
        )
        for resource in read_template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    ]


def gateway(environment: Mapping[str, str]) -> Starlette:
    """The HTTP API, with handlers that have this environment."""
    handlers: dict[HttpRoute, Handler] = {
        route: load_function(route.folder.strip("/"), environment).handler for route in routes()
    }
    return Starlette(
        routes=[
            Route(route.path, _endpoint(route, handler), methods=[route.method]) for route, handler in handlers.items()
        ]
    )


def _endpoint(route: HttpRoute, handler: Handler) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        # IAM would verify the signature. Here any signature is valid.
        if route.needs_iam and not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            return JSONResponse({"message": "Forbidden"}, 403)
        event = _event(route, request, await request.body())
        answer = await asyncio.to_thread(handler, event, None)
        return Response(answer["body"], answer["statusCode"], answer["headers"])

    return endpoint


def _event(route: HttpRoute, request: Request, body: bytes) -> Event:
    # docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    event = {
        "version": "2.0",
        "routeKey": f"{route.method} {route.path}",
        "rawPath": request.url.path,
        "headers": dict(request.headers),
        "pathParameters": dict(request.path_params),
        "isBase64Encoded": False,
    }
    try:
        return event | ({"body": body.decode()} if body else {})
    except UnicodeDecodeError:
        return event | {"body": b64encode(body).decode(), "isBase64Encoded": True}
