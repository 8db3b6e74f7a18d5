"""Strategies that weigh electricity and distance by one rule: `cheapest`, `objective`, `local-first`."""

from __future__ import annotations

import pytest

from placement.cost import Money, World
from placement.energy import Curves
from placement.model import Kind, Shape
from placement.network import Network
from placement.strategies.cheapest import Cheapest
from placement.strategies.local_first import LocalFirst
from placement.strategies.objective import Objective
from placement.strategy import UnknownStrategy, load
from tests.builders import START, node
from tests.placement.fleets import FROM_OSLO, NETWORK, at_sites, chosen, planned

# 2 s at 100 W are 200 J: at 0.1 USD/kWh 5.6e-6 USD
DAM = node("dam", region="Rome", price_usd_per_kwh=0.03)
TOWN = node("town", region="Oslo", price_usd_per_kwh=0.2)


# -- cheapest


def test_cheapest_goes_to_the_least_energy_cost_however_far() -> None:
    late = FROM_OSLO._replace(second_usd=1.0)
    assert chosen(Cheapest(), at_sites(DAM, TOWN), (late, 1)) == [["dam"]]


def test_cheapest_counts_joules_and_not_the_price_alone() -> None:
    thrifty = node("thrifty", price_usd_per_kwh=0.05, max_watts=50.0)
    assert chosen(Cheapest(), at_sites(DAM, thrifty), (FROM_OSLO, 1)) == [["thrifty"]]


def test_cheapest_among_equals_takes_the_nearer_and_then_the_name() -> None:
    table = at_sites(node("a", region="Rome"), node("c", region="Oslo"), node("b", region="Oslo"))
    assert chosen(Cheapest(), table, (FROM_OSLO, 3)) == [["b", "c", "a"]]


def test_cheapest_takes_the_next_when_slots_are_busy_and_holds_when_all_are() -> None:
    assert chosen(Cheapest(), at_sites(DAM, TOWN), (FROM_OSLO, 3)) == [["dam", "town"]]
    assert chosen(Cheapest(), at_sites(DAM, TOWN, busy={"dam": 1, "town": 1}), (FROM_OSLO, 1)) == [[]]


def test_cheapest_does_not_see_the_price_of_carbon() -> None:
    curves = Curves({"dirty": ([START], [900.0])})
    world = World(carbon=curves, network=NETWORK, money=Money(carbon_usd_per_kg=10.0))
    table = at_sites(node("a", price_usd_per_kwh=0.1, carbon_zone="dirty"), node("b", price_usd_per_kwh=0.11))
    assert planned(Cheapest(), table, (FROM_OSLO, 1), world=world).names == [["a"]]


def test_cheapest_prices_a_run_over_the_step_that_it_crosses() -> None:
    curves = Curves({"soon-dear": ([START, START + 1.0], [0.0, 1.0])})
    table = at_sites(node("a", price_zone="soon-dear"), node("b", price_usd_per_kwh=0.4))
    world = World(prices=curves, network=NETWORK)
    assert planned(Cheapest(), table, (FROM_OSLO, 1), world=world).names == [["b"]]  # half of a's run costs 1.0


def test_cheapest_with_hysteresis_moves_only_for_more_than_that() -> None:
    def after_a_rise(price: float, hysteresis_usd: float) -> list[list[str]]:
        strategy = Cheapest(hysteresis_usd)
        nodes = node("a", price_usd_per_kwh=0.1), node("b", price_usd_per_kwh=0.2)
        first = planned(strategy, at_sites(*nodes), (FROM_OSLO, 1))
        assert first.names == [["a"]]
        risen = at_sites(node("a", price_usd_per_kwh=price), nodes[1])
        return planned(strategy, risen, (FROM_OSLO, 1), state=first.state).names

    saving = 0.1 * 200 / 3.6e6  # from 0.3 to 0.2 USD/kWh
    assert after_a_rise(0.3, 0.0) == [["b"]]
    assert after_a_rise(0.3, saving * 0.99) == [["b"]]
    assert after_a_rise(0.3, saving * 1.01) == [["a"]]


def test_cheapest_with_hysteresis_stays_at_the_site_and_not_only_at_the_node() -> None:
    nodes = [node(name, site="dam", price_usd_per_kwh=0.11) for name in ("dam-1", "dam-2")]
    table = at_sites(*nodes, node("other", price_usd_per_kwh=0.1), busy={"dam-1": 1})
    state = planned(Cheapest(1e-6), at_sites(*nodes), (FROM_OSLO, 1)).state
    assert planned(Cheapest(1e-6), table, (FROM_OSLO, 2), state=state).names == [["dam-2", "other"]]


