"""The quote: what one demand costs at every node, in USD. The same function for live jobs, replays and offers."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from placement.cost import Prepared, carbon_integral, present, price_integral
from placement.energy import JOULES_PER_KWH, Floats, Ints
from placement.fleet_table import Load
from placement.model import Demand

DEADLINE_SLACK_S = 1e-6  # a deadline holds if the answer arrives by it, to a microsecond
COSTS_A_USD = 1e12  # costs that round to the same picodollar are tied
MOMENTS_A_SECOND = 1e9


class Parts(NamedTuple):
    """A quote taken apart, arrays by node. Cost is energy + network + carbon + time."""

    energy_usd: Floats
    network_usd: Floats
    carbon_usd: Floats
    time_usd: Floats
    energy_joules: Floats
    path_s: Floats
    transfer_s: Floats
    wait_s: Floats
    run_s: Floats
    expected_s: Floats


def service_s(demand: Demand, prepared: Prepared) -> Floats:
    """Expected seconds that the demand keeps a slot busy, at every node."""
    run = prepared.fixed_s + prepared.s_per_unit * demand.units
    if demand.context_tokens:
        run += prepared.s_per_context * demand.context_tokens
    return run


def waiting_s(run: Floats, load: Load, now: float) -> Floats:
    """Expected seconds until a slot is free, at every node: queued work ahead over slots."""
    return np.maximum(load.clear_at - now, run * load.overdue_share)


def _electricity(prepared: Prepared, run: Floats, wait: Floats, now: float) -> Floats:
    """Energy and carbon, USD. Runs that end before any price steps need one product; the others are integrated."""
    usd = prepared.usd_per_s * run
    # one sum for all nodes, for one node and for the explanation: a run that ends at a step must be the same in each
    end = now + wait + run
    if end.max(initial=-inf) > prepared.first_until:
        across = np.flatnonzero(end > prepared.until)
        if len(across):
            first, last = now + wait[across], end[across]
            area = price_integral(prepared, across, first, last)
            carbon_usd_per_kg = prepared.world.money.carbon_usd_per_kg
            if carbon_usd_per_kg:
                area += carbon_integral(prepared, across, first, last) / 1e3 * carbon_usd_per_kg
            usd[across] = area * prepared.watts[across] / JOULES_PER_KWH
    return usd


def quote(demand: Demand, prepared: Prepared, load: Load, now: float) -> Floats:
    """Cost of the demand at every node, USD; infinity where it may not go."""
    run = service_s(demand, prepared)
    wait = waiting_s(run, load, now)
    cost = _electricity(prepared, run, wait, now)
    if demand.bytes_out:
        cost += prepared.egress_usd_per_byte * demand.bytes_out
    if demand.budget_usd < inf:
        cost[cost > demand.budget_usd] = inf
    if demand.second_usd or demand.before < inf:
        expected = wait
        expected += run
        expected += prepared.path_s
        if demand.bytes_in or demand.bytes_out:
            expected += prepared.s_per_byte * (demand.bytes_in + demand.bytes_out)
        if demand.before < inf:
            cost[now + expected > demand.before + DEADLINE_SLACK_S] = inf
        if demand.second_usd:
            expected -= demand.objective_s
            np.maximum(expected, 0.0, out=expected)
            expected *= demand.second_usd
            cost += expected
    cost += prepared.blocked
    return cost


def expected_s(demand: Demand, prepared: Prepared, load: Load, now: float, nodes: Ints) -> Floats:
    """Expected latency at some nodes: path + transfer + queue + service, seconds."""
    run = service_s(demand, prepared)[nodes]
    wait = np.maximum(load.clear_at[nodes] - now, run * load.overdue_share[nodes])
    return wait + run + prepared.path_s[nodes] + prepared.s_per_byte[nodes] * (demand.bytes_in + demand.bytes_out)


def parts(demand: Demand, prepared: Prepared, load: Load, now: float) -> Parts:
    """The same quote, every part of it, for explaining. Rules aside: a forbidden node has its parts as well."""
    run = service_s(demand, prepared)
    wait = waiting_s(run, load, now)
    price, carbon = (rate * run for rate in present(prepared))
    end = now + wait + run
    across = np.flatnonzero(end > prepared.until)
    if len(across):
        first, last = now + wait[across], end[across]
        price[across] = price_integral(prepared, across, first, last)
        carbon[across] = carbon_integral(prepared, across, first, last)
    kwh_per_s = prepared.watts / JOULES_PER_KWH
    transfer = prepared.s_per_byte * (demand.bytes_in + demand.bytes_out)
    expected = wait + run + prepared.path_s + transfer
    return Parts(
        energy_usd=price * kwh_per_s,
        network_usd=prepared.egress_usd_per_byte * demand.bytes_out,
        carbon_usd=carbon / 1e3 * prepared.world.money.carbon_usd_per_kg * kwh_per_s,
        time_usd=demand.second_usd * np.maximum(expected - demand.objective_s, 0.0),
        energy_joules=prepared.watts * run,
        path_s=prepared.path_s,
        transfer_s=transfer,
        wait_s=wait,
        run_s=run,
        expected_s=expected,
    )


class Quoted(NamedTuple):
    """One demand at one node: cost in USD (infinity: not there), expected latency and wait for a slot in seconds."""

    usd: float
    expected_s: float
    wait_s: float


class One:
    """The quote of one demand at single nodes: the same arithmetic in the same order, on plain floats."""

    __slots__ = ("_demand", "_now", "_prepared", "_run")

    def __init__(self, demand: Demand, prepared: Prepared, now: float) -> None:
        self._demand, self._prepared, self._now = demand, prepared, now
        self._run: dict[int, float] = {}

    def run_s(self, i: int) -> float:
        """Expected seconds that the demand keeps a slot of node `i` busy: bit for bit what `service_s` has there."""
        run = self._run.get(i)
        if run is None:
            demand, prepared = self._demand, self._prepared
            run = float(prepared.fixed_s[i]) + float(prepared.s_per_unit[i]) * demand.units
            if demand.context_tokens:
                run += float(prepared.s_per_context[i]) * demand.context_tokens
            self._run[i] = run
        return run

    def at(self, i: int, load: Load) -> Quoted:
        """The quote at node `i` under a load."""
        demand, prepared, now = self._demand, self._prepared, self._now
        run = self.run_s(i)
        wait = max(float(load.clear_at[i]) - now, run * float(load.overdue_share[i]))
        if now + wait + run > prepared.first_until:
            here = np.array([i])
            view = Load(load.tasks[here], load.clear_at[here], load.overdue_share[here])
            usd = float(_electricity(_at(prepared, i), np.array([run]), waiting_s(np.array([run]), view, now), now)[0])
        else:
            usd = float(prepared.usd_per_s[i]) * run
        if demand.bytes_out:
            usd += float(prepared.egress_usd_per_byte[i]) * demand.bytes_out
        if usd > demand.budget_usd:
            usd = inf
        expected = wait + run + float(prepared.path_s[i])
        if demand.bytes_in or demand.bytes_out:
            expected += float(prepared.s_per_byte[i]) * (demand.bytes_in + demand.bytes_out)
        if now + expected > demand.before + DEADLINE_SLACK_S:
            usd = inf
        if demand.second_usd:
            usd += max(expected - demand.objective_s, 0.0) * demand.second_usd
        return Quoted(usd + float(prepared.blocked[i]), expected, wait)


def _at(prepared: Prepared, i: int) -> Prepared:
    """The one-node slice that an exact integral needs."""
    here = slice(i, i + 1)
    return prepared._replace(
        usd_per_s=prepared.usd_per_s[here],
        watts=prepared.watts[here],
        until=prepared.until[here],
        price_zone=prepared.price_zone[here],
        carbon_zone=prepared.carbon_zone[here],
        fixed_price=prepared.fixed_price[here],
    )


def cost_at(demand: Demand, prepared: Prepared, i: int, load: Load, now: float) -> float:
    """Cost of the demand at one node, USD: bit for bit what `quote` has there."""
    return One(demand, prepared, now).at(i, load).usd
