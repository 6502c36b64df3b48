"""Runs the console on 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from calls.console.access import Keys
from calls.console.app import ConsoleOptions, console_app
from calls.operations.stack import DeployedStack

ADDRESS = "127.0.0.1"


def serve(stack: DeployedStack, options: ConsoleOptions, port: int, on_start: Callable[[str], None]) -> None:
    """Run until Ctrl-C. `on_start` gets the URL to open. Port 0 is any that is free.

    Raises:
        OSError: When the port is in use.
    """
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen()
        host, keys = f"{ADDRESS}:{listening.getsockname()[1]}", Keys()
        # No logs: a line of access would hold the token, and one of an error perhaps a person's data.
        config = uvicorn.Config(
            console_app(stack, options, host, keys),
            access_log=False,
            log_level="critical",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            ws="none",
        )
        on_start(f"http://{host}/?token={keys.url}")
        uvicorn.Server(config).run(sockets=[listening])
