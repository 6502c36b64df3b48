"""How the command reaches what isn't AWS: over the proxy that the environment names, as curl and the AWS CLI do.

The functions obey no proxy variable: their deadlines are tested without one.
"""

from urllib.request import getproxies, proxy_bypass

import httpx


def proxied(url: str) -> httpx.BaseTransport | None:
    """A transport over the proxy for this URL, by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; None for none.

    Raises:
        UnsupportedProtocol: When the proxy's protocol isn't HTTP.
    """
    target, proxies = httpx.URL(url), getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(target.host):
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    if not address.startswith(("http://", "https://")):
        raise httpx.UnsupportedProtocol("only HTTP proxies are supported")
    return httpx.HTTPTransport(proxy=address)
