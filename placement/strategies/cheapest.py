"""`cheapest`: the least energy cost anywhere.

Rule: among the nodes with a free slot the one where the run's electricity costs least, at prices over the run; the
nearer among equals, then by name. While no slot is free the work is held in the coordinator. With `hysteresis_usd`, a
shape of work stays at the site that took it last, and moves only if that saves more than so much a task. The state is
the node used last by each shape, kept only where there is hysteresis.

With one type of task the greedy rule is the optimum of a fractional knapsack. It concentrates: the winner takes all.
Qureshi et al. (SIGCOMM'09) saved up to about 40 % of the electricity bill of a fleet with energy-proportional nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np

from placement.choosing import energy_alone, place, while_free
from placement.energy import Floats
from placement.fleet_table import Bools, Debits
from placement.quote import COSTS_A_USD, quote
from placement.strategy import Plan, Rng, Snapshot, State, label

SHAPES = 256  # whose last node is remembered; of more, the ones that came last


@dataclass(frozen=True)
class Cheapest:
    hysteresis_usd: float = 0.0

    name: ClassVar[str] = "cheapest"
    family: ClassVar[str] = "centralised"
    rule: ClassVar[str] = "the free slot with the least energy cost anywhere; the rest waits in the coordinator"
    holds: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.hysteresis_usd >= 0:
            raise ValueError(f"cheapest.hysteresis_usd = {self.hysteresis_usd}: it cannot be negative")

    def initial(self) -> State:
        return {}

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now, plan = Debits(snapshot.table, snapshot.now), snapshot.now, Plan([], [])
        last: dict[str, Any] = dict(state)
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            cost = quote(demand, prepared, view.load, now)
            energy = quote(*energy_alone(demand, prepared), view.load, now)
            allowed = (cost < inf) & (view.load.tasks < prepared.slots)
            energy = np.where(allowed, np.rint(energy * COSTS_A_USD), inf)
            shape = label(demand.shape)
            if self.hysteresis_usd and shape in last:
                moves = np.where(allowed, ~self._stays(energy, snapshot, last[shape]), inf)
                order = while_free(prepared, view, moves, energy, prepared.rtt_s)
            else:
                order = while_free(prepared, view, energy, prepared.rtt_s)
            nodes, costs = place(demand, count, prepared, view, now, cost, order)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
            if self.hysteresis_usd and nodes:
                last.pop(shape, None)
                last[shape] = nodes[-1]
        for forgotten in list(last)[:-SHAPES]:
            del last[forgotten]
        return plan, last

    def _stays(self, energy: Floats, snapshot: Snapshot, last: int) -> Bools:
        """The nodes at the last node's site that too little is saved by leaving. `energy`: picodollars, by node."""
        sites, _ = snapshot.table.labels("site")
        stays: Bools = (sites == sites[last]) & (energy <= energy.min(initial=inf) + self.hysteresis_usd * COSTS_A_USD)
        return stays
