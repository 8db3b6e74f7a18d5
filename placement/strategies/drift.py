"""`drift`: drift plus penalty. Short queues against cheap electricity, without knowing what comes.

Rule: argmin of v * K + Q * s, with K the energy cost of the run in USD, Q the seconds of work queued ahead at the
node and s the seconds of service; ties go to the earlier answer, then to the name. Served only when it pays: while
v * K is more than the backlog B, the task is held. B is the number of tasks of the shape that wait here, plus one for
every second that any has waited; whatever is served takes it back. So v is in tasks per USD, nothing waits longer than
v * K seconds, and a task whose deadline has come near does not wait.

Cost comes within O(1/v) of the optimum at a backlog of O(v), without any statistics (Neely; GreFar, ICDCS'12: serve
when Q mu > V p E; Q <- max(Q - b, 0) + a). With the default of 1 nothing that costs less than a dollar is held, and
queues outweigh electricity. The state is that second part of B, by shape, and the moment it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from placement.choosing import Key, Line, Order, earlier_then_name, energy_alone
from placement.cost import Prepared
from placement.fleet_table import Debits
from placement.model import Group
from placement.quote import COSTS_A_USD, DEADLINE_SLACK_S, MOMENTS_A_SECOND, One, Quoted, quote, service_s, waiting_s
from placement.strategy import Plan, Rng, Snapshot, State, label

PATIENCE_TASKS_PER_S = 1.0  # by which a backlog grows while work waits, so that a lone task does not wait for ever


@dataclass(frozen=True)
class Drift:
    v: float = 1.0

    name: ClassVar[str] = "drift"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = (
        "the least of v * energy cost + queue * service time; waits while a run costs more than a wait"
    )
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.v < inf:
            raise ValueError(f"drift.v = {self.v}: it must be a number that is not negative")

    def initial(self) -> State:
        return {}

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now = Debits(snapshot.table, snapshot.now), snapshot.now
        nodes: list[list[int]] = []
        costs: list[list[float]] = []
        again_at = inf
        waiting: dict[str, int] = {}
        for demand, count in snapshot.groups:
            shape = label(demand.shape)
            waiting[shape] = waiting.get(shape, 0) + count
        patience = {shape: self._patience(state.get(shape), now) for shape in waiting}
        for group, prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            shape = label(group.demand.shape)
            chosen, paid, pays_at = self._serve(group, prepared, view, now, waiting[shape] + patience[shape])
            waiting[shape] -= len(chosen)
            patience[shape] = max(patience[shape] - len(chosen), 0.0)
            again_at = min(again_at, pays_at)
            nodes.append(chosen)
            costs.append(paid)
        kept = {shape: [now, patience[shape]] for shape, count in waiting.items() if count}
        return Plan(nodes, costs, again_at), kept

    def _patience(self, kept: list[float] | None, now: float) -> float:
        return 0.0 if kept is None else kept[1] + PATIENCE_TASKS_PER_S * (now - kept[0])

    def _serve(
        self, group: Group, prepared: Prepared, view: Debits, now: float, backlog: float
    ) -> tuple[list[int], list[float], float]:
        """Nodes and costs of the tasks that pay now, and when the next one may, unix seconds."""
        demand, count = group.demand, group.count
        one, energy = One(demand, prepared, now), One(*energy_alone(demand, prepared), now)
        line = self._line(group, prepared, view, now, energy)
        nodes: list[int] = []
        costs: list[float] = []
        while line and len(nodes) < count:
            missing = self.v * energy.at(line.node, view.load).usd - (backlog - len(nodes))
            latest = demand.before - one.at(line.node, view.load).expected_s
            if missing > DEADLINE_SLACK_S and latest > now + DEADLINE_SLACK_S:
                return nodes, costs, min(now + missing / PATIENCE_TASKS_PER_S, latest, prepared.first_until)
            i, usd = line.take()
            nodes.append(i)
            costs.append(usd)
        return nodes, costs, inf

    def _line(self, group: Group, prepared: Prepared, view: Debits, now: float, energy: One) -> Line:
        demand = group.demand
        cost = quote(demand, prepared, view.load, now)
        usd = quote(*energy_alone(demand, prepared), view.load, now)
        run = service_s(demand, prepared)
        rank = prepared.name_rank
        weight = self.v * np.where(cost < inf, usd, 0.0) + waiting_s(run, view.load, now) * run

        def again(i: int, quoted: Quoted) -> Key:
            weight = self.v * energy.at(i, view.load).usd + quoted.wait_s * energy.run_s(i)
            return round(weight * COSTS_A_USD), round(quoted.expected_s * MOMENTS_A_SECOND), int(rank[i])

        first = np.where(cost < inf, np.rint(weight * COSTS_A_USD), inf)
        order = Order(first, earlier_then_name(demand, prepared, view, now), again)
        return Line(demand, group.count, prepared, view, now, cost, order)
