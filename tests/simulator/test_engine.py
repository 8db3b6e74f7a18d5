"""The simulated fleet against what can be computed by hand and by queueing theory."""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heapreplace
from math import factorial

import numpy as np
import pytest

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.engine import Run
from coordinator.simulator.ledger import Ledger, ledger_of
from coordinator.simulator.model import Event, EventKind, Scenario, stream
from placement.cost import Money
from placement.model import JobState, Kind, Path
from tests.simulator.scenarios import jobs, node, scenario

RTT = {("Paris", "Lyon"): 20.0, ("Paris", "Oslo"): 60.0, ("Lyon", "Oslo"): 50.0}


def replayed(of: Scenario, strategy: str) -> Ledger:
    return ledger_of(of, Run(of, strategy, of.seed).go())


def names(ledger: Ledger) -> list[str]:
    return [ledger.nodes[i].name for i in ledger.node]


def kiefer_wolfowitz(arrival: np.ndarray, service: np.ndarray, servers: int) -> np.ndarray:
    """When each customer of a first-come-first-served queue begins, in absolute time."""
    free = [0.0] * servers
    heapify(free)
    begins = np.empty(len(arrival))
    for i, (at, run) in enumerate(zip(arrival.tolist(), service.tolist(), strict=True)):
        begins[i] = max(at, free[0])
        heapreplace(free, begins[i] + run)
    return begins


