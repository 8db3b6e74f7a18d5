"""`least-loaded`: the fewest tasks a slot.

Rule: argmin of tasks, running and waiting, over slots; ties by name. Blind to prices, distance and sizes.

Joining the shortest queue is near the best possible delay, but it asks every node, and where the view of the load is
old everybody herds to the same node: then `two-choices` is the safer rule (Mitzenmacher, TPDS'01).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from placement.choosing import Key, Order, place
from placement.cost import Prepared
from placement.energy import Floats
from placement.fleet_table import Debits
from placement.quote import Quoted, quote
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class LeastLoaded:
    name: ClassVar[str] = "least-loaded"
    family: ClassVar[str] = "baseline"
    rule: ClassVar[str] = "the node with the fewest tasks, running and waiting, per slot"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, plan = Debits(snapshot.table, snapshot.now), Plan([], [])
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            cost = quote(demand, prepared, view.load, snapshot.now)
            order = _by_load(prepared, view, cost)
            nodes, costs = place(demand, count, prepared, view, snapshot.now, cost, order)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state


def _by_load(prepared: Prepared, view: Debits, cost: Floats) -> Order:
    rank, slots = prepared.name_rank, prepared.slots

    def again(i: int, quoted: Quoted) -> Key:
        return int(view.load.tasks[i]) / int(slots[i]), int(rank[i])

    return Order(np.where(cost < inf, view.load.tasks / slots, inf), (lambda nodes: rank[nodes],), again)
