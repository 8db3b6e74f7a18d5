"""`random`: any feasible node, each as likely as the next.

Rule: uniform over the nodes that may take the task, whatever they cost and however busy they are.

The yardstick of every other rule. Each node is an M/M/1 of its own with a mean time of 1 / (mu - lambda), and of n
tasks on n nodes the longest queue is about ln n / ln ln n (Mitzenmacher, TPDS'01).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from placement.sampling import drawn
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class Random:
    name: ClassVar[str] = "random"
    family: ClassVar[str] = "baseline"
    rule: ClassVar[str] = "any node that may take the task, each as likely as the next"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        return drawn(snapshot, 1, rng), state
