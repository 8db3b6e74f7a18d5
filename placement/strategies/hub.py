"""`hub`: everything to the hub sites' pool, first come first served.

Rule: a free slot at a hub, the nearer first, then by name; while none is free the work is held in the coordinator, so
that the pool is one queue. With `spill`, work that finds no hub slot goes to the nearest free slot elsewhere.

One pool of c slots is M/M/c, the best queueing for its size: many one-server sites of the same total queue worse, so a
hub wins until its extra round trip exceeds that gap (Ali-Eldin et al., SC'21). And it is one blast radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from placement.fleet_table import Debits
from placement.quote import quote, service_s
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
        view, nodes, costs = Debits(snapshot.table, snapshot.now), [], []
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            chosen: list[int] = []
            paid: list[float] = []
            nodes.append(chosen)
            costs.append(paid)
            run = service_s(demand, prepared)
            cost = quote(demand, prepared, view.load, snapshot.now)
            allowed = np.flatnonzero((cost < np.inf) & (prepared.hub | self.spill))
            nearest_first = allowed[
                np.lexsort((prepared.name_rank[allowed], prepared.rtt_s[allowed], ~prepared.hub[allowed]))
            ]
            for i in nearest_first.tolist():
                free = int(prepared.slots[i] - view.load.tasks[i])
                for _ in range(min(free, count - len(chosen))):
                    chosen.append(i)
                    paid.append(float(cost[i]))  # a free slot: the tasks before it made nobody wait
                    view.take(i, float(run[i]))
                if len(chosen) == count:
                    break
        return Plan(nodes, costs), state
