"""The simulator as a process: uvicorn, with a way for the application to close a connection."""

import asyncio
import contextlib
import json
import os
import socket
import sys

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_OPEN_REQUESTS_SECONDS = 1
"""How long open requests (some hang on purpose) may delay the exit."""

_KEEP_ALIVE_SECONDS = 75
"""Longer than httpx keeps an idle connection (5 s), so that no request is sent on one that is closing."""


class _CloseableConnection(H11Protocol):
    """Gives the application `close_connection`, which closes the connection of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "close_connection": transport.close}


class _AnnouncedServer(uvicorn.Server):
    """Prints where it listens, once it does: `{"url": "http://127.0.0.1:12345"}`."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in (each for server in self.servers for each in server.sockets):
            host, port = listener.getsockname()[:2]
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)


def serve(app: ASGIApp, host: str, port: int, *, stop_at_end_of_input: bool) -> None:
    """Serve `app` until SIGINT or SIGTERM.

    Args:
        app: The application.
        host: The address to listen on.
        port: The port to listen on; 0 lets the system choose.
        stop_at_end_of_input: Also stop when standard input ends, as it does when the parent process ends or dies.
    """
    server = _AnnouncedServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=_CloseableConnection,
            ws="none",
            lifespan="on",
            log_level="warning",
            # Paths contain ids, and callback URLs signatures; /_control shows what happened.
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_OPEN_REQUESTS_SECONDS,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(server, stop_at_end_of_input=stop_at_end_of_input))


async def _serve(server: uvicorn.Server, *, stop_at_end_of_input: bool) -> None:
    loop = asyncio.get_running_loop()

    def stop_if_ended() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin)
            server.should_exit = True

    if stop_at_end_of_input:
        loop.add_reader(sys.stdin, stop_if_ended)
    await server.serve()
