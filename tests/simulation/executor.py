"""An executor that takes simulated time and finds real nonces."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from node.engines.sha256d import Scanned, scan
from node.executor.port import Capability, Ended, HashTask, OnEnded, Outcome
from tests.simulation.history import History, Mischief, Run


class SimulatedExecutor:
    """As the port promises: nothing runs without a lease, and every task comes back once."""

    def __init__(
        self,
        node: str,
        slots: int,
        hashes_per_s: float,
        on_ended: OnEnded,
        history: History,
        clock: Callable[[], int],
        lies: Callable[[], bool],
    ) -> None:
        """`clock`: the node's own, microseconds. `lies`: whether what ends now claims a nonce that is none."""
        self._node, self._slots, self._rate = node, slots, hashes_per_s
        self._on_ended, self._history, self._clock, self._lies = on_ended, history, clock, lies
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[HashTask, int]] = deque()  # with when it was handed in
        self._running: dict[int, _Running] = {}
        self._until_us = 0
        self._lease_timer: asyncio.TimerHandle | None = None
        self._dead = False

    async def start(self) -> Capability:
        return Capability(self._slots, self._rate, "simulated", "inline", ())

    def run(self, tasks: Sequence[HashTask]) -> None:
        now_us = self._clock()
        if now_us >= self._until_us:
            sentence = f"work was started {(now_us - self._until_us) / 1e6:.3f} s after the lease"
            self._history.mischief.append(Mischief(self._loop.time(), self._node, sentence))
        self._queue.extend((task, now_us) for task in tasks)
        self._fill()

    def stop(self, epochs: Sequence[int]) -> None:
        wanted = set(epochs)
        ended = [_released(task) for task, _ in self._queue if task.epoch in wanted]
        self._queue = deque(one for one in self._queue if one[0].epoch not in wanted)
        ended += [self._take_out(epoch, "released") for epoch in epochs if epoch in self._running]
        self._tell(ended)
        self._fill()

    def lease(self, until_boottime_us: int) -> None:
        self._until_us = max(self._until_us, until_boottime_us)
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        self._lease_timer = self._loop.call_later(max(0, self._until_us - self._clock()) / 1e6, self._lapse)

    def progress(self) -> dict[int, int]:
        return {epoch: self._covered(one) for epoch, one in self._running.items()}

    async def close(self) -> None:
        self.stop([task.epoch for task, _ in self._queue] + list(self._running))

    def die(self) -> None:
        """With its process: nothing is told any more."""
        self._dead = True
        self._queue.clear()
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        for epoch in list(self._running):
            self._take_out(epoch, "released")

    def _lapse(self) -> None:
        self.stop([task.epoch for task, _ in self._queue] + list(self._running))

    def _fill(self) -> None:
        while self._queue and len(self._running) < self._slots and self._clock() < self._until_us:
            task, handed_us = self._queue.popleft()
            found = _search(task, task.nonce_count)
            timer = self._loop.call_later(found.covered / self._rate, self._finish, task.epoch)
            self._running[task.epoch] = _Running(
                task, handed_us, self._clock(), self._loop.time(), found.covered, timer
            )

    def _finish(self, epoch: int) -> None:
        self._tell([self._take_out(epoch, "done")])
        self._fill()

    def _covered(self, one: _Running) -> int:
        return min(int((self._loop.time() - one.began_s) * self._rate), one.covers)

    def _take_out(self, epoch: int, outcome: Outcome) -> Ended:
        one = self._running.pop(epoch)
        one.timer.cancel()
        task, now_s = one.task, self._loop.time()
        run = Run(self._node, epoch, task.header, task.nonce_start, task.nonce_count, one.began_s, now_s)
        self._history.runs.append(run)
        covered = one.covers if outcome == "done" else self._covered(one)
        nonces = _search(task, covered).nonces
        if covered and self._lies():
            nonces = (*nonces, task.nonce_start + covered - 1)
        ran_us, waited_us = self._clock() - one.began_us, one.began_us - one.handed_us
        return Ended(epoch, outcome, covered, ran_us, waited_us, tuple(sorted(set(nonces))), "")

    def _tell(self, ended: list[Ended]) -> None:
        if ended and not self._dead:
            self._on_ended(ended)


class _Running:
    __slots__ = ("began_s", "began_us", "covers", "handed_us", "task", "timer")

    def __init__(
        self, task: HashTask, handed_us: int, began_us: int, began_s: float, covers: int, timer: asyncio.TimerHandle
    ) -> None:
        self.task, self.handed_us, self.began_us, self.began_s = task, handed_us, began_us, began_s
        self.covers, self.timer = covers, timer  # units after which it ends by itself


def _search(task: HashTask, units: int) -> Scanned:
    """The first `units` of the task."""
    return scan(task.header, int.from_bytes(task.target, "big"), task.nonce_start, units, task.find_all)


def _released(task: HashTask) -> Ended:
    return Ended(task.epoch, "released", 0, 0, 0, (), "")
