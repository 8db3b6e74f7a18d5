"""One slot's worker: runs batches of tasks one after another, under a lease, and can be stopped from another thread."""

import time
from collections.abc import Callable, Iterable

from node.engines.sha256_engines import HASHLIB, Engine
from node.engines.sha256d import Scanned, Searcher
from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.port import Ended, Outcome


def boottime_us() -> int:
    """The clock of leases: it runs on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Slot:
    """`run` belongs to one thread; every other method may be called from another while it runs."""

    def __init__(
        self, max_hashes_per_s: float = 0.0, clock: Callable[[], int] = boottime_us, engine: Engine = HASHLIB
    ) -> None:
        self._searcher = Searcher(max_hashes_per_s, scan=engine.scan)
        self._engine = engine
        self._clock = clock
        self._ahead_us = 0
        self._until_us = 0
        self._stopped: dict[int, set[int]] = {}  # by call; a call that ended has no entry
        self._last_call = 0
        self._running: tuple[int, int] | None = None

    def engine(self) -> str:
        """The name of what hashes here."""
        return self._engine.name

    def calibrate(self) -> float:
        """Hashes per second, brake included."""
        return self._searcher.calibrate()

    def clock_us(self) -> int:
        """This machine's own CLOCK_BOOTTIME, for `align`."""
        return self._clock()

    def align(self, ahead_us: int) -> None:
        """This machine's clock is so much ahead of the node's, at least: a cluster's workers stand on other
        machines.
        """
        self._ahead_us = ahead_us

    def lease(self, until_us: int) -> None:
        """Work may run until this moment of the node's clock; an earlier one than known is late news."""
        self._until_us = max(self._until_us, until_us)

    def stop(self, call: int, epochs: Iterable[int]) -> None:
        """Stop these tasks of a call, which may still be on its way here: calls are numbered, rising."""
        if call > self._last_call:
            self._stopped.setdefault(call, set()).update(epochs)

    def progress(self) -> tuple[int, int] | None:
        """Epoch and units done of the task that runs."""
        return self._running

    def run(self, call: int, until_us: int, tasks: bytes) -> bytes:
        """Run a batch in order; columns in, columns out, one end for each task."""
        self.lease(until_us)
        stopped = self._stopped.setdefault(call, set())
        try:
            return columns.ended([self._run(task, stopped) for task in columns.read_tasks(tasks)])
        finally:
            self._last_call, self._running = call, None
            self._stopped.pop(call, None)

    def _run(self, task: QueuedTask, stopped: set[int]) -> Ended:
        epoch = task.epoch
        began = self._now()
        waited = max(0, began - task.handed_us)
        if epoch in stopped or began >= self._until_us:
            return Ended(epoch, "released", 0, 0, waited, (), "")

        def should_stop(covered: int) -> bool:
            self._running = (epoch, covered)
            return epoch in stopped or self._now() >= self._until_us

        try:
            scanned = self._searcher.search(
                task.header,
                int.from_bytes(task.target, "big"),
                task.nonce_start,
                task.nonce_count,
                task.find_all,
                should_stop,
            )
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is the end of its task, not of the worker
            return Ended(epoch, "failed", 0, self._now() - began, waited, (), f"{error}")
        outcome: Outcome = "done" if _complete(task, scanned) else "released"
        return Ended(epoch, outcome, scanned.covered, self._now() - began, waited, scanned.nonces, "")

    def _now(self) -> int:
        return self._clock() - self._ahead_us


def _complete(task: QueuedTask, scanned: Scanned) -> bool:
    return scanned.covered == task.nonce_count or (bool(scanned.nonces) and not task.find_all)
