"""`nearest`: the least round trip to the origin, and the next one when its queue is long.

Rule: among the nodes whose expected wait is within `spill_after_s`, the one with the least round trip to the origin;
equals by load (tasks, running and waiting, a slot), then by name. When all are past it, the least wait.

It is what most people mean by edge computing, and from moderate load on it can lose to one pool (see `hub`): small
queues apart are longer than one queue together.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import ClassVar

import numpy as np

from placement.cost import Prepared
from placement.fleet_table import Debits
from placement.model import Demand
from placement.quote import cost_at, quote, service_s, waiting_s
from placement.strategy import Plan, Rng, Snapshot, State

Key = tuple[bool, float, float, float, int]


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
        view, nodes, costs = Debits(snapshot.table, snapshot.now), [], []
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            chosen, paid = self._place(demand, count, prepared, view, snapshot.now)
            nodes.append(chosen)
            costs.append(paid)
        return Plan(nodes, costs), state

    def _place(
        self, demand: Demand, count: int, prepared: Prepared, view: Debits, now: float
    ) -> tuple[list[int], list[float]]:
        cost = quote(demand, prepared, view.load, now)
        feasible = np.flatnonzero(cost < np.inf)
        if not len(feasible):
            return [], []
        run = service_s(demand, prepared)
        wait = waiting_s(run, view.load, now)[feasible]
        spilled = wait > self.spill_after_s
        rtt, load = prepared.rtt_s[feasible], view.load.tasks[feasible] / prepared.slots[feasible]
        rank = prepared.name_rank[feasible]
        first, second = np.where(spilled, wait, rtt), np.where(spilled, rtt, load)
        if count < len(feasible):  # a pick only ever moves the picked node back
            best = np.lexsort((rank, load, second, first, spilled))[:count]
        else:
            best = np.arange(len(feasible))
        heap: list[tuple[Key, int]] = [
            ((bool(spilled[k]), float(first[k]), float(second[k]), float(load[k]), int(rank[k])), int(feasible[k]))
            for k in best
        ]
        heapify(heap)
        chosen: list[int] = []
        paid: list[float] = []
        while heap and len(chosen) < count:
            (_, _, _, _, place), i = heap[0]
            usd = cost_at(demand, prepared, i, view.load, now)
            if usd == np.inf:  # its queue has grown past the deadline, or its run into dearer hours
                heappop(heap)
                continue
            chosen.append(i)
            paid.append(usd)
            view.take(i, float(run[i]))
            heapreplace(heap, (self._key(i, place, float(run[i]), prepared, view, now), i))
        return chosen, paid

    def _key(self, i: int, rank: int, run: float, prepared: Prepared, view: Debits, now: float) -> Key:
        load = view.load
        wait = max(float(load.clear_at[i]) - now, run * float(load.overdue_share[i]))
        share, rtt = float(load.tasks[i] / prepared.slots[i]), float(prepared.rtt_s[i])
        if wait > self.spill_after_s:
            return True, wait, rtt, share, rank
        return False, rtt, share, share, rank
