"""The quote against its formulas, and the properties that make it money."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from placement.choosing import cheapest
from placement.cost import Money
from placement.explain import considered
from placement.fleet_table import Debits, NodeTable
from placement.model import Demand, Kind, NodeState, Reason, Shape
from placement.quote import cost_at, expected_s, parts, quote, service_s
from tests.builders import node
from tests.placement.markets import START, Case, amounts, cases, drawn_node, near, on_the_edge, oracle

HASH = Shape(Kind.HASH, "Paris")


def quoted(case: Case) -> list[float]:
    table = case.table()
    costs: list[float] = quote(case.demand, case.prepared(table), table.load(), case.now).tolist()
    return costs


# -- what it is


@given(case=cases())
def test_quote_is_what_the_formulas_say_at_every_node(case: Case) -> None:
    costs = quoted(case)
    for i, cost in enumerate(costs):
        expected = oracle(case, i)
        assert near(cost, expected.cost_usd) or on_the_edge(case, expected), (i, cost, expected)


@given(case=cases())
def test_parts_are_what_the_formulas_say_and_sum_to_the_cost(case: Case) -> None:
    table = case.table()
    every = parts(case.demand, case.prepared(table), table.load(), case.now)
    for i, cost in enumerate(quoted(case)):
        expected = oracle(case, i)
        assert near(every.energy_usd[i], expected.energy_usd)
        assert near(every.network_usd[i], expected.network_usd)
        assert near(every.carbon_usd[i], expected.carbon_usd)
        assert near(every.time_usd[i], expected.time_usd)
        assert near(every.expected_s[i], expected.expected_s)
        total = every.energy_usd[i] + every.network_usd[i] + every.carbon_usd[i] + every.time_usd[i]
        assert cost == inf or abs(cost - total) <= 1e-12


def test_parts_of_a_short_run_at_a_mighty_node_still_sum_to_the_cost() -> None:
    """Unix seconds have steps of 2e-7 s: a run's length must not be taken from the difference of two moments."""
    now = 1_700_000_000.1
    table = NodeTable([node(max_watts=5e6, price_usd_per_kwh=0.9, hashes_per_s=1e6)])
    case = _alone(table, Demand(HASH, 12_345.0, second_usd=0.01))
    every = parts(case.demand, case.prepared(table), table.load(), now)
    cost = quote(case.demand, case.prepared(table), table.load(), now)[0]
    assert abs(cost - sum(column[0] for column in every[:4])) <= 1e-12


def _alone(table: NodeTable, demand: Demand) -> Case:
    return Case(table.facts, [[] for _ in table.facts], {}, {}, {}, Money(), demand, START)


@given(case=cases())
def test_quote_of_one_node_equals_that_of_all_bit_for_bit(case: Case) -> None:
    table = case.table()
    prepared = case.prepared(table)
    alone = [cost_at(case.demand, prepared, i, table.load(), case.now) for i in range(len(table))]
    assert alone == quoted(case)


@given(case=cases(most=8), count=st.integers(1, 10))
def test_many_cheapest_equal_one_cheapest_many_times(case: Case, count: int) -> None:
    table = case.table()
    prepared = case.prepared(table)
    together = cheapest(case.demand, count, prepared, Debits(table, case.now), case.now)
    view = Debits(table, case.now)
    nodes_taken: list[int] = []
    costs: list[float] = []
    for _ in range(count):
        taken, paid = cheapest(case.demand, 1, prepared, view, case.now)
        nodes_taken += taken
        costs += paid
    assert together == (nodes_taken, costs)


@given(case=cases())
def test_latency_that_is_asked_of_some_nodes_is_that_of_all(case: Case) -> None:
    table = case.table()
    prepared = case.prepared(table)
    every = parts(case.demand, prepared, table.load(), case.now).expected_s
    some = np.arange(0, len(table), 2)
    assert np.allclose(expected_s(case.demand, prepared, table.load(), case.now, some), every[some], rtol=1e-12)


# -- what it must not do


