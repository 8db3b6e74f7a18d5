"""`night-owl`: a strategy of your own, in a package of your own.

Install this folder beside Edgeward (`pip install ./examples/strategy_package`), and `night-owl` stands in `edgeward
strategies`, in `edgeward compare`, and behind `--strategy`. No line of Edgeward changes: its entry point is enough.

Rule: the least cost among the nodes of one operator; while none of them can take the work, it is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from placement.choosing import by_cost, place
from placement.fleet_table import Debits
from placement.quote import quote
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class NightOwl:
    operator: str = "owls"  # a parameter: `[strategy.night-owl]` with `operator = "..."` in a scenario or configuration

    name: ClassVar[str] = "night-owl"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = "the least cost among the nodes of one operator"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now, plan = Debits(snapshot.table, snapshot.now), snapshot.now, Plan([], [])
        numbers, number_of = snapshot.table.labels("operator")
        ours = numbers == number_of.get(self.operator, -1)
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            cost = np.where(ours, quote(demand, prepared, view.load, now), inf)
            order = by_cost(demand, prepared, view, now, cost)
            nodes, costs = place(demand, count, prepared, view, now, cost, order)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state
