"""Small fleets whose plans can be worked out by hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.cost import World, prepare
from placement.fleet_table import NodeTable
from placement.model import Demand, Group, Kind, NodeFacts, Shape
from placement.network import Network
from placement.strategy import Plan, Snapshot, State, Strategy
from tests.builders import START

NETWORK = Network("Paris", {("Paris", "Oslo"): 30.0, ("Paris", "Rome"): 20.0, ("Oslo", "Rome"): 45.0})
MARKET = World(network=NETWORK)
FROM_OSLO = Demand(Shape(Kind.HASH, "Oslo"), 1000.0)  # 2 s at the ordinary node


class Planned(NamedTuple):
    names: list[list[str]]  # of the nodes, by group
    plan: Plan
    state: State


def at_sites(*facts: NodeFacts, busy: dict[str, int] | None = None) -> NodeTable:
    """A table with some ordinary tasks of 2 s at the named nodes."""
    table = NodeTable(facts)
    for name, tasks in (busy or {}).items():
        for _ in range(tasks):
            table.debit(table.index[name], 2.0, START)
    return table


def planned(
    strategy: Strategy,
    table: NodeTable,
    *groups: tuple[Demand, int],
    state: State = None,
    now: float = START,
    world: World = MARKET,
    seed: int = 1,
) -> Planned:
    """One plan, from the beginning or from a state. Changes nothing."""
    prepared = [prepare(demand.shape, table, world, now) for demand, _ in groups]
    snapshot = Snapshot(now, table, [Group(*group) for group in groups], prepared)
    before = strategy.initial() if state is None else state
    plan, after = strategy.plan(snapshot, before, np.random.default_rng(seed))
    return Planned([[table.names[i] for i in nodes] for nodes in plan.nodes], plan, after)


def chosen(strategy: Strategy, table: NodeTable, *groups: tuple[Demand, int]) -> list[list[str]]:
    """Names of the nodes, by group."""
    return planned(strategy, table, *groups).names
