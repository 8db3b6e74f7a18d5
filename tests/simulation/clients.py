"""A client: submits under keys, asks again when no answer came, reads, cancels, until all it has is settled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from coordinator import identity
from coordinator.errors import Overloaded, StoreUnavailable
from protos import jobs_pb2, types_pb2
from tests.simulation.history import Answer, Cancel, Read, Submit
from tests.simulation.machines import STRATEGIES, Gone

if TYPE_CHECKING:
    from tests.simulation.world import World

SUBMISSIONS = 5
SUBMITTING_S = 25.0
SETTLED = frozenset({3, 4, 5, 6, 7})
HEADER_BYTES = 76


async def use(world: World, name: str) -> None:
    """All of a client's life."""
    await asyncio.gather(*(_one(world, name, n) for n in range(world.rng.randint(1, SUBMISSIONS))))


async def _one(world: World, name: str, number: int) -> None:
    rng = world.rng
    await asyncio.sleep(rng.random() * SUBMITTING_S)
    submission = _submission(world, f"key-{number}")
    jobs = await _submit_until_answered(world, name, submission)
    if rng.random() < 0.3:
        await _submit(world, name, submission)  # again, though it was answered
    if rng.random() < 0.2:
        other = types_pb2.Submission()
        other.CopyFrom(submission)
        other.options.priority += 1
        await _submit(world, name, other)
    if jobs and rng.random() < 0.2:
        await asyncio.sleep(rng.random() * 15)
        await _cancel(world, name, [job for job in jobs if rng.random() < 0.7])
    while jobs:
        await asyncio.sleep(0.5 + rng.random() * 4)
        jobs = await _read(world, name, jobs)


def _submission(world: World, key: str) -> types_pb2.Submission:
    rng = world.rng
    find_all, count = rng.random() < 0.7, rng.choice((1, 1, 1, 2, 6))
    one_in = 40 if find_all else 300
    options = types_pb2.Options(priority=rng.choice((0, 0, 5)), origin=rng.choice(("", "Paris", "SaoPaulo")))
    if rng.random() < 0.25:
        options.deadline_s = rng.uniform(1, 40)
    if rng.random() < 0.2:
        options.strategy = rng.choice(list(STRATEGIES))
    if rng.random() < 0.3:
        options.second_usd, options.objective_ms = 0.001, 500
    return types_pb2.Submission(
        key=key,
        count=count,
        options=options,
        hash=types_pb2.HashWork(
            headers=rng.randbytes(HEADER_BYTES),
            targets=(2**256 // one_in).to_bytes(32, "big"),
            nonce_starts=[rng.choice((0, 7, 2**32 - 2000)) + n for n in range(count)],
            nonce_counts=[rng.choice((1, rng.randint(2, 60), rng.randint(60, 1500 if count == 1 else 300)))],
            find_all=find_all,
        ),
    )


async def _submit_until_answered(world: World, name: str, submission: types_pb2.Submission) -> list[bytes]:
    """The ids of the jobs; none if they were refused."""
    while True:
        jobs = await _submit(world, name, submission)
        if jobs is not None:
            return jobs
        await asyncio.sleep(world.rng.random() * 2)


async def _submit(world: World, name: str, submission: types_pb2.Submission) -> list[bytes] | None:
    """One try; None when no answer came."""
    request = jobs_pb2.SubmitRequest(submissions=[submission])

    def note(answer: Answer, first: int = 0, repeated: bool = False) -> None:
        body = submission.SerializeToString(deterministic=True)
        seen = Submit(world.loop.time(), name, submission.key, body, answer, first, submission.count, repeated)
        world.history.submits.append(seen)

    try:
        (told,) = (await world.ask(name, lambda jobs: jobs.Submit(request, None))).submitted  # type: ignore[arg-type]
    except (Gone, StoreUnavailable, Overloaded):
        note(Answer.UNKNOWN)
        return None
    match told.WhichOneof("outcome"):
        case "accepted":
            first_id = int.from_bytes(told.accepted.first_job_id, "big")
            first = identity.number(told.accepted.first_job_id, 1)
            assert first is not None
            note(Answer.ACCEPTED, first, told.accepted.repeated_key)
            return [(first_id + n).to_bytes(16, "big") for n in range(told.accepted.count)]
        case "invalid":
            assert told.invalid.kind == jobs_pb2.INVALID_KIND_KEY_CONFLICT, told.invalid.sentence
            note(Answer.CONFLICT)
        case _:
            note(Answer.REFUSED)
    return []


async def _cancel(world: World, name: str, jobs: list[bytes]) -> None:
    """Until it is acknowledged."""
    while jobs:
        try:
            await world.ask(name, lambda service: service.Cancel(jobs_pb2.CancelRequest(job_ids=jobs), None))  # type: ignore[arg-type]
        except (Gone, StoreUnavailable):
            await asyncio.sleep(1)
        else:
            world.history.cancels.extend(Cancel(world.loop.time(), _number(job)) for job in jobs)
            return


async def _read(world: World, name: str, jobs: list[bytes]) -> list[bytes]:
    """Look at the jobs; returns those that are open."""
    try:
        request = jobs_pb2.GetJobsRequest(job_ids=jobs)
        seen = (await world.ask(name, lambda service: service.GetJobs(request, None))).jobs  # type: ignore[arg-type]
    except (Gone, StoreUnavailable):
        return jobs
    for job in seen:
        settled = None
        if job.state in SETTLED:
            settled = (int(job.state), job.hash.hashes_done, tuple(one.nonce for one in job.hash.nonces))
        world.history.reads.append(Read(world.loop.time(), _number(job.job_id), settled))
    return [job.job_id for job in seen if job.state not in SETTLED]


def _number(job_id: bytes) -> int:
    number = identity.number(job_id, 1)
    assert number is not None
    return number
