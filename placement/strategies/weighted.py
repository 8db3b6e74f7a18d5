"""`weighted`: the least quote, in money. The default.

Rule: argmin of energy + network + carbon + time, where time is the client's own price of a second past its
objective. Sweeping that price walks the cost-latency front, but only its convex hull: a weighted sum reaches no other
point. With time priced at nothing it is the cheapest watt; with energy at nothing, the earliest answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from placement.choosing import cheapest
from placement.fleet_table import Debits
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Weighted:
    name: ClassVar[str] = "weighted"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = "the node with the least cost: energy, network, carbon and time in one currency"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, nodes, costs = Debits(snapshot.table, snapshot.now), [], []
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            chosen, paid = cheapest(demand, count, prepared, view, snapshot.now)
            nodes.append(chosen)
            costs.append(paid)
        return Plan(nodes, costs), state
