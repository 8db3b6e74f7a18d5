"""`diversified`: the least quote under caps on shares."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import replace
from math import floor, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.fleet_table import NodeTable
from placement.model import Demand
from placement.strategies.diversified import Diversified
from placement.strategies.weighted import Weighted
from placement.strategy import UnknownStrategy, load
from tests.builders import START, node
from tests.placement.fleets import FROM_OSLO, at_sites, planned

REGIONS = ("Oslo", "Paris", "Rome", "Bern", "Lodz")


def halls(regions: int = 5, *, slots: int = 10_000) -> NodeTable:
    """One hall a region, the first the cheapest, without queues."""
    return at_sites(
        *(node(f"hall-{k}", region=REGIONS[k], price_usd_per_kwh=0.1 + 0.01 * k, slots=slots) for k in range(regions))
    )


def one_by_one(strategy: Diversified, table: NodeTable, moments: list[float]) -> list[str | None]:
    """The region of a task at each moment, placed alone; None: held."""
    state, regions = strategy.initial(), []
    for moment in moments:
        made = planned(strategy, table, (FROM_OSLO, 1), state=state, now=moment)
        state = json.loads(json.dumps(made.state))
        regions.append(table.region_names[made.plan.nodes[0][0]] if made.plan.nodes[0] else None)
    return regions


def test_diversified_without_caps_is_weighted() -> None:
    table = halls(slots=1)
    assert planned(Diversified(), table, (FROM_OSLO, 9)).plan == planned(Weighted(), table, (FROM_OSLO, 9)).plan


def test_diversified_binds_once_the_window_holds_enough_and_then_goes_to_the_next_cheapest() -> None:
    # a third: two tasks cannot be divided into thirds, so they are free; the third task would be all of three
    third = Diversified({"region": 1 / 3})
    assert one_by_one(third, halls(), [START + k for k in range(9)]) == [
        "Oslo",  # 1 of 1, free
        "Oslo",  # 2 of 2, free
        "Paris",  # Oslo would have 3 of 3
        "Rome",  # Oslo 3 of 4, Paris 2 of 4
        "Bern",  # Paris 2 of 5 is past a third
        "Paris",  # 2 of 6
        "Rome",  # 2 of 7
        "Bern",  # 2 of 8
        "Oslo",  # 3 of 9
    ]


def test_diversified_group_goes_where_single_tasks_would() -> None:
    strategy = Diversified({"region": 0.3})
    alone = one_by_one(strategy, halls(), [START] * 50)
    made = planned(strategy, halls(), (FROM_OSLO, 50))
    assert [REGIONS[i] for i in made.plan.nodes[0]] == alone


def test_diversified_fills_queues_within_a_part_as_weighted_does() -> None:
    table = at_sites(
        node("a-1", region="Oslo"), node("a-2", region="Oslo"), node("b", region="Paris", price_usd_per_kwh=9.0)
    )
    urgent = FROM_OSLO._replace(second_usd=1e-3)
    assert (
        planned(Diversified({"region": 1.0}), table, (urgent, 5)).plan == planned(Weighted(), table, (urgent, 5)).plan
    )


def test_diversified_holds_what_would_pass_the_cap_until_the_window_moves_on() -> None:
    half = Diversified({"region": 0.5}, window_s=100.0)
    table = halls(2)
    # of two regions each has its half; a third task would be two of three, wherever
    made = planned(half, table, (FROM_OSLO, 3))
    assert made.names == [["hall-0", "hall-1"]]
    assert made.plan.again_at == START + 100.0
    assert planned(half, table, (FROM_OSLO, 1), state=made.state, now=START + 99.0).names == [[]]
    assert planned(half, table, (FROM_OSLO, 1), state=made.state, now=START + 100.0).names == [["hall-0"]]


def test_diversified_keeps_caps_on_several_levels_at_once() -> None:
    table = at_sites(
        node("a", region="Oslo", operator="hydro", slots=100, price_usd_per_kwh=0.1),
        node("b", region="Paris", operator="hydro", slots=100, price_usd_per_kwh=0.2),
        node("c", region="Rome", operator="city", slots=100, price_usd_per_kwh=0.3),
    )
    made = planned(Diversified({"operator": 0.5, "region": 0.5}), table, (FROM_OSLO, 4))
    assert made.names == [["a", "c"]]  # b is the cheaper, but of a's operator; and then both operators have a half


def test_diversified_counts_only_what_may_go_there() -> None:
    # the next cheapest is banned: the one after it
    table = halls()
    table.put(replace(table.facts[1], banned=True))
    made = planned(Diversified({"region": 0.5}), table, (FROM_OSLO, 2))
    assert made.names == [["hall-0", "hall-2"]]


GAPS = st.lists(st.sampled_from([0.0, 0.5, 3.0, 40.0]), min_size=1, max_size=120)


@settings(max_examples=60, deadline=None)
@given(gaps=GAPS, cap=st.sampled_from([0.2, 0.25, 0.3, 0.35, 0.5, 1.0]), regions=st.integers(1, 5))
def test_diversified_never_passes_a_cap(gaps: list[float], cap: float, regions: int) -> None:
    """Counted again from nothing but what was placed: at every placement, over the window before it."""
    moments = [START + sum(gaps[: k + 1]) for k in range(len(gaps))]
    window: deque[tuple[float, str]] = deque()
    placed = one_by_one(Diversified({"region": cap}, window_s=60.0), halls(regions), moments)
    for moment, region in zip(moments, placed, strict=True):
        while window and window[0][0] <= moment - 60.0:
            window.popleft()
        total = len(window) + 1
        if region is None:  # then no region had room
            counts = Counter(name for _, name in window)
            assert all(counts[REGIONS[k]] + 1 > cap * total for k in range(regions))
            continue
        window.append((moment, region))
        own = sum(name == region for _, name in window)
        assert own <= cap * total + 1e-9 or total * cap < 1.0 - 1e-9


def test_diversified_remembers_little_and_still_never_passes_a_cap() -> None:
    strategy, state, table = Diversified({"region": 0.3}, window_s=100.0), {}, halls()
    window: deque[tuple[float, str]] = deque()
    for k in range(3000):  # ten a second: a window of a thousand
        now = START + k / 10
        made = planned(strategy, table, (FROM_OSLO, 1), state=state, now=now)
        state = made.state
        while window and window[0][0] <= now - 100.0:
            window.popleft()
        for i in made.plan.nodes[0]:
            window.append((now, REGIONS[i]))
            if len(window) * 0.3 >= 1.0:
                assert sum(region == REGIONS[i] for _, region in window) <= 0.3 * len(window) + 1e-9
    assert len(window) > 900  # hardly anything was held
    assert len(json.dumps(state)) < 25_000


@pytest.mark.parametrize(("cap", "hhi"), [(0.20, 2000), (0.25, 2500), (0.30, 2800), (0.35, 3350)])
def test_diversified_bounds_concentration(cap: float, hhi: float) -> None:
    table = at_sites(*(node(f"n{k}", region=f"r{k}", price_usd_per_kwh=0.1 * (k + 1), slots=9999) for k in range(8)))
    made = planned(Diversified({"region": cap}), table, (FROM_OSLO, 2000))
    shares = sorted((times / 2000 for times in Counter(made.plan.nodes[0]).values()), reverse=True)
    m = floor(1 / cap)
    assert round(1e4 * (m * cap**2 + (1 - m * cap) ** 2)) == hhi
    assert 1e4 * sum(share**2 for share in shares) <= hhi + 1e-6
    assert sum(shares[: floor(0.5 / cap)]) <= 0.5  # so it takes at least one more for half of the work: Nakamoto


@given(
    prices=st.lists(st.integers(1, 50), min_size=5, max_size=5, unique=True),
    cap=st.sampled_from([0.25, 0.3, 0.4, 0.5]),
)
@settings(max_examples=25, deadline=None)
def test_diversified_is_the_linear_programme_for_one_demand(prices: list[int], cap: float) -> None:
    """min sum c x, sum x = 1, 0 <= x <= cap: the cheapest to the cap, then the next, as near as tasks come."""
    table = at_sites(
        *(node(f"n{k}", region=f"r{k}", price_usd_per_kwh=price / 100, slots=9999) for k, price in enumerate(prices))
    )
    tasks = 1000
    made = planned(Diversified({"region": cap}), table, (FROM_OSLO, tasks))
    shares = Counter(made.plan.nodes[0])
    left = 1.0
    for k in sorted(range(5), key=prices.__getitem__):
        optimal = min(cap, left)
        left -= optimal
        assert abs(shares[k] / tasks - optimal) <= 4 / (cap * tasks)


def test_diversified_cap_on_what_no_node_has_is_refused() -> None:
    with pytest.raises(UnknownStrategy, match="planet"):
        load("diversified", {"max_share": {"planet": 0.5}})
    with pytest.raises(UnknownStrategy, match="above 0"):
        load("diversified", {"max_share": {"region": 0.0}})


def test_diversified_leaves_infeasible_work_held_without_a_moment() -> None:
    nowhere: Demand = FROM_OSLO._replace(budget_usd=0.0)
    made = planned(Diversified({"region": 0.5}), halls(), (nowhere, 1))
    assert (made.names, made.plan.again_at) == ([[]], inf)
