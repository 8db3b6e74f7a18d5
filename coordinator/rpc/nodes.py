"""The nodes' service: one stream a node. Reads what it says into turns, writes what turns have for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog

from coordinator.coordinator import Coordinator
from coordinator.errors import InvalidFacts, StoreUnavailable
from coordinator.live import Live, Outbox
from coordinator.rpc import wire
from coordinator.rpc.gate import current_identity
from coordinator.turn import TurnLoop
from placement.model import NodeFacts
from protos import nodes_pb2, nodes_pb2_grpc

log = structlog.get_logger()
Context = grpc.aio.ServicerContext[Any, Any]


class NodesService(nodes_pb2_grpc.NodesServicer):
    """Nodes.Connect."""

    def __init__(self, turns: TurnLoop, live: Live, *, heartbeat_s: float, lease_s: float) -> None:
        self._turns = turns
        self._live = live
        self._welcome = nodes_pb2.CoordinatorMessage(
            welcome=nodes_pb2.Welcome(heartbeat_ms=round(heartbeat_s * 1e3), lease_ms=round(lease_s * 1e3))
        )

    async def Connect(
        self, requests: AsyncIterator[nodes_pb2.NodeMessage], context: Context
    ) -> AsyncIterator[nodes_pb2.CoordinatorMessage]:
        name = current_identity().name
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("message") != "hello":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a node's first message is its hello")
        hello = first.hello
        if hello.facts.name != name:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"this certificate is {name}'s: it cannot speak for another node"
            )
        facts = wire.facts(hello.facts)
        outbox = Outbox()
        held, reporting, incarnation = list(hello.held_epochs), list(hello.reporting_epochs), hello.incarnation

        def join(coordinator: Coordinator, now: float) -> None:
            """Within the turn: what the turns before it placed never reaches this stream, and is known to be lost."""
            if not outbox.closed:  # else the stream broke while it waited for this turn
                coordinator.hello(facts, held, reporting, incarnation, now)
                self._live.connect(name, incarnation, outbox)

        def leave(coordinator: Coordinator, now: float) -> None:
            """In its turn as well: a newer stream may have joined by then, and the node is not gone."""
            if self._live.nodes.get(name) is outbox:
                del self._live.nodes[name]
                coordinator.disconnected(name)

        reader: asyncio.Future[None] | None = None
        try:
            await self._turns.ask(join)
            log.info("node_connected", node=name, site=facts.site, region=facts.region)
            reader = asyncio.ensure_future(self._read(name, requests, outbox))
            yield self._welcome  # before anything that the turn has put in the outbox
            while (message := await outbox.get()) is not None:
                yield message  # type: ignore[misc]
            if outbox.wrong is not None:
                raise outbox.wrong
            if reader.done():
                reader.result()
        finally:
            if reader is not None:
                reader.cancel()
            outbox.close()
            self._turns.tell(leave)
            log.info("node_disconnected", node=name)

    async def _read(self, name: str, requests: AsyncIterator[nodes_pb2.NodeMessage], outbox: Outbox) -> None:
        """Everything the node says, until its stream ends; then the outbox is closed."""
        waiting: set[asyncio.Task[None]] = set()
        try:
            async for message in requests:
                if self._live.nodes.get(name) is not outbox:
                    return  # fenced: another stream is heard now
                answer = asyncio.ensure_future(self._heard(name, message, outbox))
                waiting.add(answer)
                answer.add_done_callback(waiting.discard)
        finally:
            outbox.close()

    async def _heard(self, name: str, message: nodes_pb2.NodeMessage, outbox: Outbox) -> None:
        try:
            await self._answer(name, message, outbox)
        except StoreUnavailable:
            return  # no acknowledgement: the node says it again
        except (wire.Malformed, InvalidFacts) as wrong:
            log.warning("node_malformed", node=name, reason=str(wrong))
            outbox.wrong = wrong
            outbox.close()

    async def _answer(self, name: str, message: nodes_pb2.NodeMessage, outbox: Outbox) -> None:
        kind = message.WhichOneof("message")
        if kind == "heartbeat":
            beat = message.heartbeat
            rtt_s = beat.rtt_us / 1e6 if beat.rtt_us else None
            progress = list(zip(beat.epochs, beat.units_done, strict=False))
            await self._turns.ask(lambda c, now: c.heartbeat(name, rtt_s, beat.running, beat.waiting, progress, now))
            outbox.put(nodes_pb2.CoordinatorMessage(heartbeat_ack=nodes_pb2.HeartbeatAck(beat=beat.beat)))
        elif kind == "reports":
            told = list(wire.reports(message.reports))
            await self._turns.ask(lambda c, now: c.report(name, told, now))
            last = message.reports.last_report
            outbox.put(nodes_pb2.CoordinatorMessage(reports_ack=nodes_pb2.ReportsAck(last_report=last)))
        elif kind == "draining":
            on = message.draining.on
            await self._turns.ask(lambda c, now: c.draining(name, on))
        elif kind == "facts":
            changed: NodeFacts = wire.facts(message.facts)
            await self._turns.ask(lambda c, now: c.facts_changed(name, changed))
