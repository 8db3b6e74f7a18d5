"""The queue in front of the workers: what waits, who gets it, in what batches. Knows neither Ray nor threads."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.port import Ended
from node.executor.waiting import Waiting

MOST_TASKS = 512  # of one call
MOST_CALLS = 3  # in flight on one worker: one runs, one is there, one is on its way
MOST_BATCH_US = 50_000  # of expected work in one call, unless a single task is longer
LEAST_BATCH_US = 1_000  # below this, spreading over the workers costs more than it gains
OVERHEAD_US = 6  # of a task beside its hashes
PROGRESS_S = 0.4
_HIRE_AGAIN_S = (0.2, 1.0, 5.0)


class WorkerLost(Exception):
    """A worker is gone with whatever it had; the message is a sentence."""


class Worker(Protocol):
    """A `Slot`, wherever it is."""

    async def run(self, call: int, until_us: int, tasks: bytes) -> bytes:
        """Runs calls in the order they were made. Raises WorkerLost."""

    def stop(self, call: int, epochs: Sequence[int]) -> None: ...

    def lease(self, until_us: int) -> None: ...

    async def progress(self) -> tuple[int, int] | None:
        """Raises WorkerLost."""


class _Lane:
    """A worker with what is in flight on it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.calls: dict[int, list[QueuedTask]] = {}
        self.expected_us = 0
        self.lost = False

    def has_room(self) -> bool:
        """Behind a long task nothing waits: another worker may be free sooner."""
        return not self.lost and len(self.calls) < MOST_CALLS and self.expected_us < MOST_BATCH_US


class Dispatcher:
    """First come first served within a priority, over several workers. `ended` takes columns.

    All methods are for the loop's thread.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        hashes_per_s: float,
        *,
        clock: Callable[[], int],
        hire: Callable[[], Awaitable[Worker]],
        on_ended: Callable[[bytes], None],
        on_progress: Callable[[dict[int, int]], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._lanes = [_Lane(worker) for worker in workers]
        self._us_per_hash = 1e6 / hashes_per_s
        self._clock, self._hire = clock, hire
        self._on_ended, self._on_progress, self._on_lost = on_ended, on_progress, on_lost
        self._queue = Waiting()
        self._queued_us = 0
        self._until_us = 0
        self._last_call = 0
        self._background: set[asyncio.Task[None]] = set()
        self._watching = False

    def run(self, tasks: Iterable[QueuedTask]) -> None:
        """Queue tasks and send on what there is room for."""
        for task in tasks:
            self._queue.add(task)
            self._queued_us += self._expected_us(task)
        self._pump()

    def stop(self, epochs: Iterable[int]) -> None:
        """Release what is queued, tell the workers about what is not."""
        wanted = set(epochs)
        self._release([task for epoch in wanted if (task := self._unqueue(epoch))])
        for lane in self._lanes:
            for call, tasks in lane.calls.items():
                if here := [task.epoch for task in tasks if task.epoch in wanted]:
                    lane.worker.stop(call, here)

    def lease(self, until_us: int) -> None:
        """Busy workers must hear of it now; the others hear with their next call."""
        self._until_us = max(self._until_us, until_us)
        for lane in self._lanes:
            if lane.calls and not lane.lost:
                lane.worker.lease(self._until_us)

    def stop_all(self) -> None:
        """Stop whatever is held."""
        self.stop(
            [
                *(task.epoch for task in self._queue),
                *(task.epoch for lane in self._lanes for tasks in lane.calls.values() for task in tasks),
            ]
        )

    def cancel(self) -> None:
        """End this dispatcher's own background work; nothing is heard of calls in flight any more."""
        for task in self._background:
            task.cancel()

    def _pump(self) -> None:
        if self._queue and self._clock() >= self._until_us:
            self._release(self._queue.clear())
            self._queued_us = 0
        while self._queue:
            lane = min(
                (lane for lane in self._lanes if lane.has_room()), key=lambda lane: lane.expected_us, default=None
            )
            if lane is None:
                return
            self._send(lane, self._take())

    def _take(self) -> list[QueuedTask]:
        """The next batch: short tasks together, as long as no other worker stands idle for it; a long one alone."""
        room = min(MOST_BATCH_US, max(LEAST_BATCH_US, self._queued_us // len(self._lanes)))
        taken: list[QueuedTask] = []
        while self._queue and len(taken) < MOST_TASKS:
            task = self._queue.first()
            expected = self._expected_us(task)
            if taken and expected > room:
                break
            room -= expected
            self._queued_us -= expected
            self._queue.remove(task.epoch)
            taken.append(task)
        return taken

    def _send(self, lane: _Lane, tasks: list[QueuedTask]) -> None:
        self._last_call += 1
        lane.calls[self._last_call] = tasks
        lane.expected_us += sum(map(self._expected_us, tasks))
        self._spawn(self._call(lane, self._last_call, tasks))
        if not self._watching:
            self._watching = True
            self._spawn(self._watch())

    async def _call(self, lane: _Lane, call: int, tasks: list[QueuedTask]) -> None:
        try:
            ended = await lane.worker.run(call, self._until_us, columns.tasks(tasks))
        except WorkerLost as lost:
            now = self._clock()
            ended = columns.ended([_released(task, now, str(lost)) for task in tasks])
            self._replace(lane, str(lost))
        del lane.calls[call]
        lane.expected_us -= sum(map(self._expected_us, tasks))
        self._pump()  # first the worker, then the news
        self._on_ended(ended)

    async def _watch(self) -> None:
        """While anything is in flight, ask how far it is, beginning with the second round: short tasks are over."""
        before: set[int] = set()
        while in_flight := {call for lane in self._lanes for call in lane.calls}:
            await asyncio.sleep(PROGRESS_S)
            asked = [lane.worker.progress() for lane in self._lanes if not lane.lost and before & lane.calls.keys()]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            known = dict(answer for answer in answers if isinstance(answer, tuple))
            if known:
                self._on_progress(known)
            before = in_flight
        self._watching = False

    def _replace(self, lane: _Lane, sentence: str) -> None:
        """Once for each loss, though every call in flight hears of it."""
        if lane.lost:
            return
        lane.lost = True
        self._on_lost(sentence)
        self._spawn(self._hire_again(lane))

    async def _hire_again(self, lane: _Lane) -> None:
        delays = iter(_HIRE_AGAIN_S)
        delay = 0.0
        while lane.lost:
            await asyncio.sleep(delay := next(delays, delay))
            try:
                worker = await self._hire()
            except WorkerLost as lost:
                self._on_lost(str(lost))
                continue
            lane.worker, lane.lost = worker, False
        self._pump()

    def _unqueue(self, epoch: int) -> QueuedTask | None:
        task = self._queue.remove(epoch)
        if task:
            self._queued_us -= self._expected_us(task)
        return task

    def _release(self, tasks: Sequence[QueuedTask]) -> None:
        if tasks:
            now = self._clock()
            self._on_ended(columns.ended([_released(task, now, "") for task in tasks]))

    def _expected_us(self, task: QueuedTask) -> int:
        return int(task.nonce_count * self._us_per_hash) + OVERHEAD_US

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _released(task: QueuedTask, now: int, error: str) -> Ended:
    return Ended(task.epoch, "released", 0, 0, max(0, now - task.handed_us), (), error)
