"""Strategies for which time is a choice: `patient` and `drift`."""

from __future__ import annotations

import json
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.cost import World, prepare
from placement.energy import Curves
from placement.fleet_table import NodeTable
from placement.hours import best_hour
from placement.model import Demand
from placement.strategies.drift import Drift
from placement.strategies.patient import Patient
from placement.strategies.weighted import Weighted
from placement.strategy import Strategy
from tests.builders import START, node
from tests.placement.fleets import FROM_OSLO, NETWORK, at_sites, planned
from tests.placement.markets import Steps, area_under, curves, step_curves

HOUR = 3600.0


def market(**zones: list[float]) -> World:
    """Hourly prices from the start on."""
    return World(
        prices=Curves(
            {zone: ([START + HOUR * k for k in range(len(values))], values) for zone, values in zones.items()}
        ),
        network=NETWORK,
    )


# an hour of work at the ordinary node: 0.1 kWh
LONG = FROM_OSLO._replace(units=500.0 * HOUR)
NORTH = node("north", price_zone="north", coordinator_rtt_s=0.0)  # an answer to Oslo takes 30 ms


def within(hours: float, demand: Demand = LONG) -> Demand:
    return demand._replace(before=START + hours * HOUR)


def lived(
    strategy: Strategy, table: NodeTable, demand: Demand, count: int, world: World, until: float = inf
) -> list[tuple[float, str]]:
    """Offer the tasks, and what is held again whenever the strategy asks for it: when each starts, and where."""
    now, state, started = START, strategy.initial(), []
    while count and now <= until:
        made = planned(strategy, table, (demand, count), state=state, now=now, world=world)
        state = json.loads(json.dumps(made.state))
        for i in made.plan.nodes[0]:
            started.append((max(now, float(table.clear_at[i])), table.names[i]))
            table.debit(i, float(demand.units / table.hashes_per_s[i]), now)
        count -= len(made.plan.nodes[0])
        if made.plan.again_at == inf:
            break
        assert made.plan.again_at > now
        now = made.plan.again_at
    return started


# -- patient


def test_patient_waits_for_the_cheapest_hour_before_the_deadline() -> None:
    world = market(north=[0.3, 0.2, 0.1, 0.2, 0.05])
    made = planned(Patient(), at_sites(NORTH), (within(4.5), 1), world=world)
    assert (made.names, made.plan.again_at) == ([[]], START + 2 * HOUR)
    assert planned(Patient(), at_sites(NORTH), (within(4.5), 1), world=world, now=START + 2 * HOUR).names == [["north"]]


def test_patient_runs_at_the_latest_start_when_prices_only_fall_after_it() -> None:
    made = planned(Patient(), at_sites(NORTH), (within(1.5), 1), world=market(north=[0.3, 0.2]))
    assert made.plan.again_at == pytest.approx(START + 0.5 * HOUR - 0.03, abs=1e-6)
    late = planned(Patient(), at_sites(NORTH), (within(1.5), 1), world=market(north=[0.3, 0.2]), now=made.plan.again_at)
    assert late.names == [["north"]]


def test_patient_begins_before_a_cheap_hour_that_the_run_would_outlast() -> None:
    # two hours of work: the dear third hour is avoided by beginning at once
    two_hours = LONG._replace(units=1000.0 * HOUR)
    assert planned(
        Patient(), at_sites(NORTH), (within(4, two_hours), 1), world=market(north=[0.2, 0.1, 9.0])
    ).names == [["north"]]


def test_patient_waits_only_for_its_minimum_saving() -> None:
    world = market(north=[0.3, 0.2])  # waiting an hour saves 0.01 USD
    for minimum, held in ((0.0099, True), (0.01, True), (0.0101, False)):
        made = planned(Patient(minimum), at_sites(NORTH), (within(5), 1), world=world)
        assert (made.names == [[]]) == held


def test_patient_does_not_wait_while_the_price_stands() -> None:
    assert planned(Patient(), at_sites(NORTH), (within(5), 1), world=market(north=[0.2, 0.2, 0.3])).names == [["north"]]


def test_patient_prefers_a_cheap_place_now_to_a_cheap_hour_elsewhere() -> None:
    table = at_sites(NORTH, node("dam", price_usd_per_kwh=0.05))
    assert planned(Patient(), table, (within(5), 1), world=market(north=[0.3, 0.06])).names == [["dam"]]


def test_patient_without_a_deadline_is_weighted() -> None:
    table, world = at_sites(NORTH, node("dam", price_usd_per_kwh=0.05)), market(north=[0.3, 0.0])
    urgent = FROM_OSLO._replace(second_usd=0.01)
    waits, weighs = (planned(one, table, (urgent, 5), world=world).plan for one in (Patient(), Weighted()))
    assert waits == weighs


def test_patient_tasks_share_the_cheap_hours_out_and_are_all_in_time() -> None:
    world = market(north=[0.3, 0.2, 0.25, 0.1, 0.4])
    started = lived(Patient(), at_sites(NORTH), within(5.01), 3, world)
    assert [(round((at - START) / HOUR, 2), name) for at, name in sorted(started)] == [
        (1.0, "north"),
        (2.0, "north"),
        (3.0, "north"),
    ]


