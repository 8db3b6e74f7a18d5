"""`round-robin`: in turn.

Rule: the nodes in the order of their names, each as often in a row as it has slots, then from the beginning; a node
that may not take the task is passed over.

Steadier than `random` (every node's arrivals are spread evenly), and as blind: each node is a queue of its own. The
state is the node whose turn it is and how many tasks it has had of this turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from placement.energy import Floats
from placement.fleet_table import Debits
from placement.quote import One, quote
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class RoundRobin:
    name: ClassVar[str] = "round-robin"
    family: ClassVar[str] = "baseline"
    rule: ClassVar[str] = "in turn by name, each node as often as it has slots"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now, plan = Debits(snapshot.table, snapshot.now), snapshot.now, Plan([], [])
        turn = tuple(state) if state else None
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            cost = quote(demand, prepared, view.load, now)
            one = One(demand, prepared, now)
            chosen: list[int] = []
            paid: list[float] = []
            for i, had in _wheel(snapshot, cost, turn):
                usd = one.at(i, view.load).usd
                if usd == inf:  # its queue has grown past the deadline
                    cost[i] = inf
                    if not (cost < inf).any():
                        break
                    continue
                chosen.append(i)
                paid.append(usd)
                view.take(i, one.run_s(i))
                turn = i, had
                if len(chosen) == count:
                    break
            plan.nodes.append(chosen)
            plan.costs.append(paid)
        return plan, None if turn is None else list(turn)


def _wheel(snapshot: Snapshot, cost: Floats, turn: tuple[int, int] | None) -> Iterator[tuple[int, int]]:
    """For ever the next node that may take the task, and how many of its turn it then has had."""
    slots, rank, by_name = snapshot.table.slots, snapshot.table.name_rank, snapshot.table.by_name
    feasible = by_name[cost[by_name] < inf]
    if not len(feasible):
        return
    place = had = 0
    if turn is not None:
        place = int(np.searchsorted(rank[feasible], rank[turn[0]]))
        if place < len(feasible) and feasible[place] == turn[0]:
            had = turn[1]
    while True:
        i = int(feasible[place % len(feasible)])
        while had < slots[i]:
            had += 1
            yield i, had
        place, had = place + 1, 0