@given(case=cases(), seed=st.integers(0, 1 << 32))
def test_one_node_more_never_raises_the_best_cost(case: Case, seed: int) -> None:
    # the way from the origin to the coordinator is in the table: it is not guessed from the nodes that are there
    case = case._replace(rtt_ms={**case.rtt_ms, (case.demand.shape.origin, "Paris"): 30.0})
    newcomer = drawn_node(Random(seed), "newcomer")
    more = case._replace(facts=[*case.facts, newcomer], queues=[*case.queues, []])
    assert min(quoted(more)) <= min(quoted(case))


@given(case=cases(least=2), order=st.randoms(use_true_random=False))
def test_order_of_registration_changes_no_cost(case: Case, order) -> None:  # type: ignore[no-untyped-def]
    places = list(range(len(case.facts)))
    order.shuffle(places)
    shuffled = case._replace(facts=[case.facts[k] for k in places], queues=[case.queues[k] for k in places])
    costs = quoted(case)
    assert quoted(shuffled) == [costs[k] for k in places]


@given(case=cases(boundless=True), factor=st.sampled_from([0.0, 0.5, 3.0, -1.0]))
def test_scaling_every_price_scales_energy_cost_alone(case: Case, factor: float) -> None:
    scaled = case._replace(
        facts=[replace(one, price_usd_per_kwh=one.price_usd_per_kwh * factor) for one in case.facts],
        prices={zone: [(at, value * factor) for at, value in steps] for zone, steps in case.prices.items()},
    )
    table = case.table()
    before = parts(case.demand, case.prepared(table), table.load(), case.now)
    after = parts(scaled.demand, scaled.prepared(table := scaled.table()), table.load(), scaled.now)
    assert all(near(a, b * factor) for a, b in zip(after.energy_usd, before.energy_usd, strict=True))
    for one, other in zip(after[1:], before[1:], strict=True):
        assert one.tolist() == other.tolist()


@given(case=cases(boundless=True), worse=amounts(0.0, 1.0), slower=amounts(0.001, 0.5))
def test_node_that_is_worse_in_everything_is_never_the_cheapest(case: Case, worse: float, slower: float) -> None:
    better = replace(  # that does take some time and draw some power
        case.facts[0], coordinator_rtt_s=0.01, price_zone="", max_watts=5000.0, hashes_per_s=100.0, requests_per_s=10.0
    )
    case = case._replace(facts=[better, *case.facts[1:]])
    dominated = replace(
        better,
        name="a-dominated",  # before every other name
        price_usd_per_kwh=better.price_usd_per_kwh + worse + 0.001,
        coordinator_rtt_s=0.01 + slower,
    )
    case = case._replace(facts=[*case.facts, dominated], queues=[*case.queues, case.queues[0]])
    table = case.table()
    chosen, _ = cheapest(case.demand, 1, case.prepared(table), Debits(table, case.now), case.now)
    assert chosen != [len(case.facts) - 1]


# -- ties


def pick(*facts, **sizes) -> str:  # type: ignore[no-untyped-def]
    table = NodeTable(facts)
    case = _alone(table, Demand(HASH, 1000.0, **sizes))
    chosen, _ = cheapest(case.demand, 1, case.prepared(table), Debits(table, START), START)
    return table.names[chosen[0]]


def test_tie_in_cost_goes_to_the_earlier_answer() -> None:
    far, close = node("a", coordinator_rtt_s=0.2), node("b", coordinator_rtt_s=0.1)
    assert pick(far, close) == "b"


def test_tie_in_cost_and_answer_goes_to_the_name() -> None:
    assert pick(node("c"), node("b"), node("d")) == "b"


def test_difference_below_a_picodollar_is_a_tie() -> None:
    # 2 s at 100 W are 5.6e-5 kWh: the price below differs by a hundredth of a picodollar
    assert pick(node("b", price_usd_per_kwh=0.1), node("a", price_usd_per_kwh=0.1 + 2e-10)) == "a"
    assert pick(node("b", price_usd_per_kwh=0.1), node("a", price_usd_per_kwh=0.1 + 2e-6)) == "b"


def test_equal_nodes_are_taken_in_turn() -> None:
    table = NodeTable([node("b"), node("a"), node("c")])
    case = _alone(table, Demand(HASH, 1000.0, second_usd=0.001))
    chosen, costs = cheapest(case.demand, 6, case.prepared(table), Debits(table, START), START)
    assert [table.names[i] for i in chosen] == ["a", "b", "c", "a", "b", "c"]
    assert costs[:3] == [costs[0]] * 3
    assert costs[3] > costs[0]


