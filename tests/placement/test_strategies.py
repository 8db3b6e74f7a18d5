"""What is particular to each strategy; what all have in common stands in contract/test_strategy.py."""

from __future__ import annotations

from math import inf

import pytest

from placement.strategies.hub import Hub
from placement.strategies.nearest import Nearest
from placement.strategies.weighted import Weighted
from placement.strategy import UnknownStrategy, load, names
from tests.builders import START, node
from tests.placement.fleets import FROM_OSLO, at_sites, chosen

# -- hub

POOL = (
    node("dam-b", region="Rome", hub=True, slots=2),
    node("dam-a", region="Rome", hub=True, slots=1),
    node("hall", region="Paris", hub=True, slots=1),
    node("edge", region="Oslo", slots=4),
)


def test_hub_fills_the_nearer_hub_first_and_then_by_name() -> None:
    assert chosen(Hub(), at_sites(*POOL), (FROM_OSLO, 4)) == [["hall", "dam-a", "dam-b", "dam-b"]]


def test_hub_holds_what_finds_no_free_slot() -> None:
    assert chosen(Hub(), at_sites(*POOL, busy={"dam-b": 2}), (FROM_OSLO, 9)) == [["hall", "dam-a"]]


def test_hub_serves_first_come_first() -> None:
    table = at_sites(*POOL, busy={"dam-b": 2, "dam-a": 1})
    later = FROM_OSLO._replace(units=5.0)
    assert chosen(Hub(), table, (FROM_OSLO, 1), (later, 1)) == [["hall"], []]


def test_hub_that_may_spill_takes_hubs_first_and_then_the_nearest_slot() -> None:
    table = at_sites(*POOL, node("far-edge", region="Rome"))
    assert chosen(Hub(spill=True), table, (FROM_OSLO, 10)) == [
        ["hall", "dam-a", "dam-b", "dam-b", "edge", "edge", "edge", "edge", "far-edge"]
    ]


def test_hub_without_a_hub_holds_everything() -> None:
    assert chosen(Hub(), at_sites(node("edge")), (FROM_OSLO, 2)) == [[]]


# -- nearest


def test_nearest_takes_the_least_round_trip_to_the_origin_at_any_price() -> None:
    table = at_sites(node("near", region="Oslo", price_usd_per_kwh=9.0), node("far", region="Rome"))
    assert chosen(Nearest(), table, (FROM_OSLO, 1)) == [["near"]]


def test_nearest_among_equals_takes_the_less_loaded_a_slot_and_then_the_name() -> None:
    pair = (node("b", region="Oslo", slots=4), node("a", region="Oslo", slots=2))
    assert chosen(Nearest(), at_sites(*pair, busy={"a": 1, "b": 1}), (FROM_OSLO, 1)) == [["b"]]
    assert chosen(Nearest(), at_sites(*pair), (FROM_OSLO, 2)) == [["a", "b"]]


def test_nearest_spills_to_the_next_when_its_wait_passes_the_threshold() -> None:
    table = at_sites(node("near", region="Oslo"), node("far", region="Rome", slots=2))
    assert chosen(Nearest(spill_after_s=2.5), table, (FROM_OSLO, 4)) == [["near", "near", "far", "far"]]
    assert chosen(Nearest(spill_after_s=0.5), table, (FROM_OSLO, 3)) == [["near", "far", "far"]]
    assert chosen(Nearest(spill_after_s=inf), table, (FROM_OSLO, 4)) == [["near"] * 4]


def test_nearest_when_all_are_past_the_threshold_takes_the_least_wait() -> None:
    table = at_sites(node("near", region="Oslo"), node("far", region="Rome"), busy={"near": 3, "far": 2})
    assert chosen(Nearest(), table, (FROM_OSLO, 2)) == [["far", "near"]]


def test_nearest_goes_on_with_the_next_where_one_node_would_miss_the_deadline() -> None:
    table = at_sites(node("near", region="Oslo"), node("far", region="Rome"))
    soon = FROM_OSLO._replace(before=START + 3.0)  # one task of 2 s each
    assert chosen(Nearest(spill_after_s=inf), table, (soon, 3)) == [["near", "far"]]


# -- weighted


def test_weighted_trades_watts_for_time_at_the_client_s_price() -> None:
    table = at_sites(
        node("near", region="Oslo", price_usd_per_kwh=0.5, coordinator_rtt_s=0.03),
        node("far", region="Rome", price_usd_per_kwh=0.1, coordinator_rtt_s=1.03),
    )  # 2.2e-5 USD dearer, 1 s nearer
    assert chosen(Weighted(), table, (FROM_OSLO._replace(second_usd=1e-5), 1)) == [["far"]]
    assert chosen(Weighted(), table, (FROM_OSLO._replace(second_usd=5e-5), 1)) == [["near"]]


# -- found by name


def test_strategies_are_found_by_the_names_of_their_entry_points() -> None:
    assert {"hub", "nearest", "weighted"} <= set(names())
    assert load("hub", {"spill": True}) == Hub(spill=True)


def test_unknown_strategy_names_those_that_are_there() -> None:
    with pytest.raises(UnknownStrategy, match=r"'best'; there are .*weighted"):
        load("best")


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(UnknownStrategy, match="hub does not take these parameters"):
        load("hub", {"spil": True})
