"""Near nodes first, and on to the next when a queue is long: the part that `nearest` and `local-first` share."""

from __future__ import annotations

from math import inf

import numpy as np

from placement.choosing import Key, Order, place
from placement.cost import Prepared
from placement.energy import Floats, Ints
from placement.fleet_table import Debits
from placement.model import Demand
from placement.quote import MOMENTS_A_SECOND, Quoted, quote, service_s, waiting_s

NOISE_S = 1e-9  # a wait is a difference of moments: what rounding leaves there is no longer queue


def place_near(
    demand: Demand, count: int, prepared: Prepared, view: Debits, now: float, distance: Floats, spill_after_s: float
) -> tuple[list[int], list[float]]:
    """Among the nodes whose expected wait is within `spill_after_s` the one at the least distance, then the less
    loaded (tasks, running and waiting, a slot), then by name. Where all are past it, the least wait.
    """
    cost = quote(demand, prepared, view.load, now)
    wait = waiting_s(service_s(demand, prepared), view.load, now)
    spilled = wait > spill_after_s + NOISE_S
    slots, rank = prepared.slots, prepared.name_rank
    tasks = view.load.tasks

    def loaded(nodes: Ints) -> Floats:
        share: Floats = tasks[nodes] / slots[nodes]
        return share

    then = (
        lambda nodes: np.where(spilled[nodes], np.rint(wait[nodes] * MOMENTS_A_SECOND), distance[nodes]),
        lambda nodes: np.where(spilled[nodes], distance[nodes], loaded(nodes)),
        loaded,
        lambda nodes: rank[nodes],
    )

    def again(i: int, quoted: Quoted) -> Key:
        far, share = float(distance[i]), int(view.load.tasks[i]) / int(slots[i])
        if quoted.wait_s > spill_after_s + NOISE_S:
            return 1.0, round(quoted.wait_s * MOMENTS_A_SECOND), far, share, int(rank[i])
        return 0.0, far, share, share, int(rank[i])

    return place(demand, count, prepared, view, now, cost, Order(np.where(cost < inf, spilled, inf), then, again))
