"""The work of the demo: patient searches and urgent ones on real block headers, run under one strategy, measured."""

import asyncio
import time
from dataclasses import dataclass

from edgeward.async_client import AsyncClient
from edgeward.cli.demo.places import ORIGIN
from edgeward.handles import AsyncJobHandle
from edgeward.jobs import HashJob
from edgeward.views import Explained, Job

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd"
    "7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)
BLOCK_125552 = (
    "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2"
    "fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695"
)
GENESIS_NONCE = 2_083_236_893

# Both ranges have the block's own nonce in them. All hits are asked for, so that every strategy does the same work.
PATIENT = [
    HashJob(GENESIS, nonce_start=2_083_000_000, nonce_count=1_000_000, find="all"),
    HashJob(BLOCK_125552, nonce_start=2_504_000_000, nonce_count=1_000_000, find="all"),
]
URGENT_JOBS = 40
URGENT_EVERY_S = 0.125
URGENT_NONCES = 2_400  # 20 ms on the edge box in Paris
EXPLAINED_EVERY = 8
OBJECTIVE_MS = 50.0
SECOND_USD = 0.002  # 7.20 USD an hour, of whoever waits
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one strategy made of the work, as the client saw it and as it was settled."""

    strategy: str
    patient: list[Job]
    patient_s: float  # from submitting to the last answer
    urgent: list[Job]
    urgent_ms: list[float]  # each from submitting to its answer, on the client's own clock
    patient_why: list[Explained]  # every placement, with every node that was considered
    urgent_why: list[Explained]  # of a sample


class Kinds:
    """Which jobs are patient. A placement may be heard of before its submit has returned: who asks then, waits."""

    def __init__(self) -> None:
        self._patient: set[str] = set()
        self._submitting = asyncio.Lock()

    async def submit(self, client: AsyncClient) -> list[AsyncJobHandle]:
        """The patient jobs, submitted."""
        async with self._submitting:
            handles = await client.submit(PATIENT, origin=ORIGIN, deadline_s=DEADLINE_S)
            self._patient.update(handle.job_id for handle in handles)
        return handles

    async def of(self, job_id: str) -> str:
        async with self._submitting:
            return "patient" if job_id in self._patient else "urgent"


async def run(client: AsyncClient, strategy: str, kinds: Kinds) -> Round:
    """All of the work, placed by the strategy that is live."""
    began = time.monotonic()
    patient = await kinds.submit(client)
    through = asyncio.create_task(_until_answered(patient, began))
    urgent = await asyncio.gather(*(_urgent(client, number, began) for number in range(URGENT_JOBS)))
    patient_s = await through
    return Round(
        strategy=strategy,
        patient=await client.describe(patient),
        patient_s=patient_s,
        urgent=await client.describe([handle for handle, _ in urgent]),
        urgent_ms=[latency_ms for _, latency_ms in urgent],
        patient_why=await _why(client, patient),
        urgent_why=await _why(client, [handle for handle, _ in urgent[::EXPLAINED_EVERY]]),
    )


async def _until_answered(handles: list[AsyncJobHandle], began: float) -> float:
    for handle in handles:
        await handle.result()
    return time.monotonic() - began


async def _why(client: AsyncClient, handles: list[AsyncJobHandle]) -> list[Explained]:
    return [explained for handle in handles for explained in (await client.why(handle)).placements]


async def _urgent(client: AsyncClient, number: int, began: float) -> tuple[AsyncJobHandle, float]:
    """One urgent job, sent at its own moment whatever became of the others; with its latency, ms."""
    await asyncio.sleep(began + (number + 0.5) * URGENT_EVERY_S - time.monotonic())
    job = HashJob(GENESIS, nonce_start=number * URGENT_NONCES, nonce_count=URGENT_NONCES)
    sent = time.monotonic()
    handle = await client.submit(
        job, origin=ORIGIN, objective_ms=OBJECTIVE_MS, second_usd=SECOND_USD, priority=10, deadline_s=DEADLINE_S
    )
    await handle.result()
    return handle, 1e3 * (time.monotonic() - sent)
