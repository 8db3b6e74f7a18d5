"""`diversified`: the least quote, without all the eggs in one basket.

Rule: as `weighted`, skipping a node whose region, operator or site already has its share: one task more would bring
the share of the tasks that were placed in the last `window_s` past its cap in `max_share`. Where every feasible node
is skipped the task is held until the window has moved on. Without caps it is `weighted`.

With a cap s and m = floor(1/s), shares within the cap have an HHI of at most 1e4 * (m s^2 + (1 - m s)^2), that is
2,000 / 2,500 / 2,800 / 3,350 for s = .20 / .25 / .30 / .35, and at least floor(0.5/s) + 1 names share half of the
work (Nakamoto). For one demand the greedy rule under caps is the optimum of the linear programme. A cap needs more
than 1/s names to be met without waiting.

The state is each capped level's window (see `shares`): exact while few, joined to runs where there are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, NamedTuple

import numpy as np

from placement.choosing import Key, Line, by_cost, cheapest, place
from placement.cost import Prepared
from placement.energy import Floats, Ints
from placement.fleet_table import LEVELS, Debits, NodeTable
from placement.model import Demand
from placement.quote import COSTS_A_USD, quote
from placement.shares import Shares
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Diversified:
    max_share: Mapping[str, float] = field(default_factory=dict)  # region, operator, site -> 0 to 1
    window_s: float = 3600.0

    name: ClassVar[str] = "diversified"
    family: ClassVar[str] = "between"
    rule: ClassVar[str] = "as weighted, under caps on the share of a region, an operator or a site"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for level, cap in self.max_share.items():
            if level not in LEVELS:
                raise ValueError(f"diversified.max_share.{level}: a cap is on a {', a '.join(sorted(LEVELS))}")
            if not 0 < cap <= 1:
                raise ValueError(f"diversified.max_share.{level} = {cap}: a share is above 0 and at most 1")
        if not self.window_s > 0:
            raise ValueError(f"diversified.window_s = {self.window_s}: it must be above 0")

    def initial(self) -> State:
        return {}

    def shares(self, state: State, now: float) -> dict[str, Shares]:
        """By capped level, what the window holds."""
        return {level: Shares(state.get(level, []), cap, self.window_s, now) for level, cap in self.max_share.items()}

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        view, now, table = Debits(snapshot.table, snapshot.now), snapshot.now, snapshot.table
        shares = self.shares(state, now)
        nodes: list[list[int]] = []
        costs: list[list[float]] = []
        for (demand, count), prepared in zip(snapshot.groups, snapshot.prepared, strict=True):
            if not shares:
                chosen, paid = cheapest(demand, count, prepared, view, now)
            elif count == 1:
                chosen, paid = _one(demand, prepared, view, now, table, shares)
            else:
                chosen, paid = _many(demand, count, prepared, view, now, table, shares)
            nodes.append(chosen)
            costs.append(paid)
        held = any(len(chosen) < count for chosen, (_, count) in zip(nodes, snapshot.groups, strict=True))
        again_at = min((share.changes_at() for share in shares.values()), default=inf) if held else inf
        return Plan(nodes, costs, again_at), {level: share.kept() for level, share in shares.items()}


def _one(
    demand: Demand, prepared: Prepared, view: Debits, now: float, table: NodeTable, shares: Mapping[str, Shares]
) -> tuple[list[int], list[float]]:
    cost = quote(demand, prepared, view.load, now)
    for level, share in shares.items():
        numbers, number_of = table.labels(level)
        for name in share.all_full:
            if name in number_of:  # nobody may be there any more
                cost[numbers == number_of[name]] = inf
    nodes, costs = place(demand, 1, prepared, view, now, cost, by_cost(demand, prepared, view, now, cost))
    for i in nodes:
        for level, share in shares.items():
            share.add(getattr(table.facts[i], level))
    return nodes, costs


def _many(
    demand: Demand,
    count: int,
    prepared: Prepared,
    view: Debits,
    now: float,
    table: NodeTable,
    shares: Mapping[str, Shares],
) -> tuple[list[int], list[float]]:
    """A line for each combination of capped names: every task goes to the best head of a line that is not full."""
    cost = quote(demand, prepared, view.load, now)
    parts = _apart(cost, table, tuple(shares))
    lines: list[tuple[tuple[str, ...], Line]] = []
    nodes: list[int] = []
    costs: list[float] = []
    while len(nodes) < count:
        best: tuple[Key, tuple[str, ...], Line] | None = None
        for names, line in lines:
            if line and (best is None or line.key < best[0]) and not _full(shares, names):
                best = line.key, names, line
        if parts and (best is None or parts[-1].least <= best[0][0]):  # the next part may be better: line it up
            part = parts.pop()
            here = np.full(len(cost), inf)
            here[part.nodes] = cost[part.nodes]
            order = by_cost(demand, prepared, view, now, here)
            lines.append((part.names, Line(demand, count, prepared, view, now, cost, order)))
            continue
        if best is None:
            break
        _, names, line = best
        i, usd = line.take()
        nodes.append(i)
        costs.append(usd)
        for share, name in zip(shares.values(), names, strict=True):
            share.add(name)
    return nodes, costs


def _full(shares: Mapping[str, Shares], names: tuple[str, ...]) -> bool:
    return any(share.full(name) for share, name in zip(shares.values(), names, strict=True))


class _Part(NamedTuple):
    """Nodes that have the same names at the capped levels, and the least cost among them in picodollars."""

    least: float
    names: tuple[str, ...]
    nodes: Ints


def _apart(cost: Floats, table: NodeTable, levels: tuple[str, ...]) -> list[_Part]:
    """The feasible nodes in parts, the dearest first."""
    feasible = np.flatnonzero(cost < inf)
    together = np.zeros(len(feasible), dtype=np.int64)
    for level in levels:
        numbers, number_of = table.labels(level)
        together = together * len(number_of) + numbers[feasible]
    order = np.argsort(together, kind="stable")
    edges = np.flatnonzero(np.diff(together[order])) + 1
    parts = []
    for part in np.split(feasible[order], edges) if len(feasible) else []:
        facts = table.facts[part[0]]
        names = tuple(getattr(facts, level) for level in levels)
        parts.append(_Part(float(np.rint(cost[part].min() * COSTS_A_USD)), names, part))
    return sorted(parts, key=lambda part: part.least, reverse=True)
