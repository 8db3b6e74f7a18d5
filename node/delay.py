"""Injected delay: a proxy inside the node's process that holds every byte back, to make one machine look like several.

What passes is the node's own TLS, end to end, untouched. It shows as `injected` wherever a round trip is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

CHUNK_BYTES = 64 * 1024
CHUNKS_IN_FLIGHT = 256  # 16 MiB each way: past it the sender has to wait, as on a real link
CONNECT_S = 5.0


class DelayProxy:
    """Listens on loopback and forwards to `host:port`, half of `round_trip_s` late in each direction.

    async with DelayProxy("10.0.0.1", 7370, 0.040) as address:
        channel = secure_channel(credentials, address)
    """

    def __init__(self, host: str, port: int, round_trip_s: float) -> None:
        self._host, self._port, self._one_way_s = host, port, round_trip_s / 2
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=CHUNK_BYTES)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # A side that resets or cannot be reached ends the connection; the other learns it by the abort below.
            # Our own end cancels it: asyncio would print that as an error of the connection.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.wait_for(
            asyncio.open_connection(self._host, self._port, limit=CHUNK_BYTES), CONNECT_S
        )
        pumps = [
            asyncio.ensure_future(_delayed(reader, far_writer, self._one_way_s)),
            asyncio.ensure_future(_delayed(far_reader, writer, self._one_way_s)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            far_writer.transport.abort()


async def _delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way_s: float) -> None:
    """Every chunk leaves `one_way_s` after it came, in order; the end of the stream as well."""
    loop = asyncio.get_running_loop()
    in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_IN_FLIGHT)

    async def take() -> None:
        chunk = b"."
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = b""  # a reset: what came before it still arrives, then the end
            await in_flight.put((loop.time() + one_way_s, chunk))

    taking = asyncio.ensure_future(take())
    try:
        while True:
            due, chunk = await in_flight.get()
            await asyncio.sleep(due - loop.time())
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    finally:
        taking.cancel()
