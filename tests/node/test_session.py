"""A session against a real stream: work comes, reports go, links end, people want it gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from node.actions import Cause, Quit
from node.agent import Agent
from node.delay import DelayProxy
from node.executor.inline import InlineExecutor
from node.meter import ModelledMeter
from node.redial import Redial
from node.session import Session
from protos import nodes_pb2 as pb
from tests.node.fake_coordinator import EASY, FakeCoordinator
from tests.node.world import FACTS

OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


class Node:
    """A session that runs beside the test."""

    session: Session
    task: asyncio.Task[Quit]

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []
        self._unread: asyncio.Queue[str] = asyncio.Queue()

    def say(self, event: str, fields: dict[str, object]) -> None:
        self.said.append((event, fields))
        self._unread.put_nowait(event)

    async def until_said(self, wanted: str) -> None:
        async with asyncio.timeout(20):
            while await self._unread.get() != wanted:
                pass

    def events(self) -> list[str]:
        return [event for event, _ in self.said]


@asynccontextmanager
async def node_at(address: str, *, slots: int = 2, least_silence_us: int = 3_000_000) -> AsyncIterator[Node]:
    node = Node()
    session = Session(
        lambda: grpc.aio.insecure_channel(address, OPTIONS),
        say=node.say,
        redial=Redial(random.Random(1), least_silence_us=least_silence_us),
    )
    executor = InlineExecutor(slots, on_ended=session.ended, hashes_per_s=1e6)
    await executor.start()
    agent = Agent(FACTS._replace(slots=slots), ModelledMeter.of(10, 30, slots), incarnation=9)
    node.session, node.task = session, asyncio.create_task(session.run(agent, executor))
    try:
        yield node
    finally:
        node.task.cancel()
        with suppress(asyncio.CancelledError):
            await node.task
        await executor.close()


@pytest.fixture
async def coordinator() -> AsyncIterator[FakeCoordinator]:
    async with FakeCoordinator() as running:
        yield running


async def test_node_says_hello_works_and_reports(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address):
        link = await coordinator.link()
        assert (link.hello.facts.name, link.hello.incarnation) == ("edge-1", 9)
        link.assign(1, 2, 3)
        link.assign(4, target=EASY)
        await coordinator.until(lambda: len(coordinator.outcomes) == 4)
    assert set(coordinator.outcomes.values()) == {"done"}
    assert coordinator.units == {1: 1000, 2: 1000, 3: 1000, 4: 1}
    assert coordinator.nonces == {4: [0]}


async def test_many_tasks_are_reported_in_few_messages(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address):
        link = await coordinator.link()
        link.assign(*range(2000), count=1)
        await coordinator.until(lambda: len(coordinator.outcomes) == 2000)
    assert sum(message.HasField("reports") for message in link.heard) < 200


async def test_stream_that_the_coordinator_ends_is_dialled_again_and_work_goes_on(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address, slots=1) as node:
        first = await coordinator.link(1)
        first.assign(1, count=2**32)
        await coordinator.until(lambda: any(beat.running for beat in coordinator.beats(first)))
        first.end()
        second = await coordinator.link(2)
        assert list(second.hello.held_epochs) == [1]
        second.say(revoke=pb.Revoke(epochs=[1]))
        await coordinator.until(lambda: 1 in coordinator.outcomes)
        assert coordinator.outcomes == {1: "released"}
        assert coordinator.units[1] > 0
        assert node.events() == ["connected", "unreachable", "connected"]


async def test_coordinator_that_was_away_is_found_again(coordinator: FakeCoordinator) -> None:
    async with FakeCoordinator() as gone:
        address = gone.address
    async with node_at(address) as node:
        await node.until_said("unreachable")
        again = FakeCoordinator()
        again._listen = lambda server: server.add_insecure_port(address)  # type: ignore[method-assign]
        async with again:
            await again.link()
            await again.until(lambda: bool(again.beats(again.links[0])))
        assert node.events().count("unreachable") == 1  # told once, however often it was tried


async def test_heartbeats_are_steady_while_every_slot_works(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address, slots=1):
        link = await coordinator.link()
        link.assign(1, count=2**32)
        await coordinator.until(lambda: len(coordinator.beats(link)) >= 20)
        assert [beat.beat for beat in coordinator.beats(link)[:20]] == list(range(1, 21))
        await coordinator.until(lambda: any(units for beat in coordinator.beats(link) for units in beat.units_done))


async def test_link_that_falls_silent_is_replaced_by_a_second_one(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address, least_silence_us=300_000) as node:
        first = await coordinator.link(1)
        await coordinator.until(lambda: len(coordinator.beats(first)) >= 3)
        coordinator.speaks.clear()
        await coordinator.link(2)
        coordinator.speaks.set()
        await coordinator.until(lambda: bool(coordinator.beats(coordinator.links[-1])))
        await asyncio.wait_for(first.over.wait(), 10)
        assert "silent" in node.events()
        coordinator.links[-1].assign(1)
        await coordinator.until(lambda: 1 in coordinator.outcomes)


async def test_lease_that_nobody_renews_stops_the_work(coordinator: FakeCoordinator) -> None:
    coordinator.lease_ms = 600
    async with node_at(coordinator.address, slots=1):
        link = await coordinator.link()
        link.assign(1, 2, count=2**32)
        await coordinator.until(lambda: any(beat.running for beat in coordinator.beats(link)))
        coordinator.speaks.clear()
        await coordinator.until(lambda: len(coordinator.outcomes) == 2)
    assert set(coordinator.outcomes.values()) == {"released"}


async def test_drain_hands_the_work_back_and_leaves(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address, slots=1) as node:
        link = await coordinator.link()
        link.assign(1, 2, count=2**32)
        await coordinator.until(lambda: any(beat.running for beat in coordinator.beats(link)))
        node.session.drain(grace_us=10_000_000)
        end = await asyncio.wait_for(node.task, 20)
    assert end.cause is Cause.DRAINED
    assert coordinator.outcomes == {1: "released", 2: "released"}
    assert any(message.HasField("draining") for message in link.heard)


async def test_fenced_node_leaves_with_the_reason(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address) as node:
        (await coordinator.link()).say(fenced=pb.Fenced(reason="started again elsewhere"))
        assert await asyncio.wait_for(node.task, 20) == Quit(Cause.FENCED, "started again elsewhere")


async def test_node_that_the_coordinator_does_not_take_leaves_with_its_sentence(coordinator: FakeCoordinator) -> None:
    coordinator.refuse = (grpc.StatusCode.PERMISSION_DENIED, "this certificate was revoked")
    async with node_at(coordinator.address) as node:
        end = await asyncio.wait_for(node.task, 20)
    assert end.cause is Cause.REFUSED
    assert "this certificate was revoked" in end.sentence


async def test_message_that_contradicts_itself_costs_the_stream_but_not_the_node(coordinator: FakeCoordinator) -> None:
    async with node_at(coordinator.address) as node:
        (await coordinator.link(1)).say(assign=pb.Assign(epochs=[1], works=[0]))
        await coordinator.link(2)
        assert ("unreachable", "the coordinator sent an assignment whose columns differ in length") in [
            (event, fields.get("reason")) for event, fields in node.said
        ]


async def test_injected_delay_shows_in_the_round_trip_of_heartbeats(coordinator: FakeCoordinator) -> None:
    """A round trip can be late on a busy machine but never early, so the least of several tells."""
    host, port = coordinator.address.split(":")

    async def least_rtt_ms(address: str) -> float:
        async with node_at(address):
            number = len(coordinator.links) + 1
            link = await coordinator.link(number)
            await coordinator.until(lambda: len(coordinator.beats(link)) >= 15)
        return min(beat.rtt_us for beat in coordinator.beats(link) if beat.rtt_us) / 1000

    direct = await least_rtt_ms(coordinator.address)
    async with DelayProxy(host, int(port), 0.060) as address:
        delayed = await least_rtt_ms(address)
    assert delayed >= 60
    assert delayed - direct < 60 + 60
