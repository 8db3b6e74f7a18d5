"""`two-choices`: two feasible nodes by chance, and the less loaded of them.

Rule: draw `choices` different feasible nodes uniformly, take the one with the fewest tasks, running and waiting, a
slot; ties by name.

Asking two instead of one brings the longest queue of n tasks on n nodes from about ln n / ln ln n down to
ln ln n / ln d + O(1), an exponential gain; a third node gains a constant factor only (Azar et al.; Mitzenmacher,
TPDS'01). It does not herd on an old view of the load, as `least-loaded` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from placement.sampling import drawn
from placement.strategy import Plan, Rng, Snapshot, State


@dataclass(frozen=True)
class TwoChoices:
    choices: int = 2

    name: ClassVar[str] = "two-choices"
    family: ClassVar[str] = "decentralised"
    rule: ClassVar[str] = "two random nodes that may take the task, and the less loaded of them"
    holds: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.choices < 1:
            raise ValueError(f"two-choices.choices = {self.choices}: draw at least one node")

    def initial(self) -> State:
        return None

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        return drawn(snapshot, self.choices, rng), state
