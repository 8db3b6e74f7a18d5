"""Strategies that look at no price and no distance: `random`, `round-robin`, `least-loaded`, `two-choices`."""

from __future__ import annotations

from collections import Counter

import pytest

from placement.model import Demand, Kind, Shape
from placement.strategies.least_loaded import LeastLoaded
from placement.strategies.random import Random
from placement.strategies.round_robin import RoundRobin
from placement.strategies.two_choices import TwoChoices
from placement.strategy import UnknownStrategy, load
from tests.builders import START, fleet, node
from tests.placement.fleets import FROM_OSLO, at_sites, chosen, planned

INFERENCE = Demand(Shape(Kind.INFERENCE, "Oslo"), 10.0)


# -- random


def test_random_takes_every_node_about_as_often_whatever_its_slots_and_price() -> None:
    nodes = [node("a", slots=8), node("b", price_usd_per_kwh=5.0), node("c"), node("d", region="Rome")]
    taken = Counter(chosen(Random(), at_sites(*nodes), (FROM_OSLO, 4000))[0])
    assert sorted(taken) == ["a", "b", "c", "d"]
    assert all(abs(times - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5 for times in taken.values())


def test_random_draws_the_same_with_the_same_seed_and_others_with_another() -> None:
    table = at_sites(*fleet(20))
    once, again, other = (planned(Random(), table, (FROM_OSLO, 30), seed=seed).names for seed in (3, 3, 4))
    assert once == again
    assert once != other


def test_random_goes_on_with_the_others_where_a_queue_has_grown_past_the_deadline() -> None:
    soon = FROM_OSLO._replace(before=START + 3.0)  # one task of 2 s is in time, a second one behind it is not
    assert sorted(chosen(Random(), at_sites(*fleet(3)), (soon, 9))[0]) == ["n-000", "n-001", "n-002"]


# -- round-robin


def test_round_robin_goes_by_name_and_as_often_as_there_are_slots() -> None:
    table = at_sites(node("c"), node("a", slots=2), node("b"))
    assert chosen(RoundRobin(), table, (FROM_OSLO, 7)) == [["a", "a", "b", "c", "a", "a", "b"]]


def test_round_robin_goes_on_where_the_last_plan_ended() -> None:
    table = at_sites(node("a", slots=3), node("b"))
    first = planned(RoundRobin(), table, (FROM_OSLO, 2))
    second = planned(RoundRobin(), table, (FROM_OSLO, 3), state=first.state)
    assert (first.names, second.names) == ([["a", "a"]], [["a", "b", "a"]])


def test_round_robin_passes_over_who_may_not_and_keeps_the_turn_for_the_rest() -> None:
    table = at_sites(node("a"), node("b", requests_per_s=5.0), node("c"))
    assert chosen(RoundRobin(), table, (INFERENCE, 2), (FROM_OSLO, 2)) == [["b", "b"], ["c", "a"]]


def test_round_robin_goes_on_after_a_newcomer_whose_name_comes_earlier() -> None:
    state = planned(RoundRobin(), at_sites(node("b"), node("d")), (FROM_OSLO, 1)).state
    table = at_sites(node("b"), node("d"), node("a"), node("c"))
    assert planned(RoundRobin(), table, (FROM_OSLO, 4), state=state).names == [["c", "d", "a", "b"]]


# -- least-loaded


def test_least_loaded_counts_tasks_a_slot_and_breaks_ties_by_name() -> None:
    table = at_sites(node("wide", slots=4), node("a", slots=2), node("b", slots=2), busy={"wide": 1, "a": 1})
    # wide 1/4, a 1/2, b 0; then b 1/2 too, wide 2/4
    assert chosen(LeastLoaded(), table, (FROM_OSLO, 5)) == [["b", "wide", "a", "b", "wide"]]


def test_least_loaded_does_not_mind_price_or_distance() -> None:
    table = at_sites(node("near"), node("far", region="Rome"), busy={"near": 1})
    assert chosen(LeastLoaded(), table, (FROM_OSLO, 1)) == [["far"]]


# -- two-choices


def test_two_choices_of_two_nodes_takes_the_less_loaded_and_then_the_name() -> None:
    table = at_sites(node("a"), node("b"), busy={"a": 1})
    assert chosen(TwoChoices(), table, (FROM_OSLO, 4)) == [["b", "a", "b", "a"]]


def test_two_choices_never_draws_the_same_node_twice() -> None:
    table = at_sites(node("a"), node("b"), node("c"), busy={"a": 9})
    for seed in range(50):  # a is the busiest of any two different nodes
        assert planned(TwoChoices(), table, (FROM_OSLO, 1), seed=seed).names != [["a"]]


def test_two_choices_draws_all_pairs_alike() -> None:
    table = at_sites(node("a"), node("b"), node("c"))
    first = Counter(planned(TwoChoices(), table, (FROM_OSLO, 1), seed=seed).names[0][0] for seed in range(900))
    # of idle nodes the name decides: a in the pairs ab and ac, b in bc, c never
    assert set(first) == {"a", "b"}
    assert abs(first["a"] - 600) < 5 * (900 * 2 / 9) ** 0.5


def test_two_choices_keeps_the_longest_queue_far_below_that_of_one() -> None:
    table = at_sites(*fleet(1000))
    longest = {
        choices: max(Counter(chosen(TwoChoices(choices), table, (FROM_OSLO, 1000))[0]).values())
        for choices in (1, 2, 3)
    }
    # balls into bins: about ln n / ln ln n against ln ln n / ln d + O(1)
    assert longest[1] >= 5
    assert longest[3] <= longest[2] <= 4


def test_two_choices_with_one_choice_is_random() -> None:
    table = at_sites(*fleet(10))
    assert chosen(TwoChoices(1), table, (FROM_OSLO, 40)) == chosen(Random(), table, (FROM_OSLO, 40))


def test_two_choices_without_a_choice_is_refused() -> None:
    with pytest.raises(UnknownStrategy, match="at least one"):
        load("two-choices", {"choices": 0})
