"""From what was submitted to jobs: checked, resolved against defaults, cut to a grain, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from coordinator.errors import InvalidSubmission
from coordinator.work import HashWork, Submission, Wishes, Work
from placement import feasible
from placement.cost import World
from placement.feasible import Survey
from placement.fleet_table import NodeTable
from placement.model import Kind, NodeState, Shape

NONCES = 1 << 32
HEADER_BYTES = 76
TARGET_BYTES = 32
ASSUMED_HASHES_PER_S = 500_000.0  # of a slot, while no node has joined: what hashlib reaches on a common core


@dataclass(frozen=True, slots=True)
class Limits:
    """What keeps the coordinator bounded, and how long things may take. Durations in seconds."""

    heartbeat_s: float = 2.0
    lease_s: float = 10.0
    max_attempts: int = 5  # of a task; more means that the task itself is at fault
    open_jobs: int = 1_000_000
    items_a_submission: int = 100_000
    task_s: float = 2.0  # how long a task of a divisible job should run on the slowest node that can take it
    tasks_a_job: int = 4096
    offered_a_turn: int = 4096  # tasks that a strategy is shown at once


@dataclass(frozen=True, slots=True)
class Request:
    """A submission as it came in, in our own values."""

    key: str
    client: str
    count: int
    wishes: Wishes
    work: Work
    body: bytes


def check(request: Request) -> None:
    """Raise `InvalidSubmission` with one sentence where this could never be a job on any fleet."""
    if not request.key or len(request.key) > 200:
        raise InvalidSubmission("a submission needs a key of 1 to 200 characters, so that a retry is safe")
    if request.count < 1:
        raise InvalidSubmission("a submission needs at least one item")
    if isinstance(request.work, HashWork):
        _check_search(request.work, request.count)
    _check_wishes(request.wishes)


def _check_search(work: HashWork, count: int) -> None:
    for name, column in (
        ("headers", work.headers),
        ("targets", work.targets),
        ("nonce_starts", work.nonce_starts),
        ("nonce_counts", work.nonce_counts),
    ):
        if len(column) not in (1, count):
            raise InvalidSubmission(f"{name} has {len(column)} entries for {count} items; give one, or one an item")
    if any(len(header) != HEADER_BYTES for header in work.headers):
        raise InvalidSubmission(f"a header is {HEADER_BYTES} bytes (80 with the nonce, which is ignored)")
    if any(len(target) != TARGET_BYTES for target in work.targets):
        raise InvalidSubmission(f"a target is {TARGET_BYTES} bytes")
    if any(not any(target) for target in work.targets):
        raise InvalidSubmission("a target of zero can never be met; leave it out to take the header's own bits")
    for item in range(count) if max(len(work.nonce_starts), len(work.nonce_counts)) > 1 else (0,):
        start, nonces = work.start(item), work.count(item)
        if nonces < 1 or start + nonces > NONCES:
            raise InvalidSubmission(
                f"item {item}: the range starts at {start} and has {nonces} nonces; "
                f"it needs at least one and must end at or before 2^32 = {NONCES}"
            )


def _check_wishes(wishes: Wishes) -> None:
    if not -100 <= wishes.priority <= 100:
        raise InvalidSubmission(f"priority {wishes.priority} is not between -100 and 100")
    for name, value, least in (
        ("objective_ms", wishes.objective_s, 0.0),
        ("second_usd", wishes.second_usd, 0.0),
        ("deadline_s", wishes.deadline_s, 0.0),
        ("budget_usd", wishes.budget_usd, 0.0),
    ):
        if value is not None and not least <= value < inf:
            raise InvalidSubmission(f"{name} must be a number that is not negative")


def shape_of(work: Work, wishes: Wishes, world: World, table: NodeTable) -> Shape:
    """The shape of a request; an origin that nobody knows is refused by name."""
    origin = wishes.origin or world.network.coordinator_region
    if not world.network.knows(origin, table):
        known = sorted(world.network.regions | table.regions | {world.network.coordinator_region})
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        raise InvalidSubmission(f"no region is called {origin!r}; an origin is one of {shown}")
    return Shape(work.kind, origin, tuple(sorted(set(wishes.keep_in))), work.model, world.path)


def refusal(shape: Shape, table: NodeTable) -> Survey | None:
    """Why no registered node could ever run this, or None. While nobody has joined, jobs wait."""
    if len(table) == 0 or not _registered(table).any():
        return None
    if (feasible.able(shape, table) & _registered(table)).any():
        return None
    return feasible.survey(shape, table)


def _registered(table: NodeTable) -> np.ndarray:
    registered: np.ndarray = table.state != int(NodeState.GONE)
    return registered


def grain_for(work: Work, shape: Shape, table: NodeTable, limits: Limits) -> int:
    """Nonces in a task: as many as the slowest able node's slot tries in `task_s`, by its measured rate.

    Small enough that a slow node is no trap and a lost attempt costs little; never so small that a job becomes more
    than `tasks_a_job` tasks. Quicker nodes simply take more of them. One for work that cannot be divided.
    """
    if not isinstance(work, HashWork):
        return 1
    most = max(work.nonce_counts)
    rates = table.hashes_per_s[feasible.able(shape, table)] if len(table) else np.zeros(0)
    slowest = float(rates.min()) if len(rates) else ASSUMED_HASHES_PER_S
    return max(1, int(slowest * limits.task_s), -(-most // limits.tasks_a_job))


def admit(request: Request, first: int, now_us: int, world: World, table: NodeTable, limits: Limits) -> Submission:
    """The submission with everything resolved. Raises `InvalidSubmission`; whether it is refused is asked apart."""
    if request.count > limits.items_a_submission:
        raise InvalidSubmission(f"{request.count} items in one submission, the limit is {limits.items_a_submission}")
    check(request)
    wishes = request.wishes
    shape = shape_of(request.work, wishes, world, table)
    no_objective = wishes.objective_s is None and shape.kind is Kind.HASH
    second_usd = world.money.second_usd if wishes.second_usd is None else wishes.second_usd
    return Submission(
        first=first,
        count=request.count,
        key=request.key,
        client=request.client,
        body=request.body,
        wishes=wishes,
        work=request.work,
        submitted_us=now_us,
        shape=shape,
        grain=grain_for(request.work, shape, table, limits),
        second_usd=0.0 if no_objective else second_usd,
        objective_s=wishes.objective_s or 0.0,
        before=inf if wishes.deadline_s is None else now_us / 1e6 + wishes.deadline_s,
    )