# -- explained


@given(case=cases(), holds=st.booleans())
def test_every_node_is_considered_once_with_a_rank_or_with_reasons(case: Case, holds: bool) -> None:
    table = case.table()
    every = considered(case.demand, case.prepared(table), table.load(), case.now, table, holds=holds)
    assert sorted(one.node for one in every) == list(range(len(table)))
    ranked = [one for one in every if one.rank is not None]
    assert [one.rank for one in ranked] == list(range(1, len(ranked) + 1))
    assert every[: len(ranked)] == ranked
    costs = quoted(case)
    for one in every:
        four = one.energy_usd + one.network_usd + one.carbon_usd + one.time_usd
        assert abs(one.cost_usd - four) <= 1e-12
        assert abs(one.expected_s - (one.path_s + one.transfer_s + one.wait_s + one.run_s)) < 1e-9
        assert (one.rank is None) == bool(one.rejections)
        assert all(reason.sentence for reason in one.rejections)
        if one.rank is not None and not on_the_edge(case, oracle(case, one.node)):
            assert one.cost_usd == costs[one.node]
    rejected = [table.names[one.node] for one in every if one.rank is None]
    assert rejected == sorted(rejected)


@given(case=cases())
def test_first_in_rank_is_what_cheapest_takes(case: Case) -> None:
    table = case.table()
    prepared = case.prepared(table)
    every = considered(case.demand, prepared, table.load(), case.now, table, holds=False)
    chosen, paid = cheapest(case.demand, 1, prepared, Debits(table, case.now), case.now)
    assume(not any(on_the_edge(case, oracle(case, i)) for i in range(len(table))))
    assert chosen == [one.node for one in every if one.rank == 1]
    assert paid == [one.cost_usd for one in every if one.rank == 1]


def test_rejections_name_every_rule_that_is_broken() -> None:
    facts = node(region="Rome", state=NodeState.DRAINING, curtailed=True, banned=True, hashes_per_s=0.0)
    table = NodeTable([facts])
    table.debit(0, 100.0, START)
    demand = Demand(HASH._replace(keep_in=("Oslo",)), 1e6, before=START - 1.0, budget_usd=-1.0)
    (one,) = considered(demand, _alone(table, demand).prepared(table), table.load(), START, table, holds=True)
    assert [rejection.reason for rejection in one.rejections] == [
        Reason.NO_ENGINE,
        Reason.RESIDENCY,
        Reason.BANNED,
        Reason.CURTAILED,
        Reason.DRAINING,
        Reason.NO_SLOT,
        Reason.BUDGET,
        Reason.DEADLINE,
    ]


# -- bounds


def test_deadline_holds_to_a_microsecond() -> None:
    table = NodeTable([node(hashes_per_s=1000.0, coordinator_rtt_s=0.5)])
    for late, there in ((0.0, True), (0.9e-6, True), (5e-6, False)):
        demand = Demand(Shape(Kind.HASH, "Paris"), 1000.0, before=100.0 + 1.501 - late)
        case = _alone(table, demand)._replace(now=100.0)
        assert bool(quote(demand, case.prepared(table), table.load(), 100.0)[0] < inf) is there


def test_budget_leaves_out_the_client_s_time() -> None:
    table = NodeTable([node()])  # 2 s at 100 W and 0.1 USD a kWh: 5.6e-6 USD
    for budget, there in ((6e-6, True), (5e-6, False)):
        demand = Demand(HASH, 1000.0, second_usd=1.0, budget_usd=budget)
        assert bool(quote(demand, _alone(table, demand).prepared(table), table.load(), START)[0] < inf) is there


@given(case=cases())
def test_sizes_enter_linearly(case: Case) -> None:
    prepared = case.prepared()
    run = service_s(case.demand, prepared)
    twice = service_s(case.demand._replace(units=2 * case.demand.units), prepared)
    assert np.allclose(twice - run, prepared.s_per_unit * case.demand.units)
