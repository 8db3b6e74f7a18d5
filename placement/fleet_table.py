"""Nodes as columns, changed in place and lent to strategies read-only.

Two kinds of column. Facts change seldom, by `put`, and every change raises `version`. Load changes with every task,
by `debit` and `credit`. Queue ahead is kept in absolute time (differences drift): `drained_at` is when a node's
outstanding work would be through if all its slots worked on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.energy import Floats, Ints
from placement.model import NodeFacts, NodeState

Bools = NDArray[np.bool_]

LEVELS = ("site", "region", "operator")  # what nodes have in common, from near to far

_FLOATS = (
    "price_usd_per_kwh",
    "pue",
    "idle_watts",
    "marginal_watts",
    "seconds_per_byte",
    "egress_usd_per_byte",
    "hashes_per_s",
    "requests_per_s",
    "prefill_tokens_per_s",
    "tokens_per_s",
    "service_spread",
    "coordinator_rtt_s",
    "extra_delay_s",
    "drained_at",
    "clear_at",
    "overdue_share",
)
_INTS = ("slots", "tasks", "state")
_BOOLS = ("hub", "keep_private", "curtailed", "banned")


class Load(NamedTuple):
    """What a quote must know of queues: three columns, all by node.

    `tasks`: running and waiting. `clear_at`: when a new task could start, 0 while a slot is free.
    `overdue_share`: 1 / slots while no slot is free, else 0: the part of its own run that a task waits at least, so
    that a busy node whose work is overdue does not look free.
    """

    tasks: Ints
    clear_at: Floats
    overdue_share: Floats


class NodeTable:
    """Every node ever registered; an index is a node's number for good."""

    # facts
    slots: Ints
    state: Ints
    hub: Bools
    keep_private: Bools
    curtailed: Bools
    banned: Bools
    price_usd_per_kwh: Floats  # where there is no zone
    pue: Floats
    idle_watts: Floats
    marginal_watts: Floats  # of a slot, without PUE
    seconds_per_byte: Floats
    egress_usd_per_byte: Floats
    hashes_per_s: Floats
    requests_per_s: Floats
    prefill_tokens_per_s: Floats
    tokens_per_s: Floats
    service_spread: Floats
    coordinator_rtt_s: Floats  # nan: not measured
    extra_delay_s: Floats
    # load
    tasks: Ints
    drained_at: Floats
    clear_at: Floats
    overdue_share: Floats
    lent: Load  # the load columns, to be read and not written

    def __init__(self, facts: Iterable[NodeFacts] = ()) -> None:
        self.version = 0
        self.facts: list[NodeFacts] = []
        self.index: dict[str, int] = {}
        self.names: list[str] = []
        self.region_names: list[str] = []
        self.changed: set[int] = set()  # nodes whose load changed since somebody last took this set
        self._queues: list[_Queue] = []
        self._in_region: dict[str, Bools] = {}
        self._labels: dict[str, tuple[Ints, dict[str, int]]] = {}
        self._name_rank: Ints | None = None
        self._by_name: Ints | None = None
        self._capacity = 0
        self._columns: dict[str, NDArray[np.generic]] = {}
        self._resize(16)
        for one in facts:
            self.put(one)

    def __len__(self) -> int:
        return len(self.facts)

    def _resize(self, capacity: int) -> None:
        for names, kind in ((_FLOATS, np.float64), (_INTS, np.int64), (_BOOLS, np.bool_)):
            for name in names:
                grown = np.zeros(capacity, dtype=kind)
                if name in self._columns:
                    grown[: self._capacity] = self._columns[name]
                self._columns[name] = grown
        self._capacity = capacity
        self._expose()

    def _expose(self) -> None:
        n = len(self.facts)
        for name, column in self._columns.items():
            setattr(self, name, column[:n])
        self.lent = Load(*map(_locked, self.load()))

    def put(self, facts: NodeFacts) -> int:
        """Register a node or replace its facts; returns its index."""
        i = self.index.get(facts.name)
        if i is None:
            i = len(self.facts)
            if i == self._capacity:
                self._resize(2 * self._capacity)
            self.index[facts.name] = i
            self.facts.append(facts)
            self.names.append(facts.name)
            self.region_names.append(facts.region)
            self._queues.append(_Queue())
            self._expose()
            self._name_rank = self._by_name = None
            self._labels.clear()
        elif any(getattr(self.facts[i], level) != getattr(facts, level) for level in LEVELS):
            self._labels.clear()
        self.facts[i] = facts
        self.region_names[i] = facts.region
        self._in_region.clear()
        self.version += 1
        self.slots[i] = facts.slots
        self.state[i] = int(facts.state)
        self.hub[i] = facts.hub
        self.keep_private[i] = facts.keep_private
        self.curtailed[i] = facts.curtailed
        self.banned[i] = facts.banned
        self.price_usd_per_kwh[i] = facts.price_usd_per_kwh
        self.pue[i] = facts.pue
        self.idle_watts[i] = facts.idle_watts
        self.marginal_watts[i] = facts.marginal_watts
        self.seconds_per_byte[i] = 8.0 / (facts.bandwidth_mbps * 1e6)
        self.egress_usd_per_byte[i] = facts.egress_usd_per_gb / 1e9
        self.hashes_per_s[i] = facts.hashes_per_s
        self.requests_per_s[i] = facts.requests_per_s
        self.prefill_tokens_per_s[i] = facts.prefill_tokens_per_s
        self.tokens_per_s[i] = facts.tokens_per_s
        self.service_spread[i] = facts.service_spread
        self.coordinator_rtt_s[i] = np.nan if facts.coordinator_rtt_s is None else facts.coordinator_rtt_s
        self.extra_delay_s[i] = facts.extra_delay_s
        self._queues[i].slots = facts.slots
        self._queues[i].full = True  # so that the columns are written whatever they held
        self._show(i, self._queues[i])
        return i

    @property
    def regions(self) -> set[str]:
        return set(self.region_names)

    def in_region(self, region: str) -> Bools:
        """Which nodes stand in a region."""
        mask = self._in_region.get(region)
        if mask is None:
            mask = np.fromiter((name == region for name in self.region_names), np.bool_, len(self.region_names))
            self._in_region[region] = mask
        return mask

    def labels(self, level: str) -> tuple[Ints, dict[str, int]]:
        """Each node's region, operator or site as a number, and the number of each name."""
        known = self._labels.get(level)
        if known is None:
            numbers: dict[str, int] = {}
            column = [numbers.setdefault(getattr(facts, level), len(numbers)) for facts in self.facts]
            known = self._labels[level] = np.array(column, dtype=np.int64), numbers
        return known

    @property
    def by_name(self) -> Ints:
        """The nodes in the order of their names."""
        if self._by_name is None:
            self._by_name = np.argsort(np.array(self.names, dtype=np.str_))
        return self._by_name

    @property
    def name_rank(self) -> Ints:
        """Each node's place in the order of names: the last tie-breaker."""
        if self._name_rank is None:
            self._name_rank = np.empty(len(self.names), dtype=np.int64)
            self._name_rank[self.by_name] = np.arange(len(self.names))
        return self._name_rank

    @property
    def ready(self) -> Bools:
        ready: Bools = self.state == int(NodeState.READY)
        return ready

    # -- load

    def load(self) -> Load:
        """The load columns themselves. Borrowed: take `Debits` to change them in thought."""
        return Load(self.tasks, self.clear_at, self.overdue_share)

    def debit(self, i: int, run_s: float, now: float) -> None:
        """One more task of `run_s` expected seconds at node `i`."""
        queue = self._queues[i]
        queue.drained_at = max(queue.drained_at, now) + run_s / queue.slots
        queue.tasks += 1
        queue.owed_s += run_s
        self._show(i, queue)

    def credit(self, i: int, run_s: float, expected_end: float, now: float) -> None:
        """A task of `run_s` expected seconds is over at node `i`, earlier or later than expected."""
        queue = self._queues[i]
        queue.tasks -= 1
        tasks, slots = queue.tasks, queue.slots
        if tasks == 0:
            queue.drained_at = queue.owed_s = 0.0
        else:
            queue.owed_s = max(queue.owed_s - run_s, 0.0)
            if expected_end > now:
                queue.drained_at = max(queue.drained_at - (expected_end - now) / slots, now)
            elif tasks > slots:  # late: what still waits has not drained meanwhile
                waiting_s = queue.owed_s * (tasks - slots) / tasks
                queue.drained_at = max(queue.drained_at, now + waiting_s / slots)
        self._show(i, queue)

    def set_load(self, i: int, tasks: int, drained_at: float) -> None:
        """Put back what a turn log says of a node's queue."""
        queue = self._queues[i]
        queue.tasks = tasks
        queue.drained_at = drained_at
        self._show(i, queue)

    def queue_of(self, i: int) -> tuple[int, float]:
        """Tasks at a node, running and waiting, and when they will be through."""
        queue = self._queues[i]
        return queue.tasks, queue.drained_at

    def _show(self, i: int, queue: _Queue) -> None:
        """Bring the columns into line with a queue. Plain numbers are kept beside them: scalars in arrays are slow."""
        self.tasks[i] = queue.tasks
        self.drained_at[i] = queue.drained_at
        if queue.tasks >= queue.slots:
            self.clear_at[i] = queue.drained_at
            self.overdue_share[i] = 1.0 / queue.slots
            queue.full = True
        elif queue.full:
            self.clear_at[i] = self.overdue_share[i] = 0.0
            queue.full = False
        self.changed.add(i)


