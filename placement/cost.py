"""What a second of work costs at every node: prepared once for a shape, good until a price steps or a fact changes.

cost = energy   integral of price(t) * watts * PUE over the run            USD
     + carbon   the same with g/kWh, times the operator's price of carbon  USD
     + network  bytes out * egress price                                   USD
     + time     second_usd * max(0, expected latency - objective)          USD
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import numpy as np

from placement import feasible
from placement.energy import JOULES_PER_KWH, Curves, Floats, Ints
from placement.fleet_table import NodeTable
from placement.model import Kind, Path, Shape
from placement.network import Network


@dataclass(frozen=True, slots=True)
class Money:
    """The operator's own prices."""

    second_usd: float = 0.0002  # what a client that names none pays for a second past its objective
    carbon_usd_per_kg: float = 0.0
    idle_share: float = 0.0  # share of a slot's part of idle draw that is charged to work


@dataclass(frozen=True)
class World:
    """What is known beside the fleet: markets, round trips, the operator's prices. Immutable; replaced, not changed."""

    prices: Curves = field(default_factory=lambda: Curves({}))  # USD per kWh
    carbon: Curves = field(default_factory=lambda: Curves({}))  # g per kWh
    network: Network = field(default_factory=lambda: Network("local"))
    money: Money = Money()
    path: Path = Path.RELAYED  # the way answers travel


class Prepared(NamedTuple):
    """One shape against every node. Arrays by node; sizes enter linearly afterwards."""

    shape: Shape
    blocked: Floats  # 0, or infinity where a hard rule forbids
    path_s: Floats  # round trip that the answer travels
    path_source: Ints
    rtt_s: Floats  # round trip origin - node
    fixed_s: Floats
    s_per_unit: Floats
    s_per_context: Floats
    s_per_byte: Floats
    spread: Floats  # standard deviation of a service time over its mean
    watts: Floats  # charged to a slot while it works, PUE included
    usd_per_s: Floats  # energy and carbon at present prices
    egress_usd_per_byte: Floats
    slots: Ints
    hub: np.ndarray
    name_rank: Ints
    price_zone: Ints  # -1: fixed price
    carbon_zone: Ints  # -1: none
    fixed_price: Floats
    until: Floats  # when a node's price or carbon next steps
    first_until: float
    since: float  # moment for which present prices were read
    world: World


class Preparer:
    """Keeps what was prepared while it holds: a memo of columns and versions, never logged."""

    def __init__(self, table: NodeTable, world: World) -> None:
        self.table = table
        self._world = world
        self._version = -1
        self._memo: dict[Shape, Prepared] = {}

    @property
    def world(self) -> World:
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        self._world = world
        self._memo.clear()

    def prepare(self, shape: Shape, now: float) -> Prepared:
        """The prepared form of a shape at `now`, in unix seconds."""
        if self.table.version != self._version:
            self._memo.clear()
            self._version = self.table.version
        known = self._memo.get(shape)
        if known is None or not known.since <= now < known.first_until:
            if len(self._memo) > 4096:
                self._memo.clear()
            known = prepare(shape, self.table, self._world, now)
            self._memo[shape] = known
        return known


