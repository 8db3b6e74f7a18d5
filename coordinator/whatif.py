"""What other strategies would have done with a job, on what was known when it was placed.

Every decision that placed a part of the job is made again by the other strategy, over the whole turn: what came with
the job came with it then too. Strategies with a memory start without one, since theirs was never in force.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

import numpy as np

from coordinator.explaining import Standing, recompute
from placement.fleet_table import Debits
from placement.quote import One, parts
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

    def add(self, standing: Standing, plan: Plan, mine: Container[tuple[int, int]], tasks: int) -> None:
        """Count the tasks at these (group, position)s of a plan, behind everything that the plan put before them."""
        seen = standing.snapshot
        view = Debits(seen.table, seen.now)
        placed = 0
        for group, (nodes, costs) in enumerate(zip(plan.nodes, plan.costs, strict=True)):
            demand, prepared = seen.groups[group].demand, seen.prepared[group]
            one, every = One(demand, prepared, seen.now), parts(demand, prepared, view.load, seen.now)
            for position, (node, usd) in enumerate(zip(nodes, costs, strict=True)):
                if (group, position) in mine:
                    placed += 1
                    self.node = self.node or seen.table.names[node]
                    self.cost_usd += usd
                    self.energy_usd += float(every.energy_usd[node])
                    self.expected_s = max(self.expected_s, one.at(node, view.load).expected_s)
                view.take(node, one.run_s(node))
        self.held += tasks - placed


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
        mine = set(_positions(standing, epochs))
        if not mine:
            continue
        actual.strategy = standing.decision.strategy
        tasks += len(mine)
        made = recompute(standing)
        plans = [
            (outcome, strategy.plan(standing.snapshot, strategy.initial(), np.random.default_rng(standing.seed))[0])
            for outcome, strategy in others
        ]
        actual.add(standing, made, mine, len(mine))
        for outcome, plan in plans:
            outcome.add(standing, plan, mine, len(mine))
    return [outcome for outcome, _ in others], actual, tasks


def _positions(standing: Standing, epochs: Container[int]) -> Iterable[tuple[int, int]]:
    """(group, position in it) of the placements asked about."""
    epoch = standing.decision.first_epoch
    for group, placed in enumerate(standing.decision.placed):
        for position in range(placed):
            if epoch in epochs:
                yield group, position
            epoch += 1
