"""An executor without Ray: threads in this process.

For tests, and where a whole Ray is not wanted; the queue, the batches and the slots are those of the real one. Python
lets one thread hash at a time and the node's own event loop waits its turn among them, so a node that serves people
uses `RayExecutor`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from node.engines.sha256_engines import HASHLIB, Engine
from node.executor import columns
from node.executor.dispatch import Dispatcher
from node.executor.port import Capability, Ended, HashTask, OnEnded, OnLost
from node.executor.slot import Slot, boottime_us


class InlineExecutor:
    """See `port.Executor`. Nothing here can be lost, so `on_lost` never hears anything."""

    def __init__(
        self,
        slots: int = 1,
        *,
        on_ended: OnEnded,
        on_lost: OnLost | None = None,
        max_hashes_per_s: float = 0.0,
        hashes_per_s: float | None = None,
        engine: Engine = HASHLIB,
        clock: Callable[[], int] = boottime_us,
    ) -> None:
        """`hashes_per_s`, if given, is believed instead of measured: a test need not wait for it."""
        self._workers = [_Thread(Slot(max_hashes_per_s, clock, engine)) for _ in range(slots)]
        self._hashes_per_s = hashes_per_s
        self._on_ended, self._clock = on_ended, clock
        self._dispatcher: Dispatcher | None = None
        self._progress: dict[int, int] = {}
        self._held = 0
        self._idle = asyncio.Event()

    async def start(self) -> Capability:
        self._loop = asyncio.get_running_loop()
        rate = self._hashes_per_s
        if rate is None:
            rate = await self._loop.run_in_executor(None, self._workers[0].slot.calibrate)
        self._dispatcher = Dispatcher(
            self._workers,
            rate,
            clock=self._clock,
            hire=_no_replacement,
            on_ended=lambda block: self._end(columns.read_ended(block)),
            on_progress=self._progress.update,
            on_lost=lambda sentence: None,
        )
        return Capability(len(self._workers), rate, self._workers[0].slot.engine(), "inline", ())

    def run(self, tasks: Sequence[HashTask]) -> None:
        rows, failed = columns.accept(tasks, self._clock())
        self._held += len(tasks)
        self._idle.clear()
        if failed:
            self._end(failed)
        self._started().run(rows)

    def stop(self, epochs: Sequence[int]) -> None:
        self._started().stop(epochs)

    def lease(self, until_boottime_us: int) -> None:
        self._started().lease(until_boottime_us)

    def progress(self) -> dict[int, int]:
        return dict(self._progress)

    async def close(self) -> None:
        if self._dispatcher:
            self._dispatcher.stop_all()
            if self._held:
                await self._idle.wait()
            self._dispatcher.cancel()
            self._dispatcher = None
        for worker in self._workers:
            worker.close()

    def _started(self) -> Dispatcher:
        if self._dispatcher is None:
            raise RuntimeError("the executor was not started or is closed")
        return self._dispatcher

    def _end(self, ended: list[Ended]) -> None:
        """On the next turn of the loop: who called `stop` must not be called back before it returns."""
        self._loop.call_soon(self._tell, ended)

    def _tell(self, ended: list[Ended]) -> None:
        for end in ended:
            self._progress.pop(end.epoch, None)
        self._held -= len(ended)
        if not self._held:
            self._idle.set()
        self._on_ended(ended)


async def _no_replacement() -> "_Thread":
    raise AssertionError("a thread of this process cannot be lost alone")


class _Thread:
    """A slot on a thread of its own."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.stop, self.lease = slot.stop, slot.lease
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="slot")

    async def run(self, call: int, until_us: int, tasks: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.slot.run, call, until_us, tasks)

    async def progress(self) -> tuple[int, int] | None:
        return self.slot.progress()

    def close(self) -> None:
        self._thread.shutdown()