def prepare(shape: Shape, table: NodeTable, world: World, now: float) -> Prepared:
    """Apply the hard rules, resolve the path, and read present prices, for every node at once."""
    forbidden = feasible.blocked(shape, table)
    path_s, path_source = world.network.path(shape.origin, shape.path, table)
    rtt_s = path_s if shape.path is Path.DIRECT else world.network.path(shape.origin, Path.DIRECT, table)[0]
    price_zone = _zones(world.prices, [facts.price_zone for facts in table.facts])
    carbon_zone = _zones(world.carbon, [facts.carbon_zone or facts.price_zone for facts in table.facts])
    fixed_s, per_unit, per_context = _service(shape, table)
    watts = (table.marginal_watts + world.money.idle_share * table.idle_watts / table.slots) * table.pue
    price, price_until = _present(world.prices, price_zone, table.price_usd_per_kwh, now)
    carbon, carbon_until = _present(world.carbon, carbon_zone, np.zeros(len(table)), now)
    until = np.minimum(price_until, carbon_until)
    return Prepared(
        shape=shape,
        blocked=np.where(forbidden, inf, 0.0),
        path_s=path_s,
        path_source=path_source,
        rtt_s=rtt_s,
        fixed_s=fixed_s,
        s_per_unit=per_unit,
        s_per_context=per_context,
        s_per_byte=table.seconds_per_byte.copy(),
        spread=table.service_spread.copy(),
        watts=watts,
        usd_per_s=(price + carbon / 1e3 * world.money.carbon_usd_per_kg) * watts / JOULES_PER_KWH,
        egress_usd_per_byte=table.egress_usd_per_byte.copy(),
        slots=table.slots.copy(),
        hub=table.hub.copy(),
        name_rank=table.name_rank,
        price_zone=price_zone,
        carbon_zone=carbon_zone,
        fixed_price=table.price_usd_per_kwh.copy(),
        until=until,
        first_until=float(until.min()) if len(until) else inf,
        since=now,
        world=world,
    )


def _service(shape: Shape, table: NodeTable) -> tuple[Floats, Floats, Floats]:
    """Seconds of service: fixed, for each unit, for each token of context. A rate of 0 leaves its term out."""
    zero = np.zeros(len(table))
    if shape.kind is Kind.HASH:
        return zero, _inverse(table.hashes_per_s), zero
    return _inverse(table.requests_per_s), _inverse(table.tokens_per_s), _inverse(table.prefill_tokens_per_s)


def _inverse(rate: Floats) -> Floats:
    return np.divide(1.0, rate, out=np.zeros(len(rate)), where=rate > 0)


def _zones(curves: Curves, names: list[str]) -> Ints:
    return np.array([curves.zones.get(name, -1) for name in names], dtype=np.int64)


def _present(curves: Curves, zones: Ints, otherwise: Floats, now: float) -> tuple[Floats, Floats]:
    """Each node's value at `now`, and until when it stands."""
    value, until = otherwise.copy(), np.full(len(zones), inf)
    on_curve = np.flatnonzero(zones >= 0)
    if len(on_curve):
        value[on_curve] = curves.at(zones[on_curve], np.full(len(on_curve), now))
        until[on_curve] = curves.next_change(zones[on_curve], now)
    return value, until


def present(prepared: Prepared) -> tuple[Floats, Floats]:
    """USD per kWh and g per kWh of every node, as they stand until `prepared.until`."""
    none = np.zeros(len(prepared.fixed_price))
    price, _ = _present(prepared.world.prices, prepared.price_zone, prepared.fixed_price, prepared.since)
    carbon, _ = _present(prepared.world.carbon, prepared.carbon_zone, none, prepared.since)
    return price, carbon


def price_integral(prepared: Prepared, nodes: Ints, start: Floats, end: Floats) -> Floats:
    """Integral of price over each node's run: USD per kWh times seconds."""
    zones = prepared.price_zone[nodes]
    area = prepared.fixed_price[nodes] * (end - start)
    on_curve = zones >= 0
    if on_curve.any():
        area[on_curve] = prepared.world.prices.integral(zones[on_curve], start[on_curve], end[on_curve])
    return area


def carbon_integral(prepared: Prepared, nodes: Ints, start: Floats, end: Floats) -> Floats:
    """Integral of carbon intensity over each node's run: g per kWh times seconds."""
    zones = prepared.carbon_zone[nodes]
    area = np.zeros(len(nodes))
    on_curve = zones >= 0
    if on_curve.any():
        area[on_curve] = prepared.world.carbon.integral(zones[on_curve], start[on_curve], end[on_curve])
    return area
