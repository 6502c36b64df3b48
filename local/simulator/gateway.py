"""Sends requests for an API Gateway's public host name to the local cloud, which DNS can't do."""

import re

import httpx

_API_GATEWAY_HOST = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")


def to_local_cloud(url: httpx.URL, gateway: httpx.URL) -> httpx.URL:
    """Where the local cloud at `gateway` serves `url`; only an API Gateway's URL changes."""
    match = _API_GATEWAY_HOST.fullmatch(url.host)
    if match is None:
        return url
    path = f"/_aws/execute-api/{match['api']}/$default".encode() + url.raw_path
    return url.copy_with(scheme=gateway.scheme, host=gateway.host, port=gateway.port, raw_path=path)


class GatewayTransport(httpx.AsyncBaseTransport):
    """Sends requests for an API Gateway to the local cloud, and others unchanged."""

    def __init__(self, gateway: str, inner: httpx.AsyncBaseTransport) -> None:
        self._gateway = httpx.URL(gateway)
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, redirected where necessary."""
        url = to_local_cloud(request.url, self._gateway)
        if url != request.url:
            request.url = url
            # The local cloud also routes by host name, and does not know the public one.
            request.headers["Host"] = url.netloc.decode()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
