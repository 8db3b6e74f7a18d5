"""Hard rules: who may take a task now, who ever could, and what would have to change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from placement import feasible
from placement.fleet_table import NodeTable
from placement.model import Kind, NodeState, Reason, Shape
from tests.builders import node
from tests.placement.markets import Case, cases

HASH = Shape(Kind.HASH, "Paris")


@pytest.mark.parametrize(
    ("facts", "shape", "reason", "ever"),
    [
        ({"hashes_per_s": 0.0}, HASH, Reason.NO_ENGINE, False),
        ({}, HASH._replace(kind=Kind.INFERENCE), Reason.NO_ENGINE, False),
        ({}, HASH._replace(keep_in=("Oslo", "Rome")), Reason.RESIDENCY, False),
        ({"keep_private": True}, HASH._replace(origin="Oslo"), Reason.PRIVATE, False),
        ({"banned": True}, HASH, Reason.BANNED, True),
        ({"curtailed": True}, HASH, Reason.CURTAILED, True),
        ({"state": NodeState.DRAINING}, HASH, Reason.DRAINING, True),
        ({"state": NodeState.SILENT}, HASH, Reason.SILENT, True),
        ({"state": NodeState.JOINING}, HASH, Reason.SILENT, True),
    ],
)
def test_rule_names_itself_and_says_whether_it_is_for_good(
    facts: dict[str, object], shape: Shape, reason: Reason, ever: bool
) -> None:
    table = NodeTable([node(**facts)])
    (rejection,) = feasible.rejections(shape, table, 0)
    assert rejection.reason is reason
    assert feasible.blocked(shape, table).tolist() == [True]
    assert feasible.able(shape, table).tolist() == [ever]


def test_private_node_takes_work_of_its_own_region() -> None:
    assert feasible.rejections(HASH, NodeTable([node(keep_private=True)]), 0) == []


@given(case=cases())
def test_node_is_blocked_when_and_only_when_a_rule_says_so(case: Case) -> None:
    shape, table = case.demand.shape, case.table()
    blocked = feasible.blocked(shape, table)
    assert blocked.tolist() == [bool(feasible.rejections(shape, table, i)) for i in range(len(table))]
    assert not (~feasible.able(shape, table) & ~blocked).any()
    assert np.isinf(case.prepared(table).blocked).tolist() == blocked.tolist()


def test_survey_counts_who_is_left_after_each_rule_and_names_the_last_hurdle() -> None:
    table = NodeTable([node("a"), node("b", region="Oslo", hashes_per_s=0.0), node("c", region="Rome")])
    survey = feasible.survey(HASH._replace(keep_in=("Oslo",)), table)
    assert survey.survivors == (("registered", 3), ("no_engine", 2), ("residency", 0), ("private", 0))
    assert survey.reason == "no node could ever run this: Paris is not in Oslo"
    assert survey.relaxation == "keep it in one of Oslo|Paris|Rome, or start a node in Oslo"


def test_survey_leaves_out_nodes_that_are_gone() -> None:
    table = NodeTable([node("a", region="Oslo", state=NodeState.GONE), node("b")])
    survey = feasible.survey(HASH._replace(keep_in=("Oslo",)), table)
    assert survey.survivors[0] == ("registered", 1)
    assert survey.reason == "no node could ever run this: Paris is not in Oslo"


def test_survey_of_nobody_asks_for_a_node() -> None:
    assert feasible.survey(HASH, NodeTable()).relaxation == "start a node"
