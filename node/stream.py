"""One stream to the coordinator, from the dial to its end. It decides nothing: what happens on it goes to the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import grpc

from node.messages import FromCoordinator, FromNode
from node.wire import Malformed, decode, encode
from protos.nodes_pb2 import CoordinatorMessage, NodeMessage
from protos.nodes_pb2_grpc import NodesStub

FINISH_S = 1.0

Call = grpc.aio.StreamStreamCall[NodeMessage, CoordinatorMessage]


class Opened(NamedTuple):
    """The connection stands: TCP, TLS and HTTP/2. Nothing was said yet."""

    stream: Stream


class Received(NamedTuple):
    stream: Stream
    message: FromCoordinator


class Closed(NamedTuple):
    """The last that is heard of a stream, unless we closed it."""

    stream: Stream
    code: grpc.StatusCode
    sentence: str


class Crashed(NamedTuple):
    """A fault of our own, on this stream; to be raised where the session's caller sees it."""

    error: BaseException


Event = Opened | Received | Closed | Crashed


class Stream:
    """Dials as soon as it is made. `inbox` is called on the event loop, in order."""

    def __init__(self, channel: grpc.aio.Channel, inbox: Callable[[Event], None]) -> None:
        self._channel = channel
        self._inbox = inbox
        self._outgoing: asyncio.Queue[FromNode | None] = asyncio.Queue()
        self.opened = False
        self._life: asyncio.Task[Closed] = asyncio.create_task(self._live())
        self._life.add_done_callback(self._over)

    def send(self, message: FromNode) -> None:
        """Queue it. What the link cannot carry is lost with the stream."""
        self._outgoing.put_nowait(message)

    def close(self) -> None:
        """Say nothing more, hear nothing more. `closed` waits for it."""
        self._life.cancel()

    async def closed(self) -> None:
        await asyncio.wait([self._life])

    async def finish(self) -> None:
        """Send what is queued, say that this was all, and close; within `FINISH_S`."""
        self._outgoing.put_nowait(None)
        await asyncio.wait([self._life], timeout=FINISH_S)
        self.close()
        await self.closed()

    def _over(self, life: asyncio.Task[Closed]) -> None:
        if life.cancelled():
            return
        error = life.exception()
        self._inbox(Crashed(error) if error is not None else life.result())

    async def _live(self) -> Closed:
        async with self._channel:
            call: Call = NodesStub(self._channel).Connect()
            try:
                await call.wait_for_connection()
            except grpc.aio.AioRpcError as error:
                return self._ended(error)
            self.opened = True
            self._inbox(Opened(self))
            async with asyncio.TaskGroup() as both:
                writing = both.create_task(self._write(call))
                closed = await self._read(call)
                writing.cancel()
            return closed

    async def _read(self, call: Call) -> Closed:
        try:
            while isinstance(message := await call.read(), CoordinatorMessage):
                received = decode(message)
                if received is not None:
                    self._inbox(Received(self, received))
        except grpc.aio.AioRpcError as error:
            return self._ended(error)
        except Malformed as error:
            return Closed(self, grpc.StatusCode.INTERNAL, f"the coordinator sent {error}")
        return Closed(self, grpc.StatusCode.OK, "the coordinator ended the stream")

    def _ended(self, error: grpc.aio.AioRpcError) -> Closed:
        return Closed(self, error.code(), error.details() or error.code().name)

    async def _write(self, call: Call) -> None:
        while (message := await self._outgoing.get()) is not None:
            try:
                await call.write(encode(message))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the stream is over: reading says why
        await call.done_writing()