def test_patient_tasks_that_fill_the_time_to_the_deadline_begin_at_once() -> None:
    started = lived(Patient(), at_sites(NORTH), within(3.01), 3, market(north=[0.3, 0.2, 0.1]))
    assert len(started) == 3
    assert max(at for at, _ in started) <= START + 2.01 * HOUR


def test_patient_does_not_wait_past_a_queue_that_will_not_clear() -> None:
    table = at_sites(NORTH)
    table.debit(0, 3 * HOUR, START)  # busy into the cheap hours: its place in that queue is the best start
    assert planned(Patient(), table, (within(6), 1), world=market(north=[0.3, 0.2, 0.1, 0.1])).names == [["north"]]


@settings(max_examples=80, deadline=None)
@given(
    steps=step_curves(-0.2, 1.0),
    run_s=st.sampled_from([0.25, 3.0, 400.0]),
    slack_s=st.sampled_from([0.0, 2.0, 90.0, 5000.0]),
    tries=st.lists(st.floats(0.0, 1.0), min_size=20, max_size=20),
)
def test_no_other_start_is_cheaper_than_the_best_hour(
    steps: Steps, run_s: float, slack_s: float, tries: list[float]
) -> None:
    table = at_sites(node("north", price_zone="north", max_watts=3.6e6))  # a second at 1 USD/kWh is 1 USD
    prepared = prepare(FROM_OSLO.shape, table, World(prices=curves({"north": steps})), START)
    hour = best_hour(prepared, 0, run_s, START, START + slack_s, (), 0.0)
    assert hour is not None
    assert START <= hour.start <= START + slack_s
    assert hour.usd == pytest.approx(area_under(steps, hour.start, hour.start + run_s), abs=1e-5 * (1 + run_s))
    for part in tries:
        other = START + part * slack_s
        assert hour.usd <= area_under(steps, other, other + run_s) + 1e-5 * (1 + run_s)


# -- drift

CHEAP_LATER = {"north": [0.3, 0.1]}  # the hour of work: 0.03 USD, then 0.01


def test_drift_by_default_waits_for_nothing_and_trades_queue_against_service() -> None:
    table = at_sites(node("quick", hashes_per_s=1000.0, price_usd_per_kwh=0.9), node("slow"))
    # seconds queued times seconds of service: quick 0, slow 0; quick 1 * 1, slow 0; quick 1 * 1, slow 2 * 2; ...
    made = planned(Drift(), table, (FROM_OSLO, 5))
    assert made.names == [["slow", "quick", "quick", "quick", "quick"]]
    assert made.state == {}


def test_drift_serves_a_backlog_only_as_far_as_it_pays() -> None:
    table = at_sites(node("north", price_zone="north", slots=10, max_watts=1000.0))
    made = planned(Drift(v=200.0), table, (LONG, 9), world=market(north=[0.3]))  # v * K is 6 tasks
    assert made.names == [["north"] * 4]  # at 9, 8, 7 and 6 that wait, and not at 5
    assert made.plan.again_at == START + 1.0  # a second of waiting is as good as a task


def test_drift_is_offered_again_when_the_price_steps() -> None:
    table = at_sites(NORTH)
    made = planned(Drift(v=1e6), table, (LONG, 1), world=market(**CHEAP_LATER))
    assert made.plan.again_at == START + HOUR
    assert made.state == {"HASH||relayed|Oslo": [START, 0.0]}


def test_drift_serves_a_lone_task_after_v_times_its_cost() -> None:
    # 0.03 USD * 10,000 tasks per USD: 300, of which it is one itself
    started = lived(Drift(v=10_000.0), at_sites(NORTH), LONG, 1, market(north=[0.3]))
    assert started == [(pytest.approx(START + 299.0, abs=1e-3), "north")]


def test_drift_does_not_wait_past_a_deadline() -> None:
    started = lived(Drift(v=1e9), at_sites(NORTH), within(1.5), 1, market(north=[0.3]))
    assert started == [(pytest.approx(START + 0.5 * HOUR - 0.03, abs=1e-3), "north")]


def test_drift_waits_longer_and_pays_less_the_greater_v_is() -> None:
    """Backlog O(v), cost within O(1/v): here the one price step that is worth waiting for."""
    starts, bills = [], []
    for v in (1.0, 1e4, 1e5, 1e6):
        ((at, _),) = lived(Drift(v), at_sites(NORTH), LONG, 1, market(**CHEAP_LATER))
        starts.append(at - START)
        bills.append(area_under([(START, 0.3), (START + HOUR, 0.1)], at, at + HOUR) * 0.1 / HOUR)
    assert starts == sorted(starts)
    assert bills == sorted(bills, reverse=True)
    assert starts[0] == 0.0
    assert bills[-1] == pytest.approx(0.01)
