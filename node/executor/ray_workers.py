"""Slots as Ray actors that live as long as the node."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from node.engines.sha256_engines import fastest
from node.executor.dispatch import WorkerLost
from node.executor.slot import Slot, boottime_us

HIRE_S = 60.0
_SWITCH_S = (
    0.0005  # a stop takes the interpreter from a hashing thread several times; at Python's 5 ms each that adds up
)


class RaySlot(Slot):
    """A slot in a worker process: `run` has a thread of its own, everything else shares another."""

    def __init__(self, max_hashes_per_s: float) -> None:
        super().__init__(max_hashes_per_s, engine=fastest())
        sys.setswitchinterval(_SWITCH_S)

    def machine(self) -> tuple[str, int]:
        """Which boot of which machine this is, and its CLOCK_BOOTTIME."""
        return _boot_id(), self.clock_us()


_actors = ray.remote(num_cpus=0, max_restarts=0, concurrency_groups={"run": 1})(RaySlot)


async def hire(max_hashes_per_s: float) -> "RayWorker":
    """Start an actor and bring its clock in line with ours. Raises WorkerLost."""
    actor = _actors.remote(max_hashes_per_s)
    try:
        boot_id, theirs = await asyncio.wait_for(_answer(actor.machine.remote()), HIRE_S)
        if boot_id != _boot_id():
            # It was read before now, so their clock is ahead by at least this: a lease ends early rather than late.
            await _answer(actor.align.remote(theirs - boottime_us()))
    except TimeoutError:
        ray.kill(actor)
        raise WorkerLost(f"Ray started no worker within {HIRE_S:.0f} s") from None
    return RayWorker(actor)


class RayWorker:
    """`dispatch.Worker` over an actor. Calls to one actor's group arrive in order."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._run = actor.run.options(concurrency_group="run")

    async def run(self, call: int, until_us: int, tasks: bytes) -> bytes:
        ended: bytes = await _answer(self._run.remote(call, until_us, tasks))
        return ended

    def stop(self, call: int, epochs: Sequence[int]) -> None:
        self._actor.stop.remote(call, epochs)

    def lease(self, until_us: int) -> None:
        self._actor.lease.remote(until_us)

    async def progress(self) -> tuple[int, int] | None:
        running: tuple[int, int] | None = await _answer(self._actor.progress.remote())
        return running

    async def engine(self) -> str:
        """The name of what hashes there."""
        return str(await _answer(self._actor.engine.remote()))

    async def calibrate(self) -> float:
        """Hashes per second of a slot."""
        return float(await _answer(self._actor.calibrate.remote()))


async def _answer(reference: Any) -> Any:
    try:
        return await reference
    except RayError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise WorkerLost(f"a Ray worker was lost ({type(error).__name__}: {first_line})") from error


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
