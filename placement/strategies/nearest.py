"""`nearest`: the least round trip to the origin, and the next one when its queue is long.

Rule: among the nodes whose expected wait is within `spill_after_s`, the one with the least round trip to the origin;
equals by load (tasks, running and waiting, a slot), then by name. When all are past it, the least wait.

It is what most people mean by edge computing, and from moderate load on it can lose to one pool (see `hub`): small
queues apart are longer than one queue together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from placement.fleet_table import Debits
from placement.spilling import place_near
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Nearest:
    spill_after_s: float = 0.5

    name: ClassVar[str] = "nearest"
    family: ClassVar[str] = "decentralised"
    rule: ClassVar[str] = "the node with the least round trip to the origin; the next one when its queue is long"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, plan = Debits(snapshot.table, snapshot.now), Plan([], [])
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            nodes, costs = place_near(demand, count, prepared, view, snapshot.now, prepared.rtt_s, self.spill_after_s)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state
