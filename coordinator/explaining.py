"""Reading the turn log back: placements and their reasons, recomputed by the functions that decided.

A reader is a fleet of its own. It takes the columns from a keyframe, applies turn after turn, and at every decision
stands where the strategy stood.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from coordinator import turnlog
from coordinator.placing import IDLE_RNG, checksum
from coordinator.ports import Store, TurnRow
from coordinator.turnlog import LoggedDecision, LoggedTurn, PlacedTask
from placement.cost import Prepared, Preparer, World
from placement.explain import Considered, considered
from placement.fleet_table import Debits, NodeTable
from placement.model import Demand, NodeFacts
from placement.quote import service_s
from placement.strategy import Plan, Snapshot, Strategy
from placement.strategy import load as load_strategy
from protos import records_pb2 as pb


class Explained(NamedTuple):
    """One placement, and every node that was considered for it, the least cost first."""

    epoch: int
    at: float  # unix seconds
    task: PlacedTask
    strategy: str
    demand: Demand
    node: int
    considered: list[Considered]
    facts: list[NodeFacts]
    price_usd_per_kwh: list[float]  # by node, at the time


class Standing(NamedTuple):
    """A decision with everything that it was made from."""

    turn: LoggedTurn
    decision: LoggedDecision
    strategy: Strategy
    snapshot: Snapshot
    seed: tuple[int, int, int]


class LogReader:
    """Walks the turn log forward."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = NodeTable()
        self._preparer = Preparer(self._table, World())
        self._facts_version = -1
        self._world = ""

    def start(self, keyframe: bytes | None) -> None:
        """Take the load columns of a keyframe; without one, everything is idle."""
        if keyframe is None:
            return
        frame = pb.Keyframe.FromString(keyframe)
        self._know(frame.facts_version)
        for i, (tasks, drained_at) in enumerate(zip(frame.load_tasks, frame.load_drained_at, strict=True)):
            self._table.set_load(i, tasks, drained_at)

    def _know(self, version: int) -> None:
        if version == self._facts_version:
            return
        for i, facts in enumerate(self._store.facts_until(version)):
            if i >= len(self._table) or self._table.facts[i] != facts:
                self._table.put(facts)
        self._facts_version = version

    def decisions(self, row: TurnRow) -> Iterator[Standing]:
        """The decisions of the next turn, each as its strategy stood before it."""
        turn = turnlog.decode(row.record)
        self._know(turn.facts_version)
        if turn.world and turn.world != self._world:
            self._preparer.world = self._store.world(turn.world)
            self._world = turn.world
        for load in turn.loads:
            self._table.set_load(*load)
        for decision in turn.decisions:
            prepared = [self._preparer.prepare(group.demand.shape, turn.now) for group in decision.groups]
            snapshot = Snapshot(turn.now, self._table, decision.groups, prepared)
            seed = (decision.seed[0], row.number, decision.seed[1])
            strategy = load_strategy(decision.strategy, decision.parameters)
            yield Standing(turn, decision, strategy, snapshot, seed)
            self._apply(decision, snapshot)

    def _apply(self, decision: LoggedDecision, snapshot: Snapshot) -> None:
        nodes = iter(decision.nodes)
        for group, prepared, placed in zip(snapshot.groups, snapshot.prepared, decision.placed, strict=True):
            run = service_s(group.demand, prepared) if placed else None
            for _ in range(placed):
                node = next(nodes)
                self._table.debit(node, float(run[node]), snapshot.now)  # type: ignore[index]


def recompute(standing: Standing) -> Plan:
    """The plan of a logged decision, made again. Equal to what was decided, or the log or the code has changed."""
    strategy = standing.strategy
    rng = np.random.default_rng(standing.seed) if strategy.draws else IDLE_RNG
    return strategy.plan(standing.snapshot, standing.decision.state, rng)[0]


def agrees(standing: Standing) -> bool:
    """Whether recomputation gives the nodes and, bit for bit, the costs that were decided."""
    plan = recompute(standing)
    nodes = [node for nodes in plan.nodes for node in nodes]
    costs = [cost for costs in plan.costs for cost in costs]
    return nodes == standing.decision.nodes and checksum(costs) == standing.decision.check


def explain(standing: Standing, wanted: Container[int]) -> Iterator[Explained]:
    """The placements of a decision whose epochs are `wanted`, with their reasons."""
    decision, snapshot = standing.decision, standing.snapshot
    table, now = snapshot.table, snapshot.now
    tasks = turnlog.tasks(decision.runs)
    view = Debits(table, now)
    epoch = decision.first_epoch
    nodes = iter(decision.nodes)
    for group, prepared, placed in zip(snapshot.groups, snapshot.prepared, decision.placed, strict=True):
        demand = group.demand
        run = service_s(demand, prepared)
        prices = prices_of(prepared, now)
        for node in islice(nodes, placed):
            if epoch in wanted:
                every = considered(demand, prepared, view.load, now, table, holds=standing.strategy.holds)
                task = tasks[epoch - decision.first_epoch]
                yield Explained(epoch, now, task, decision.strategy, demand, node, every, list(table.facts), prices)
            view.take(node, float(run[node]))
            epoch += 1


def prices_of(prepared: Prepared, now: float) -> list[float]:
    """USD per kWh at every node at a moment."""
    price = prepared.fixed_price.copy()
    on_curve = np.flatnonzero(prepared.price_zone >= 0)
    price[on_curve] = prepared.world.prices.at(prepared.price_zone[on_curve], np.full(len(on_curve), now))
    prices: list[float] = price.tolist()
    return prices
