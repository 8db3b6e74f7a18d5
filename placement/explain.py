"""From a decision to its reasons: every node considered, with its four costs, its latency in parts, and its place.

Nothing here is kept: it is recomputed, by the functions that decided, from what was known when they did.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from placement import feasible
from placement.cost import Prepared
from placement.fleet_table import Load, NodeTable
from placement.model import Demand, Reason, Rejection, RttSource
from placement.quote import COSTS_A_USD, DEADLINE_SLACK_S, MOMENTS_A_SECOND, Parts, parts, quote


class Considered(NamedTuple):
    """One node's account of one task. USD, joules and seconds; `rank` 1 is the least cost, None is rejected."""

    node: int
    rank: int | None
    rejections: list[Rejection]
    cost_usd: float
    energy_usd: float
    network_usd: float
    carbon_usd: float
    time_usd: float
    energy_joules: float
    expected_s: float
    path_s: float
    transfer_s: float
    wait_s: float
    run_s: float
    path_source: RttSource


def considered(
    demand: Demand, prepared: Prepared, load: Load, now: float, table: NodeTable, *, holds: bool
) -> list[Considered]:
    """Every node, the least cost first, the rejected last by name. `holds`: the strategy asks for a free slot."""
    every = parts(demand, prepared, load, now)
    cost = quote(demand, prepared, load, now)
    against = [
        feasible.rejections(demand.shape, table, i) + _by_size(demand, prepared, load, now, table, every, i, holds)
        for i in range(len(table))
    ]
    rejected = np.array([bool(reasons) for reasons in against], dtype=np.bool_)
    order = np.lexsort(
        (
            prepared.name_rank,
            np.rint(np.where(rejected, 0.0, every.expected_s) * MOMENTS_A_SECOND),
            np.rint(np.where(rejected, 0.0, cost) * COSTS_A_USD),
            rejected,
        )
    )
    ranked: list[Considered] = []
    for place, i in enumerate(order.tolist(), start=1):
        energy, network, carbon, time = (float(column[i]) for column in every[:4])
        ranked.append(
            Considered(
                i,
                None if against[i] else place,
                against[i],
                float(cost[i]) if cost[i] < inf else energy + network + carbon + time,
                energy,
                network,
                carbon,
                time,
                float(every.energy_joules[i]),
                float(every.expected_s[i]),
                float(every.path_s[i]),
                float(every.transfer_s[i]),
                float(every.wait_s[i]),
                float(every.run_s[i]),
                RttSource(int(prepared.path_source[i])),
            )
        )
    return ranked


def _by_size(
    demand: Demand,
    prepared: Prepared,
    load: Load,
    now: float,
    table: NodeTable,
    every: Parts,
    i: int,
    holds: bool,
) -> list[Rejection]:
    """The rules that need the demand's sizes or the queue: what `quote` answers with infinity, in words."""
    found: list[Rejection] = []
    if holds and load.tasks[i] >= prepared.slots[i]:
        found.append(Rejection(Reason.NO_SLOT, f"all {prepared.slots[i]} slots of {table.names[i]} are busy"))
    bill = float(every.energy_usd[i] + every.network_usd[i] + every.carbon_usd[i])
    if bill > demand.budget_usd:
        found.append(Rejection(Reason.BUDGET, f"it would cost {bill:.3g} USD, the budget is {demand.budget_usd:.3g}"))
    late = now + float(every.expected_s[i]) - demand.before
    if late > DEADLINE_SLACK_S:
        found.append(Rejection(Reason.DEADLINE, f"its answer would come {late:.3g} s after the deadline"))
    return found
