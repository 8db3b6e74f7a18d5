"""`objective`: the least energy cost that still answers in time.

Rule: among the nodes predicted to meet the client's objective at the `quantile`, the least energy cost; ties go to
the earlier answer, then to the name. Where none is, the least expected latency. Work without an objective goes to the
least energy cost.

The form of CASPER (IGSC'23) and CarbonEdge (2025). The prediction is a quantile, not the mean: half of the answers are
later than a mean that just meets the objective. It adds to the expected latency k standard deviations of what is
uncertain, the queue and the run, with k = sqrt(q / (1 - q)): Cantelli's bound, which holds for any distribution. A
node's spread is what was learned of it; where nothing varies, as in a simulation, the quantile is the expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import ClassVar

import numpy as np

from placement.choosing import Column, Key, Order, earlier_then_name, energy_alone, place
from placement.cost import Prepared
from placement.energy import Ints
from placement.fleet_table import Debits
from placement.model import Demand, Kind
from placement.quote import (
    COSTS_A_USD,
    DEADLINE_SLACK_S,
    MOMENTS_A_SECOND,
    One,
    Quoted,
    quote,
    service_s,
    waiting_s,
)
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Objective:
    quantile: float = 0.95

    name: ClassVar[str] = "objective"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = "the least energy cost among the nodes predicted to meet the latency objective"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.quantile < 1:
            raise ValueError(f"objective.quantile = {self.quantile}: it lies from 0 to below 1")

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, plan = Debits(snapshot.table, snapshot.now), Plan([], [])
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            nodes, costs = self._place(demand, count, prepared, view, snapshot.now)
            plan.nodes.append(nodes)
            plan.costs.append(costs)
        return plan, state

    def _place(
        self, demand: Demand, count: int, prepared: Prepared, view: Debits, now: float
    ) -> tuple[list[int], list[float]]:
        cost = quote(demand, prepared, view.load, now)
        energy_demand, energy_prepared = energy_alone(demand, prepared)
        energy = quote(energy_demand, energy_prepared, view.load, now)
        one_energy = One(energy_demand, energy_prepared, now)
        run = service_s(demand, prepared)
        wait = waiting_s(run, view.load, now)
        expected = wait + run + prepared.path_s + prepared.s_per_byte * (demand.bytes_in + demand.bytes_out)
        deviations, spread = sqrt(self.quantile / (1 - self.quantile)), prepared.spread
        latest = objective_s(demand) + DEADLINE_SLACK_S
        rank = prepared.name_rank
        misses = expected + deviations * spread * np.sqrt(run * (run + wait)) > latest

        earlier, by_name = earlier_then_name(demand, prepared, view, now)

        def energy_or_answer(nodes: Ints) -> Column:
            return np.where(misses[nodes], earlier(nodes), np.rint(energy[nodes] * COSTS_A_USD))

        def again(i: int, quoted: Quoted) -> Key:
            answer, run_s = round(quoted.expected_s * MOMENTS_A_SECOND), one_energy.run_s(i)
            uncertain_s = float(spread[i]) * sqrt(run_s * (run_s + quoted.wait_s))
            if quoted.expected_s + deviations * uncertain_s > latest:
                return 1.0, answer, answer, int(rank[i])
            return 0.0, round(one_energy.at(i, view.load).usd * COSTS_A_USD), answer, int(rank[i])

        order = Order(np.where(cost < inf, misses, inf), (energy_or_answer, earlier, by_name), again)
        return place(demand, count, prepared, view, now, cost, order)


def objective_s(demand: Demand) -> float:
    """The latency that the client wants; infinity for hashing that names none and pays for no second."""
    if demand.shape.kind is Kind.HASH and demand.objective_s == 0.0 and demand.second_usd == 0.0:
        return inf
    return demand.objective_s
