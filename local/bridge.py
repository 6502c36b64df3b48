"""A way from Docker's containers to what listens on this machine only.

`sam local` runs functions in containers on Docker's bridge network, from where 127.0.0.1 is the container itself (its
`--docker-network host` changes nothing: sam connects no container to that network). So the ports of the local cloud
and the simulator are opened a second time on the bridge's own address, for containers and nobody outside.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

DOCKER_BRIDGE = "172.17.0.1"
"""The machine's address on Docker's default bridge on Linux. Without Docker, or on other systems, there is none."""


class Bridge:
    """Forwards ports of the bridge's address to the same ports of 127.0.0.1 while the context is open."""

    def __init__(self, *ports: int, address: str = DOCKER_BRIDGE) -> None:
        self._address = address
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self.host = "127.0.0.1"
        """Where to reach the ports from wherever it is possible: the bridge's address, if there is one."""

    def __enter__(self) -> Self:
        """Open the ports, if there is a bridge."""
        self._thread.start()
        try:
            for port in self._ports:
                opening = asyncio.start_server(self._forward, self._address, port)
                self._servers.append(asyncio.run_coroutine_threadsafe(opening, self._loop).result())
            self.host = self._address
        except OSError:
            pass  # no such address here, so no containers to open a way for
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them, and what runs over them."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        # What asyncio is just accepting becomes a connection first: stopped half-way, it would stay open.
        await asyncio.sleep(0.05)
        for server in self._servers:
            server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closed_in_the_end(writer):
            port = writer.get_extra_info("sockname")[1]
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            async with _closed_in_the_end(inner_writer):
                await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))


@asynccontextmanager
async def _closed_in_the_end(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other direction sees it too
    finally:
        writer.close()
