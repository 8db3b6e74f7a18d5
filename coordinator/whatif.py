"""What other strategies would have done with a job, on what was known when it was placed.

Every decision that placed a part of the job is made again by the other strategy, over the whole turn: what came with
the job came with it then too. Strategies with a memory start without one, since theirs was never in force.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

import numpy as np

from coordinator.explaining import Standing, recompute
from placement.quote import parts
from placement.strategy import Plan, Strategy


@dataclass(slots=True)
class Outcome:
    """A strategy's way with the tasks of a job. USD and seconds."""

    strategy: str
    node: str | None = None  # of its first task; None: held
    cost_usd: float = 0.0
    energy_usd: float = 0.0
    expected_s: float = 0.0  # of the last task
    held: int = 0  # tasks

    def add(self, standing: Standing, plan: Plan, group: int, position: int) -> None:
        if position >= len(plan.nodes[group]):
            self.held += 1
            return
        seen = standing.snapshot
        node = plan.nodes[group][position]
        every = parts(seen.groups[group].demand, seen.prepared[group], seen.table.load(), seen.now)
        self.node = self.node or seen.table.names[node]
        self.cost_usd += plan.costs[group][position]
        self.energy_usd += float(every.energy_usd[node])
        self.expected_s = max(self.expected_s, float(every.expected_s[node]))


def outcomes(
    standings: Iterable[Standing], epochs: Container[int], names: Iterable[str], find: Callable[[str], Strategy]
) -> tuple[list[Outcome], Outcome, int]:
    """Each strategy's outcome, what really happened, and how many tasks that is about.

    `standings`: the decisions that placed the job, one after the other as the log reader gives them; `epochs`: the
    job's own placements in them.
    """
    others = [(Outcome(name), find(name)) for name in names]
    actual = Outcome("")
    tasks = 0
    for standing in standings:
        mine = list(_positions(standing, epochs))
        if not mine:
            continue
        actual.strategy = standing.decision.strategy
        tasks += len(mine)
        made = recompute(standing)
        plans = [
            (outcome, strategy.plan(standing.snapshot, strategy.initial(), np.random.default_rng(standing.seed))[0])
            for outcome, strategy in others
        ]
        for group, position in mine:
            actual.add(standing, made, group, position)
            for outcome, plan in plans:
                outcome.add(standing, plan, group, position)
    return [outcome for outcome, _ in others], actual, tasks


def _positions(standing: Standing, epochs: Container[int]) -> Iterable[tuple[int, int]]:
    """(group, position in it) of the placements asked about."""
    epoch = standing.decision.first_epoch
    for group, placed in enumerate(standing.decision.placed):
        for position in range(placed):
            if epoch in epochs:
                yield group, position
            epoch += 1
