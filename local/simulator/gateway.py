"""Does for the local cloud what DNS does on the internet: finds an API Gateway by its public host name."""

import re

import httpx

_API_GATEWAY_HOST = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")


def to_local_cloud(url: httpx.URL, gateway: httpx.URL) -> httpx.URL:
    """Where the local cloud at `gateway` serves `url`; any URL but an API Gateway's is left as it is."""
    match = _API_GATEWAY_HOST.fullmatch(url.host)
    if match is None:
        return url
    path = f"/_aws/execute-api/{match['api']}/$default".encode() + url.raw_path
    return url.copy_with(scheme=gateway.scheme, host=gateway.host, port=gateway.port, raw_path=path)


class GatewayTransport(httpx.AsyncBaseTransport):
    """Sends requests for an API Gateway to the local cloud, and all others where they want to go."""

    def __init__(self, gateway: str, inner: httpx.AsyncBaseTransport) -> None:
        self._gateway = httpx.URL(gateway)
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` to where its URL really is."""
        url = to_local_cloud(request.url, self._gateway)
        if url != request.url:
            request.url = url
            # The local cloud also routes by host name, and knows this API under none of AWS's.
            request.headers["Host"] = url.netloc.decode()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport beneath."""
        await self._inner.aclose()
