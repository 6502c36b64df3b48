import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from local.bridge import Bridge

ANOTHER_ADDRESS_OF_THIS_MACHINE = "127.0.0.2"
NO_ADDRESS_OF_THIS_MACHINE = "192.0.2.1"


class Inner(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode() + b" " + body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Inner) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_a_service_on_localhost_is_reachable_over_the_bridge(port: int) -> None:
    with Bridge(port, address=ANOTHER_ADDRESS_OF_THIS_MACHINE) as bridge:
        url = f"http://{bridge.host}:{port}"
        answer = httpx.post(url, content=b"x" * 100_000, trust_env=False).content

    assert bridge.found
    assert bridge.host == ANOTHER_ADDRESS_OF_THIS_MACHINE
    assert answer == b"127.0.0.1 " + b"x" * 100_000
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, content=b"", trust_env=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_a_connection_that_is_still_open_ends_with_the_bridge(port: int) -> None:
    with Bridge(port, address=ANOTHER_ADDRESS_OF_THIS_MACHINE) as bridge:
        connection = socket.create_connection((bridge.host, port), timeout=5)
        connection.sendall(b"POST / HTTP/1.1\r\n")

    with connection:
        try:
            ended = connection.recv(1) == b""
        except ConnectionResetError:
            ended = True
    assert ended


def test_without_a_bridge_the_address_is_localhost() -> None:
    with Bridge(8070, address=NO_ADDRESS_OF_THIS_MACHINE) as bridge:
        assert not bridge.found
        assert bridge.host == "127.0.0.1"
