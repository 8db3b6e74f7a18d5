"""One definition of every measure, for what was simulated and for what was live.

Energy and its money are marginal (busy draw above idle, PUE included) unless they say `fleet`: that is everything the
fleet drew from the start to the last settlement. Percentiles are nearest-rank. Shares are of busy slot-seconds.
What cannot be said of no jobs at all is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, fsum, isfinite
from typing import Any

import numpy as np

from coordinator.simulator.concentration import concentration
from coordinator.simulator.ledger import Ledger
from placement.energy import JOULES_PER_KWH, Floats
from placement.model import JobState, Kind

Measures = dict[str, Any]

OBJECTIVE_SLACK_S = 1e-9  # an objective holds if the answer comes by it, whatever the last bit of a sum says


def scorecard(ledger: Ledger) -> Measures:
    """Every measure of one run but those that need another one (`blast_radius`' reruns, `cost_over_bound`)."""
    return {**measures(ledger), "by_kind": {kind.name.lower(): measures(ledger.of_kind(kind)) for kind in Kind}}


def measures(ledger: Ledger) -> Measures:
    """The measures of a ledger."""
    counts = {state: int((ledger.state == int(state)).sum()) for state in JobState}
    jobs = len(ledger.state)
    completed, refused = counts[JobState.SUCCEEDED], counts[JobState.REFUSED]
    expired = counts[JobState.EXPIRED]
    energy_joules, energy_usd = fsum(ledger.joules), fsum(ledger.energy_usd)
    network_usd, carbon_kg = fsum(ledger.network_usd), fsum(ledger.carbon_g) / 1e3
    answered = ledger.answered
    latency_s, waited_s = _times(ledger, answered)
    return {
        "jobs": jobs,
        "completed": completed,
        "failed": jobs - completed - refused - expired,
        "refused": refused,
        "expired": expired,
        "energy_kwh": energy_joules / JOULES_PER_KWH,
        "energy_usd": energy_usd,
        "fleet_energy_kwh": (energy_joules + ledger.idle_joules) / JOULES_PER_KWH,
        "fleet_energy_usd": energy_usd + ledger.idle_usd,
        "carbon_kg": carbon_kg,
        "network_usd": network_usd,
        "time_usd": fsum(_late_usd(ledger, answered)),
        "cost_usd": energy_usd
        + network_usd
        + carbon_kg * ledger.money.carbon_usd_per_kg
        + fsum(_late_usd(ledger, answered)),
        "latency_ms": percentiles(latency_s * 1e3),
        "wait_ms": percentiles(waited_s * 1e3),
        "objective_met": _objective_met(ledger, answered),
        "deferrable": _deferrable(ledger, answered),
        "utilization": fsum(ledger.end_s - ledger.start_s) / ledger.offered_s if ledger.offered_s else None,
        "concentration": {what: _concentration(by) for what, by in _busy(ledger).items()},
        "share_by_site": _shares(_busy(ledger)["site"]),
        "blast_radius": _largest(ledger),
        "moves": int(np.maximum(ledger.placements - 1, 0).sum()) / jobs if jobs else None,
        "messages": int(ledger.messages.sum()) / jobs if jobs else None,
        "cost_over_bound": None,
    }


def percentiles(values: Floats) -> Measures:
    """p50, p95 and p99 by nearest rank, and the mean."""
    ranked = np.sort(values)
    n = len(ranked)
    at = {f"p{q}": float(ranked[ceil(q * n / 100) - 1]) if n else None for q in (50, 95, 99)}
    return {**at, "mean": fsum(ranked) / n if n else None}


def _apart(ledger: Ledger) -> np.ndarray:
    """Jobs that count for latency and objectives: deferrable ones stand apart, unless there are no others."""
    apart: np.ndarray = ~ledger.deferrable if not ledger.deferrable.all() else np.ones(len(ledger.state), np.bool_)
    return apart


def _times(ledger: Ledger, answered: np.ndarray) -> tuple[Floats, Floats]:
    """Latency and wait of the answers, seconds."""
    told = answered & _apart(ledger)[ledger.job]
    return ledger.latency_s[told], (ledger.start_s - ledger.arrival_s[ledger.job])[told]


def _objective_met(ledger: Ledger, answered: np.ndarray) -> float | None:
    """Met over all: a job that was refused, lost or too late for its deadline missed its objective."""
    apart = _apart(ledger)
    of = int(apart.sum())
    told = answered & apart[ledger.job]
    met = ledger.latency_s[told] <= ledger.objective_s[ledger.job[told]] + OBJECTIVE_SLACK_S
    return int(met.sum()) / of if of else None


def _late_usd(ledger: Ledger, answered: np.ndarray) -> Floats:
    """What clients pay for the seconds past their objectives."""
    job = ledger.job[answered]
    over = ledger.latency_s[answered] - ledger.objective_s[job]
    usd: Floats = ledger.second_usd[job] * np.maximum(over, 0.0)
    return usd


def _deferrable(ledger: Ledger, answered: np.ndarray) -> Measures:
    """Of jobs that may wait: how many missed their deadline, and which part of their slack they took, on average."""
    job = ledger.job[answered & ledger.deferrable[ledger.job]]
    taken = answered & ledger.deferrable[ledger.job]
    busy = (ledger.end_s - ledger.start_s)[taken]
    slack = ledger.deadline_s[job] - busy
    delay = (ledger.start_s[taken] - ledger.arrival_s[job]) / np.where(slack > 0, slack, np.inf)
    return {
        "jobs": int(ledger.deferrable.sum()),
        "deadlines_missed": int((ledger.state[ledger.deferrable] == int(JobState.EXPIRED)).sum()),
        "delay_over_slack": fsum(delay) / len(delay) if len(delay) else None,
    }


def _busy(ledger: Ledger) -> dict[str, dict[str, float]]:
    """Busy slot-seconds by node, site, region and operator, those with none included."""
    by_node = np.bincount(ledger.node, ledger.end_s - ledger.start_s, minlength=len(ledger.nodes))
    totals: dict[str, dict[str, float]] = {"node": {}, "site": {}, "region": {}, "operator": {}}
    for facts, busy in zip(ledger.nodes, by_node.tolist(), strict=True):
        for what, name in (
            ("node", facts.name), ("site", facts.site), ("region", facts.region), ("operator", facts.operator),
        ):  # fmt: skip
            totals[what][name] = totals[what].get(name, 0.0) + busy
    return totals


def _concentration(by: dict[str, float]) -> Measures:
    return {name: _number(value) for name, value in concentration(by.values())._asdict().items()}


def _shares(by: dict[str, float]) -> dict[str, float]:
    total = fsum(by.values())
    return {name: by[name] / total if total else 0.0 for name in sorted(by)}


def _largest(ledger: Ledger) -> Measures:
    """The region with most of the work, and what energy costs with its price tripled and every placement kept.

    `price_x3_frozen` is exact: 1 + 2 times the region's share of the energy cost.
    """
    shares = _shares(_busy(ledger)["region"])
    if not shares or not len(ledger.job):
        return {"region": None, "work_share": None, "price_x3_frozen": None}
    region = max(shares, key=lambda name: (shares[name], name))
    there = np.array([facts.region == region for facts in ledger.nodes])[ledger.node]
    total, here = fsum(ledger.energy_usd), fsum(ledger.energy_usd[there])
    return {
        "region": region,
        "work_share": shares[region],
        "price_x3_frozen": (total + 2.0 * here) / total if total else None,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def log_lines(ledger: Ledger, strategy: str, seed: int) -> Sequence[Measures]:
    """One object for each attempt that used a slot, by job and then by time. Nothing is rounded."""
    kinds = {int(kind): kind.name.lower() for kind in Kind}
    names = [(facts.name, facts.site) for facts in ledger.nodes]
    columns = zip(
        ledger.job.tolist(), ledger.node.tolist(), ledger.placed_s.tolist(), ledger.start_s.tolist(),
        ledger.end_s.tolist(), (ledger.latency_s * 1e3).tolist(), ledger.joules.tolist(), ledger.energy_usd.tolist(),
        ledger.network_usd.tolist(), ledger.carbon_g.tolist(), strict=True,
    )  # fmt: skip
    arrival, kind = ledger.arrival_s.tolist(), ledger.kind.tolist()
    return [
        {
            "strategy": strategy, "seed": seed, "job": job, "kind": kinds[kind[job]], "node": names[node][0],
            "site": names[node][1], "arrival_s": arrival[job], "placed_s": placed, "start_s": start, "end_s": end,
            "latency_ms": _number(latency), "energy_joules": joules, "energy_usd": usd, "network_usd": network,
            "carbon_g": carbon,
        }
        for job, node, placed, start, end, latency, joules, usd, network, carbon in columns
    ]  # fmt: skip
