"""Prices and carbon from files, as far as a scenario uses them, and until when they are whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.series import Floats, Gaps, Series, moment
from placement.energy import Curves


@dataclass(frozen=True)
class Used:
    """The curves of the zones in use, and what had to be held."""

    curves: Curves
    held: dict[str, int]  # zone: steps in the span of the jobs that have no value of their own; only zones with any
    known_until: float  # unix seconds; from there on the last value stands


def use(series: Series, zones: list[str], gaps: Gaps, start: float, until: float) -> Used:
    """The zones' curves from `start` on; every value that jobs need up to `until` (unix seconds) must be there.

    With "hold" the last value stands for what is missing, and is counted. Raises InvalidConfiguration.
    """
    needed = series.steps(zones, gaps, since=start, until=until)
    held = dict(needed.held)
    if zones and until > series.ends:
        if gaps == "error":
            raise InvalidConfiguration(
                f"{series.source}, line {series.lines[-1]}, column {zones[0]}: the file ends at {moment(series.ends)}, "
                f"but jobs need prices until {moment(until)}; add rows, or let the last value stand with "
                'price_gaps = "hold"'
            )
        missing = ceil((until - series.ends) / _step(series))
        held = {zone: held.get(zone, 0) + missing for zone in zones}
    if gaps == "hold":
        return Used(Curves(series.steps(zones, gaps, since=start).curves), held, inf)
    whole = min([_first_gap(series, zone, until) for zone in zones], default=inf)
    return Used(Curves(series.steps(zones, gaps, since=start, until=whole).curves), held, whole)


def _step(series: Series) -> float:
    return float(series.ends - series.times[-1])


def _first_gap(series: Series, zone: str, since: float) -> float:
    """When a zone has its first gap from `since` on, else when the file ends."""
    values: Floats = series.values[zone]
    first = int(np.searchsorted(series.times, since, side="left"))
    gaps = np.flatnonzero(np.isnan(values[first:]))
    return float(series.times[first + gaps[0]]) if gaps.size else series.ends
