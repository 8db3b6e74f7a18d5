"""What goes wrong: one fault after the other, drawn from the world's seed, until the time of trouble is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from protos import nodes_pb2
from tests.simulation.machines import STRATEGIES

if TYPE_CHECKING:
    from tests.simulation.world import NodeHost, World

TROUBLE_S = 30.0


async def trouble(world: World) -> None:
    """Some seeds are calm, some are storms."""
    pause_s = world.rng.choice((1.0, 3.0, 10.0, TROUBLE_S))
    while True:
        await asyncio.sleep(world.rng.expovariate(1 / pause_s))
        if world.loop.time() >= TROUBLE_S:
            return
        world.rng.choice(FAULTS)(world)


def _node(world: World) -> NodeHost:
    return world.rng.choice(world.nodes)


def kill_coordinator(world: World) -> None:
    world.kill_coordinator(world.rng.uniform(0, 6))


def kill_coordinator_before_a_write(world: World) -> None:
    world.disk.kill_at_next = "before"


def kill_coordinator_after_a_write(world: World) -> None:
    world.disk.kill_at_next = "after"


def kill_node(world: World) -> None:
    node = _node(world)
    node.kill()
    world.after(world.rng.uniform(0, 15), node.start)


def lose_node(world: World) -> None:
    """It dies and never comes back; the first one always does, so that somebody can finish the work."""
    node = _node(world)
    if node is not world.nodes[0]:
        node.lost = True
        node.kill()


def drain_node(world: World) -> None:
    node = _node(world)
    if node.process is not None and node.process.alive:
        node.process.session.drain(10_000_000)
        world.after(world.rng.uniform(11, 15), node.start)


def cut_link(world: World) -> None:
    _node(world).link.cut(world.late(), world.late())


def stall_link(world: World) -> None:
    """Held back in both directions, longer than a lease or shorter, and then let through."""
    _node(world).link.stall(world.rng.uniform(0.5, 14))


def stall_one_way(world: World) -> None:
    _node(world).link.stall(world.rng.uniform(0.5, 14), (world.rng.choice(("up", "down")),))


def partition(world: World) -> None:
    """As a stall, but no stream survives it."""
    link, seconds = _node(world).link, world.rng.uniform(1, 15)
    link.stall(seconds)
    link.cut(world.late(), world.late())


def fail_writes(world: World) -> None:
    world.disk.failing_until_s = world.loop.time() + world.rng.uniform(0.1, 5)
    world.disk.writes_though_failing = world.rng.random() < 0.5


def slow_disk(world: World) -> None:
    world.disk_s = world.rng.choice((0.004, 0.1, 1.0))


def lie(world: World) -> None:
    _node(world).lying_until_s = world.loop.time() + world.rng.uniform(1, 5)


def replay(world: World) -> None:
    """A node says again what some node has said before."""
    said = [message for node in world.nodes for stream in node.link.streams for message in stream.said]
    reports = [message.reports for message in said if message.HasField("reports")]
    streams = _node(world).link.streams
    if reports and streams:
        again = nodes_pb2.NodeMessage(reports=world.rng.choice(reports))
        again.reports.last_report = 0  # its acknowledgement means nothing to the agent
        streams[-1].up.send(again)


def switch_strategy(world: World) -> None:
    if world.coordinator is not None:
        name = world.rng.choice(list(STRATEGIES))
        world.coordinator.turns.tell(lambda coordinator, now: coordinator.set_strategy(name))


FAULTS: tuple[Callable[[World], None], ...] = (
    kill_coordinator,
    kill_coordinator_before_a_write,
    kill_coordinator_after_a_write,
    kill_node,
    lose_node,
    drain_node,
    cut_link,
    cut_link,
    stall_link,
    stall_one_way,
    partition,
    fail_writes,
    slow_disk,
    lie,
    replay,
    replay,
    switch_strategy,
)