def test_cheapest_remembers_each_shape_and_none_without_hysteresis() -> None:
    elsewhere = FROM_OSLO._replace(shape=Shape(Kind.HASH, "Rome"))
    table = at_sites(node("a", slots=4))
    assert len(planned(Cheapest(1.0), table, (FROM_OSLO, 1), (elsewhere, 1)).state) == 2
    assert planned(Cheapest(), table, (FROM_OSLO, 1), (elsewhere, 1)).state == {}


# -- objective


def test_objective_takes_the_cheapest_that_is_in_time() -> None:
    table = at_sites(DAM, TOWN)  # relayed by Paris: dam 2.04 s, town 2.04 s
    table_far = at_sites(node("dam", region="Rome", price_usd_per_kwh=0.03, coordinator_rtt_s=0.5), TOWN)
    wanted = FROM_OSLO._replace(objective_s=2.1, second_usd=1e-9)
    assert chosen(Objective(), table, (wanted, 1)) == [["dam"]]
    assert chosen(Objective(), table_far, (wanted, 1)) == [["town"]]


def test_objective_moves_on_when_the_queue_would_miss_it() -> None:
    wanted = FROM_OSLO._replace(objective_s=4.5, second_usd=1e-9)  # two tasks of 2 s, one behind the other
    assert chosen(Objective(), at_sites(DAM, TOWN), (wanted, 5)) == [["dam", "dam", "town", "town", "dam"]]


def test_objective_that_nobody_meets_takes_the_earliest_answer() -> None:
    quick = node("quick", price_usd_per_kwh=9.0, hashes_per_s=600.0)
    wanted = FROM_OSLO._replace(objective_s=0.5, second_usd=1e-9)
    assert chosen(Objective(), at_sites(DAM, TOWN, quick), (wanted, 1)) == [["quick"]]


def test_objective_of_hashing_that_names_none_is_met_everywhere() -> None:
    table = at_sites(node("dam", price_usd_per_kwh=0.01, coordinator_rtt_s=30.0), TOWN)
    assert chosen(Objective(), table, (FROM_OSLO, 2)) == [["dam", "dam"]]


def test_objective_mistrusts_a_node_whose_service_times_vary() -> None:
    table = at_sites(node("a-fickle", price_usd_per_kwh=0.01, service_spread=0.2), TOWN)
    wanted = FROM_OSLO._replace(objective_s=2.5, second_usd=1e-9)
    # one deviation is 0.4 s; k = sqrt(q / (1 - q)): 0.5 -> 1, 0.95 -> 4.4
    assert chosen(Objective(quantile=0.5), table, (wanted, 1)) == [["a-fickle"]]
    assert chosen(Objective(quantile=0.95), table, (wanted, 1)) == [["town"]]


def test_objective_with_a_quantile_of_one_is_refused() -> None:
    with pytest.raises(UnknownStrategy, match="quantile"):
        load("objective", {"quantile": 1.0})


# -- local-first


def test_local_first_stays_at_home_with_the_less_loaded_whatever_it_costs() -> None:
    table = at_sites(
        node("home-a", region="Oslo", price_usd_per_kwh=3.0, slots=2),
        node("home-b", region="Oslo", site="another", price_usd_per_kwh=2.0, slots=2),
        node("out", price_usd_per_kwh=0.01),
        busy={"home-a": 1},
    )
    assert chosen(LocalFirst(), table, (FROM_OSLO, 3)) == [["home-b", "home-a", "home-b"]]


def test_local_first_goes_outward_when_home_has_a_queue_and_waits_least_when_all_have() -> None:
    table = at_sites(node("home", region="Oslo"), node("paris", region="Paris"), node("rome", region="Rome"))
    # round trips from Oslo: Paris 30 ms, Rome 45; then everybody has 2 s ahead, home first
    assert chosen(LocalFirst(), table, (FROM_OSLO, 4)) == [["home", "paris", "rome", "home"]]


def test_local_first_that_never_spills_stays_at_home() -> None:
    table = at_sites(node("home", region="Oslo"), node("paris"))
    assert chosen(LocalFirst(spill_after_s=float("inf")), table, (FROM_OSLO, 3)) == [["home"] * 3]


def test_local_first_is_at_home_even_where_another_region_is_nearer() -> None:
    world = World(network=Network("Paris", {("Oslo", "Oslo"): 50.0, ("Oslo", "Paris"): 5.0}))
    table = at_sites(node("home", region="Oslo"), node("paris"))
    assert planned(LocalFirst(), table, (FROM_OSLO, 1), world=world).names == [["home"]]
