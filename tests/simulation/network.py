"""Links with delay, jitter, stalls and cuts, under gRPC's own names, so that the real ends of a stream can use them.

A stream is reliable and ordered while it lives. A stall holds everything back and lets it through afterwards, as TCP
does; a cut loses what is on its way, and the two sides learn of it apart and late.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any

import grpc

from protos.nodes_pb2 import CoordinatorMessage, NodeMessage

REDIAL_S = 1.0  # a lost SYN is repeated


class Link:
    """The way between the coordinator and one node: what is true of all streams on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random, one_way_s: float, jitter_s: float) -> None:
        self.loop = loop
        self.rng = rng
        self.one_way_s = one_way_s
        self.jitter_s = jitter_s
        self.blocked_until = {"up": 0.0, "down": 0.0}
        self.streams: list[Stream] = []
        self.serve: Callable[[Stream], Callable[[], None]] | None = None  # None: nobody listens at the other end

    def travel_s(self) -> float:
        return self.one_way_s + self.rng.random() * self.jitter_s

    async def lets_through(self) -> None:
        """Both ways are open, or were at one of the moments at which a dial is repeated."""
        for _ in range(1000):
            if max(self.blocked_until.values()) <= self.loop.time():
                return
            await asyncio.sleep(REDIAL_S)

    def stall(self, seconds: float, directions: tuple[str, ...] = ("up", "down")) -> None:
        for direction in directions:
            self.blocked_until[direction] = max(self.blocked_until[direction], self.loop.time() + seconds)

    def cut(self, node_learns_s: float, coordinator_learns_s: float) -> None:
        """Every stream is dead from now on."""
        for stream in list(self.streams):
            stream.cut(node_learns_s, coordinator_learns_s)


class Pipe:
    """One direction of one stream."""

    def __init__(self, link: Link, direction: str, deliver: Callable[[Any], None]) -> None:
        self._link, self._direction, self._deliver = link, direction, deliver
        self._last = 0.0
        self.alive = True

    def send(self, message: Any) -> None:
        link = self._link
        start = max(link.loop.time(), link.blocked_until[self._direction])
        self._last = max(self._last, start + link.travel_s())
        link.loop.call_at(self._last, self._arrive, message)

    def _arrive(self, message: Any) -> None:
        if self.alive:
            self._deliver(message)


class _Over:
    """The end of a stream as one side meets it. `error`: a sentence, or empty for an end in order."""

    def __init__(self, error: str) -> None:
        self.error = error


class Stream:
    """One call of Nodes.Connect: two pipes, and what waits at their ends."""

    def __init__(self, link: Link, name: str) -> None:
        self.name = name
        self.link = link
        self.at_node: asyncio.Queue[CoordinatorMessage | _Over] = asyncio.Queue()
        self.at_coordinator: asyncio.Queue[NodeMessage | _Over] = asyncio.Queue()
        self.up = Pipe(link, "up", self.at_coordinator.put_nowait)
        self.down = Pipe(link, "down", self.at_node.put_nowait)
        self.end_handler: Callable[[], None] = lambda: None  # gRPC cancels the handler of a stream that broke
        self.said: list[NodeMessage] = []  # for those who replay
        link.streams.append(self)

    def cut(self, node_learns_s: float, coordinator_learns_s: float) -> None:
        if not self.up.alive:
            return
        self.up.alive = self.down.alive = False
        self.link.streams.remove(self)
        loop = self.link.loop
        loop.call_later(node_learns_s, self.at_node.put_nowait, _Over("the connection was reset"))
        loop.call_later(coordinator_learns_s, self.end_handler)

    def hung_up(self) -> None:
        """The node is done with it: what it said before still arrives."""
        self.up.send(_Over("the node went away"))

    # -- the coordinator's end

    def requests(self) -> AsyncIterator[NodeMessage]:
        return _Requests(self)

    def ended_by_coordinator(self, error: str) -> None:
        self.down.send(_Over(error))


class _Requests(AsyncIterator[NodeMessage]):
    """What the node says, as gRPC hands it to a handler."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def __anext__(self) -> NodeMessage:
        message = await self._stream.at_coordinator.get()
        if not isinstance(message, _Over):
            return message
        self._stream.at_coordinator.put_nowait(message)
        if message.error:
            self._stream.end_handler()
        raise StopAsyncIteration


class Channel:
    """What a node dials with: a `grpc.aio.Channel` as far as `node.stream` uses one."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name
        self._call: Call | None = None

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._call is not None and self._call.stream is not None:
            self._call.stream.hung_up()

    def stream_stream(self, method: str, **_: Any) -> Callable[[], Call]:
        assert method == "/edgeward.v1.Nodes/Connect"

        def connect() -> Call:
            self._call = Call(self._link, self._name)
            return self._call

        return connect


class Call:
    """A `grpc.aio.StreamStreamCall`."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name
        self.stream: Stream | None = None

    async def wait_for_connection(self) -> None:
        for _ in range(2):  # TCP, TLS
            await self._link.lets_through()
            await asyncio.sleep(self._link.travel_s() + self._link.travel_s())
        if self._link.serve is None:
            raise _error("connection refused")
        self.stream = Stream(self._link, self._name)
        self.stream.end_handler = self._link.serve(self.stream)

    async def read(self) -> Any:
        assert self.stream is not None
        message = await self.stream.at_node.get()
        if not isinstance(message, _Over):
            return message
        if message.error:
            raise _error(message.error)
        return grpc.aio.EOF

    async def write(self, message: NodeMessage) -> None:
        assert self.stream is not None
        self.stream.said.append(message)
        self.stream.up.send(message)

    async def done_writing(self) -> None:
        assert self.stream is not None
        self.stream.up.send(_Over(""))


def _error(details: str) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details=details)
