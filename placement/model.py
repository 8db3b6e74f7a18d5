"""The values that placing is about.

The numbers of the enumerations are those of protos/types.proto; a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from math import inf
from typing import NamedTuple


class Kind(IntEnum):
    """What a job is made of."""

    HASH = 1
    INFERENCE = 2


class JobState(IntEnum):
    """Where a job is in its life; everything past RUNNING is settled and never changes."""

    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5
    EXPIRED = 6
    REFUSED = 7


class AttemptState(IntEnum):
    """Where one try of a task on one node is in its life."""

    LEASED = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    LOST = 5
    CANCELLED = 6
    RELEASED = 7


class NodeState(IntEnum):
    """Whether a node takes work."""

    JOINING = 1
    READY = 2
    DRAINING = 3
    SILENT = 4
    GONE = 5


class Path(Enum):
    """Which way the answer travels: through the coordinator, or straight from the node to the client."""

    RELAYED = "relayed"
    DIRECT = "direct"

    __hash__ = object.__hash__  # of the one object that a member is: every memo by shape is looked up with it


class RttSource(IntEnum):
    """How a round trip is known, best first."""

    MEASURED = 1
    TABLE = 2
    PREDICTED = 3
    DISTANCE = 4
    INJECTED = 5


class Reason(Enum):
    """Why a node may not run a task. The order is the order in which the rules are counted."""

    NO_ENGINE = "no_engine"
    NO_MODEL = "no_model"
    NO_MEMORY = "no_memory"
    RESIDENCY = "residency"
    PRIVATE = "private"
    TRUST = "trust"
    BANNED = "banned"
    CURTAILED = "curtailed"
    DRAINING = "draining"
    SILENT = "silent"
    NO_SLOT = "no_slot"
    SHARE_CAP = "share_cap"
    BUDGET = "budget"
    DEADLINE = "deadline"


class Rejection(NamedTuple):
    """One node's named reason against one task."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is known of a node that changes seldom. Every change is a new version in the turn log.

    `marginal` draw of a slot is (max_watts - idle_watts) / slots, in watts, without PUE.
    Rates are of one slot. `price_usd_per_kwh` stands where there is no `price_zone`.
    """

    name: str
    site: str
    region: str
    operator: str = ""
    hub: bool = False
    price_zone: str = ""
    price_usd_per_kwh: float = 0.0
    price_source: str = "declared"  # feed, operator, declared
    carbon_zone: str = ""
    pue: float = 1.0
    idle_watts: float = 0.0
    max_watts: float = 0.0
    slots: int = 1
    bandwidth_mbps: float = inf
    egress_usd_per_gb: float = 0.0
    keep_private: bool = False
    hashes_per_s: float = 0.0  # 0: no hash engine
    requests_per_s: float = 0.0  # inference; all three 0: no inference engine
    prefill_tokens_per_s: float = 0.0
    tokens_per_s: float = 0.0
    service_spread: float = 0.0  # standard deviation of service times over their mean, as learned; 0: not known
    coordinator_rtt_s: float | None = None  # measured between coordinator and node
    extra_delay_s: float = 0.0  # injected, part of the measured round trip
    max_hashes_per_s: float = 0.0  # injected brake, 0: none
    energy_measured: bool = False
    state: NodeState = NodeState.READY
    curtailed: bool = False
    banned: bool = False

    @property
    def marginal_watts(self) -> float:
        return (self.max_watts - self.idle_watts) / self.slots


class Shape(NamedTuple):
    """What many demands share. Quotes are prepared once a shape; sizes enter linearly."""

    kind: Kind
    origin: str  # a region; where the answer is wanted
    keep_in: tuple[str, ...] = ()  # regions, sorted; empty: anywhere
    model: str = ""
    path: Path = Path.RELAYED


class Demand(NamedTuple):
    """What one task needs: a shape and sizes.

    `units`: hashes, or tokens generated. `before`: moment by which the answer must have arrived.
    `second_usd`: what a second past `objective_s` costs the client.
    """

    shape: Shape
    units: float
    objective_s: float = 0.0
    second_usd: float = 0.0
    context_tokens: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    before: float = inf
    budget_usd: float = inf


class Group(NamedTuple):
    """Equal tasks, in the order in which they came."""

    demand: Demand
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a group
