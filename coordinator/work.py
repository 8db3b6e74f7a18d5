"""Open work in memory: submissions, their jobs, what of a job waits, and the attempts that run.

The working copy of what the store has. Settled jobs leave it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, NamedTuple, Protocol

from coordinator import proof
from placement.model import AttemptState, Demand, JobState, Kind, Shape


class Sizes(NamedTuple):
    """What of an item costs time or money beside its units."""

    context_tokens: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0


NO_SIZES = Sizes()


class Work(Protocol):
    """What the items of a submission are made of."""

    @property
    def kind(self) -> Kind: ...

    @property
    def model(self) -> str: ...

    @property
    def divisible(self) -> bool:
        """Whether an item may be cut into tasks, and an interrupted task's covered part counts."""
        ...

    def count(self, item: int) -> int:
        """Units by which an item's progress is counted: nonces, or 1 for what cannot be divided."""
        ...

    def amount(self, item: int, units: int) -> float:
        """What so many units of an item demand: hashes, or tokens generated."""
        ...

    def alike(self, item: int, other: int) -> bool:
        """Whether two items demand the same."""
        ...

    @property
    def all_wanted(self) -> bool:
        """False: the first thing found ends the job."""
        ...

    def sizes(self, item: int) -> Sizes: ...


@dataclass(frozen=True, slots=True)
class SizedWork:
    """Items of which only the sizes are known, each one task: what a trace has. One entry an item."""

    kind: Kind
    units: tuple[float, ...]
    each: tuple[Sizes, ...]
    model: str = ""
    divisible: ClassVar[bool] = False
    all_wanted: ClassVar[bool] = True

    def count(self, item: int) -> int:
        return 1

    def amount(self, item: int, units: int) -> float:
        return self.units[item]

    def alike(self, item: int, other: int) -> bool:
        return self.units[item] == self.units[other] and self.each[item] == self.each[other]

    def sizes(self, item: int) -> Sizes:
        return self.each[item]


@dataclass(frozen=True, slots=True)
class HashWork:
    """Nonce searches in columns: one entry an item, or one entry that serves all items."""

    headers: tuple[bytes, ...]  # 76 bytes
    targets: tuple[bytes, ...]  # 32 bytes, big-endian
    nonce_starts: tuple[int, ...]
    nonce_counts: tuple[int, ...]
    find_all: bool = False
    kind: ClassVar[Kind] = Kind.HASH
    model: ClassVar[str] = ""
    divisible: ClassVar[bool] = True

    @property
    def all_wanted(self) -> bool:
        return self.find_all

    def sizes(self, item: int) -> Sizes:
        return NO_SIZES

    def header(self, item: int) -> bytes:
        return self.headers[item if len(self.headers) > 1 else 0]

    def target(self, item: int) -> bytes:
        return self.targets[item if len(self.targets) > 1 else 0]

    def start(self, item: int) -> int:
        return self.nonce_starts[item if len(self.nonce_starts) > 1 else 0]

    def count(self, item: int) -> int:
        return self.nonce_counts[item if len(self.nonce_counts) > 1 else 0]

    def amount(self, item: int, units: int) -> float:
        return float(units)

    def alike(self, item: int, other: int) -> bool:
        return self.count(item) == self.count(other)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client wants of a job beside the work. None: the default."""

    origin: str = ""
    objective_s: float | None = None
    second_usd: float | None = None
    deadline_s: float | None = None
    priority: int = 0
    budget_usd: float | None = None
    keep_in: tuple[str, ...] = ()
    strategy: str = ""


@dataclass(slots=True)
class Submission:
    """One or many equal-minded jobs, numbered consecutively from `first`. What was wished is resolved here."""

    first: int
    count: int
    key: str
    client: str
    body: bytes  # as it came, for comparing repeats
    wishes: Wishes
    work: Work
    submitted_us: int
    shape: Shape
    grain: int  # units of the largest piece
    second_usd: float
    objective_s: float
    before: float  # unix seconds; infinity: no deadline
    open: int = 0  # jobs not settled
    withdrawn: int = 0  # jobs that were settled while part of them waited

    def demand(self, units: int, item: int) -> Demand:
        return Demand(
            self.shape,
            self.work.amount(item, units),
            self.objective_s,
            self.second_usd,
            *self.work.sizes(item),
            before=self.before,
            budget_usd=inf if self.wishes.budget_usd is None else self.wishes.budget_usd,
        )


class Found(NamedTuple):
    nonce: int
    hash: bytes  # 32 bytes as block explorers print them


class Job:
    """One open job."""

    __slots__ = (
        "attempts",
        "closed",
        "cost_picodollars",
        "cut_to",
        "energy_microjoules",
        "error",
        "found",
        "item",
        "live",
        "number",
        "parts",
        "reasons",
        "state",
        "submission",
        "units",
        "units_done",
        "waiting",
    )

    def __init__(self, submission: Submission, item: int) -> None:
        self.submission = submission
        self.item = item
        self.number = submission.first + item
        self.units = submission.work.count(item)
        self.units_done = 0
        self.state = JobState.PENDING
        self.live: dict[int, Attempt] = {}  # by epoch
        self.closed: list[bytes] = []  # one packed record (see settle) for each attempt that is over
        self.error = ""
        self.energy_microjoules = 0  # of the closed attempts
        self.cost_picodollars = 0  # energy, network and carbon
        self.reasons: list[tuple[int, str]] = []  # epoch, why it did not succeed
        self.found: list[Found] = []
        self.parts = (
            int(-(-self.units // submission.grain)) or 1
        )  # tasks by position; what is cut again is numbered from here
        self.cut_to = 0  # units cut off the front so far
        self.waiting = 0  # tasks in the queue, the uncut ones counted

    @property
    def kind(self) -> Kind:
        return self.submission.shape.kind

    @property
    def settled(self) -> bool:
        return self.state > JobState.RUNNING


class Piece(NamedTuple):
    """A task that waits: `units` of a job from `start`, counted from the job's own start."""

    job: Job
    part: int
    start: int
    units: int
    tries: int


