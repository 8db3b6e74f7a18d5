"""One run of the whole protocol: the real coordinator and the real nodes, on simulated time and links, from a seed.

For half a minute everything goes wrong that the seed says; then all is healed, and what was promised must come true.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from coordinator.rpc.jobs import JobsService
from node.messages import Facts
from tests.simulation.history import History
from tests.simulation.loop import SimulatedLoop
from tests.simulation.machines import CoordinatorProcess, Disk, Gone, NodeProcess
from tests.simulation.network import Link

T = TypeVar("T")
TROUBLE_S = 30.0
PATIENCE_S = 600.0  # after healing: every lease has lapsed, and all work could be done by one slow slot, many times
REGIONS = ("Paris", "Frankfurt", "SaoPaulo")


class NodeHost:
    """A machine on which a node runs, dies and is started again."""

    def __init__(self, world: World, number: int) -> None:
        rng = world.rng
        self.world = world
        region = rng.choice(REGIONS)
        slots = rng.randint(1, 3)
        self.facts = Facts(
            name=f"n{number}",
            site=f"site-{number}",
            region=region,
            operator="ops",
            hub=number == 0,  # so that `hub` has a place to go
            price_zone="",
            price_usd_per_kwh=rng.choice((0.03, 0.1, 0.3)),
            pue=rng.choice((1.0, 1.3)),
            idle_watts=10.0,
            max_watts=10.0 + 20.0 * slots,
            slots=slots,
            keep_private=False,
            hashes_per_s=float(rng.randint(30, 90)),
            energy_measured=False,
            extra_delay_ms=0.0,
            max_hashes_per_s=0.0,
            memory_bytes=1 << 30,
            version="simulated",
        )
        one_way_s = rng.choice((0.0005, 0.02, 0.09))
        self.link = Link(world.loop, rng, one_way_s, one_way_s * rng.choice((0.1, 1.0)))
        self.clock_ahead_s = rng.uniform(-262, 262) if rng.random() < 0.5 else 0.0
        self.lying_until_s = 0.0
        self.lost = False  # for good
        self.process: NodeProcess | None = None

    def start(self) -> None:
        if self.lost or (self.process is not None and self.process.alive and self.process.quit is None):
            return
        world = self.world
        self.process = NodeProcess(
            world.loop,
            self.facts,
            self.link,
            world.history,
            clock_ahead_s=self.clock_ahead_s,
            incarnation=world.rng.getrandbits(64),
            rng=random.Random(world.rng.random()),
            lies=lambda: world.loop.time() < self.lying_until_s,
        )

    def kill(self) -> None:
        """kill -9, or the machine lost its power: the coordinator may learn of it late."""
        if self.process is not None:
            self.process.kill()
            self.link.cut(0, self.world.late())


class World:
    """Everything of one run."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.loop = SimulatedLoop(lambda: self.rng.random() * self.disk_s)
        self.disk_s = 0.004
        self.history = History()
        self.disk = Disk(self.history, self.loop)
        self.disk.on_kill = lambda: self.kill_coordinator(self.rng.uniform(0.1, 6))
        self.coordinator: CoordinatorProcess | None = None
        self.nodes = [NodeHost(self, number) for number in range(self.rng.randint(1, 4))]

    # -- what may be done to it

    def late(self) -> float:
        """After which time a side learns that a stream is dead."""
        return self.rng.choice((0.01, 0.5, 20.0)) * self.rng.random()

    def start_coordinator(self) -> None:
        if self.coordinator is not None or self.loop.time() < self.disk.failing_until_s:
            return
        ahead_s = self.rng.choice((0.0, 0.0, self.rng.uniform(-300, 300)))
        self.coordinator = CoordinatorProcess(self.loop, self.disk, ahead_s)
        for node in self.nodes:
            node.link.serve = self.coordinator.serve

    def kill_coordinator(self, back_after_s: float) -> None:
        if self.coordinator is None:
            return
        self.coordinator.kill()
        self.coordinator = None
        for node in self.nodes:
            node.link.serve = None
            node.link.cut(self.late(), 0)
        self.loop.call_later(back_after_s, self.start_coordinator)

    def after(self, seconds: float, then: Callable[[], Any]) -> None:
        self.loop.call_later(seconds, then)

    async def ask(self, client: str, method: Callable[[JobsService], Coroutine[Any, Any, T]]) -> T:
        """A client's call over a link that may lose the question or the answer. Raises `Gone` for either."""
        lossy = 0.1 if self.loop.time() < TROUBLE_S else 0.0
        await asyncio.sleep(self.rng.random() * 0.05)
        if self.coordinator is None or self.rng.random() < lossy:
            raise Gone
        answer = await self.coordinator.call(client, method)
        await asyncio.sleep(self.rng.random() * 0.05)
        if self.rng.random() < lossy:
            raise Gone
        return answer

    # -- a run

    def run(
        self, use: Callable[[World, str], Coroutine[Any, Any, None]], trouble: Callable[[World], Awaitable[None]]
    ) -> None:
        """From the first start until every client has what it asked for, or to the end of patience."""
        try:
            self.loop.run_until_complete(self._live(use, trouble))
        finally:
            self._end()

    async def _live(
        self, use: Callable[[World, str], Coroutine[Any, Any, None]], trouble: Callable[[World], Awaitable[None]]
    ) -> None:
        self.start_coordinator()
        for node in self.nodes:
            self.after(self.rng.random() * 3, node.start)
        clients = [self.loop.create_task(use(self, f"client-{n}")) for n in range(self.rng.randint(1, 2))]
        await trouble(self)
        self.heal()
        await asyncio.wait(clients, timeout=PATIENCE_S, return_when=asyncio.FIRST_EXCEPTION)
        for client in clients:
            if client.done():
                client.result()
            client.cancel()
        await asyncio.sleep(12)  # whatever goes on past its lease would show now

    def heal(self) -> None:
        self.disk.kill_at_next = None
        self.disk.failing_until_s = 0.0
        self.disk_s = 0.004
        self.start_coordinator()
        for node in self.nodes:
            node.lying_until_s = 0.0
            node.link.blocked_until = {"up": 0.0, "down": 0.0}
            node.start()

    def _end(self) -> None:
        if self.coordinator is not None:
            self.coordinator.kill()
        for node in self.nodes:
            node.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
