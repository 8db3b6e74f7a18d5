"""One contract for every strategy that is installed, those of other packages among them."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from placement.fleet_table import Debits
from placement.model import Demand, Group
from placement.quote import quote, service_s
from placement.strategy import Plan, Snapshot, State, Strategy, load, names
from tests.placement.markets import Case, cases, on_the_edge, oracle


@pytest.fixture(params=names(), scope="module")
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return load(request.param)


def planned(strategy: Strategy, snapshot: Snapshot, state: State = None, seed: int = 7) -> tuple[Plan, State]:
    return strategy.plan(snapshot, strategy.initial() if state is None else state, np.random.default_rng(seed))


def two_groups(case: Case, count: int) -> Snapshot:
    """The demand, and behind it the same of another size."""
    snapshot = case.snapshot(count)
    smaller = case.demand._replace(units=case.demand.units / 2)
    return snapshot._replace(
        groups=[*snapshot.groups, Group(smaller, count)], prepared=[*snapshot.prepared, *snapshot.prepared]
    )


COUNTS = st.integers(1, 7)


def test_strategy_tells_its_name_family_and_rule(strategy: Strategy) -> None:
    assert isinstance(strategy, Strategy)
    assert strategy.name in names()
    assert strategy.family in ("baseline", "centralised", "decentralised", "between")
    assert len(strategy.rule) > 20


@given(case=cases(), count=COUNTS)
def test_same_snapshot_gives_the_same_plan_and_is_left_as_it_was(strategy: Strategy, case: Case, count: int) -> None:
    snapshot = two_groups(case, count)
    columns = {name: column.copy() for name, column in vars(snapshot.table).items() if isinstance(column, np.ndarray)}
    prepared = copy.deepcopy(snapshot.prepared[0]._replace(world=None))  # type: ignore[arg-type]
    state = strategy.initial()
    kept = copy.deepcopy(state)
    first = planned(strategy, snapshot, state)
    assert planned(strategy, snapshot, state) == first
    assert state == kept
    for name, column in columns.items():
        assert np.array_equal(getattr(snapshot.table, name), column, equal_nan=column.dtype.kind == "f"), name
    for now, then in zip(snapshot.prepared[0]._replace(world=None), prepared, strict=True):  # type: ignore[arg-type]
        assert np.array_equal(now, then) if isinstance(then, np.ndarray) else now == then


@given(case=cases(), count=COUNTS)
def test_plan_has_a_list_for_each_group_and_never_more_than_was_asked(
    strategy: Strategy, case: Case, count: int
) -> None:
    plan, _ = planned(strategy, two_groups(case, count))
    assert len(plan.nodes) == len(plan.costs) == 2
    for nodes, costs in zip(plan.nodes, plan.costs, strict=True):
        assert len(nodes) == len(costs) <= count
        assert all(type(node) is int and type(cost) is float for node, cost in zip(nodes, costs, strict=True))


@given(case=cases(), count=COUNTS)
def test_every_placement_is_feasible_at_the_cost_that_is_told(strategy: Strategy, case: Case, count: int) -> None:
    """Node by node as it fills up: no rule is broken, no budget and no deadline, and the cost is the quote's."""
    snapshot = two_groups(case, count)
    plan, _ = planned(strategy, snapshot)
    view = Debits(snapshot.table, snapshot.now)
    for (demand, _), prepared, nodes, costs in zip(
        snapshot.groups, snapshot.prepared, plan.nodes, plan.costs, strict=True
    ):
        run = service_s(demand, prepared)
        for node, cost in zip(nodes, costs, strict=True):
            assert cost < np.inf
            assert cost == quote(demand, prepared, view.load, snapshot.now)[node]
            view.take(node, float(run[node]))


@given(case=cases())
def test_infeasible_node_is_never_chosen(strategy: Strategy, case: Case) -> None:
    plan, _ = planned(strategy, case.snapshot())
    for node in plan.nodes[0]:
        expected = oracle(case, node)
        assert expected.cost_usd < np.inf or on_the_edge(case, expected)


@given(case=cases(), count=COUNTS)
def test_state_survives_as_text(strategy: Strategy, case: Case, count: int) -> None:
    _, state = planned(strategy, case.snapshot(count))
    restored = json.loads(json.dumps(state))
    assert restored == state
    again, after = planned(strategy, case.snapshot(count), state)
    assert planned(strategy, case.snapshot(count), restored) == (again, after)


@given(case=cases(least=2), count=COUNTS, order=st.randoms(use_true_random=False))
def test_order_of_registration_changes_no_choice(strategy: Strategy, case: Case, count: int, order) -> None:  # type: ignore[no-untyped-def]
    places = list(range(len(case.facts)))
    order.shuffle(places)
    shuffled = case._replace(facts=[case.facts[k] for k in places], queues=[case.queues[k] for k in places])
    one, _ = planned(strategy, case.snapshot(count))
    other, _ = planned(strategy, shuffled.snapshot(count))
    assert [case.facts[i].name for i in one.nodes[0]] == [shuffled.facts[i].name for i in other.nodes[0]]
    assert one.costs == other.costs


@given(case=cases(), count=st.integers(2, 6))
def test_many_at_once_go_where_one_after_the_other_would(strategy: Strategy, case: Case, count: int) -> None:
    if strategy.draws:
        pytest.skip("its draws are the plan's: one plan of many takes others than many plans of one")
    together, _ = planned(strategy, case.snapshot(count))
    assume(together.again_at == np.inf)  # who waits for a moment looks at what else waits for it
    apart: list[int] = []
    table, state = case.table(), strategy.initial()
    for _ in range(count):
        prepared = case.prepared(table)
        plan, state = planned(strategy, Snapshot(case.now, table, [Group(case.demand, 1)], [prepared]), state)
        for node in plan.nodes[0]:
            apart.append(node)
            table.debit(node, float(service_s(case.demand, prepared)[node]), case.now)
    assert together.nodes == [apart]


def test_fleet_of_nobody_gets_an_empty_plan(strategy: Strategy) -> None:
    from placement.cost import World, prepare
    from placement.fleet_table import NodeTable
    from placement.model import Kind, Shape

    table = NodeTable()
    demand = Demand(Shape(Kind.HASH, "Paris"), 1.0)
    snapshot = Snapshot(1.0, table, [Group(demand, 2)], [prepare(demand.shape, table, World(), 1.0)])
    assert planned(strategy, snapshot)[0] == Plan([[]], [[]])
