"""What a strategy is: a pure policy from a snapshot to a plan, and how one is found by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from math import inf
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from placement.cost import Prepared
from placement.fleet_table import NodeTable
from placement.model import Group, Shape

State = Any  # what a strategy must remember: JSON-like values with a meaning (a cursor, a window), kept and replayed
Rng = np.random.Generator


class Snapshot(NamedTuple):
    """What a strategy may see. Borrowed, not copied: take `Debits` before changing a queue in thought."""

    now: float  # unix seconds
    table: NodeTable
    groups: list[Group]
    prepared: list[Prepared]  # by group


class Plan(NamedTuple):
    """Node indices and costs (USD), one list a group, one entry a task. Shorter than the count: the rest is held."""

    nodes: list[list[int]]
    costs: list[list[float]]
    again_at: float = inf  # unix seconds: what is held must be offered again by then, whatever else happens or not


@runtime_checkable
class Strategy(Protocol):
    """A policy. Its parameters are the fields of a frozen dataclass, under the names of a scenario file."""

    name: ClassVar[str]
    family: ClassVar[str]  # baseline, centralised, decentralised, between
    rule: ClassVar[str]  # one sentence for `edgeward strategies`
    holds: ClassVar[bool]  # keeps work in the coordinator until a slot is free: a node without one is rejected
    draws: ClassVar[bool]  # whether `plan` uses its `rng`; seeding one costs more than a quote

    def initial(self) -> State:
        """The state before the first plan."""
        ...

    def plan(self, snapshot: Snapshot, state: State, rng: Rng) -> tuple[Plan, State]:
        """Propose a node for every task of every group, in order, or hold what must wait."""
        ...


def label(shape: Shape) -> str:
    """A shape as a key of a state."""
    return "|".join((shape.kind.name, shape.model, shape.path.value, shape.origin, *shape.keep_in))


ENTRY_POINTS = "edgeward.strategies"


class UnknownStrategy(LookupError):
    """No such strategy, or parameters that it does not have."""


@cache
def _installed() -> dict[str, EntryPoint]:
    """By name, looked up once: it takes milliseconds, and `why` asks for the strategy of every decision it reads."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def names() -> list[str]:
    """Every strategy that is installed, sorted."""
    return sorted(_installed())


def load(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy of that name, with its parameters; other packages add theirs as entry points."""
    if name not in _installed():
        raise UnknownStrategy(f"no strategy is called {name!r}; there are {', '.join(names())}")
    try:
        strategy: Strategy = _installed()[name].load()(**(parameters or {}))
    except TypeError as wrong:
        raise UnknownStrategy(f"strategy {name} does not take these parameters: {wrong}") from wrong
    except ValueError as wrong:
        raise UnknownStrategy(str(wrong)) from wrong
    return strategy
