"""What a node and the coordinator say to each other, as this side's own values. `wire.py` turns them into messages."""

from __future__ import annotations

from typing import NamedTuple

from node.executor.port import HashTask, Outcome


class Facts(NamedTuple):
    """What this machine is. The coordinator's own configuration outranks all of it."""

    name: str
    site: str
    region: str
    operator: str
    hub: bool
    price_zone: str
    price_usd_per_kwh: float | None
    pue: float
    idle_watts: float
    max_watts: float
    slots: int
    keep_private: bool
    hashes_per_s: float  # a slot, measured here; 0: cannot hash
    energy_measured: bool
    extra_delay_ms: float
    max_hashes_per_s: float  # an injected brake; 0: none
    memory_bytes: int
    version: str


class Report(NamedTuple):
    """How one attempt ended. Energy is marginal, at the plug, without PUE."""

    epoch: int
    outcome: Outcome
    units_done: int
    run_us: int
    waited_us: int
    energy_microjoules: int
    nonces: tuple[int, ...]
    error: str


# What the node says.


class Hello(NamedTuple):
    facts: Facts
    held_epochs: tuple[int, ...]
    reporting_epochs: tuple[int, ...]
    incarnation: int


class Heartbeat(NamedTuple):
    beat: int
    running: int
    waiting: int
    rtt_us: int  # of the beat acknowledged last; 0: not known yet
    epochs: tuple[int, ...]
    units_done: tuple[int, ...]


class Reports(NamedTuple):
    last_report: int  # number of the last one in here; the others precede it without a gap
    reports: tuple[Report, ...]
    energy_measured: bool


class Offer(NamedTuple):
    announcement: int
    running: int
    waiting: int
    free_slots: int
    queued_us: int
    price_usd_per_kwh: float | None
    price_age_ms: int


class Draining(NamedTuple):
    on: bool


# What the coordinator says.


class Welcome(NamedTuple):
    heartbeat_ms: int
    lease_ms: int


class HeartbeatAck(NamedTuple):
    beat: int


class Assign(NamedTuple):
    tasks: list[HashTask]


class Revoke(NamedTuple):
    epochs: tuple[int, ...]


class ReportsAck(NamedTuple):
    last_report: int


class Announcement(NamedTuple):
    announcement: int


class Fenced(NamedTuple):
    reason: str


FromNode = Hello | Heartbeat | Reports | Offer | Draining
FromCoordinator = Welcome | HeartbeatAck | Assign | Revoke | ReportsAck | Announcement | Fenced
