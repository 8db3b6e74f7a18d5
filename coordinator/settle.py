"""What an attempt cost, once: its receipt, in integers, from its node's report and the prices of the hours it ran.

Joules are what the node tells (capped by wall time times rated power) times the site's PUE. Money is price times
energy, integrated over the run; picodollars and microjoules, rounded once.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from coordinator.work import Attempt, Job
from placement.cost import World
from placement.energy import JOULES_PER_KWH, Curves
from placement.fleet_table import NodeTable
from placement.model import AttemptState, NodeFacts

PICO = 1e12
MICRO = 1e6
INT64 = (1 << 63) - 1025  # the largest that a double below 2^63 can be
PRICE_SOURCES = ("feed", "operator", "declared")

_PACKED = struct.Struct("<QIIBBBxqqqQqqqqqqqqqd")


class Closing(NamedTuple):
    """One attempt that is over: what is kept of it for good. Times in microseconds, UTC."""

    epoch: int
    part: int
    node: int
    state: AttemptState
    energy_measured: bool
    price_source: int  # position in PRICE_SOURCES
    placed_us: int
    started_us: int  # 0: it never ran
    ended_us: int
    units_done: int
    energy_microjoules: int
    energy_picodollars: int
    network_picodollars: int
    carbon_picodollars: int
    carbon_micrograms: int
    queue_us: int
    network_us: int
    run_us: int
    total_us: int
    price_usd_per_kwh: float

    def pack(self) -> bytes:
        return _PACKED.pack(*self)

    @classmethod
    def unpack(cls, packed: bytes) -> Closing:
        epoch, part, node, state, measured, *rest = _PACKED.unpack(packed)
        return cls(epoch, part, node, AttemptState(state), bool(measured), *rest)

    @classmethod
    def unpack_all(cls, packed: bytes) -> list[Closing]:
        size = _PACKED.size
        return [cls.unpack(packed[at : at + size]) for at in range(0, len(packed), size)]


CLOSING_BYTES = _PACKED.size


def count(job: Job, closing: Closing, packed: bytes, reason: str) -> None:
    """Add a closed attempt to what its job keeps, live and in the replay alike."""
    job.closed.append(packed)
    cost = closing.energy_picodollars + closing.network_picodollars + closing.carbon_picodollars
    job.energy_microjoules = _held(job.energy_microjoules + closing.energy_microjoules)
    job.cost_picodollars = _held(job.cost_picodollars + cost)
    if reason:
        job.reasons.append((closing.epoch, reason))


def _held(value: float) -> int:
    """A settled figure as an integer of 64 bits. What is past them is absurd, and must not take the process down."""
    if -INT64 < value < INT64:
        return round(value)
    return INT64 if value > 0 else -INT64


class Used(NamedTuple):
    """What a node says an attempt took."""

    units_done: int
    run_us: int
    energy_microjoules: int  # without PUE; negative: not told, so modelled
    measured: bool


class Tariffs:
    """Present price and carbon of every node, read again only when they step."""

    def __init__(self, table: NodeTable, world: World) -> None:
        self._table, self._world = table, world
        self._version = -1
        self._present: dict[int, tuple[float, float, float, float]] = {}  # node: USD/kWh, g/kWh, since, until

    def present(self, node: int, now: float) -> tuple[float, float, float, float]:
        """USD per kWh, g per kWh, and the span of time for which they stand."""
        if self._version != self._table.version:
            self._present.clear()
            self._version = self._table.version
        known = self._present.get(node)
        if known is None or not known[2] <= now < known[3]:
            facts = self._table.facts[node]
            price, price_until = _value(self._world.prices, facts.price_zone, facts.price_usd_per_kwh, now)
            carbon, carbon_until = _value(self._world.carbon, carbon_zone(facts), 0.0, now)
            known = (price, carbon, now, min(price_until, carbon_until))
            self._present[node] = known
        return known

    def averages(self, node: int, start: float, end: float) -> tuple[float, float]:
        """Mean price and mean carbon over a run: exact integrals where they step within it."""
        price, carbon, since, _ = self.present(node, end)
        if start >= since or end <= start:
            return price, carbon
        facts = self._table.facts[node]
        return (
            _mean(self._world.prices, facts.price_zone, price, start, end),
            _mean(self._world.carbon, carbon_zone(facts), carbon, start, end),
        )


def carbon_zone(facts: NodeFacts) -> str:
    return facts.carbon_zone or facts.price_zone


def _value(curves: Curves, zone: str, otherwise: float, now: float) -> tuple[float, float]:
    number = curves.zones.get(zone)
    if number is None:
        return otherwise, float("inf")
    which = np.array([number])
    return float(curves.at(which, np.array([now]))[0]), float(curves.next_change(which, now)[0])


def _mean(curves: Curves, zone: str, otherwise: float, start: float, end: float) -> float:
    number = curves.zones.get(zone)
    if number is None:
        return otherwise
    area = curves.integral(np.array([number]), np.array([start]), np.array([end]))
    return float(area[0]) / (end - start)


def close(
    attempt: Attempt, state: AttemptState, used: Used, table: NodeTable, tariffs: Tariffs, world: World, now_us: int
) -> Closing:
    """The closing of an attempt, receipt and all."""
    facts, piece = table.facts[attempt.node], attempt.piece
    total_us = max(now_us - attempt.placed_us, 0)
    run_us = min(used.run_us, total_us)
    run_s = run_us / MICRO
    network_us = min(int((facts.coordinator_rtt_s or 0.0) * MICRO), total_us - run_us)
    plug_joules = used.energy_microjoules / MICRO if used.energy_microjoules >= 0 else facts.marginal_watts * run_s
    plug_joules = min(max(plug_joules, 0.0), facts.max_watts * total_us / MICRO)
    joules = plug_joules * facts.pue
    price, carbon = tariffs.averages(attempt.node, now_us / MICRO - run_s, now_us / MICRO)
    kwh = joules / JOULES_PER_KWH
    grams = kwh * carbon
    return Closing(
        attempt.epoch,
        piece.part,
        attempt.node,
        state,
        used.measured and used.energy_microjoules >= 0,
        PRICE_SOURCES.index(facts.price_source),
        attempt.placed_us,
        now_us - run_us if run_us or used.units_done else 0,
        now_us,
        used.units_done,
        _held(joules * MICRO),
        _held(kwh * price * PICO),
        _held(piece.job.submission.work.sizes(piece.job.item).bytes_out * facts.egress_usd_per_gb / 1e9 * PICO),
        _held(grams / 1e3 * world.money.carbon_usd_per_kg * PICO),
        _held(grams * MICRO),
        total_us - run_us - network_us,
        network_us,
        run_us,
        total_us,
        price,
    )
