"""Round trips: which way, how long, and how that is known."""

from __future__ import annotations

import pytest

from placement.fleet_table import NodeTable
from placement.model import Path, RttSource
from placement.network import Network
from tests.builders import node


def test_pair_given_one_way_holds_both_ways() -> None:
    network = Network("Paris", {("Paris", "Oslo"): 30.0})
    assert network.between("Oslo", "Paris") == network.between("Paris", "Oslo") == 0.03


def test_pair_given_both_ways_holds_each_way() -> None:
    network = Network("Paris", {("Paris", "Oslo"): 30.0, ("Oslo", "Paris"): 50.0})
    assert (network.between("Paris", "Oslo"), network.between("Oslo", "Paris")) == (0.03, 0.05)


def test_region_is_a_millisecond_from_itself_unless_the_table_says_otherwise() -> None:
    network = Network("Paris", {("Oslo", "Oslo"): 4.0})
    assert (network.between("Rome", "Rome"), network.between("Oslo", "Oslo")) == (0.001, 0.004)


def test_pair_that_nobody_gave_is_unknown() -> None:
    assert Network("Paris", {("Paris", "Oslo"): 30.0}).between("Oslo", "Rome") is None


def test_origin_is_known_by_the_table_by_a_node_or_by_the_coordinator() -> None:
    network, table = Network("Paris", {("Oslo", "Rome"): 1.0}), NodeTable([node(region="Bern")])
    assert all(network.knows(region, table) for region in ("Paris", "Oslo", "Rome", "Bern"))
    assert not network.knows("Atlantis", table)


NETWORK = Network("Paris", {("Paris", "Oslo"): 30.0, ("Paris", "Rome"): 20.0, ("Oslo", "Rome"): 45.0})


@pytest.mark.parametrize(
    ("facts", "leg", "source"),
    [
        ({"region": "Oslo", "coordinator_rtt_s": 0.033}, 0.033, RttSource.MEASURED),
        ({"region": "Oslo", "coordinator_rtt_s": 0.233, "extra_delay_s": 0.2}, 0.233, RttSource.INJECTED),
        ({"region": "Oslo", "coordinator_rtt_s": None}, 0.030, RttSource.TABLE),
        ({"region": "Bern", "coordinator_rtt_s": None}, 0.001, RttSource.PREDICTED),
    ],
    ids=["measured", "injected", "table", "unknown"],
)
def test_leg_to_the_coordinator_says_how_it_is_known(facts: dict[str, object], leg: float, source: RttSource) -> None:
    legs, sources = NETWORK.coordinator_legs(NodeTable([node(**facts)]))
    assert (legs.tolist(), sources.tolist()) == ([leg], [source])


def test_relayed_answer_travels_through_the_coordinator() -> None:
    table = NodeTable([node("here", region="Oslo", coordinator_rtt_s=0.031)])
    path_s, sources = NETWORK.path("Oslo", Path.RELAYED, table)
    assert path_s.tolist() == [0.030 + 0.031]
    assert sources.tolist() == [RttSource.MEASURED]


def test_direct_answer_takes_the_table_s_way() -> None:
    table = NodeTable([node("a", region="Rome"), node("b", region="Oslo"), node("c", region="Oslo", extra_delay_s=0.1)])
    path_s, sources = NETWORK.path("Oslo", Path.DIRECT, table)
    assert path_s.tolist() == [0.045, 0.001, 0.101]
    assert sources.tolist() == [RttSource.TABLE, RttSource.TABLE, RttSource.INJECTED]


def test_direct_way_that_the_table_lacks_is_predicted_by_way_of_the_coordinator() -> None:
    table = NodeTable([node(region="Bern", coordinator_rtt_s=0.012)])
    path_s, sources = NETWORK.path("Oslo", Path.DIRECT, table)
    assert path_s.tolist() == [0.030 + 0.012]
    assert sources.tolist() == [RttSource.PREDICTED]


def test_origin_without_an_entry_is_as_far_as_its_nearest_measured_node() -> None:
    table = NodeTable(
        [
            node("a", region="Bern", coordinator_rtt_s=0.015),
            node("b", region="Bern", coordinator_rtt_s=0.012),
            node("c", region="Bern", coordinator_rtt_s=None),
        ]
    )
    assert NETWORK.to_coordinator("Bern", table) == 0.012
    assert NETWORK.to_coordinator("Lyon", table) == 0.001
