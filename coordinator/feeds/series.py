"""Values over time, as steps, with the gaps that the source has; and what to do about the gaps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import InvalidConfiguration

Floats = NDArray[np.float64]
Gaps = Literal["error", "hold"]


@dataclass(frozen=True)
class Steps:
    """Curves without gaps, for `placement.energy`: each value stands from its time until the next."""

    curves: dict[str, tuple[Floats, Floats]]  # zone: (unix seconds, rising; values)
    held: dict[str, int]  # zone: steps without a value of their own, bridged by the last one; only zones with any


@dataclass(frozen=True, eq=False)
class Series:
    """What a source says, one column a zone; each row stands until the next, the last one until `ends`."""

    source: str  # the file, or words for what has none
    times: Floats  # unix seconds, rising strictly
    ends: float  # unix seconds
    values: Mapping[str, Floats]  # zone: one a row; nan is a gap
    lines: NDArray[np.int64]  # where each row stands in the source, for complaints

    def note(self, now: float) -> str:
        """Empty while the series covers `now`; afterwards the sentence that says how stale the last value is.

        Raises InvalidConfiguration before the first row: no value stands yet.
        """
        if now < self.times[0]:
            raise InvalidConfiguration(
                f"{self.source} begins at {moment(self.times[0])}, after {moment(now)}: add rows that begin earlier"
            )
        if now < self.ends:
            return ""
        return f"{self.source} ended at {moment(self.ends)}: stale for {span(now - self.ends)}, its last value stands"

    def steps(self, zones: Iterable[str], gaps: Gaps, since: float = -np.inf, until: float = np.inf) -> Steps:
        """The curves of `zones` as far as they are used between two moments (unix seconds).

        A gap in there is refused ("error") or bridged by the last value before it ("hold"); "hold" refuses a gap that
        has none before it. Raises InvalidConfiguration for those, for a zone without a column, and for a `since`
        before the start.
        """
        if np.isfinite(since):
            self.note(since)
        first = max(int(np.searchsorted(self.times, since, side="right")) - 1, 0)
        last = max(int(np.searchsorted(self.times, until, side="left")), first + 1)
        curves, held = {}, {}
        for zone in zones:
            values = self._column(zone)
            missing = np.flatnonzero(np.isnan(values[first:last])) + first
            if missing.size:
                start = self._last_value_before(zone, first)
                if gaps == "error" or np.isnan(values[start]):
                    raise self._gap(zone, int(missing[0]), gaps)
                held[zone] = int(missing.size)
                kept = np.concatenate(([start], np.flatnonzero(~np.isnan(values[start + 1 : last])) + start + 1))
            else:
                kept = np.arange(first, last)
            curves[zone] = (self.times[kept], values[kept])
        return Steps(curves, held)

    def _column(self, zone: str) -> Floats:
        if zone not in self.values:
            known = sorted(self.values)
            listed = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
            raise InvalidConfiguration(
                f"{self.source}, line 1: no column for zone {zone!r}; there are {listed or 'none'}"
            )
        return self.values[zone]

    def _last_value_before(self, zone: str, row: int) -> int:
        """The row whose value stands at `row`: itself or the nearest above with a value; `row` where there is none."""
        above = np.flatnonzero(~np.isnan(self.values[zone][: row + 1]))
        return int(above[-1]) if above.size else row

    def _gap(self, zone: str, row: int, gaps: Gaps) -> InvalidConfiguration:
        place = f"{self.source}, line {self.lines[row]}, column {zone}: no value for {moment(self.times[row])}"
        if gaps == "error":
            return InvalidConfiguration(f'{place}; fill it in, or let the last value stand with price_gaps = "hold"')
        return InvalidConfiguration(f"{place}, and none before it that could stand; fill it in or begin later")


def moment(seconds: float) -> str:
    """RFC 3339 in UTC to the minute, for sentences."""
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%dT%H:%MZ")


def span(seconds: float) -> str:
    """A duration for sentences, in its largest unit, rounded down."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
