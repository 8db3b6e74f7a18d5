"""Scenarios in a line: what a test does not say is one slot, one region, no power and no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import numpy as np

from coordinator.simulator.model import Event, Jobs, Scenario
from placement.cost import Money, World
from placement.energy import Curves
from placement.model import Kind, NodeFacts, Path
from placement.network import Network

START = 1_673_222_400.0  # 2023-01-09T00:00:00Z


def node(name: str, region: str = "Paris", **facts: Any) -> NodeFacts:
    """A hash node of one unit a second."""
    given: dict[str, Any] = {"site": region.lower(), "operator": region.lower(), "hashes_per_s": 1.0} | facts
    return NodeFacts(name, region=region, **given)


def jobs(
    arrival_s: Sequence[float],
    units: Sequence[float] | float = 1.0,
    *,
    kind: Kind = Kind.HASH,
    origin: Sequence[str] | str = "Paris",
    keep_in: tuple[str, ...] = (),
    **columns: Any,
) -> Jobs:
    """Jobs that share what is given once."""
    n = len(arrival_s)
    origins = [origin] * n if isinstance(origin, str) else list(origin)
    names = tuple(sorted(set(origins)))
    rest = {
        "context_tokens": 0.0, "objective_s": nan, "second_usd": nan, "deadline_s": inf, "bytes_in": 0.0,
        "bytes_out": 0.0, "priority": 0, "deferrable": False,
    } | columns  # fmt: skip
    kinds = {"priority": np.int8, "deferrable": np.bool_}
    return Jobs(
        arrival_s=np.array(arrival_s, dtype=np.float64),
        kind=np.full(n, int(kind), dtype=np.int8),
        origin=np.array([names.index(each) for each in origins], dtype=np.int32),
        units=np.full(n, 1.0) * np.asarray(units),
        keep_in=np.zeros(n, dtype=np.int32),
        origins=names,
        keep_ins=(tuple(sorted(keep_in)),),
        **{name: np.full(n, value, dtype=kinds.get(name, np.float64)) if np.isscalar(value) else np.asarray(value)
           for name, value in rest.items()},
    )  # fmt: skip


def scenario(
    nodes: Sequence[NodeFacts],
    of: Jobs,
    *,
    rtt_ms: Mapping[tuple[str, str], float] | None = None,
    prices: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    carbon: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    events: Sequence[Event] = (),
    path: Path = Path.RELAYED,
    coordinator: str = "Paris",
    money: Money | None = None,
    **rest: Any,
) -> Scenario:
    """`prices` and `carbon`: zone -> (seconds from the start, values)."""

    def curves(steps: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None) -> Curves:
        return Curves({zone: (np.array(at) + START, np.array(values)) for zone, (at, values) in (steps or {}).items()})

    world = World(curves(prices), curves(carbon), Network(coordinator, rtt_ms), money or Money(), path)
    given: dict[str, Any] = {"name": "test", "seed": 1} | rest
    return Scenario(start=START, nodes=tuple(nodes), world=world, jobs=of, events=tuple(events), **given)
