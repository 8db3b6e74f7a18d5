"""Electricity over time: step curves and exact integrals under them.

A curve is a price (USD per kWh) or a carbon intensity (g per kWh) that holds from one moment to the next. Integrals
are exact between steps, by prefix sums: no step size to choose, negative prices are ordinary numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JOULES_PER_KWH = 3.6e6


class Curves:
    """Step curves of many zones, stacked so that one search answers for all nodes at once. Immutable.

    A value holds from its moment until the next one; the first also holds before the first moment, the last for
    ever. Whether that is allowed is the feed's decision, not the integral's.
    """

    def __init__(self, steps: Mapping[str, tuple[Sequence[float] | Floats, Sequence[float] | Floats]]) -> None:
        """`steps`: zone -> (rising unix seconds, values)."""
        self.zones: dict[str, int] = {zone: number for number, zone in enumerate(steps)}
        times = [np.asarray(pair[0], dtype=np.float64) for pair in steps.values()]
        values = [np.asarray(pair[1], dtype=np.float64) for pair in steps.values()]
        for zone, moments, heights in zip(steps, times, values, strict=True):
            if len(moments) == 0 or len(moments) != len(heights):
                raise ValueError(f"curve {zone}: {len(moments)} moments and {len(heights)} values")
            if np.any(np.diff(moments) <= 0) or not np.all(np.isfinite(heights)):
                raise ValueError(f"curve {zone}: moments must rise and values must be numbers")
        lengths = np.array([len(moments) for moments in times], dtype=np.int64)
        self._first: Ints = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(times) else _none()
        self._last: Ints = self._first + lengths - 1 if len(times) else _none()
        self._times: Floats = np.concatenate(times) if times else np.zeros(0)
        self._values: Floats = np.concatenate(values) if values else np.zeros(0)
        # area under the curve from its first moment to each step
        self._areas: Floats = (
            np.concatenate(
                [
                    np.concatenate([[0.0], np.cumsum(heights[:-1] * np.diff(moments))])
                    for moments, heights in zip(times, values, strict=True)
                ]
            )
            if times
            else np.zeros(0)
        )
        # integer microseconds, shifted zone by zone: rising over the whole stack
        if times:
            self._origin = float(self._times.min())
            span = int((float(self._times.max()) - self._origin) * 1e6) + 2
        else:
            self._origin, span = 0.0, 2
        self._span = span
        zone_of = np.repeat(np.arange(len(times), dtype=np.int64), lengths)
        self._keys: Ints = np.rint((self._times - self._origin) * 1e6).astype(np.int64) + zone_of * span

    def _step(self, zones: Ints, at: Floats) -> Ints:
        micros = np.clip(np.floor((at - self._origin) * 1e6 + 0.5), 0, self._span - 1).astype(np.int64)
        found = np.searchsorted(self._keys, micros + zones * self._span, side="right") - 1
        return np.clip(found, self._first[zones], self._last[zones])

    def at(self, zones: Ints, moments: Floats) -> Floats:
        """The value of each zone at each moment."""
        values: Floats = self._values[self._step(zones, moments)]
        return values

    def next_change(self, zones: Ints, moment: float) -> Floats:
        """For each zone the next moment after `moment` at which its value may change; infinity past the end."""
        step = self._step(zones, np.full(len(zones), moment))
        following = np.minimum(step + 1, self._last[zones])
        times = self._times[following]
        return np.where(times > moment, times, np.inf)

    def _area(self, zones: Ints, at: Floats) -> Floats:
        step = self._step(zones, at)
        area: Floats = self._areas[step] + self._values[step] * (at - self._times[step])
        return area

    def integral(self, zones: Ints, start: Floats, end: Floats) -> Floats:
        """Area under each zone's curve between two moments: value times seconds."""
        return self._area(zones, end) - self._area(zones, start)

    def changes(self, zone: int, start: float, end: float) -> Floats:
        """The moments between `start` and `end` at which a zone's value may change, rising."""
        times = self._times[self._first[zone] : self._last[zone] + 1]
        return times[np.searchsorted(times, start, "right") : np.searchsorted(times, end, "left")]

    def areas(self, zone: int, moments: Floats) -> Floats:
        """Area under one zone's curve from its first moment to each of some moments: value times seconds."""
        first, last = self._first[zone], self._last[zone] + 1
        times = self._times[first:last]
        step = np.maximum(times.searchsorted(moments, "right") - 1, 0)
        area: Floats = self._areas[first:last][step] + self._values[first:last][step] * (moments - times[step])
        return area

    def least(self, start: float, end: float) -> Floats:
        """The least value of every zone from `start` to `end`."""
        zones = np.arange(len(self.zones))
        if not len(zones):
            return np.zeros(0)
        spans = np.column_stack(
            [self._step(zones, np.full(len(zones), start)), self._step(zones, np.full(len(zones), end)) + 1]
        )
        least: Floats = np.minimum.reduceat(np.append(self._values, np.inf), spans.ravel())[::2]
        return least

    def to_steps(self) -> dict[str, tuple[list[float], list[float]]]:
        """The inverse of construction, for keeping what was known."""
        return {
            zone: (
                self._times[self._first[n] : self._last[n] + 1].tolist(),
                self._values[self._first[n] : self._last[n] + 1].tolist(),
            )
            for zone, n in self.zones.items()
        }


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


def joules(watts: Any, seconds: Any, pue: Any) -> Any:
    """Energy drawn at the plug of the site: watts times seconds times PUE. Works on numbers and arrays."""
    return watts * seconds * pue
