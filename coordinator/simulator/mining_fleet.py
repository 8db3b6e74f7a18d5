"""The fleet as miners: machines of one kind at one site, their electricity, and what may stop them.

Past the end of a price file its mean stands, or with price_gaps = "hold" its last value.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, inf, nan

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.epochs import Herd
from coordinator.simulator.market import Steps, shifted, stepped
from coordinator.simulator.mining import PETA, TERA
from coordinator.simulator.model import Event, EventKind, Scenario
from placement.energy import Floats
from placement.model import NodeFacts

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Group:
    """The machines of one kind at one site, and what they did."""

    facts: NodeFacts  # of one of them
    nodes: tuple[str, ...]
    hardware_usd_per_hour: float  # of one
    herd: Herd
    usd_per_kwh: float = nan  # mean over the epochs
    hashes_per_s: float = 0.0  # mean of what ran
    energy_usd_per_day: float = 0.0

    @property
    def hardware_usd_per_ph_day(self) -> float:
        return self.hardware_usd_per_hour * 24 * len(self.nodes) / (self.herd.hashes_per_s / PETA)


def groups_of(scenario: Scenario) -> list[Group]:
    """Machines alike, by site, then by joules a hash. Raises InvalidConfiguration where nobody can hash."""
    by_kind: dict[tuple[str, float, float, Spans], list[NodeFacts]] = {}
    costs = scenario.hardware_usd_per_hour or (0.0,) * len(scenario.nodes)
    stops = [event for event in scenario.events if event.kind in (EventKind.OUTAGE, EventKind.BAN, EventKind.CURTAIL)]
    for facts, usd_per_hour in zip(scenario.nodes, costs, strict=True):
        if facts.hashes_per_s > 0:
            off = tuple((event.at_s, event.until_s) for event in stops if _hits(event, facts))
            by_kind.setdefault((facts.site, _j_per_th(facts), usd_per_hour, off), []).append(facts)
    if not by_kind:
        raise InvalidConfiguration(
            f"no node of scenario {scenario.name!r} can hash: give a [[node]] hash = {{ hashes_per_s = ... }}"
        )
    steps, settled = _prices(scenario)
    groups = []
    for (_, j_per_th, usd_per_hour, off), alike in sorted(by_kind.items()):
        facts = alike[0]
        fixed = np.zeros(1), np.array([facts.price_usd_per_kwh])
        times, usd_per_kwh = steps.get(facts.price_zone, fixed)
        herd = Herd(
            hashes_per_s=fsum(node.slots * node.hashes_per_s for node in alike),
            j_per_th=j_per_th,
            times=times,
            usd_per_kwh=usd_per_kwh,
            settled_usd_per_kwh=settled.get(facts.price_zone, facts.price_usd_per_kwh),
            off=off,
        )
        groups.append(Group(facts, tuple(node.name for node in alike), usd_per_hour, herd))
    return groups


def _hits(event: Event, facts: NodeFacts) -> bool:
    return facts.region == event.region or facts.site == event.site or facts.name == event.node


def _j_per_th(facts: NodeFacts) -> float:
    """At the meter, with all slots busy: a machine that stops hashing is switched off."""
    return facts.max_watts * facts.pue / (facts.slots * facts.hashes_per_s / TERA)


def _prices(scenario: Scenario) -> tuple[Steps, dict[str, float]]:
    """Each zone's price from the start on with events in it, on a clock that is 0 there; and what it was before."""
    known_s = scenario.known_until - scenario.start
    steps: Steps = {}
    settled = {}
    for zone, (times, values) in shifted(scenario.world.prices, scenario.start).items():
        settled[zone] = float(values[max(int(np.searchsorted(times, 0.0, side="right")) - 1, 0)])
        if 0 < known_s < inf:
            known = times < known_s
            afterwards = mean(times, values, known_s)
            times, values = np.append(times[known], known_s), np.append(values[known], afterwards)
        for event in scenario.events:
            if event.kind is EventKind.PRICE and event.zone == zone:
                times, values = stepped(times, values, event)
        steps[zone] = times, values
    return steps, settled


def mean(times: Floats, values: Floats, until_s: float) -> float:
    """Of a step curve, from 0 to `until_s`."""
    edges = np.clip(np.append(times, until_s), 0.0, until_s)
    edges[0] = 0.0
    return float(np.dot(values, np.diff(edges)) / until_s)
