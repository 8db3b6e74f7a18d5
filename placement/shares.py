"""How much of the recent work went where: counts over a sliding window, small enough to be kept with every turn."""

from __future__ import annotations

from math import inf
from typing import Any

RUNS = 256  # placements in a window that are remembered one by one
GRAINS = 64  # past that, those of one name within this part of the window are one run
ROUNDING = 1e-9
ROUNDING_S = 1e-6  # a moment plus the window, less the window, may not be the moment

Run = list[Any]  # [first moment, last moment, name, tasks]: JSON-like


class Shares:
    """Tasks by name (of a region, an operator or a site) in the last `window_s` seconds, under a cap of their share.

    While few are remembered the counts are exact. Of more, neighbours are joined to runs; a run counts for its own
    name until its last task is old, and for the whole until its first is: so a share is never taken for smaller than
    it is, and no cap is passed.
    """

    def __init__(self, runs: list[Run], cap: float, window_s: float, now: float) -> None:
        self._cap, self._window_s, self._now = cap, window_s, now
        self._edge = edge = now - window_s + ROUNDING_S
        self._runs = [run for run in runs if run[1] > edge]
        self._named: dict[str, int] = {}
        self._total = 0
        for first, _, name, tasks in self._runs:
            self._named[name] = self._named.get(name, 0) + tasks
            if first > edge:
                self._total += tasks
        self._fresh: dict[str, int] = {}  # by name, where the run of this moment stands

    def full(self, name: str) -> bool:
        """Whether one more task would bring the name's share past the cap.

        A cap s binds once the window, this task included, holds 1/s tasks: fewer cannot be divided so finely.
        """
        total = self._total + 1
        if total * self._cap < 1.0 - ROUNDING:
            return False
        return self._named.get(name, 0) + 1 > self._cap * total + ROUNDING

    @property
    def all_full(self) -> list[str]:
        """The names that may not have another task now; a name without any in the window is never among them."""
        return [name for name in self._named if self.full(name)]

    def add(self, name: str) -> None:
        """One more task, now."""
        self._named[name] = self._named.get(name, 0) + 1
        self._total += 1
        position = self._fresh.get(name)
        if position is None:
            self._fresh[name] = len(self._runs)
            self._runs.append([self._now, self._now, name, 1])
        else:
            self._runs[position][3] += 1  # made here: nobody else's

    def kept(self) -> list[Run]:
        """The window as it is remembered."""
        if len(self._runs) <= RUNS:
            return self._runs
        joined: list[Run] = []
        latest: dict[str, int] = {}
        for first, last, name, tasks in self._runs:
            position = latest.get(name)
            if position is not None and last - joined[position][0] <= self._window_s / GRAINS:
                joined[position] = [joined[position][0], last, name, joined[position][3] + tasks]
            else:
                latest[name] = len(joined)
                joined.append([first, last, name, tasks])
        return joined

    def changes_at(self) -> float:
        """When the next tasks leave the window, unix seconds; infinity when it is empty."""
        moments = [moment for first, last, _, _ in self._runs for moment in (first, last) if moment > self._edge]
        return min(moments, default=inf) + self._window_s
