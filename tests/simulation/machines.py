"""The processes of a run, with the real code in them: a coordinator and nodes, that die and are started again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar, cast

import grpc

from coordinator import settlement
from coordinator.admit import Limits
from coordinator.coordinator import Coordinator
from coordinator.errors import StoreUnavailable
from coordinator.live import Live
from coordinator.ports import Turn
from coordinator.restore import restored
from coordinator.rpc.gate import acting_for
from coordinator.rpc.jobs import JobsService
from coordinator.rpc.nodes import NodesService
from coordinator.security.roles import Identity, Role
from coordinator.settle import Closing
from coordinator.store.memory import MemoryStore
from coordinator.turn import TurnLoop
from node.actions import Quit
from node.agent import Agent
from node.messages import Facts
from node.meter import ModelledMeter
from node.redial import Redial
from node.session import Session
from placement.cost import World as Market
from placement.model import AttemptState
from placement.network import Network
from placement.strategies.hub import Hub
from placement.strategies.nearest import Nearest
from placement.strategies.weighted import Weighted
from placement.strategy import Strategy
from tests.simulation.executor import SimulatedExecutor
from tests.simulation.history import History, TakenBack
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Channel, Link, Stream

T = TypeVar("T")
LIMITS = Limits()
MARKET = Market(network=Network("Paris", {("Paris", "SaoPaulo"): 196.0, ("Paris", "Frankfurt"): 12.0}))


STRATEGIES: dict[str, Strategy] = {"hub": Hub(), "nearest": Nearest(), "weighted": Weighted()}


def strategy(name: str) -> Strategy:
    return STRATEGIES[name]


class Gone(Exception):
    """No answer: the process died, or was not there."""


class Process:
    """Tasks that end together."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.alive = True
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order: a set's would differ from run to run

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if self.alive and not task.cancelled() and (error := task.exception()) is not None:
            self.surprised(error)

    def surprised(self, error: BaseException) -> None:
        """A task failed that nobody waited for."""
        self.loop.faults.append(error)

    def kill(self) -> None:
        self.alive = False
        for task in list(self._tasks):
            task.cancel()


class Disk(MemoryStore):
    """A store that outlives its coordinator, fails when told to, and at which a coordinator can be killed."""

    def __init__(self, history: History, loop: SimulatedLoop) -> None:
        super().__init__()
        self._history, self._loop = history, loop
        self.failing_until_s = 0.0
        self.writes_though_failing = False
        self.kill_at_next: str | None = None  # before or after: the write
        self.on_kill: Callable[[], None] = lambda: None

    def commit(self, turn: Turn) -> None:
        at, self.kill_at_next = self.kill_at_next, None
        if at == "before":
            self.on_kill()
            return
        failing = self._loop.time() < self.failing_until_s
        if not failing or self.writes_though_failing:
            super().commit(turn)
            self._write_down(turn)
        if failing:
            raise StoreUnavailable("the disk is full: make room, and it goes on by itself")
        if at == "after":
            self.on_kill()

    def _write_down(self, turn: Turn) -> None:
        now_s = self._loop.time()
        closings = [Closing.unpack(one.packed) for one in turn.closings]
        for settled in turn.settlements:
            ended = settlement.unpack(settled.body).attempts
            closings += [one for one in ended if one.ended_us == settled.settled_us]
        self._history.taken_back.extend(TakenBack(now_s, one.epoch) for one in closings if not _may_go_on(one))


def _may_go_on(closing: Closing) -> bool:
    """Whether its node may still work on what was closed: until the revocation arrives; or, of what a Hello did not
    name, when that Hello's stream was given up and the Assign came over the older one: until the next Hello.

    Neither can end in a second count: the epoch is closed.
    """
    unnamed = closing.state is AttemptState.RELEASED and not closing.started_us
    return unnamed or closing.state is AttemptState.CANCELLED


class CoordinatorProcess(Process):
    """The coordinator's shell, as `coordinator.app` puts it together, on a simulated loop."""

    def __init__(self, loop: SimulatedLoop, disk: Disk, clock_ahead_s: float) -> None:
        super().__init__(loop)
        self.disk = disk
        self._ahead_s = clock_ahead_s
        self.live = Live()
        self.turns = TurnLoop(self._rebuild, disk, self, lambda: self.live)
        self.nodes = NodesService(self.turns, self.live, heartbeat_s=LIMITS.heartbeat_s, lease_s=LIMITS.lease_s)
        self.jobs = JobsService(self.turns, disk, self.live, self.now)
        self.spawn(self.turns.run())

    def now(self) -> float:
        return 1.8e9 + self.loop.time() + self._ahead_s

    def _rebuild(self, now: float) -> Coordinator:
        if self.loop.time() < self.disk.failing_until_s:
            raise StoreUnavailable("the disk is full: make room, and it goes on by itself")
        return restored(self.disk.load_open(), MARKET, LIMITS, strategy, now)

    def serve(self, stream: Stream) -> Callable[[], None]:
        """A node's call of Connect; returns what ends the handler."""
        task = self.spawn(self._answer(stream))
        return lambda: cast(None, task.cancel())

    async def _answer(self, stream: Stream) -> None:
        with acting_for(Identity(stream.name, Role.NODE, b"")):
            error = "the handler failed"
            try:
                answers = self.nodes.Connect(stream.requests(), cast(Any, _Context()))
                async with aclosing(cast(Any, answers)) as messages:
                    async for message in messages:
                        stream.down.send(message)
                error = ""
            except (StoreUnavailable, _Aborted) as refused:
                error = str(refused)
            finally:
                stream.ended_by_coordinator(error)

    async def call(self, client: str, method: Callable[[JobsService], Coroutine[Any, Any, T]]) -> T:
        """A client's call as its handler. Raises `Gone` if the process dies meanwhile."""

        async def handle() -> T:
            with acting_for(Identity(client, Role.CLIENT, b"")):
                return await method(self.jobs)

        task = self.loop.create_task(handle())
        self._tasks[task] = None
        task.add_done_callback(lambda _: self._tasks.pop(task, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            raise Gone from None


class _Aborted(Exception):
    """A handler ended its call with a status."""


class _Context:
    async def abort(self, code: grpc.StatusCode, details: str = "") -> None:
        raise _Aborted(f"{code.name}: {details}")


class NodeProcess(Process):
    """The node's shell, as `node.life` puts it together, on a simulated loop."""

    def __init__(
        self,
        loop: SimulatedLoop,
        facts: Facts,
        link: Link,
        history: History,
        *,
        clock_ahead_s: float,
        incarnation: int,
        rng: random.Random,
        lies: Callable[[], bool],
    ) -> None:
        super().__init__(loop)
        self._ahead_s = clock_ahead_s
        self.quit: Quit | None = None
        self.session = Session(
            lambda: cast(grpc.aio.Channel, Channel(link, facts.name)),
            say=lambda event, fields: None,
            redial=Redial(rng),
            clock=self._clock,
        )
        self.executor = SimulatedExecutor(
            facts.name, facts.slots, facts.hashes_per_s, self.session.ended, history, self._clock, lies
        )
        meter = ModelledMeter.of(facts.idle_watts, facts.max_watts, facts.slots)
        self.agent = Agent(facts, meter, incarnation=incarnation)
        self.spawn(self._live())

    def _clock(self) -> int:
        return round((1000 + self.loop.time() + self._ahead_s) * 1e6)

    async def _live(self) -> None:
        self.quit = await self.session.run(self.agent, self.executor)
        self.executor.die()

    def kill(self) -> None:
        super().kill()
        self.executor.die()
