"""Every measure against its definition, on runs that a person can follow."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from coordinator.simulator.engine import Run
from coordinator.simulator.ledger import Ledger, ledger_of
from coordinator.simulator.model import Event, EventKind, Scenario
from coordinator.simulator.runs import interval, mean, run
from coordinator.simulator.scorecard import log_lines, percentiles, scorecard
from placement.cost import Money
from placement.model import Kind
from tests.simulator.scenarios import jobs, node, scenario


def replayed(of: Scenario, strategy: str = "nearest") -> Ledger:
    return ledger_of(of, Run(of, strategy, of.seed).go())


def test_percentiles_are_values_that_occurred_by_nearest_rank() -> None:
    assert percentiles(np.array([4.0, 1.0, 3.0, 2.0])) == {"p50": 2.0, "p95": 4.0, "p99": 4.0, "mean": 2.5}
    many = np.arange(1.0, 1001.0)
    assert percentiles(many)["p95"] == many[ceil(0.95 * 1000) - 1]
    assert percentiles(np.zeros(0)) == {"p50": None, "p95": None, "p99": None, "mean": None}


def test_idle_fleet_draws_and_working_one_draws_more() -> None:
    """Two nodes, one works two of ten seconds; the last settlement is at ten."""
    fleet = [
        node("a", idle_watts=100, max_watts=300, pue=1.5, price_usd_per_kwh=0.36),
        node("b", "Lyon", idle_watts=50, max_watts=50, price_usd_per_kwh=0.36),
    ]
    card = scorecard(replayed(scenario(fleet, jobs([0.0, 9.0]))))
    assert card["energy_kwh"] == pytest.approx(2 * 200 * 1.5 / 3.6e6, rel=1e-12)
    assert card["energy_usd"] == pytest.approx(card["energy_kwh"] * 0.36, rel=1e-12)
    assert card["fleet_energy_kwh"] == pytest.approx((10 * (150 + 50) + 600) / 3.6e6, rel=1e-12)
    assert card["fleet_energy_usd"] == pytest.approx(card["fleet_energy_kwh"] * 0.36, rel=1e-12)
    assert card["utilization"] == pytest.approx(2 / 20)


def test_node_that_is_out_neither_draws_nor_offers() -> None:
    event = Event(EventKind.OUTAGE, at_s=2.0, for_s=3.0, node="a")
    fleet = [node("a", idle_watts=100, max_watts=100)]
    card = scorecard(replayed(scenario(fleet, jobs([0.0, 9.0]), events=[event])))
    assert card["fleet_energy_kwh"] == pytest.approx(7 * 100 / 3.6e6, rel=1e-12)
    assert card["utilization"] == pytest.approx(2 / 7)


def test_objective_is_missed_by_the_late_the_refused_and_the_expired() -> None:
    of = jobs(
        [0.0, 0.0, 10.0, 20.0],
        [1.0, 1.0, 1.0, 5.0],
        objective_s=np.array([1.5, 1.5, np.nan, 9.0]),
        deadline_s=np.array([np.inf, np.inf, np.inf, 2.0]),
    )
    card = scorecard(replayed(scenario([node("a")], of)))
    assert (card["completed"], card["expired"], card["failed"], card["refused"]) == (3, 1, 0, 0)
    assert card["objective_met"] == 2 / 4  # the first, and the one that had none; the second waited, the last expired
    nobody = scorecard(replayed(scenario([node("a")], jobs([0.0], keep_in=("Oslo",)))))
    assert (nobody["refused"], nobody["objective_met"]) == (1, 0.0)


def test_inference_without_objective_wants_its_answer_at_once() -> None:
    worker = node("a", requests_per_s=10.0)
    of = jobs([0.0], kind=Kind.INFERENCE, second_usd=2.0)
    card = scorecard(replayed(scenario([worker], of)))
    assert card["objective_met"] == 0.0
    assert card["time_usd"] == pytest.approx(2.0 * (0.1 + 0.002), rel=1e-12)


def test_cost_is_energy_network_carbon_and_time() -> None:
    worker = node("a", max_watts=3.6e6, price_usd_per_kwh=0.1, carbon_zone="C", egress_usd_per_gb=0.5)
    of = scenario(
        [worker],
        jobs([0.0], 2.0, objective_s=1.0, second_usd=0.3, bytes_out=1e9),
        carbon={"C": ([0.0], [500.0])},
        money=Money(carbon_usd_per_kg=0.04),
    )
    card = scorecard(replayed(of))
    assert card["carbon_kg"] == pytest.approx(1.0)
    assert card["cost_usd"] == pytest.approx(2 * 0.1 + 0.5 + 1.0 * 0.04 + 0.3 * (2.002 - 1.0), rel=1e-12)


def test_tripled_price_of_a_region_with_its_placement_kept_costs_twice_its_share_more() -> None:
    """Forty per cent of the energy cost is the region's: times three is +80 %."""
    fleet = [
        node("a", max_watts=3.6e6, price_usd_per_kwh=0.1, slots=1),
        node("b", "Lyon", max_watts=3.6e6, price_usd_per_kwh=0.3, slots=1),
    ]
    of = scenario(fleet, jobs([0.0, 0.5, 10.0]), rtt_ms={("Paris", "Lyon"): 10.0})
    blast = run(of, "nearest").measures["blast_radius"]
    assert blast["region"] == "Paris" and blast["work_share"] == pytest.approx(2 / 3)
    assert blast["price_x3_frozen"] == pytest.approx(1 + 2 * 0.4, rel=1e-12)
    assert blast["price_x3"] == pytest.approx(blast["price_x3_frozen"], rel=1e-12)  # `nearest` does not react


