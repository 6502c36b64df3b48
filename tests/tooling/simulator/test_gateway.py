"""Callbacks for an API Gateway go to the local cloud."""

import asyncio

import httpx
import pytest

from local.simulator import Faults, Settings, Simulator, create_app
from local.simulator.gateway import GatewayTransport, to_local_cloud
from tests.tooling.simulator.conftest import ASSISTANT_ID, KEY, PHONE_NUMBER_ID, Receiver

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
        ("http://127.0.0.1:9/webhooks", "http://127.0.0.1:9/webhooks"),
        ("https://example.org/abc123.execute-api.us-east-1.amazonaws.com", None),
        ("https://abc123.execute-api.us-east-1.amazonaws.com.example.org/", None),
        ("https://abc123.execute-api.localhost/x", None),
    ],
)
def test_where_a_url_goes(url: str, goes_to: str | None) -> None:
    assert str(to_local_cloud(httpx.URL(url), httpx.URL(CLOUD))) == (goes_to or url)


def test_the_transport_sends_it_there_with_the_right_host() -> None:
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
    order = {"phoneNumber": "+33612345678", "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}

    with Simulator(gateway=receiver.url, ring_seconds=0, webhook_delay_seconds=0) as simulator:
        httpx.post(f"{simulator.url}/api/outbound", headers=KEY, json=order | {"callbackUrl": callback})
        (webhook,) = receiver.wait_for(
            f"{receiver.url}/_aws/execute-api/abc123/$default/webhooks/allomia/r-1/1/signature"
        )
        assert simulator.dials().accepted == {callback: 1}

    assert webhook.body["status"] == "completed"


def test_the_application_also_runs_in_process() -> None:
    received: list[httpx.Request] = []

    async def receive(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(204)

    async def place(phone_number: str) -> httpx.Response:
        app = create_app(
            Settings(Faults(ring_seconds=0, webhook_delay_seconds=0)), transport=httpx.MockTransport(receive)
        )
        order = {"phoneNumber": phone_number, "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://allomia") as client:
            return await client.post(
                "/api/outbound", headers=KEY, json=order | {"callbackUrl": "https://example.org/hook"}
            )

    assert asyncio.run(place("+15005550201")).json()["status"] == "calling"
    assert [str(request.url) for request in received] == ["https://example.org/hook"]
    with pytest.raises(ConnectionAbortedError):
        asyncio.run(place("+15005550315"))
