"""Drawn fleets, markets and demands, and the quote once more in plain Python, written from the formulas alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isclose
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from placement.cost import Money, Prepared, World, prepare
from placement.energy import Curves
from placement.fleet_table import NodeTable
from placement.model import Demand, Group, Kind, NodeFacts, NodeState, Path, Shape
from placement.network import Network
from placement.strategy import Snapshot
from tests.builders import node

START = 1e6  # unix seconds; small, so that moments are finer than the tolerance of the comparisons
REGIONS = ("Oslo", "Paris", "Rome")
Steps = list[tuple[float, float]]  # moments and values


class Case(NamedTuple):
    """A fleet under load, a market, and one demand."""

    facts: list[NodeFacts]
    queues: list[list[float]]  # by node: expected seconds of its outstanding tasks
    prices: dict[str, Steps]
    carbon: dict[str, Steps]
    rtt_ms: dict[tuple[str, str], float]
    money: Money
    demand: Demand
    now: float

    def world(self) -> World:
        return World(curves(self.prices), curves(self.carbon), Network("Paris", self.rtt_ms), self.money)

    def table(self) -> NodeTable:
        table = NodeTable(self.facts)
        for i, queue in enumerate(self.queues):
            for run_s in queue:
                table.debit(i, run_s, self.now)
        return table

    def prepared(self, table: NodeTable | None = None) -> Prepared:
        return prepare(self.demand.shape, self.table() if table is None else table, self.world(), self.now)

    def snapshot(self, count: int = 1) -> Snapshot:
        table = self.table()
        return Snapshot(self.now, table, [Group(self.demand, count)], [self.prepared(table)])


def curves(steps: dict[str, Steps]) -> Curves:
    return Curves({zone: ([at for at, _ in curve], [value for _, value in curve]) for zone, curve in steps.items()})


def amounts(least: float, most: float) -> st.SearchStrategy[float]:
    """Ordinary numbers, the ends among them, without the hair-fine ones."""
    return st.one_of(st.sampled_from([least, most]), st.floats(least, most).map(lambda x: round(x, 6)))


@st.composite
def step_curves(draw: st.DrawFn, least: float, most: float) -> Steps:
    gaps = draw(st.lists(st.sampled_from([0.5, 1.0, 7.25, 3600.0]), min_size=1, max_size=6))
    at = START + draw(st.sampled_from([-3600.0, -1.0, 0.0, 2.0]))
    steps = []
    for gap in gaps:
        steps.append((at, draw(amounts(least, most))))
        at += gap
    return steps


def drawn_node(chance: Random, name: str) -> NodeFacts:
    """Anything that a node can be."""
    pick = chance.choice
    return node(
        name,
        region=pick(REGIONS),
        hub=pick([True, False]),
        price_zone=pick(["", "", "north", "south", "unknown"]),
        price_usd_per_kwh=_amount(chance, -0.1, 1.0),
        carbon_zone=pick(["", "south"]),
        pue=_amount(chance, 1.0, 2.0),
        idle_watts=_amount(chance, 0.0, 100.0),
        max_watts=_amount(chance, 100.0, 5000.0),
        slots=pick([1, 2, 3]),
        bandwidth_mbps=pick([inf, 1.0, 100.0]),
        egress_usd_per_gb=_amount(chance, 0.0, 5.0),
        keep_private=pick([False, False, False, True]),
        hashes_per_s=pick([0.0, 100.0, 1000.0, 1234.5]),
        requests_per_s=pick([0.0, 10.0]),
        tokens_per_s=pick([0.0, 50.0]),
        prefill_tokens_per_s=pick([0.0, 1000.0]),
        coordinator_rtt_s=pick([None, 0.002, 0.08]),
        extra_delay_s=pick([0.0, 0.0, 0.05]),
        state=pick([NodeState.READY] * 6 + [NodeState.DRAINING, NodeState.SILENT, NodeState.JOINING]),
        curtailed=pick([False] * 7 + [True]),
        banned=pick([False] * 7 + [True]),
    )


def _demand(chance: Random) -> Demand:
    pick = chance.choice
    shape = Shape(
        pick([Kind.HASH, Kind.HASH, Kind.INFERENCE]),
        pick(REGIONS),
        pick([(), (), ("Oslo",), ("Oslo", "Rome")]),
        path=pick(list(Path)),
    )
    return Demand(
        shape,
        units=_amount(chance, 1.0, 5000.0),
        objective_s=pick([0.0, 0.05, 2.0]),
        second_usd=pick([0.0, 0.0002, 0.01]),
        context_tokens=pick([0.0, 700.0]),
        bytes_in=pick([0.0, 1e6]),
        bytes_out=pick([0.0, 3e5]),
        before=pick([inf, inf, START + 1.0, START + 20.0]),
        budget_usd=pick([inf, inf, 0.0, 1e-4]),
    )


def _steps(chance: Random, least: float, most: float) -> Steps:
    at = START + chance.choice([-3600.0, -1.0, 0.0, 2.0])
    steps = []
    for _ in range(chance.randint(1, 6)):
        steps.append((at, _amount(chance, least, most)))
        at += chance.choice([0.5, 1.0, 7.25, 3600.0])
    return steps


def _amount(chance: Random, least: float, most: float) -> float:
    return chance.choice([least, most, round(chance.uniform(least, most), 6), round(chance.uniform(least, most), 6)])


def drawn_case(seed: int, size: int, boundless: bool) -> Case:
    """One fleet, market and demand for each seed."""
    chance = Random(seed)
    facts = [drawn_node(chance, f"n{i}") for i in range(size)]
    demand = _demand(chance)
    pairs = chance.sample([(a, b) for a in REGIONS for b in REGIONS], chance.randint(0, 9))
    return Case(
        facts=facts,
        queues=[[chance.choice([0.25, 1.0, 6.5]) for _ in range(chance.randint(0, 4))] for _ in facts],
        prices={"north": _steps(chance, -0.2, 1.0), "south": _steps(chance, -0.2, 1.0)},
        carbon={"north": _steps(chance, 0.0, 900.0), "south": _steps(chance, 0.0, 900.0)},
        rtt_ms={pair: _amount(chance, 1.0, 200.0) for pair in pairs},
        money=Money(carbon_usd_per_kg=chance.choice([0.0, 0.1]), idle_share=chance.choice([0.0, 0.0, 0.5])),
        demand=demand._replace(before=inf, budget_usd=inf) if boundless else demand,
        now=START + chance.choice([0.0, 0.75, 1.5]),
    )


def cases(least: int = 1, most: int = 6, *, boundless: bool = False) -> st.SearchStrategy[Case]:
    """`boundless`: without deadline and budget. By a seed: to draw fact by fact takes a tenth of a second a fleet."""
    return st.builds(drawn_case, st.integers(0, 1 << 32), st.integers(least, most), st.just(boundless))


# -- the formulas, one node at a time


class Oracle(NamedTuple):
    cost_usd: float  # infinity: not there
    energy_usd: float
    network_usd: float
    carbon_usd: float
    time_usd: float
    expected_s: float


def value_at(steps: Sequence[tuple[float, float]], at: float) -> float:
    """The value that holds at a moment; the first one also holds before."""
    return next((value for moment, value in reversed(steps) if moment <= at), steps[0][1])


def area_under(steps: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """Value times seconds, span by span."""
    edges = [start, *(moment for moment, _ in steps if start < moment < end), end]
    return sum(value_at(steps, a) * (b - a) for a, b in pairwise(edges))


def oracle(case: Case, i: int) -> Oracle:
    """DESIGN.md, section 3, for node `i`."""
    facts, demand, shape, now = case.facts[i], case.demand, case.demand.shape, case.now
    run = _service(facts, demand)
    wait = _wait(facts.slots, case.queues[i], run)
    expected = _path(case, facts) + _transfer(facts, demand) + wait + run
    share = case.money.idle_share * facts.idle_watts / facts.slots
    kilowatts = ((facts.max_watts - facts.idle_watts) / facts.slots + share) * facts.pue / 1000
    price = case.prices.get(facts.price_zone, [(now, facts.price_usd_per_kwh)])
    grams = case.carbon.get(facts.carbon_zone or facts.price_zone, [(now, 0.0)])
    usd, grams_s = (
        area_under([(at - now, value) for at, value in steps], wait, wait + run) for steps in (price, grams)
    )
    energy = usd * kilowatts / 3600
    carbon = grams_s * kilowatts / 3600 / 1000 * case.money.carbon_usd_per_kg
    network = demand.bytes_out * facts.egress_usd_per_gb / 1e9
    time = demand.second_usd * max(0.0, expected - demand.objective_s)
    allowed = (
        _able(facts, shape)
        and energy + carbon + network <= demand.budget_usd
        and now + expected <= demand.before + 1e-6
    )
    cost = energy + network + carbon + time if allowed else inf
    return Oracle(cost, energy, network, carbon, time, expected)


def _able(facts: NodeFacts, shape: Shape) -> bool:
    engines = {
        Kind.HASH: [facts.hashes_per_s],
        Kind.INFERENCE: [facts.requests_per_s, facts.tokens_per_s, facts.prefill_tokens_per_s],
    }
    return (
        any(engines[shape.kind])
        and (not shape.keep_in or facts.region in shape.keep_in)
        and (not facts.keep_private or facts.region == shape.origin)
        and facts.state is NodeState.READY
        and not facts.curtailed
        and not facts.banned
    )


def _service(facts: NodeFacts, demand: Demand) -> float:
    def seconds(amount: float, rate: float) -> float:
        return amount / rate if rate else 0.0

    if demand.shape.kind is Kind.HASH:
        return seconds(demand.units, facts.hashes_per_s)
    return (
        seconds(1.0, facts.requests_per_s)
        + seconds(demand.context_tokens, facts.prefill_tokens_per_s)
        + seconds(demand.units, facts.tokens_per_s)
    )


def _transfer(facts: NodeFacts, demand: Demand) -> float:
    return 8 * (demand.bytes_in + demand.bytes_out) / (facts.bandwidth_mbps * 1e6)


def _wait(slots: int, queue: Sequence[float], run: float) -> float:
    """All tasks came now. While a slot is free nobody waits; else all slots drain the work that is ahead."""
    if len(queue) < slots:
        return 0.0
    return max(sum(queue) / slots, run / slots)


def _path(case: Case, facts: NodeFacts) -> float:
    origin = case.demand.shape.origin
    to_node = facts.coordinator_rtt_s
    if to_node is None:
        to_node = between(case.rtt_ms, "Paris", facts.region) or 0.001
    to_origin = between(case.rtt_ms, origin, "Paris")
    if to_origin is None:
        measured = [one.coordinator_rtt_s for one in case.facts if one.region == origin]
        to_origin = min((rtt for rtt in measured if rtt is not None), default=0.001)
    if case.demand.shape.path is Path.DIRECT:
        known = between(case.rtt_ms, origin, facts.region)
        if known is not None:
            return known + facts.extra_delay_s
    return to_origin + to_node


def between(rtt_ms: dict[tuple[str, str], float], a: str, b: str) -> float | None:
    """Seconds; one way given holds both ways, 1 ms within a region."""
    known = rtt_ms.get((a, b), rtt_ms.get((b, a)))
    if known is not None:
        return known / 1e3
    return 0.001 if a == b else None


def near(a: Any, b: Any, *, tolerance: float = 1e-9) -> bool:
    """Equal to a part in a thousand million, or to a picodollar."""
    return a == b or isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)


def on_the_edge(case: Case, found: Oracle) -> bool:
    """Whether rounding alone decides on the deadline or the budget."""
    bill = found.energy_usd + found.network_usd + found.carbon_usd
    late = case.now + found.expected_s - case.demand.before
    return abs(bill - case.demand.budget_usd) < 1e-12 or abs(late - 1e-6) < 1e-6