def test_free_placement_pays_less_of_a_shock_than_a_frozen_one_and_work_outlives_its_region() -> None:
    fleet = [
        node("a", max_watts=3.6e6, price_zone="Z", slots=4),
        node("b", "Lyon", max_watts=3.6e6, price_usd_per_kwh=0.15, slots=4),
    ]
    of = scenario(
        fleet,
        jobs([0.0, 2.0, 4.0], objective_s=2.0),
        rtt_ms={("Paris", "Lyon"): 10.0},
        prices={"Z": ([0.0], [0.1])},
    )
    blast = run(of, "weighted").measures["blast_radius"]
    assert blast["price_x3_frozen"] == pytest.approx(3.0)
    assert blast["price_x3"] == pytest.approx(1.5)
    assert blast["objective_met_after"] == 1.0
    alone = run(scenario(fleet[:1], jobs([0.0]), prices={"Z": ([0.0], [0.1])}), "weighted").measures
    assert (alone["objective_met"], alone["blast_radius"]["objective_met_after"]) == (1.0, 0.0)


def test_only_the_region_that_is_meant_pays_three_times() -> None:
    fleet = [node("a", max_watts=3.6e6, price_zone="Z"), node("b", "Lyon", max_watts=3.6e6, price_zone="Z")]
    of = scenario(fleet, jobs([0.0, 0.5, 5.0]), rtt_ms={("Paris", "Lyon"): 10.0}, prices={"Z": ([0.0], [0.1])})
    blast = run(of, "nearest").measures["blast_radius"]
    assert blast["price_x3"] == pytest.approx(1 + 2 * 2 / 3)


def test_work_is_concentrated_where_slots_were_busy() -> None:
    fleet = [node(f"n{k}", operator="one") for k in range(4)]
    card = scorecard(replayed(scenario(fleet, jobs([0.0, 0.0, 0.0, 10.0], [1.0, 1.0, 1.0, 1.0]))))
    shares = card["concentration"]["node"]
    assert shares["hhi"] == pytest.approx(1e4 * (0.5**2 + 2 * 0.25**2))
    assert (shares["nakamoto"], shares["top_share"]) == (2, 0.5)
    assert shares["gini"] == pytest.approx(0.375)
    assert card["concentration"]["operator"]["hhi"] == pytest.approx(1e4)
    assert card["share_by_site"] == {"paris": 1.0}


def test_kinds_add_up() -> None:
    worker = node("a", requests_per_s=2.0, idle_watts=10, max_watts=100, price_usd_per_kwh=0.2, slots=2)
    hashing, asking = jobs([0.0, 1.0, 2.0], 1.5), jobs([0.0, 1.0, 2.0], kind=Kind.INFERENCE)
    of = replace(hashing, kind=np.array([hashing.kind[0], asking.kind[0], hashing.kind[0]], dtype=np.int8))
    card = scorecard(replayed(scenario([worker], of)))
    kinds = card["by_kind"]
    assert (kinds["hash"]["jobs"], kinds["inference"]["jobs"]) == (2, 1)
    for measure in ("energy_kwh", "energy_usd", "fleet_energy_kwh", "fleet_energy_usd", "cost_usd", "utilization"):
        assert kinds["hash"][measure] + kinds["inference"][measure] == pytest.approx(card[measure], rel=1e-12)


def test_deferrable_jobs_stand_apart_from_latencies() -> None:
    of = jobs([0.0, 0.0], [1.0, 4.0], deferrable=np.array([False, True]), deadline_s=np.array([np.inf, 10.0]))
    card = scorecard(replayed(scenario([node("a")], of)))
    assert card["latency_ms"]["p99"] == pytest.approx(1002.0)
    assert card["deferrable"] == {"jobs": 1, "deadlines_missed": 0, "delay_over_slack": pytest.approx(1 / 6)}


def test_log_says_what_the_scorecard_says() -> None:
    rng = np.random.default_rng(3)
    fleet = [node(f"n{k}", max_watts=100.0 + k, price_zone="Z", slots=2) for k in range(3)]
    arrivals = np.cumsum(rng.exponential(0.3, 400))
    event = Event(EventKind.OUTAGE, at_s=20.0, for_s=5.0, node="n1")
    of = scenario(
        fleet, jobs(arrivals, rng.exponential(1.0, 400), objective_s=1.0, deadline_s=6.0), events=[event],
        prices={"Z": (np.arange(200) * 1.0, rng.normal(0.1, 0.1, 200))},
    )  # fmt: skip
    ledger = replayed(of, "weighted")
    card, lines = scorecard(ledger), list(log_lines(ledger, "weighted", 1))
    assert sum(line["energy_usd"] for line in lines) == pytest.approx(card["energy_usd"], rel=1e-9)
    assert sum(line["energy_joules"] for line in lines) / 3.6e6 == pytest.approx(card["energy_kwh"], rel=1e-9)
    answers = {line["job"]: line for line in lines if line["latency_ms"] is not None}
    assert len(answers) == card["completed"]
    assert sorted(line["latency_ms"] for line in answers.values())[ceil(0.95 * len(answers)) - 1] == pytest.approx(
        card["latency_ms"]["p95"], rel=1e-12
    )
    met = sum(line["latency_ms"] <= 1000.0 for line in answers.values())
    assert card["objective_met"] == pytest.approx(met / 400)
    assert any(line["latency_ms"] is None for line in lines)  # what the outage cut off
    assert card["moves"] > 0
    for line in lines:
        assert line["arrival_s"] <= line["placed_s"] <= line["start_s"] < line["end_s"]


def test_intervals_are_students() -> None:
    assert mean([1.0, 2.0, 3.0]) == 2.0
    low, high = interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.303 / 3**0.5)
