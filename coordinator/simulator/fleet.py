"""The simulated fleet: each node has slots, first come first served, and service times that are exact.

What happened is kept as columns, one row for each attempt that used a slot. Joules and money are not kept: they are
integrals over the columns, taken once at the end (`ledger.py`).
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

import numpy as np

from coordinator.simulator.model import Bools, EventKind, Floats
from coordinator.work import Attempt
from placement.energy import Ints
from placement.model import NodeFacts

DONE, CUT = 1, 0  # the attempt ran to its end; it was stopped before


class Running:
    """An attempt in a slot. `ends_s` is exact, because nothing but a stop can change it."""

    __slots__ = ("attempt", "ends_s", "placed_s", "start_s")

    def __init__(self, attempt: Attempt, placed_s: float, start_s: float) -> None:
        self.attempt = attempt
        self.placed_s = placed_s
        self.start_s = start_s
        self.ends_s = start_s + attempt.run_s


class Machine:
    """One node: what runs, by epoch, and what waits for a slot."""

    __slots__ = ("incarnation", "index", "name", "running", "slots", "stopped", "waiting")

    def __init__(self, index: int, facts: NodeFacts) -> None:
        self.index = index
        self.name = facts.name
        self.slots = facts.slots
        self.running: dict[int, Running] = {}
        self.waiting: deque[tuple[Attempt, float]] = deque()  # with when it was placed
        self.stopped: dict[EventKind, int] = {}  # how many happenings of each kind keep it from working
        self.incarnation = 1

    def offer(self, attempt: Attempt, now: float) -> Running | None:
        """Take a placed attempt; what it becomes when a slot is free at once."""
        if len(self.running) < self.slots:
            return self._begin(attempt, now, now)
        self.waiting.append((attempt, now))
        return None

    def next(self, now: float) -> Running | None:
        """Give the free slot to whoever waits longest."""
        if self.waiting and len(self.running) < self.slots:
            attempt, placed_s = self.waiting.popleft()
            return self._begin(attempt, placed_s, now)
        return None

    def _begin(self, attempt: Attempt, placed_s: float, now: float) -> Running:
        running = self.running[attempt.epoch] = Running(attempt, placed_s, now)
        return running

    def revoke(self, epoch: int) -> Running | None:
        """Stop an attempt; what ran of it, or None when it still waited or had ended."""
        running = self.running.pop(epoch, None)
        if running is None:
            self.waiting = deque(pair for pair in self.waiting if pair[0].epoch != epoch)
        return running

    def stop(self) -> tuple[list[Running], list[int]]:
        """Stop everything: what ran, and the epochs of all that was here, the running first."""
        ran = list(self.running.values())
        epochs = [*self.running, *(attempt.epoch for attempt, _ in self.waiting)]
        self.running.clear()
        self.waiting.clear()
        return ran, epochs


class Columns:
    """Attempts that used a slot, in the order in which they ended."""

    __slots__ = ("end_s", "job", "node", "outcome", "placed_s", "start_s")

    def __init__(self) -> None:
        self.job = array("q")
        self.node = array("i")
        self.outcome = array("b")
        self.placed_s = array("d")
        self.start_s = array("d")
        self.end_s = array("d")

    def add(self, job: int, node: int, outcome: int, placed_s: float, start_s: float, end_s: float) -> None:
        self.job.append(job)
        self.node.append(node)
        self.outcome.append(outcome)
        self.placed_s.append(placed_s)
        self.start_s.append(start_s)
        self.end_s.append(end_s)

    def by_job(self) -> tuple[Ints, Ints, Bools, Floats, Floats, Floats]:
        """Job, node, whether it ran to its end, and when it was placed, began and ended: by job, then by time."""
        job, start_s = np.array(self.job, dtype=np.int64), np.array(self.start_s, dtype=np.float64)
        order = np.lexsort((start_s, job))
        return (
            job[order],
            np.array(self.node, dtype=np.int64)[order],
            np.array(self.outcome, dtype=np.int8)[order] == DONE,
            np.array(self.placed_s, dtype=np.float64)[order],
            start_s[order],
            np.array(self.end_s, dtype=np.float64)[order],
        )


def machines(nodes: Sequence[NodeFacts]) -> dict[str, Machine]:
    """By name, each under the index that its node has in the table once all have joined in this order."""
    return {facts.name: Machine(index, facts) for index, facts in enumerate(nodes)}
