"""Lets Docker containers reach services that listen on localhost only.

`sam local` runs functions in containers on Docker's bridge network, where 127.0.0.1 is the container itself. (Its
`--docker-network host` does not help: sam connects no container to that network.) So the ports of the local cloud and
the simulator are also opened on the bridge's address, which only this machine and its containers can reach.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

DOCKER_BRIDGE = "172.17.0.1"
"""The machine's address on Docker's default bridge on Linux. It exists only while Docker runs."""


TIMEOUT_SECONDS = 10.0


class Bridge:
    """Forwards ports of the bridge's address to the same ports of 127.0.0.1 while the context is open."""

    def __init__(self, *ports: int, address: str = DOCKER_BRIDGE) -> None:
        self._address = address
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self.host = "127.0.0.1"
        """The address that works from the most places: the bridge's if it exists, else 127.0.0.1."""

    def __enter__(self) -> Self:
        """Open the ports if the bridge exists."""
        self._thread.start()
        try:
            for port in self._ports:
                opening = asyncio.start_server(self._forward, self._address, port)
                self._servers.append(asyncio.run_coroutine_threadsafe(opening, self._loop).result(TIMEOUT_SECONDS))
            self.host = self._address
        except OSError:
            pass  # no bridge, so no containers
        return self

    @property
    def found(self) -> bool:
        """Whether Docker's bridge exists, so that containers reach the ports."""
        return bool(self._servers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ports and their open connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(TIMEOUT_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_SECONDS)
        self._loop.close()

    async def _close(self) -> None:
        # Let asyncio finish accepting connections first: interrupted half-way, one would stay open.
        await asyncio.sleep(0.05)
        for server in self._servers:
            server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            port = writer.get_extra_info("sockname")[1]
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            async with _closing(inner_writer):
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other direction fails too
    finally:
        writer.close()
