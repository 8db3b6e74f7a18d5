"""Builders that say only what a test cares about: nodes, submissions, and a coordinator that writes to a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from coordinator.admit import Limits, Request
from coordinator.convert import request_from
from coordinator.coordinator import Coordinator
from coordinator.judging import Report
from coordinator.lifecycle import AttemptEvent
from coordinator.ports import Store, Turn
from coordinator.restore import keyframe, restored
from coordinator.store.frozen import digest, world_to_bytes
from coordinator.store.memory import MemoryStore
from placement.cost import World
from placement.model import NodeFacts
from placement.strategy import load
from protos import types_pb2

START = 1_700_000_000.0  # unix seconds
GRAIN = 1_000  # nonces in a task, where `Run.limits` and the rate of `node` are left as they are
IMPOSSIBLE = b"\0" * 31 + b"\1"  # a target that no hash meets
TRIVIAL = b"\xff" * 32  # a target that every hash meets


def node(name: str = "node", **facts: object) -> NodeFacts:
    """A ready node that hashes: one slot, 100 W, 500 hashes a second, 10 ms from the coordinator."""
    ordinary = NodeFacts(
        name,
        site=f"{name}-site",
        region="Paris",
        price_usd_per_kwh=0.1,
        max_watts=100.0,
        hashes_per_s=500.0,
        coordinator_rtt_s=0.01,
    )
    return replace(ordinary, **facts)  # type: ignore[arg-type]


def fleet(count: int, each: Callable[[int], dict[str, object]] = lambda i: {}) -> list[NodeFacts]:
    """`count` nodes named n-000, n-001, ...; `each` says what is particular to number i."""
    return [node(f"n-{i:03d}", **each(i)) for i in range(count)]


def submission(
    key: str = "job",
    *,
    count: int = 1,
    units: int = GRAIN,
    client: str = "client",
    target: bytes = IMPOSSIBLE,
    find_all: bool = False,
    start: int = 0,
    **options: object,
) -> Request:
    """A request for `count` equal searches, as it comes off the wire. `options`: those of types.proto."""
    message = types_pb2.Submission(
        key=key,
        count=count,
        options=types_pb2.Options(**options),  # type: ignore[arg-type]
        hash=types_pb2.HashWork(
            headers=b"\1" * 76, targets=target, nonce_starts=[start], nonce_counts=[units], find_all=find_all
        ),
    )
    return request_from(message, client)


class Running:
    """A coordinator with its store: the turn loop without a loop, a clock that the test moves."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        world: World | None = None,
        limits: Limits | None = None,
        now: float = START,
    ) -> None:
        self.store = store or MemoryStore()
        self.world = world or World()
        self.limits = limits or Limits(task_s=GRAIN / 500.0)
        self.now = now
        self.core = self.reopened()
        self.core.turn.world = self.world

    def reopened(self) -> Coordinator:
        """Another coordinator, made from nothing but the store."""
        return restored(self.store.load_open(), self.world, self.limits, load, self.now)

    def restart(self) -> None:
        """The process ends and begins again; every node says hello with what it holds."""
        held = {name: list(member.live) for name, member in self.core.members.items() if member.connected}
        declared = {facts.name: facts for facts in self.core.table.facts}
        self.core = self.reopened()
        self.core.turn.world = self.world
        for name, epochs in held.items():
            self.core.hello(declared[name], epochs, [], 1, self.now)
            self.core.heartbeat(name, declared[name].coordinator_rtt_s, 0, 0, (), self.now)

    def join(self, *nodes: NodeFacts) -> None:
        """Nodes say hello, and their round trips are measured."""
        for facts in nodes:
            self.core.hello(facts, [], [], 1, self.now)
            self.core.heartbeat(facts.name, facts.coordinator_rtt_s, 0, 0, (), self.now)

    def turn(self, *, passed_s: float = 0.0, keep: bool = False, beats: Iterable[str] | None = None) -> Turn:
        """Time passes, heartbeats arrive (None: from every node that is connected), and one turn is made and written.

        `keep`: with a keyframe.
        """
        self.now += passed_s
        connected = [name for name, member in self.core.members.items() if member.connected]
        for name in connected if beats is None else beats:
            self.core.heartbeat(name, None, 0, 0, (), self.now)
        self.core.tick(self.now)
        turn = self.core.take_turn(self.now)
        if turn.durable:
            turn.world_digest = digest(world_to_bytes(self.world))
            if keep:
                turn.keyframe = keyframe(self.core)
            self.store.commit(turn)
        return turn

    def live(self) -> list[tuple[str, int]]:
        """Every attempt that a node holds: the node's name and the epoch, rising."""
        pairs = [(name, epoch) for name, member in self.core.members.items() for epoch in member.live]
        return sorted(pairs, key=lambda pair: pair[1])

    def report(
        self,
        epoch: int,
        outcome: AttemptEvent = AttemptEvent.DONE,
        *,
        units_done: int | None = None,
        nonces: tuple[int, ...] = (),
        error: str = "",
    ) -> None:
        """The holder of an epoch reports; `units_done` is the whole task unless said."""
        name, attempt = next(
            (name, member.live[epoch]) for name, member in self.core.members.items() if epoch in member.live
        )
        done = attempt.piece.units if units_done is None else units_done
        self.core.report(name, [Report(epoch, outcome, done, 1_000, -1, False, nonces, error)], self.now)


def coordinator(store: Store | None = None, *nodes: NodeFacts, world: World | None = None) -> Running:
    """A coordinator whose nodes have joined, after its first turn."""
    running = Running(store, world=world)
    running.join(*nodes)
    running.turn()
    return running
