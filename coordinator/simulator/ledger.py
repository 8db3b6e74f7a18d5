"""What happened, as columns, with what it cost: the input of the scorecard.

A live history fills the same columns from its receipts. Here they come from a simulated run: energy, money and carbon
are exact integrals over the time for which a slot was busy, at the prices that really stood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from coordinator.simulator.engine import Outcome
from coordinator.simulator.market import Market
from coordinator.simulator.model import Floats, Jobs, Scenario
from placement.cost import Money
from placement.energy import JOULES_PER_KWH, Curves, Ints
from placement.fleet_table import NodeTable
from placement.model import JobState, Kind, NodeFacts
from placement.network import WITHIN_REGION_S, Network
from placement.quote import DEADLINE_SLACK_S


@dataclass(frozen=True, eq=False)
class Ledger:
    """Jobs and the attempts that used a slot, as columns; and the fleet that stood there for it. Seconds from start."""

    # jobs
    state: Ints  # JobState; RUNNING and below: it never came to its end
    arrival_s: Floats
    objective_s: Floats  # infinity: none
    second_usd: Floats
    deadline_s: Floats  # from arrival; infinity: none
    kind: Ints
    deferrable: np.ndarray
    placements: Ints
    messages: Ints
    # attempts that used a slot, in the order of jobs and then of time
    job: Ints  # row of its job
    node: Ints
    placed_s: Floats
    start_s: Floats
    end_s: Floats
    latency_s: Floats  # from the job's arrival to the answer at its origin; nan: it brought none
    joules: Floats  # marginal, PUE included
    energy_usd: Floats
    network_usd: Floats
    carbon_g: Floats
    # the fleet
    nodes: tuple[NodeFacts, ...]
    money: Money
    span_s: float  # from start to the last settlement
    offered_s: float  # slot-seconds that the fleet could have worked in that time
    idle_joules: float  # drawn by the fleet whether it works or not, PUE included
    idle_usd: float

    @property
    def answered(self) -> np.ndarray:
        """Which attempts brought the answer that their job ended with."""
        done: np.ndarray = np.isfinite(self.latency_s) & (self.state[self.job] == int(JobState.SUCCEEDED))
        return done

    def of_kind(self, kind: Kind) -> Ledger:
        """The jobs of one kind alone; of idle draw they bear the part that they have of busy slot-seconds."""
        jobs = self.kind == int(kind)
        attempts = jobs[self.job]
        row = np.cumsum(jobs) - 1
        busy = self.end_s - self.start_s
        total = float(busy.sum())
        part = float(busy[attempts].sum()) / total if total else 0.0
        job_columns = ("state", "arrival_s", "objective_s", "second_usd", "deadline_s", "kind", "deferrable",
                       "placements", "messages")  # fmt: skip
        columns = ("node", "placed_s", "start_s", "end_s", "latency_s", "joules", "energy_usd", "network_usd",
                   "carbon_g")  # fmt: skip
        return replace(
            self,
            **{name: getattr(self, name)[jobs] for name in job_columns},
            **{name: getattr(self, name)[attempts] for name in columns},
            job=row[self.job[attempts]],
            idle_joules=self.idle_joules * part,
            idle_usd=self.idle_usd * part,
        )


def ledger_of(scenario: Scenario, outcome: Outcome) -> Ledger:
    """What a simulated run cost. An answer that came too late makes its job an expired one."""
    jobs, nodes = scenario.jobs, scenario.nodes
    job, node, done, placed, start, end = outcome.attempts.by_job()
    bytes_both = (jobs.bytes_in + jobs.bytes_out)[job]
    per_byte = np.array([8.0 / (facts.bandwidth_mbps * 1e6) for facts in nodes])[node]
    path_s = _paths(scenario, outcome.market, jobs.origin.astype(np.int64)[job], node, end)
    latency = end - jobs.arrival_s[job] + path_s + per_byte * bytes_both
    latency = np.where(done, latency, np.nan)
    state = np.frombuffer(bytes(outcome.state), dtype=np.uint8).astype(np.int64)
    late = np.flatnonzero(latency > jobs.deadline_s[job] + DEADLINE_SLACK_S)
    state[job[late]] = int(JobState.EXPIRED)
    kwh_per_s = np.array([facts.marginal_watts * facts.pue for facts in nodes])[node] / JOULES_PER_KWH
    price, carbon = rates(nodes, outcome.market)
    egress = np.array([facts.egress_usd_per_gb / 1e9 for facts in nodes])[node]
    settled = np.frombuffer(outcome.settled_s, dtype=np.float64) if len(jobs) else np.zeros(0)
    span_s = float(np.nanmax(settled)) if np.isfinite(settled).any() else 0.0
    offered_s, idle_joules, idle_usd = _standing(nodes, outcome, price, span_s)
    return Ledger(
        state=state,
        arrival_s=jobs.arrival_s,
        objective_s=_objectives(jobs),
        second_usd=_seconds_usd(jobs, scenario.world.money),
        deadline_s=jobs.deadline_s,
        kind=jobs.kind.astype(np.int64),
        deferrable=jobs.deferrable,
        placements=np.array(outcome.placements, dtype=np.int64),
        messages=np.array(outcome.messages, dtype=np.int64),
        job=job,
        node=node,
        placed_s=placed,
        start_s=start,
        end_s=end,
        latency_s=latency,
        joules=kwh_per_s * JOULES_PER_KWH * (end - start),
        energy_usd=kwh_per_s * price.over(node, start, end),
        network_usd=np.where(done, egress * jobs.bytes_out[job], 0.0),
        carbon_g=kwh_per_s * carbon.over(node, start, end),
        nodes=nodes,
        money=scenario.world.money,
        span_s=span_s,
        offered_s=offered_s,
        idle_joules=idle_joules,
        idle_usd=idle_usd,
    )


class Rates:
    """What each node pays or emits for a kWh, over time: a curve where it has a zone, else a number."""

    def __init__(self, curves: Curves, zones: list[str], fixed: list[float]) -> None:
        self._curves = curves
        self._zone = np.array([curves.zones.get(zone, -1) for zone in zones], dtype=np.int64)
        self._fixed = np.array(fixed)

    def over(self, node: Ints, start: Floats, end: Floats) -> Floats:
        """Integrals from start to end, a unit times seconds."""
        zone = self._zone[node]
        area = self._fixed[node] * (end - start)
        there = np.flatnonzero(zone >= 0)
        if len(there):
            area[there] = self._curves.integral(zone[there], start[there], end[there])
        return area


def rates(nodes: tuple[NodeFacts, ...], market: Market) -> tuple[Rates, Rates]:
    """Price and carbon of every node: USD and grams per kWh."""
    prices = [0.0 if facts.price_zone in market.prices.zones else facts.price_usd_per_kwh for facts in nodes]
    return (
        Rates(market.prices, [facts.price_zone for facts in nodes], prices),
        Rates(market.carbon, [facts.carbon_zone or facts.price_zone for facts in nodes], [0.0] * len(nodes)),
    )


def _objectives(jobs: Jobs) -> Floats:
    """None given: 0 for inference, none for hash."""
    missing = np.where(jobs.kind == int(Kind.HASH), np.inf, 0.0)
    return np.where(np.isnan(jobs.objective_s), missing, jobs.objective_s)


def _seconds_usd(jobs: Jobs, money: Money) -> Floats:
    return np.where(np.isnan(jobs.second_usd), money.second_usd, jobs.second_usd)


def _paths(scenario: Scenario, market: Market, origin: Ints, node: Ints, moment: Floats) -> Floats:
    """Round trip that each answer travelled, as it was when it was sent."""
    path_s = np.empty(len(node))
    edges = [0.0, *market.link_changes(), np.inf]
    for since, until in pairwise(edges):
        then = np.flatnonzero((moment >= since) & (moment < until))
        if len(then):
            path_s[then] = round_trips(scenario, market.network(since))[origin[then], node[then]]
    return path_s


def round_trips(scenario: Scenario, network: Network) -> Floats:
    """Seconds that an answer travels, by origin and node."""
    table = NodeTable()
    for facts in scenario.nodes:
        leg = network.between(network.coordinator_region, facts.region)
        table.put(replace(facts, coordinator_rtt_s=WITHIN_REGION_S if leg is None else leg))
    ways = [network.path(origin, scenario.world.path, table)[0] for origin in scenario.jobs.origins]
    return np.array(ways) if ways else np.zeros((0, len(table)))


def _standing(
    nodes: tuple[NodeFacts, ...], outcome: Outcome, price: Rates, span_s: float
) -> tuple[float, float, float]:
    """Slot-seconds offered, and joules and USD of idle draw, over the span; nothing from nodes that were down."""
    every = np.arange(len(nodes))
    idle_watts = np.array([facts.idle_watts * facts.pue for facts in nodes])
    slots = np.array([facts.slots for facts in nodes], dtype=np.float64)
    up_s = np.full(len(nodes), span_s)
    area = price.over(every, np.zeros(len(nodes)), np.full(len(nodes), span_s))
    for node, since, until in outcome.down:
        until = min(until, span_s)
        if since < until:
            up_s[node] -= until - since
            area[node] -= float(price.over(np.array([node]), np.array([since]), np.array([until]))[0])
    return (
        float((slots * up_s).sum()),
        float((idle_watts * up_s).sum()),
        float((idle_watts / JOULES_PER_KWH * area).sum()),
    )
