"""Hard rules, before any strategy, and failing closed: why a node may not run a task.

Standing rules ask whether a registered node could ever run a shape; passing rules whether it takes work now. Rules
about sizes (budget, deadline) and about queues (no_slot, share_cap) belong to the quote and to the strategies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from placement.fleet_table import Bools, NodeTable
from placement.model import Kind, NodeState, Reason, Rejection, Shape


class Rule(NamedTuple):
    """`broken` names the nodes that break the rule; `sentence` says so for one of them."""

    reason: Reason
    broken: Callable[[Shape, NodeTable], Bools]
    sentence: Callable[[Shape, NodeTable, int], str]
    relaxation: Callable[[Shape, NodeTable], str]


def _lacks_engine(shape: Shape, table: NodeTable) -> Bools:
    if shape.kind is Kind.HASH:
        return table.hashes_per_s <= 0
    return (table.requests_per_s <= 0) & (table.prefill_tokens_per_s <= 0) & (table.tokens_per_s <= 0)


def _outside(shape: Shape, table: NodeTable) -> Bools:
    if not shape.keep_in:
        return np.zeros(len(table), dtype=np.bool_)
    inside = np.zeros(len(table), dtype=np.bool_)
    for region in shape.keep_in:
        inside |= table.in_region(region)
    return ~inside


def _closed(shape: Shape, table: NodeTable) -> Bools:
    return table.keep_private & ~table.in_region(shape.origin)


STANDING: tuple[Rule, ...] = (
    Rule(
        Reason.NO_ENGINE,
        _lacks_engine,
        lambda shape, table, i: f"{table.names[i]} has no {shape.kind.name.lower()} engine",
        lambda shape, table: f"start a node with a {shape.kind.name.lower()} engine",
    ),
    Rule(
        Reason.RESIDENCY,
        _outside,
        lambda shape, table, i: f"{table.region_names[i]} is not in {'|'.join(shape.keep_in)}",
        lambda shape, table: (
            f"keep it in one of {'|'.join(sorted(table.regions))}, or start a node in " + "|".join(shape.keep_in)
        ),
    ),
    Rule(
        Reason.PRIVATE,
        _closed,
        lambda shape, table, i: f"{table.names[i]} takes only work of its own region {table.region_names[i]}",
        lambda shape, table: "submit it with an origin in the private node's region",
    ),
)

PASSING: tuple[Rule, ...] = (
    Rule(
        Reason.BANNED,
        lambda shape, table: table.banned,
        lambda shape, table, i: f"region {table.region_names[i]} is banned",
        lambda shape, table: "lift the ban",
    ),
    Rule(
        Reason.CURTAILED,
        lambda shape, table: table.curtailed,
        lambda shape, table, i: f"site {table.facts[i].site} is curtailed: it draws no power now",
        lambda shape, table: "release the site",
    ),
    Rule(
        Reason.DRAINING,
        lambda shape, table: table.state == int(NodeState.DRAINING),
        lambda shape, table, i: f"{table.names[i]} is draining and takes no new work",
        lambda shape, table: "resume the node",
    ),
    Rule(
        Reason.SILENT,
        lambda shape, table: (table.state != int(NodeState.READY)) & (table.state != int(NodeState.DRAINING)),
        lambda shape, table, i: f"{table.names[i]} is {NodeState(int(table.state[i])).name.lower()}",
        lambda shape, table: "start the node again",
    ),
)


def blocked(shape: Shape, table: NodeTable) -> Bools:
    """Nodes that may not take this shape now."""
    broken = np.zeros(len(table), dtype=np.bool_)
    for rule in (*STANDING, *PASSING):
        broken |= rule.broken(shape, table)
    return broken


def able(shape: Shape, table: NodeTable) -> Bools:
    """Registered nodes that could ever run this shape, now or when they are back."""
    broken = np.zeros(len(table), dtype=np.bool_)
    for rule in STANDING:
        broken |= rule.broken(shape, table)
    return ~broken


def rejections(shape: Shape, table: NodeTable, i: int) -> list[Rejection]:
    """Every rule that keeps node `i` from this shape now."""
    return [
        Rejection(rule.reason, rule.sentence(shape, table, i))
        for rule in (*STANDING, *PASSING)
        if rule.broken(shape, table)[i]
    ]


class Survey(NamedTuple):
    """How many registered nodes survive each standing rule, in order, and what would let the last ones through."""

    survivors: tuple[tuple[str, int], ...]
    reason: str
    relaxation: str


def survey(shape: Shape, table: NodeTable) -> Survey:
    """Why no registered node could ever run a shape. Meant for shapes for which `able` is all false."""
    left = table.state != int(NodeState.GONE)
    survivors: list[tuple[str, int]] = [("registered", int(left.sum()))]
    reason, relaxation = "no node is registered", "start a node"
    for rule in STANDING:
        before = left
        left = left & ~rule.broken(shape, table)
        survivors.append((rule.reason.value, int(left.sum())))
        if before.any() and not left.any():
            i = int(np.flatnonzero(before)[0])
            reason = f"no node could ever run this: {rule.sentence(shape, table, i)}"
            relaxation = rule.relaxation(shape, table)
    return Survey(tuple(survivors), reason, relaxation)
