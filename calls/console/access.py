"""Who may use the console: the browser that opened the printed URL, and no page of another origin."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "calls-console"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With `no-referrer` browsers would send forms with the origin `null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""On every response."""

_OWN_PAGES = frozenset({"same-origin", "none"})
"""What a browser says of requests from a page of the console, or from the person: an address or a bookmark."""


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of one run: in the printed URL, in the cookie, and in every form."""

    url: str = field(default_factory=_secret)
    cookie: str = field(default_factory=_secret)
    form: str = field(default_factory=_secret)


@dataclass(frozen=True, slots=True)
class Access:
    """Lets through requests of the one browser that exchanged the URL's token for the cookie.

    The `Host` header must name the address itself, so that no other name that leads here can be used. A POST must come
    from a page of this origin.
    """

    app: ASGIApp
    host: str
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"not a request: {scope['type']}")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(Request(scope)) or self.app
        await answer(scope, receive, with_headers)

    def _answer(self, request: Request) -> Response | None:
        """The response to a request that isn't passed on."""
        if request.headers.getlist("host") != [self.host]:
            return PlainTextResponse("The console has another address.", 421)
        token = request.query_params.get("token")
        if token is not None and request.method == "GET" and request.url.path == "/":
            return self._let_in(token)
        if not _equal(request.cookies.get(COOKIE, ""), self.keys.cookie):
            return PlainTextResponse("Open the address that the command printed.", 403)
        if request.headers.get("sec-fetch-site", "none") not in _OWN_PAGES:
            return PlainTextResponse("Not from another page.", 403)
        if request.method not in {"GET", "HEAD"} and request.headers.getlist("origin") != [f"http://{self.host}"]:
            return PlainTextResponse("Not from another page.", 403)
        return None

    def _let_in(self, token: str) -> Response:
        if not _equal(token, self.keys.url):
            return PlainTextResponse("This isn't the address that the command printed.", 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, self.keys.cookie, httponly=True, samesite="strict")
        return response


def _equal(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
