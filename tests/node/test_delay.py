"""The injected delay: late by what was asked, never out of order, and nothing lost at the end."""

from __future__ import annotations

import asyncio
import contextlib
import time

from node.delay import DelayProxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def echo_server() -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_bytes_come_back_whole_in_order_and_late() -> None:
    server, port = await echo_server()
    payload = bytes(range(256)) * 8192  # 2 MiB: more than any one buffer on the way
    async with server, DelayProxy("127.0.0.1", port, 0.080) as address:
        host, _, proxy_port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(proxy_port))
        started = time.monotonic()
        writer.write(payload)
        writer.write_eof()
        assert await reader.readexactly(1) == payload[:1]
        assert time.monotonic() - started >= 0.080
        assert payload[:1] + await reader.read() == payload
        writer.close()


async def test_connection_to_nobody_ends() -> None:
    server, port = await echo_server()
    server.close()
    await server.wait_closed()
    async with DelayProxy("127.0.0.1", port, 0.0) as address:
        host, _, proxy_port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(proxy_port))
        with contextlib.suppress(ConnectionResetError):  # as good an end as any
            assert await reader.read() == b""
        writer.close()


async def test_far_side_that_resets_ends_the_near_side() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with DelayProxy("127.0.0.1", port, 0.0) as address:
            host, _, proxy_port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(proxy_port))
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