class Attempt:
    """One try of a task on one node, from its lease to its close."""

    __slots__ = ("ends_s", "epoch", "node", "piece", "placed_us", "run_s", "state", "units_seen")

    def __init__(self, epoch: int, piece: Piece, node: int, placed_us: int, run_s: float, ends_s: float) -> None:
        self.epoch = epoch
        self.piece = piece
        self.node = node
        self.placed_us = placed_us
        self.run_s = run_s  # expected
        self.ends_s = ends_s  # expected, unix seconds
        self.state = AttemptState.LEASED
        self.units_seen = 0  # what heartbeats told


SPEEDS_KEPT = 9


@dataclass(slots=True)
class Member:
    """A node as the coordinator holds it: how it was last heard, and which attempts it has."""

    index: int
    name: str
    heard_at: float  # unix seconds, coordinator's clock
    connected: bool = False
    incarnation: int = 0
    live: dict[int, Attempt] = field(default_factory=dict)
    rtt_s: float | None = None
    running: int = 0
    waiting: int = 0
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=SPEEDS_KEPT))  # hashes a second, of late runs


def absorb(piece: Piece, state: AttemptState, units_done: int, found: list[Found]) -> Piece | None:
    """Count what an attempt brought its job, and return what of the task must be placed again, if anything.

    A rest is a new task, since something came of the last one; after a failure it keeps the count of tries. A task of
    which nothing came keeps its number, and has one more try when the work or its node died under it. The same rule
    serves the live turn and the replay.
    """
    job = piece.job
    job.units_done += units_done
    job.found.extend(found)
    tried = state in (AttemptState.FAILED, AttemptState.LOST)
    if state is AttemptState.SUCCEEDED or units_done == piece.units:
        return None
    if units_done:
        tries = piece.tries + 1 if state is AttemptState.FAILED else 0
        rest = Piece(job, job.parts, piece.start + units_done, piece.units - units_done, tries)
        job.parts += 1
        return rest
    return piece._replace(tries=piece.tries + 1) if tried else piece


def found_in(job: Job, nonces: tuple[int, ...]) -> list[Found]:
    """Nonces as results, each with its hash."""
    work = job.submission.work
    if not nonces or not isinstance(work, HashWork):
        return []
    header = work.header(job.item)
    return [Found(nonce, proof.hash_of(header, nonce)) for nonce in nonces]
