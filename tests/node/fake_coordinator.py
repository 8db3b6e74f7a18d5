"""A coordinator that only knows the stream: it welcomes, acknowledges, and does to it what a test asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any

import grpc

from protos import nodes_pb2 as pb
from protos.nodes_pb2_grpc import NodesServicer, add_NodesServicer_to_server

EASY = b"\xff" * 32
HARD = bytes(32)


class Link:
    """One stream, as the coordinator sees it."""

    def __init__(self, hello: pb.Hello) -> None:
        self.hello = hello
        self.heard: list[pb.NodeMessage] = []
        self.outgoing: asyncio.Queue[pb.CoordinatorMessage | None] = asyncio.Queue()
        self.over = asyncio.Event()

    def say(self, **message: Any) -> None:
        self.outgoing.put_nowait(pb.CoordinatorMessage(**message))

    def end(self) -> None:
        self.outgoing.put_nowait(None)

    def assign(self, *epochs: int, count: int = 1000, target: bytes = HARD) -> None:
        shared = pb.HashShared(header=bytes(76), target=target, find_all=False)
        many = len(epochs)
        self.say(
            assign=pb.Assign(
                work=[shared], works=[0] * many, epochs=epochs, nonce_starts=[0] * many, nonce_counts=[count] * many
            )
        )


class FakeCoordinator(NodesServicer):
    """async with FakeCoordinator() as coordinator: dial(coordinator.address)"""

    def __init__(self, *, heartbeat_ms: int = 50, lease_ms: int = 10_000) -> None:
        self.heartbeat_ms, self.lease_ms = heartbeat_ms, lease_ms
        self.links: list[Link] = []
        self.outcomes: dict[int, str] = {}
        self.units: dict[int, int] = {}
        self.nonces: dict[int, list[int]] = {}
        self.speaks = asyncio.Event()  # cleared: it hears, but says nothing
        self.speaks.set()
        self.refuse: tuple[grpc.StatusCode, str] | None = None
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> FakeCoordinator:
        self._server = grpc.aio.server()
        add_NodesServicer_to_server(self, self._server)
        port = self._listen(self._server)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()
        return self

    def _listen(self, server: grpc.aio.Server) -> int:
        return server.add_insecure_port("127.0.0.1:0")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    async def Connect(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.CoordinatorMessage]:
        if self.refuse is not None:
            await context.abort(*self.refuse)
        first = await anext(aiter(request_iterator))
        link = Link(first.hello)
        self.links.append(link)
        link.say(welcome=pb.Welcome(heartbeat_ms=self.heartbeat_ms, lease_ms=self.lease_ms))
        hearing = asyncio.create_task(self._hear(link, request_iterator))
        try:
            await self._tell()
            while (message := await link.outgoing.get()) is not None:
                await self.speaks.wait()
                yield message
        finally:
            hearing.cancel()
            link.over.set()

    async def _hear(self, link: Link, requests: Any) -> None:
        async for message in requests:
            link.heard.append(message)
            if message.HasField("heartbeat"):
                link.say(heartbeat_ack=pb.HeartbeatAck(beat=message.heartbeat.beat))
            elif message.HasField("reports"):
                self._reported(message.reports)
                link.say(reports_ack=pb.ReportsAck(last_report=message.reports.last_report))
            await self._tell()
        link.end()

    def _reported(self, reports: pb.Reports) -> None:
        for epoch, outcome, units in zip(reports.epochs, reports.outcomes, reports.units_done, strict=True):
            name = pb.Outcome.Name(outcome).removeprefix("OUTCOME_").lower()
            assert self.outcomes.setdefault(epoch, name) == name
            self.units[epoch] = units
        for found in reports.found:
            self.nonces[reports.epochs[found.position]] = list(found.nonces)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def link(self, number: int = 1) -> Link:
        """The stream that was opened as the `number`th."""
        await self.until(lambda: len(self.links) >= number)
        return self.links[number - 1]

    def beats(self, link: Link) -> list[pb.Heartbeat]:
        return [message.heartbeat for message in link.heard if message.HasField("heartbeat")]
