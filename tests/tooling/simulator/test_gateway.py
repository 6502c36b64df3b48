"""Callbacks for an API Gateway go to the local cloud."""

import asyncio

import httpx
import pytest

from local.simulator import Faults, Settings, Simulator, create_app
from local.simulator.gateway import GatewayTransport, to_local_cloud
from tests.tooling.simulator.conftest import KEY, ORDER, Receiver

CLOUD = "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("url", "goes_to"),
    [
        (
            "https://abc123.execute-api.eu-west-3.amazonaws.com/webhooks/allomia/r-1/1/sig_-",
            f"{CLOUD}/_aws/execute-api/abc123/$default/webhooks/allomia/r-1/1/sig_-",
        ),
        (
            "https://abc123.execute-api.us-east-1.amazonaws.com/a%2Fb?c=d%20e",
            f"{CLOUD}/_aws/execute-api/abc123/$default/a%2Fb?c=d%20e",
        ),
        ("http://127.0.0.1:9/webhooks", None),
        ("https://example.org/abc123.execute-api.us-east-1.amazonaws.com", None),
        ("https://abc123.execute-api.us-east-1.amazonaws.com.example.org/", None),
        ("https://abc123.execute-api.localhost/x", None),
    ],
)
def test_only_the_url_of_an_api_gateway_changes(url: str, goes_to: str | None) -> None:
    assert str(to_local_cloud(httpx.URL(url), httpx.URL(CLOUD))) == (goes_to or url)


def test_the_transport_sends_the_host_of_the_local_cloud() -> None:
    sent: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    async def post(url: str) -> None:
        async with httpx.AsyncClient(transport=GatewayTransport(CLOUD, httpx.MockTransport(keep))) as client:
            await client.post(url, json={})

    asyncio.run(post("https://abc123.execute-api.eu-west-3.amazonaws.com/hook"))
    asyncio.run(post("https://example.org/hook"))

    assert [(request.url.host, request.url.port, request.headers["Host"]) for request in sent] == [
        ("127.0.0.1", 4566, "127.0.0.1:4566"),
        ("example.org", None, "example.org"),
    ]


def test_a_running_simulator_uses_its_gateway(receiver: Receiver) -> None:
    callback = "https://abc123.execute-api.eu-west-3.amazonaws.com/webhooks/allomia/r-1/1/signature"

    with Simulator(gateway=receiver.url, ring_seconds=0, webhook_delay_seconds=0) as simulator:
        httpx.post(f"{simulator.url}/api/outbound", headers=KEY, json=ORDER | {"callbackUrl": callback})
        path = "/_aws/execute-api/abc123/$default/webhooks/allomia/r-1/1/signature"
        webhook = receiver.wait_for(receiver.url + path)
        assert simulator.dials().accepted == {callback: 1}

    assert webhook["status"] == "completed"


def test_the_application_also_runs_in_this_process() -> None:
    received: list[str] = []

    async def receive(request: httpx.Request) -> httpx.Response:
        received.append(str(request.url))
        return httpx.Response(204)

    async def place(phone_number: str) -> httpx.Response:
        faults = Faults(ring_seconds=0, webhook_delay_seconds=0)
        app = create_app(Settings(faults), transport=httpx.MockTransport(receive))
        order = ORDER | {"phoneNumber": phone_number, "callbackUrl": "https://example.org/hook"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://allomia") as client:
            return await client.post("/api/outbound", headers=KEY, json=order)

    assert asyncio.run(place("+15005550201")).json()["status"] == "calling"
    assert received == ["https://example.org/hook"]
    with pytest.raises(ConnectionAbortedError):
        asyncio.run(place("+15005550315"))
