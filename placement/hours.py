"""When to run: the start at which a node's electricity costs least over the run, exactly, over step curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from placement.cost import Prepared
from placement.energy import JOULES_PER_KWH

TIE_S = 1e-6  # as much run as may be lost in the rounding of moments


class Hour(NamedTuple):
    """A start, in unix seconds, and what the energy of the run then costs, USD."""

    usd: float
    start: float


def best_hour(
    prepared: Prepared, i: int, run_s: float, earliest: float, latest: float, reserved: Sequence[float], tie_usd: float
) -> Hour | None:
    """The least energy cost of a run that starts from `earliest` to `latest`; the earlier one of equals.

    The node `i` is one that pays the price of a zone.
    Cost is linear in the start between the moments at which a price step meets the beginning or the end of the run,
    so one of those or an end of the interval is the best. `reserved`: starts of equal runs that are to be there; no
    more at once than there are slots. None: no room.
    """
    curves, zone = prepared.world.prices, int(prepared.price_zone[i])
    steps = curves.changes(zone, earliest, latest + run_s)
    taken = np.array(reserved)
    starts = np.concatenate(([earliest, latest], steps, steps - run_s, taken + run_s, taken - run_s))
    starts = starts[(starts >= earliest) & (starts <= latest)]
    if len(taken):
        together = np.abs(starts[:, None] - taken[None, :]) < run_s - TIE_S
        starts = starts[together.sum(axis=1) < prepared.slots[i]]
    if not len(starts):
        return None
    usd = curves.areas(zone, starts + run_s) - curves.areas(zone, starts)
    usd *= float(prepared.watts[i]) / JOULES_PER_KWH
    equal = np.flatnonzero(usd <= usd.min() + tie_usd)
    first = int(equal[starts[equal].argmin()])
    return Hour(float(usd[first]), float(starts[first]))
