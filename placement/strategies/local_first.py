"""`local-first`: at home, and only then further out.

Rule: a node in the origin's own region (any site there is the origin's), the less loaded first (tasks, running and
waiting, a slot), then by name; past `spill_after_s` of expected wait everywhere at home, the least round trip
elsewhere; where all are past it, the least wait.

As `nearest`, and no theory of its own. What must not leave a place is no strategy's business: privacy and residency
are hard rules before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from placement.fleet_table import Debits
from placement.spilling import place_near
from placement.strategy import Plan, Rng, Snapshot, State

AT_HOME = -1.0  # nearer than any round trip


@dataclass(frozen=True)
class LocalFirst:
    spill_after_s: float = 0.5

    name: ClassVar[str] = "local-first"
    family: ClassVar[str] = "decentralised"
    rule: ClassVar[str] = "a node in the origin's region; when its queue is long, the next one outward"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, plan = Debits(snapshot.table, snapshot.now), Plan([], [])
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            distance = np.where(snapshot.table.in_region(demand.shape.origin), AT_HOME, prepared.rtt_s)
            nodes, costs = place_near(demand, count, prepared, view, snapshot.now, distance, self.spill_after_s)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state
