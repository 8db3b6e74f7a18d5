"""`hub`: everything to the hub sites' pool, first come first served.

Rule: a free slot at a hub, the nearer first, then by name; while none is free the work is held in the coordinator, so
that the pool is one queue. With `spill`, work that finds no hub slot goes to the nearest free slot elsewhere.

One pool of c slots is M/M/c, the best queueing for its size: many one-server sites of the same total queue worse, so a
hub wins until its extra round trip exceeds that gap (Ali-Eldin et al., SC'21). And it is one blast radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from placement.choosing import place, while_free
from placement.fleet_table import Debits
from placement.quote import quote
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Hub:
    spill: bool = False

    name: ClassVar[str] = "hub"
    family: ClassVar[str] = "centralised"
    rule: ClassVar[str] = "a free slot at a hub site, first come first served; the rest waits in the coordinator"
    holds: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, plan = Debits(snapshot.table, snapshot.now), Plan([], [])
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            if not ((view.load.tasks < prepared.slots) & (prepared.hub | self.spill)).any():
                plan.nodes.append([])
                plan.costs.append([])
                continue
            cost = quote(demand, prepared, view.load, snapshot.now)
            allowed = (cost < inf) & (prepared.hub | self.spill)
            order = while_free(prepared, view, np.where(allowed, ~prepared.hub, inf), prepared.rtt_s)
            nodes, costs = place(demand, count, prepared, view, snapshot.now, cost, order)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state
