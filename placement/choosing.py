"""Equal tasks one after the other, each to the node that comes first: what most strategies have in common.

All nodes are quoted once. After that only the node that was taken is quoted again, and a heap finds the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from heapq import heapify, heappop, heapreplace
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.cost import Prepared, present
from placement.energy import JOULES_PER_KWH, Floats, Ints
from placement.fleet_table import Debits
from placement.model import Demand
from placement.quote import COSTS_A_USD, MOMENTS_A_SECOND, One, Quoted, expected_s, quote

Column = NDArray[Any]
Key = tuple[float, ...]


class Order(NamedTuple):
    """Which node comes first for a demand: the least key, part by part. The last part is the rank of the name.

    `again` is asked about the one node that was just taken and must say of it, bit for bit, what `first` and `then`
    would say of all. None: not another one there.
    """

    first: Floats  # the first part, by node; infinity where the demand may not go
    then: tuple[Callable[[Ints], Column], ...]  # the other parts, each of some nodes
    again: Callable[[int, Quoted], Key | None]


class Line:
    """Nodes in an order, for `count` equal tasks at most. Taking one debits `view`."""

    def __init__(
        self, demand: Demand, count: int, prepared: Prepared, view: Debits, now: float, cost: Floats, order: Order
    ) -> None:
        """`cost`: the quote of every node under `view` as it stands."""
        self._view, self._again = view, order.again
        self._one = One(demand, prepared, now)
        nodes = np.flatnonzero(order.first < inf) if count > 1 else _only(leader(order))
        if count < len(nodes):  # a pick moves no node but the one that is picked: those further back are not needed
            limit = np.partition(order.first[nodes], count - 1)[count - 1]
            nodes = nodes[order.first[nodes] <= limit]
        parts = (order.first[nodes], *(part(nodes) for part in order.then))
        if count < len(nodes):
            ahead = np.lexsort(parts[::-1])[:count]
            nodes, parts = nodes[ahead], tuple(part[ahead] for part in parts)
        keys = zip(*(part.tolist() for part in parts), strict=True)
        self._heap: list[tuple[Key, int, float]] = list(zip(keys, nodes.tolist(), cost[nodes].tolist(), strict=True))
        heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def key(self) -> Key:
        """Of the node that comes first."""
        return self._heap[0][0]

    @property
    def node(self) -> int:
        """The node that comes first."""
        return self._heap[0][1]

    def take(self) -> tuple[int, float]:
        """Place one task: the node that comes first, and what it costs there, USD."""
        _, i, usd = self._heap[0]
        self._view.take(i, self._one.run_s(i))
        quoted = self._one.at(i, self._view.load)
        key = self._again(i, quoted) if quoted.usd < inf else None
        if key is None:  # full, or its queue has grown past the deadline, or its run into hours past the budget
            heappop(self._heap)
        else:
            heapreplace(self._heap, (key, i, quoted.usd))
        return i, usd


def place(
    demand: Demand, count: int, prepared: Prepared, view: Debits, now: float, cost: Floats, order: Order
) -> tuple[list[int], list[float]]:
    """Nodes and costs of `count` equal tasks, each to the node that comes first then; fewer where no node is left."""
    if count == 1:
        i = leader(order)
        if i is None:
            return [], []
        view.take(i, One(demand, prepared, now).run_s(i))
        return [i], [float(cost[i])]
    line = Line(demand, count, prepared, view, now, cost, order)
    nodes: list[int] = []
    costs: list[float] = []
    while line and len(nodes) < count:
        i, usd = line.take()
        nodes.append(i)
        costs.append(usd)
    return nodes, costs


def leader(order: Order) -> int | None:
    """The node that comes first; later parts of the key are looked at only where the earlier ones are equal."""
    least = order.first.min(initial=inf)
    if least == inf:
        return None
    nodes = np.flatnonzero(order.first == least)
    for part in order.then:
        if len(nodes) == 1:
            break
        values = part(nodes)
        nodes = nodes[values == values.min()]
    return int(nodes[0])


def _only(node: int | None) -> Ints:
    return np.array([] if node is None else [node], dtype=np.int64)


def cheapest(demand: Demand, count: int, prepared: Prepared, view: Debits, now: float) -> tuple[list[int], list[float]]:
    """The node with the least cost for each of `count` equal tasks, one after the other, debiting `view`."""
    cost = quote(demand, prepared, view.load, now)
    return place(demand, count, prepared, view, now, cost, by_cost(demand, prepared, view, now, cost))


def by_cost(demand: Demand, prepared: Prepared, view: Debits, now: float, cost: Floats) -> Order:
    """The least cost; ties (the same picodollar) go to the earlier expected answer, then to the name."""
    rank = prepared.name_rank

    def again(i: int, quoted: Quoted) -> Key:
        return round(quoted.usd * COSTS_A_USD), round(quoted.expected_s * MOMENTS_A_SECOND), int(rank[i])

    return Order(np.rint(cost * COSTS_A_USD), earlier_then_name(demand, prepared, view, now), again)


def earlier_then_name(
    demand: Demand, prepared: Prepared, view: Debits, now: float
) -> tuple[Callable[[Ints], Column], Callable[[Ints], Column]]:
    """How ties are broken: by the expected answer (to the nanosecond), then by the name."""
    load = view.load
    return (
        lambda nodes: np.rint(expected_s(demand, prepared, load, now, nodes) * MOMENTS_A_SECOND),
        lambda nodes: prepared.name_rank[nodes],
    )


def while_free(prepared: Prepared, view: Debits, first: Floats, *others: Column) -> Order:
    """An order that stands still, over free slots alone: for strategies that hold work until one is free.

    `others`: the parts of the key between `first` and the name, by node.
    """
    first = np.where(view.load.tasks < prepared.slots, first, inf)
    parts = (*others, prepared.name_rank)

    def again(i: int, quoted: Quoted) -> Key | None:
        if view.load.tasks[i] >= prepared.slots[i]:
            return None
        return tuple(part[i].item() for part in (first, *parts))

    return Order(first, tuple(part.__getitem__ for part in parts), again)


def energy_alone(demand: Demand, prepared: Prepared) -> tuple[Demand, Prepared]:
    """A demand and a shape whose quote is the cost of energy and nothing else, at the nodes where it may go at all.

    So that strategies that follow energy price it by the one quote: carbon, network, time and limits cost nothing.
    """
    if prepared.world.money.carbon_usd_per_kg:
        price, _ = present(prepared)
        money = replace(prepared.world.money, carbon_usd_per_kg=0.0)
        prepared = prepared._replace(
            usd_per_s=price * prepared.watts / JOULES_PER_KWH, world=replace(prepared.world, money=money)
        )
    return demand._replace(second_usd=0.0, bytes_out=0.0, before=inf, budget_usd=inf), prepared
