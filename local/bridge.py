"""A way from Docker's containers to what listens on this machine only.

`sam local` runs functions in containers on Docker's bridge network, from where 127.0.0.1 is the container itself (its
`--docker-network host` changes nothing: sam connects no container to that network). So the ports of the local cloud
and the simulator are opened a second time on the bridge's own address, for containers and nobody outside.
"""

import asyncio
import threading
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
        """Close them."""
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other direction sees it too
    finally:
        writer.close()