def poisson(n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Arrivals at a rate, and exponential services of mean 1."""
    arrivals = np.cumsum(stream(7, "arrivals").exponential(1 / rate, n))
    return arrivals, stream(7, "services").exponential(1.0, n)


@pytest.mark.parametrize("strategy", ["nearest", "weighted"])
@pytest.mark.parametrize("slots", [1, 3])
def test_waits_at_one_node_are_those_of_the_recursion_exactly(strategy: str, slots: int) -> None:
    arrival, service = poisson(3000, 0.9 * slots)
    ledger = replayed(scenario([node("a", slots=slots)], jobs(arrival, service)), strategy)
    assert np.array_equal(ledger.start_s, kiefer_wolfowitz(arrival, service, slots))
    assert np.array_equal(ledger.end_s, ledger.start_s + service)


def test_hub_of_many_nodes_is_one_queue() -> None:
    arrival, service = poisson(2000, 3.6)
    hubs = [node(f"h{k}", hub=True, slots=2) for k in range(2)]
    ledger = replayed(scenario([*hubs, node("edge")], jobs(arrival, service)), "hub")
    assert np.array_equal(ledger.start_s, kiefer_wolfowitz(arrival, service, 4))
    assert set(names(ledger)) == {"h0", "h1"}


def test_hub_serves_origins_in_the_order_of_arrival_whatever_their_shape() -> None:
    arrival, service = poisson(1500, 4.4)  # overloaded: each origin has a line of its own, and they stand
    origins = [("Paris", "Lyon", "Oslo")[k] for k in stream(7, "origins").integers(0, 3, 1500)]
    hubs = [node(f"h{k}", hub=True, slots=2) for k in range(2)]
    ledger = replayed(scenario([*hubs, node("edge")], jobs(arrival, service, origin=origins), rtt_ms=RTT), "hub")
    assert np.array_equal(ledger.start_s, kiefer_wolfowitz(arrival, service, 4))


def test_job_that_no_idle_node_could_answer_in_time_stands_in_nobodys_way() -> None:
    of = jobs([0.0, 0.1, 0.2], [1.0, 9.0, 1.0], deadline_s=np.array([np.inf, 5.0, np.inf]))
    ledger = replayed(scenario([node("a", hub=True)], of), "hub")
    assert ledger.state.tolist() == [JobState.SUCCEEDED, JobState.EXPIRED, JobState.SUCCEEDED]
    assert ledger.start_s.tolist() == [0.0, 1.0]


def erlang_c(servers: int, load: float) -> float:
    offered = servers * load
    last = offered**servers / factorial(servers) / (1 - load)
    return float(last / (sum(offered**k / factorial(k) for k in range(servers)) + last))


@pytest.mark.parametrize(("servers", "tolerance"), [(1, 0.15), (10, 0.15)])
def test_mean_wait_is_that_of_erlang(servers: int, tolerance: float) -> None:
    load = 0.7
    arrival, service = poisson(20_000, load * servers)
    ledger = replayed(scenario([node("a", slots=servers)], jobs(arrival, service)), "nearest")
    expected = erlang_c(servers, load) / (servers * (1 - load))
    assert float((ledger.start_s - arrival).mean()) == pytest.approx(expected, rel=tolerance)


def test_answer_travels_both_ways_and_its_bytes_but_holds_no_slot() -> None:
    far = node("a", "Lyon", bandwidth_mbps=8.0, egress_usd_per_gb=0.1)
    of = jobs([0.0, 0.0], 2.0, origin="Oslo", bytes_in=1e6, bytes_out=2e6)
    relayed = replayed(scenario([far], of, rtt_ms=RTT), "weighted")
    assert relayed.start_s.tolist() == [0.0, 2.0]
    assert relayed.latency_s == pytest.approx([0.06 + 0.02 + 3.0 + 2.0, 0.06 + 0.02 + 3.0 + 4.0], abs=1e-12)
    assert relayed.network_usd == pytest.approx([2e6 * 0.1 / 1e9] * 2, rel=1e-12)
    direct = replayed(scenario([far], of, rtt_ms=RTT, path=Path.DIRECT), "weighted")
    assert direct.latency_s == pytest.approx([0.05 + 3.0 + 2.0, 0.05 + 3.0 + 4.0], abs=1e-12)


def test_service_of_inference_is_the_sum_of_its_rates() -> None:
    quick = node("a", hashes_per_s=0, requests_per_s=40, prefill_tokens_per_s=5000, tokens_per_s=900)
    of = jobs([1.0], 90.0, kind=Kind.INFERENCE, context_tokens=1000.0)
    ledger = replayed(scenario([quick], of), "weighted")
    assert ledger.end_s[0] - ledger.start_s[0] == pytest.approx(1 / 40 + 1000 / 5000 + 90 / 900, rel=1e-12)


def test_weighted_weighs_the_bill_against_the_wait() -> None:
    """Far is a cent a second cheaper and 20 ms later: what a second is worth decides."""
    fleet = [node("near", max_watts=3.6e6, price_usd_per_kwh=0.02), node("far", "Lyon", max_watts=3.6e6)]
    chosen = {
        worth: names(replayed(scenario(fleet, jobs([0.0], objective_s=0.0, second_usd=worth), rtt_ms=RTT), "weighted"))
        for worth in (0.5, 2.0)
    }
    assert chosen == {0.5: ["far"], 2.0: ["near"]}


def test_energy_over_a_price_step_is_the_exact_integral() -> None:
    worker = node("a", max_watts=1100, idle_watts=100, pue=1.2, price_zone="Z", carbon_zone="C")
    of = scenario(
        [worker],
        jobs([3590.0], 30.0),
        prices={"Z": ([0.0, 3600.0], [0.1, -0.4])},
        carbon={"C": ([0.0, 3610.0], [100.0, 400.0])},
    )
    ledger = replayed(of, "weighted")
    kw = 1.0 * 1.2
    assert ledger.joules[0] == pytest.approx(kw * 1e3 * 30, rel=1e-12)
    assert ledger.energy_usd[0] == pytest.approx(kw * (10 * 0.1 - 20 * 0.4) / 3600, rel=1e-9)
    assert ledger.carbon_g[0] == pytest.approx(kw * (20 * 100 + 10 * 400) / 3600, rel=1e-9)


def test_price_event_changes_the_bill_for_its_span_and_is_no_secret_once_begun() -> None:
    event = Event(EventKind.PRICE, at_s=100.0, for_s=50.0, zone="Z", factor=3.0, add_usd_per_kwh=0.01)
    fleet = [
        node("cheap", max_watts=3.6e6, price_zone="Z"),
        node("dear", max_watts=3.6e6, price_usd_per_kwh=0.05),
    ]
    of = scenario(fleet, jobs([0.0, 99.5, 110.0, 160.0]), prices={"Z": ([0.0], [0.04])}, events=[event])
    ledger = replayed(of, "weighted")
    assert names(ledger) == ["cheap", "cheap", "dear", "cheap"]
    assert ledger.energy_usd[1] == pytest.approx(0.5 * 0.04 + 0.5 * (3 * 0.04 + 0.01), rel=1e-9)


def test_price_event_on_a_negative_price_makes_it_less_negative() -> None:
    event = Event(EventKind.PRICE, at_s=0.0, zone="Z", factor=3.0)
    of = scenario(
        [node("a", max_watts=3.6e6, price_zone="Z")], jobs([1.0]), prices={"Z": ([0.0], [-0.1])}, events=[event]
    )
    assert replayed(of, "weighted").energy_usd[0] == pytest.approx(-0.1 + 2 * 0.1, rel=1e-12)


def test_outage_loses_attempts_which_are_placed_again_elsewhere() -> None:
    event = Event(EventKind.OUTAGE, at_s=1.0, for_s=10.0, region="Paris")
    of = scenario([node("a"), node("b", "Lyon")], jobs([0.0, 5.0, 12.0], 2.0), rtt_ms=RTT, events=[event])
    run = Run(of, "nearest", 1)
    outcome = run.go()
    ledger = ledger_of(of, outcome)
    assert list(zip(names(ledger), ledger.job, ledger.start_s, ledger.end_s, strict=True)) == [
        ("a", 0, 0.0, 1.0),
        ("b", 0, 1.0, 3.0),
        ("b", 1, 5.0, 7.0),
        ("a", 2, 12.0, 14.0),
    ]
    assert outcome.down == [(0, 1.0, 11.0)]
    assert list(outcome.placements) == [2, 1, 1]
    assert set(ledger.state) == {JobState.SUCCEEDED}


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.BAN, at_s=1.0, for_s=4.0, region="Paris"),
        Event(EventKind.CURTAIL, at_s=1.0, for_s=4.0, site="paris"),
    ],
)
def test_ban_and_curtailment_give_work_back_and_end(event: Event) -> None:
    of = scenario([node("a"), node("b", "Lyon")], jobs([0.0, 6.0], 2.0), rtt_ms=RTT, events=[event])
    assert names(replayed(of, "nearest")) == ["a", "b", "a"]


def test_work_that_nobody_can_take_waits_for_the_end_of_the_outage() -> None:
    event = Event(EventKind.OUTAGE, at_s=0.0, for_s=7.25, node="a")
    ledger = replayed(scenario([node("a")], jobs([1.0]), events=[event]), "weighted")
    assert (ledger.placed_s[0], ledger.start_s[0]) == (7.25, 7.25)


def test_work_that_nobody_will_ever_take_again_is_lost_and_the_run_ends() -> None:
    of = scenario([node("a")], jobs([1.0]), events=[Event(EventKind.OUTAGE, at_s=0.5, node="a")])
    ledger = replayed(of, "weighted")
    assert ledger.state.tolist() == [JobState.PENDING] and not len(ledger.job)


def test_link_event_makes_the_near_far() -> None:
    event = Event(EventKind.LINK, at_s=5.0, for_s=5.0, source="Paris", destination="Lyon", factor=10.0)
    fleet = [node("lyon", "Lyon"), node("oslo", "Oslo")]
    of = scenario(fleet, jobs([0.0, 6.0, 12.0], origin="Paris"), rtt_ms=RTT, events=[event])
    ledger = replayed(of, "nearest")
    assert names(ledger) == ["lyon", "oslo", "lyon"]
    assert ledger.latency_s == pytest.approx([1.021, 1.061, 1.021], abs=1e-12)


def test_event_about_a_price_that_nobody_pays_is_refused_by_name() -> None:
    of = scenario([node("a")], jobs([0.0]), events=[Event(EventKind.PRICE, at_s=0.0, zone="Mars", factor=2.0)])
    with pytest.raises(InvalidConfiguration, match="Mars"):
        Run(of, "weighted", 1)


@pytest.mark.parametrize(
    ("deadline_s", "state"), [(1.002, JobState.SUCCEEDED), (1.0019, JobState.EXPIRED), (1.1, JobState.SUCCEEDED)]
)
@pytest.mark.parametrize("strategy", ["hub", "nearest", "weighted"])
def test_deadline_holds_if_the_answer_arrives_by_it(strategy: str, deadline_s: float, state: JobState) -> None:
    """One second of work and two round trips of a millisecond."""
    of = scenario([node("a", hub=True)], jobs([0.3], deadline_s=deadline_s))
    assert replayed(of, strategy).state.tolist() == [state]


def test_job_whose_queue_is_longer_than_its_deadline_expires_and_frees_nothing() -> None:
    ledger = replayed(scenario([node("a")], jobs([0.0, 0.1, 0.2], 2.0, deadline_s=4.2)), "weighted")
    assert ledger.state.tolist() == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.EXPIRED]
    assert ledger.job.tolist() == [0, 1]


def test_job_that_must_stay_somewhere_stays_there_or_is_refused() -> None:
    fleet = [node("a"), node("b", "Lyon")]
    inside = replayed(scenario(fleet, jobs([0.0, 0.0], keep_in=("Lyon",)), rtt_ms=RTT), "nearest")
    assert names(inside) == ["b", "b"]
    nowhere = replayed(scenario(fleet, jobs([0.0], keep_in=("Oslo",)), rtt_ms=RTT), "nearest")
    assert nowhere.state.tolist() == [JobState.REFUSED]


def test_higher_priority_is_held_less_long() -> None:
    of = jobs([0.0, 0.1, 0.2], 1.0, priority=np.array([0, 0, 5], dtype=np.int8))
    ledger = replayed(scenario([node("a", hub=True)], of), "hub")
    assert ledger.start_s.tolist() == [0.0, 2.0, 1.0]


def test_strategy_that_needs_no_memory_of_time_decides_the_same_at_any_start() -> None:
    """The clock counts from the scenario's start, so a week in unix seconds costs no digits of a wait."""
    arrival = [604_800.0 + k * 1e-7 for k in range(3)]
    ledger = replayed(scenario([node("a")], jobs(arrival, 1e-7)), "weighted")
    assert np.array_equal(ledger.start_s, kiefer_wolfowitz(np.array(arrival), np.full(3, 1e-7), 1))


def test_money_of_carbon_moves_work_to_cleaner_power() -> None:
    fleet = [node("coal", max_watts=3.6e6, carbon_zone="C"), node("hydro", "Lyon", max_watts=3.6e6, carbon_zone="H")]
    picked = Counter[str]()
    for usd_per_kg in (0.0, 1.0):
        of = scenario(
            fleet,
            jobs([0.0], objective_s=0.0, second_usd=1.0),
            rtt_ms=RTT,
            carbon={"C": ([0.0], [900.0]), "H": ([0.0], [20.0])},
            money=Money(carbon_usd_per_kg=usd_per_kg),
        )
        picked[names(replayed(of, "weighted"))[0]] += 1
    assert picked == {"coal": 1, "hydro": 1}
