"""When to run: the start at which a node's electricity costs least over the run, exactly, over step curves."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from placement.cost import Prepared, price_integral
from placement.energy import JOULES_PER_KWH

TIE_S = 1e-6  # as much run as may be lost in the rounding of moments


class Hour(NamedTuple):
    """A start, in unix seconds, and what the energy of the run then costs, USD."""

    usd: float
    start: float


def best_hour(
    prepared: Prepared, i: int, run_s: float, earliest: float, latest: float, reserved: Sequence[float], tie_usd: float
) -> Hour | None:
    """The least energy cost of a run at node `i` that starts from `earliest` to `latest`; the earlier one of equals.

    Cost is linear in the start between the moments at which a price step meets the beginning or the end of the run,
    so one of those or an end of the interval is the best. `reserved`: starts of equal runs that are to be there; no
    more at once than there are slots. None: no room.
    """
    zone = int(prepared.price_zone[i])
    steps = prepared.world.prices.changes(zone, earliest, latest + run_s) if zone >= 0 else np.zeros(0)
    taken = np.array(reserved)
    starts = np.concatenate(([earliest, latest], steps, steps - run_s, taken + run_s, taken - run_s))
    starts = np.unique(starts[(starts >= earliest) & (starts <= latest)])
    if len(taken):
        together = np.abs(starts[:, None] - taken[None, :]) < run_s - TIE_S
        starts = starts[together.sum(axis=1) < prepared.slots[i]]
    if not len(starts):
        return None
    here = np.full(len(starts), i)
    usd = price_integral(prepared, here, starts, starts + run_s) * (float(prepared.watts[i]) / JOULES_PER_KWH)
    first = int(np.flatnonzero(usd <= usd.min(initial=inf) + tie_usd)[0])
    return Hour(float(usd[first]), float(starts[first]))
