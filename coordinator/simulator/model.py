"""What a scenario is once it has been read and checked: values, no files.

Seconds named `_s` of jobs and events count from the scenario's `start`; `start` itself is unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.cost import World
from placement.model import Kind, NodeFacts

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
SmallInts = NDArray[np.int8]
Bools = NDArray[np.bool_]

KINDS = {kind.name.lower(): kind for kind in Kind}  # as files write them


def stream(seed: int, name: str) -> np.random.Generator:
    """The stream of chance of that name, independent of every other name's: arrivals never depend on the strategy."""
    return np.random.default_rng([seed, int.from_bytes(sha256(name.encode()).digest()[:8], "big")])


@dataclass(frozen=True, eq=False)
class Jobs:
    """Jobs as columns, one row a job, sorted by arrival. Row numbers are the job numbers of the log."""

    arrival_s: Floats
    kind: SmallInts  # placement.model.Kind
    origin: Codes  # index into `origins`
    units: Floats  # hashes, or tokens generated
    context_tokens: Floats
    objective_s: Floats  # nan: none given (0 for inference, none for hash)
    second_usd: Floats  # nan: none given (the scenario's money.second_usd)
    deadline_s: Floats  # from arrival; inf: none
    keep_in: Codes  # index into `keep_ins`
    bytes_in: Floats
    bytes_out: Floats
    priority: SmallInts  # -100..100
    deferrable: Bools
    origins: tuple[str, ...]  # regions
    keep_ins: tuple[tuple[str, ...], ...]  # regions, sorted; the empty one is "anywhere"

    def __len__(self) -> int:
        return len(self.arrival_s)


class EventKind(Enum):
    """What can happen to the world. Each begins at `at_s` and lasts `for_s`."""

    PRICE = "price"  # zone, and factor or add_usd_per_kwh
    OUTAGE = "outage"  # one of region, site, node
    BAN = "ban"  # region
    CURTAIL = "curtail"  # site
    LINK = "link"  # source, destination, factor


@dataclass(frozen=True)
class Event:
    """One happening; the fields that its kind does not take are empty."""

    kind: EventKind
    at_s: float
    for_s: float = inf  # to the end
    zone: str = ""
    factor: float = 1.0  # of a price p: p + (factor - 1) * |p|; of a link: round trip times factor
    add_usd_per_kwh: float = 0.0
    region: str = ""
    site: str = ""
    node: str = ""
    source: str = ""
    destination: str = ""

    @property
    def until_s(self) -> float:
        return self.at_s + self.for_s


@dataclass(frozen=True)
class Mining:
    """The coin's side of hashing."""

    network_hashes_per_s: float  # of everybody, the fleet included
    coin_usd: float
    subsidy_coin: float = 3.125
    fees_coin: float = 0.0  # a block
    reaction_hours: float = 24.0  # a machine's mean delay between a price and its answer


@dataclass(frozen=True)
class Counted:
    """What was filled in while reading, for the report."""

    predicted_pairs: int = 0  # pairs of regions that answers travel between and the latency file lacks
    held_price_rows: Mapping[str, int] = field(default_factory=dict)  # zone: rows without a price, the last one stands
    held_carbon_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scenario:
    """Fleet, world, jobs and what happens, as read by `scenario.load`. Immutable."""

    name: str
    seed: int
    start: float  # unix seconds; jobs arrive at start + arrival_s
    nodes: tuple[NodeFacts, ...]  # `count` expanded, site facts merged in
    world: World  # curves of the zones that the fleet uses, without events applied
    jobs: Jobs
    events: tuple[Event, ...] = ()  # by at_s, then as the file has them
    strategy: str = "weighted"  # [strategy] name: of a recorded scenario, the one that ran
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by strategy, as far as given
    heartbeat_s: float = 2.0  # 0: the coordinator's view is always fresh
    horizon_s: float = 86400.0
    mining: Mining | None = None
    hardware_usd_per_hour: tuple[float, ...] = ()  # by node: what owning it costs, running or not
    known_until: float = inf  # unix seconds; to here every price and carbon value stands in the files (or is held)
    counted: Counted = Counted()