class _Queue:
    """One node's queue in plain numbers."""

    __slots__ = ("drained_at", "full", "owed_s", "slots", "tasks")

    def __init__(self) -> None:
        self.tasks = 0
        self.slots = 1
        self.drained_at = 0.0
        self.owed_s = 0.0  # expected seconds of all outstanding tasks
        self.full = False


class Debits:
    """A strategy's own view of the load: the table's columns until the first debit, a copy from then on."""

    __slots__ = ("_drained_at", "_now", "_table", "load")

    def __init__(self, table: NodeTable, now: float) -> None:
        self._table = table
        self._now = now
        self._drained_at: Floats | None = None
        self.load = table.lent

    def take(self, i: int, run_s: float) -> None:
        """One more task of `run_s` expected seconds at node `i`, in this view only."""
        if self._drained_at is None:
            self._drained_at = self._table.drained_at.copy()
            tasks, clear_at, overdue_share = self._table.load()
            self.load = Load(tasks.copy(), clear_at.copy(), overdue_share.copy())
        slots = self._table.facts[i].slots
        load = self.load
        drained_at = max(float(self._drained_at[i]), self._now) + run_s / slots
        taken = int(load.tasks[i]) + 1
        self._drained_at[i] = drained_at
        load.tasks[i] = taken
        if taken >= slots:
            load.clear_at[i] = drained_at
            load.overdue_share[i] = 1.0 / slots


def _locked(column: Any) -> Any:
    view = column.view()
    view.flags.writeable = False
    return view
