"""An HTTP proxy between AWS clients and an endpoint. Subclasses count, drop or change what passes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, override

import httpx

# These describe one connection, so each side sets its own.
_HOP_BY_HOP = {"connection", "content-length", "content-encoding", "transfer-encoding", "keep-alive", "date", "server"}


class Proxy:
    """Forwards every POST to the endpoint while the context is open. Point the clients at `url`."""

    def __init__(self, endpoint_url: str) -> None:
        self._http = httpx.Client(base_url=endpoint_url, trust_env=False, limits=httpx.Limits(max_connections=64))
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = proxy.forward(self.path, dict(self.headers), body)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self._http.close()

    @property
    def url(self) -> str:
        """The endpoint for the clients."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """Send one request on and return its response; None closes the connection without one. Thread-safe."""
        return self._http.post(path, content=body, headers=headers)
