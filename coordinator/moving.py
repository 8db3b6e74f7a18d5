"""Which running work would be better off elsewhere: after a price has moved, a site was curtailed, a node drained.

A move is proposed where the live strategy would now choose another node and the change saves more money than a stated
share of what is left to pay: prices that flicker must not make work wander. Hashing keeps what it has covered, so a
move costs it a round trip; work that cannot be divided moves only while it waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import numpy as np

from coordinator.coordinator import Coordinator
from coordinator.work import Attempt
from placement.fleet_table import Load
from placement.model import AttemptState, Demand, Group
from placement.quote import cost_at
from placement.strategy import Snapshot

SAVING_SHARE = 0.1  # of what staying would cost


class Move(NamedTuple):
    """One attempt that would go elsewhere. Costs in USD, of what is left of it; `to` None: it would wait."""

    attempt: Attempt
    to: int | None
    cost_here: float
    cost_there: float


def moves(coordinator: Coordinator, attempts: Iterable[Attempt], now: float, *, forced: bool = False) -> list[Move]:
    """Proposed moves of these attempts. `forced`: they cannot stay, so every one of them is listed."""
    found: list[Move] = []
    table = coordinator.table
    load = table.load()
    for attempt in attempts:
        work = attempt.piece.job.submission.work
        if not forced and not work.divisible and attempt.state is AttemptState.RUNNING:
            continue
        demand = _rest(attempt)
        prepared = coordinator.preparer.prepare(demand.shape, now)
        here = _staying(demand, coordinator, attempt.node, load, now)
        blocked = prepared.blocked.copy()
        if forced:
            blocked[attempt.node] = inf
        snapshot = Snapshot(now, table, [Group(demand, 1)], [prepared._replace(blocked=blocked)])
        name = attempt.piece.job.submission.wishes.strategy or coordinator.strategy
        strategy = coordinator.placer.find(name)
        state = coordinator.placer.states.get(name, strategy.initial())
        plan, _ = strategy.plan(snapshot, state, np.random.default_rng(attempt.epoch))
        to = plan.nodes[0][0] if plan.nodes[0] else None
        there = inf if to is None else plan.costs[0][0]
        if forced or (to is not None and to != attempt.node and here - there > SAVING_SHARE * abs(here)):
            found.append(Move(attempt, to, here, there))
    return found


def _rest(attempt: Attempt) -> Demand:
    """What is left to do of an attempt, as far as its node has told."""
    piece = attempt.piece
    submission = piece.job.submission
    left = piece.units - attempt.units_seen if submission.work.divisible else piece.units
    return submission.demand(max(left, 1), piece.job.item)


def _staying(demand: Demand, coordinator: Coordinator, node: int, load: Load, now: float) -> float:
    """Cost of the rest where it is: its slot is its own already, so nothing waits before it."""
    free = Load(load.tasks, np.zeros(len(load.clear_at)), np.zeros(len(load.overdue_share)))
    prepared = coordinator.preparer.prepare(demand.shape, now)
    open_here = prepared.blocked.copy()
    open_here[node] = 0.0
    return cost_at(demand, prepared._replace(blocked=open_here), node, free, now)
