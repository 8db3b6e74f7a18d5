"""What the coordinator is handed: a clock, a store. And what it hands to them: the records of a turn.

No SQL and no message of the wire stands in these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from coordinator.orders import Orders
from coordinator.work import Attempt, Job, Piece, Submission
from placement.cost import World
from placement.model import Group, JobState, NodeFacts

TURNS_A_READ = 4096


class Clock(Protocol):
    """Unix seconds that never jump and never go back while the process lives, running on through suspend."""

    def now(self) -> float: ...


class TaskRun(NamedTuple):
    """Tasks placed one after the other: `length` consecutive whole jobs, or consecutive parts of one job."""

    job: int
    length: int
    part: int
    start: int
    units: int
    tries: int
    across_jobs: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """One call of a strategy: what it saw beside the columns, and what it chose."""

    strategy: str
    parameters: dict[str, Any]
    state: Any  # before the call
    seed: tuple[int, int, int]
    groups: list[Group]
    placed: list[int]  # tasks placed, by group; the others were held
    nodes: list[int]  # of all groups, one after the other
    costs: list[float]  # likewise; the log keeps only their checksum, because they are recomputed
    first_epoch: int
    runs: list[TaskRun]


class Load(NamedTuple):
    """A node's queue as a decision saw it."""

    node: int
    tasks: int
    drained_at: float


class Settlement(NamedTuple):
    """The end of a job. The store keeps at most one for each."""

    job: int
    state: JobState
    settled_us: int
    energy_microjoules: int
    cost_picodollars: int
    body: bytes  # see settlement.py


class OpenAttempt(NamedTuple):
    """A close that leaves its job open."""

    job: int
    packed: bytes  # settle.Closing
    reason: str
    nonces: tuple[int, ...]


@dataclass(slots=True)
class Turn:
    """Everything that one turn decided: first to be written in one transaction, then to be acted on."""

    number: int
    now_us: int
    now_s: float = 0.0  # the moment of its decisions, unrounded: they are recomputed from it, bit for bit
    # to write
    submissions: list[Submission] = field(default_factory=list)
    facts: list[tuple[int, int, NodeFacts]] = field(default_factory=list)  # version, node, facts
    world: World | None = None  # when it changed
    strategy: str | None = None  # when it changed
    orders: Orders | None = None  # when they changed
    loads: list[Load] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    closings: list[OpenAttempt] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    keyframe: bytes | None = None
    facts_version: int = 0
    world_digest: str = ""
    first_epoch: int = 0  # of this turn's placements
    next_epoch: int = 0
    # to act on
    dispatch: dict[str, list[Attempt]] = field(default_factory=dict)
    revoke: dict[str, list[int]] = field(default_factory=dict)
    settled: list[Job] = field(default_factory=list)

    @property
    def durable(self) -> bool:
        """Whether there is anything to write before acting."""
        return bool(
            self.submissions
            or self.facts
            or self.world is not None
            or self.strategy is not None
            or self.orders is not None
            or self.decisions
            or self.closings
            or self.settlements
        )


class OpenState(NamedTuple):
    """What a store has of everything that is not over: enough to go on after any end of the process."""

    salt: int
    seed: int
    next_job: int
    next_epoch: int
    next_turn: int
    strategy: str
    orders: str  # Orders as text; empty: none
    facts: list[tuple[int, NodeFacts]]  # by node index: latest version and facts
    submissions: list[Submission]  # that have open jobs
    open_jobs: set[int]
    keyframe: bytes | None
    turns: list[bytes]  # records since the keyframe, oldest first


class SettledJob(NamedTuple):
    """A settled job as the store has it."""

    job: int
    state: JobState
    settled_us: int
    body: bytes
    submission: Submission


class TurnRow(NamedTuple):
    number: int
    first_epoch: int
    record: bytes


class Store(Protocol):
    """The truth. Every method may be called from any thread; `commit` from one at a time."""

    def load_open(self) -> OpenState:
        """Everything that is not settled, as of the last commit."""
        ...

    def commit(self, turn: Turn) -> None:
        """Write a turn, all of it or nothing; on return it survives a loss of power. Raises `StoreUnavailable`."""
        ...

    def submission_of_key(self, client: str, key: str) -> Submission | None: ...

    def settled(self, jobs: Sequence[int]) -> list[SettledJob]:
        """Those of the jobs that are settled, in no particular order."""
        ...

    def history(self, state: JobState | None, client: str | None, limit: int) -> list[SettledJob]:
        """Settled jobs, newest number first."""
        ...

    def turns(self, first_epoch: int, last_epoch: int) -> tuple[bytes | None, list[TurnRow]]:
        """The turns that placed these epochs, oldest first, from the keyframe before them; None: from the beginning."""
        ...

    def turns_after(self, number: int) -> list[TurnRow]:
        """The turns past one, oldest first, a few thousand at most."""
        ...

    def last_turn(self) -> int: ...

    def next_epoch(self) -> int:
        """The epoch that the next placement will take, as of the last commit."""
        ...

    def facts_until(self, version: int) -> list[NodeFacts]:
        """Every node's facts by index as they stood at a version."""
        ...

    def world(self, digest: str) -> World: ...

    def close(self) -> None: ...


class Outlets(Protocol):
    """Where a turn acts once it is durable. None of these may fail or wait."""

    def acted(self, turn: Turn) -> None:
        """Dispatch, revoke, tell whoever watches."""
        ...

    def reset(self) -> None:
        """The working copy was rebuilt from the store: every node must say hello again."""
        ...


def whole_job(piece: Piece) -> bool:
    return piece.start == 0 and piece.units == piece.job.units


def task_runs(pieces: Iterable[Piece]) -> list[TaskRun]:
    """Placed tasks by runs, so that a thousand equal ones are one entry."""
    runs: list[list[Any]] = []
    last: list[Any] | None = None
    for piece in pieces:
        number = piece.job.number
        if last is not None and not piece.tries and not last[5] and piece.units == last[4]:
            if last[6] and number == last[0] + last[1] and whole_job(piece):
                last[1] += 1
                continue
            next_part = (last[0], last[2] + last[1], last[3] + last[1] * last[4])
            if not last[6] and (number, piece.part, piece.start) == next_part:
                last[1] += 1
                continue
        last = [number, 1, piece.part, piece.start, piece.units, piece.tries, whole_job(piece)]
        runs.append(last)
    return [TaskRun(*run) for run in runs]
