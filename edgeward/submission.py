"""Jobs and options as the wire wants them: many equal-minded jobs are one submission of columns."""

import uuid
from collections.abc import Iterable, Sequence
from typing import TypedDict, TypeVar

from edgeward.errors import InvalidJob
from edgeward.jobs import HashJob
from protos import types_pb2

T = TypeVar("T")
ITEMS_PER_SUBMISSION = 16_384  # about 2 MB where every item differs, half of what a gRPC message may hold


class SubmitOptions(TypedDict, total=False):
    """What a client may want of a job beside the work itself; what is left out is as the coordinator is configured."""

    origin: str | None
    """The region where the answer is wanted; the coordinator's own when left out."""
    objective_ms: float | None
    """The latency wanted; time past it costs `second_usd`."""
    second_usd: float | None
    deadline_s: float | None
    """Counted from admission; a job that is not done by then is settled as expired."""
    priority: int
    """From -100 to 100, higher first; 0 when left out."""
    budget_usd: float | None
    """The most that energy, network and carbon may cost together."""
    keep_in: str | Sequence[str] | None
    """Regions that the work must not leave, as a list or joined by '|'."""
    strategy: str | None
    replicas: int
    plan_id: str | None
    """Of `plan`: refused if the choice would be another one by now."""
    key: str | None
    """Names this submit: the same key with the same work is the same jobs, however often it is sent."""


def submissions(jobs: Sequence[HashJob], options: SubmitOptions) -> list[tuple[types_pb2.Submission, list[int]]]:
    """The submissions that carry `jobs`, each with the positions of its jobs.

    The same jobs under the same key always make the same submissions, so that sending them again is safe. The first
    carries the key itself, the others key/1, key/2 and so on. Raises InvalidJob.
    """
    key = options.get("key") or uuid.uuid4().hex
    wire_options = _options(options)
    chunks = [
        (find_all, positions[at : at + ITEMS_PER_SUBMISSION])
        for find_all, positions in _by_find(jobs)
        for at in range(0, len(positions), ITEMS_PER_SUBMISSION)
    ]
    return [
        (
            types_pb2.Submission(
                key=f"{key}/{number}" if number else key,
                options=wire_options,
                plan_id=options.get("plan_id") or "",
                count=len(positions),
                hash=_columns([jobs[position] for position in positions], find_all),
            ),
            positions,
        )
        for number, (find_all, positions) in enumerate(chunks)
    ]


def _by_find(jobs: Sequence[HashJob]) -> Iterable[tuple[bool, list[int]]]:
    groups: dict[bool, list[int]] = {}
    for position, job in enumerate(jobs):
        if not isinstance(job, HashJob):
            raise InvalidJob(f"A {type(job).__name__} is no job: submit a HashJob or a list of them.")
        groups.setdefault(job.find == "all", []).append(position)
    return groups.items()


def _columns(jobs: Sequence[HashJob], find_all: bool) -> types_pb2.HashWork:
    return types_pb2.HashWork(
        headers=b"".join(_once_if_equal([job.header for job in jobs])),
        targets=b"".join(_once_if_equal([job.target for job in jobs])),
        nonce_starts=_once_if_equal([job.nonce_start for job in jobs]),
        nonce_counts=_once_if_equal([job.nonce_count for job in jobs]),
        find_all=find_all,
    )


def _once_if_equal(column: list[T]) -> list[T]:
    return column[:1] if column.count(column[0]) == len(column) else column


def _options(options: SubmitOptions) -> types_pb2.Options:
    unknown = set(options) - set(SubmitOptions.__annotations__)
    if unknown:
        raise TypeError(f"submit() has no option {min(unknown)!r}")
    priority, replicas = options.get("priority", 0), options.get("replicas", 1)
    if not isinstance(priority, int) or not -100 <= priority <= 100:
        raise InvalidJob(f"priority is {priority!r}: it is a whole number from -100 to 100, higher first.")
    if not isinstance(replicas, int) or replicas < 1:
        raise InvalidJob(f"replicas is {replicas!r}: at least 1 node must run the job.")
    deadline_s = _amount("deadline_s", options.get("deadline_s"))
    if deadline_s == 0:
        raise InvalidJob("deadline_s is 0: no job can be done in no time.")
    return types_pb2.Options(
        origin=options.get("origin") or "",
        objective_ms=_amount("objective_ms", options.get("objective_ms")),
        second_usd=_amount("second_usd", options.get("second_usd")),
        deadline_s=deadline_s,
        priority=priority,
        budget_usd=_amount("budget_usd", options.get("budget_usd")),
        keep_in=_regions(options.get("keep_in")),
        strategy=options.get("strategy") or "",
        replicas=replicas,
    )


def _amount(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InvalidJob(f"{name} is {value!r}: it must be a number, 0 or more.")
    return float(value)


def _regions(keep_in: str | Sequence[str] | None) -> list[str]:
    regions = keep_in.split("|") if isinstance(keep_in, str) else list(keep_in or ())
    if not all(isinstance(region, str) and region.strip() for region in regions):
        raise InvalidJob(f"keep_in is {keep_in!r}: name regions, as a list or joined by '|'.")
    return [region.strip() for region in regions]
