"""An operator's order: what it would move, and carrying it out."""

from __future__ import annotations

from typing import NamedTuple

from coordinator.coordinator import Coordinator
from coordinator.errors import UnknownName
from coordinator.moving import Move, moves
from coordinator.orders import Orders
from coordinator.work import Attempt
from placement.model import NodeFacts


class Order(NamedTuple):
    """One order. `on` is false for resume and release; `price_usd_per_kwh` is set for a price alone."""

    site: str = ""
    node: str = ""
    on: bool = True
    price_usd_per_kwh: float | None = None


def carry_out(coordinator: Coordinator, order: Order, now: float, *, plan: bool) -> list[Move]:
    """Put an order in force, unless it is only planned, and return the work that moves because of it.

    Work on a drained node or a curtailed site has to go; after a price it goes where that saves more than it costs.
    Raises `UnknownName` for a site or node that nobody registered.
    """
    before = coordinator.orders
    affected = _affected(coordinator, order)
    price = order.price_usd_per_kwh
    if price is not None:
        after = before.with_price(order.site, price)
    elif order.node:
        after = before.with_drained(order.node, order.on)
    else:
        after = before.with_curtailed(order.site, order.on)
    if plan:
        return _planned(coordinator, order, affected, after, now)
    coordinator.order(after)
    proposed = _moves(coordinator, order, affected, now)
    coordinator.give_back(move.attempt for move in proposed)
    return proposed


def _affected(coordinator: Coordinator, order: Order) -> list[str]:
    members = coordinator.members
    if order.node:
        if order.node not in members:
            raise UnknownName(f"no node is called {order.node!r}; `edgeward nodes` lists them")
        return [order.node]
    names = [name for name, member in members.items() if coordinator.table.facts[member.index].site == order.site]
    if not names:
        raise UnknownName(f"no site is called {order.site!r}; `edgeward sites` lists them")
    return names


def _moves(coordinator: Coordinator, order: Order, affected: list[str], now: float) -> list[Move]:
    if order.price_usd_per_kwh is not None:
        everywhere: list[Attempt] = [one for member in coordinator.members.values() for one in member.live.values()]
        return moves(coordinator, everywhere, now)
    if not order.on:
        return []
    return moves(
        coordinator, [one for name in affected for one in coordinator.members[name].live.values()], now, forced=True
    )


def _planned(coordinator: Coordinator, order: Order, affected: list[str], after: Orders, now: float) -> list[Move]:
    """As if: the facts are changed, asked about, and put back, within one turn and unlogged."""
    table = coordinator.table
    kept: dict[int, NodeFacts] = {
        coordinator.members[name].index: table.facts[coordinator.members[name].index] for name in affected
    }
    try:
        for facts in kept.values():
            table.put(after.applied(facts))
        return _moves(coordinator, order, affected, now)
    finally:
        for facts in kept.values():
            table.put(facts)
