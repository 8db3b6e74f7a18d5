"""The node's side of real work: a child knows Ray; this starts it, talks to it in columns, starts it again."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from pathlib import Path

from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.frames import Frames, Kind, OnFrame
from node.executor.port import Capability, Ended, HashTask, OnEnded, OnLost, StartFailed
from node.executor.settings import Settings
from node.executor.slot import boottime_us

START_S = 180.0  # a cold start on a loaded machine takes up to 30 s, and another node may be at it just now
CLOSE_S = 5.0
_START_AGAIN_S = (0.1, 1.0, 5.0, 30.0)


class RayExecutor:
    """See `port.Executor`. Ray's noise goes to `log`; `ray_address` names an existing cluster to use instead."""

    def __init__(
        self,
        slots: int,
        log: Path,
        *,
        on_ended: OnEnded,
        on_lost: OnLost,
        max_hashes_per_s: float = 0.0,
        ray_address: str = "",
    ) -> None:
        self._settings = Settings(slots, max_hashes_per_s, ray_address, parent=0, socket=-1)
        self._log = log
        self._on_ended, self._on_lost = on_ended, on_lost
        self._child: _Child | None = None
        self._restart: asyncio.Task[None] | None = None
        self._closed = False
        self._held: dict[int, int] = {}  # epochs the child has, and when they were handed in
        self._waiting: dict[int, QueuedTask] = {}  # while there is no child
        self._idle = asyncio.Event()  # nothing is held
        self._until_us = 0
        self._progress: dict[int, int] = {}

    async def start(self) -> Capability:
        return await self._start_child()

    def run(self, tasks: Sequence[HashTask]) -> None:
        now = boottime_us()
        rows, failed = columns.accept(tasks, now)
        if failed:
            asyncio.get_running_loop().call_soon(self._on_ended, failed)
        if self._child is None:
            self._waiting.update((row.epoch, row) for row in rows)
        elif rows:
            self._hand_over(self._child, rows)

    def stop(self, epochs: Sequence[int]) -> None:
        if self._child is not None:
            self._child.frames.send(Kind.STOP, columns.integers(epochs))
        if waiting := [task for epoch in epochs if (task := self._waiting.pop(epoch, None))]:
            asyncio.get_running_loop().call_soon(self._on_ended, [_released(t.epoch, t.handed_us, "") for t in waiting])

    def lease(self, until_boottime_us: int) -> None:
        self._until_us = max(self._until_us, until_boottime_us)
        if self._child is not None:
            self._child.frames.send(Kind.LEASE, columns.integers([self._until_us]))

    def progress(self) -> dict[int, int]:
        return dict(self._progress)

    async def close(self) -> None:
        self._closed = True
        if self._restart is not None:
            self._restart.cancel()
        child = self._child
        if child is not None and self._held:
            self.stop(list(self._held))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), CLOSE_S)
        self._child = None
        if child is not None:
            await child.close()
        self._lose("the executor was closed")

    async def _start_child(self) -> Capability:
        child = await _Child.spawn(self._settings, self._log, self._hear, self._child_gone)
        try:
            capability = await child.ready()
        except BaseException:
            await child.close()
            raise
        self._child = child
        self.lease(self._until_us)
        if self._waiting:
            self._hand_over(child, list(self._waiting.values()))
            self._waiting.clear()
        return capability

    def _hand_over(self, child: "_Child", rows: list[QueuedTask]) -> None:
        self._held.update((row.epoch, row.handed_us) for row in rows)
        self._idle.clear()
        child.frames.send(Kind.RUN, columns.tasks(rows))

    def _hear(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.ENDED:
            ended = columns.read_ended(body)
            for end in ended:
                self._held.pop(end.epoch, None)
                self._progress.pop(end.epoch, None)
            if not self._held:
                self._idle.set()
            self._on_ended(ended)
        elif kind is Kind.PROGRESS:
            known = columns.read_integers(body)
            half = len(known) // 2
            pairs = zip(known[:half], known[half:], strict=True)
            self._progress.update((epoch, units) for epoch, units in pairs if epoch in self._held)
        elif kind is Kind.LOST:
            self._on_lost(body.decode())

    def _child_gone(self) -> None:
        if self._closed or self._child is None:
            return
        gone, self._child = self._child, None
        sentence = f"the process that runs work on Ray ended and is started again; see {self._log}"
        self._lose(sentence)
        self._on_lost(sentence)
        self._restart = asyncio.get_running_loop().create_task(self._start_again(gone))

    async def _start_again(self, gone: "_Child") -> None:
        await gone.close()
        delays = iter(_START_AGAIN_S)
        delay = 0.0
        while self._child is None:
            await asyncio.sleep(delay := next(delays, delay))
            try:
                await self._start_child()
            except StartFailed as failed:
                self._lose(str(failed))
                self._on_lost(str(failed))

    def _lose(self, sentence: str) -> None:
        """Whatever was handed in and has not ended comes back with nothing done."""
        lost = [_released(epoch, handed_us, sentence) for epoch, handed_us in self._held.items()]
        lost += [_released(task.epoch, task.handed_us, sentence) for task in self._waiting.values()]
        for known in (self._held, self._waiting, self._progress):
            known.clear()
        if lost:
            self._on_ended(lost)


class _Child:
    """A child process and our end of the socket pair. After `ready`, frames and the child's death are passed on."""

    def __init__(self, process: Process, log: Path, on_frame: OnFrame, on_gone: Callable[[], None]) -> None:
        self._process, self._log = process, log
        self._on_frame, self._on_gone = on_frame, on_gone
        self._ready: asyncio.Future[Capability] = asyncio.get_running_loop().create_future()
        self.frames = Frames(self._hear, self._gone)

    @classmethod
    async def spawn(cls, settings: Settings, log: Path, on_frame: OnFrame, on_gone: Callable[[], None]) -> "_Child":
        """Start a child; `ready` says whether it came up. Raises StartFailed if its log cannot be written."""
        ours, theirs = socket.socketpair()
        settings = settings._replace(parent=os.getpid(), socket=theirs.fileno())
        with theirs:
            try:
                noise = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                ours.close()
                raise StartFailed(
                    f"{log} cannot be written ({error.strerror}): choose another data directory"
                ) from error
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "node.executor", settings.argument()),
                    stdin=DEVNULL,
                    stdout=noise,
                    stderr=noise,
                    pass_fds=(theirs.fileno(),),
                    process_group=0,  # Ctrl-C is for the node, which drains
                )
            finally:
                os.close(noise)
        child = cls(process, log, on_frame, on_gone)
        await asyncio.get_running_loop().create_unix_connection(lambda: child.frames, sock=ours)
        return child

    async def ready(self) -> Capability:
        """Raises StartFailed."""
        try:
            return await asyncio.wait_for(self._ready, START_S)
        except TimeoutError:
            raise StartFailed(f"work on Ray did not start within {START_S:.0f} s; see {self._log}") from None

    async def close(self) -> None:
        """Let it leave Ray in order; kill it if it does not, or if it has not joined yet. Idempotent."""
        if not self._ready.done() and self._process.returncode is None:
            self._process.kill()
        self.frames.close()
        try:
            await asyncio.wait_for(self._process.wait(), CLOSE_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _hear(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.READY and not self._ready.done():
            slots, hashes_per_s, engine, isolation, exposed = json.loads(body)
            self._ready.set_result(Capability(slots, hashes_per_s, engine, isolation, tuple(exposed)))
        elif kind is Kind.FAILED and not self._ready.done():
            self._ready.set_exception(StartFailed(f"{body.decode()}; see {self._log}"))
        else:
            self._on_frame(kind, body)

    def _gone(self) -> None:
        if self._ready.done():
            self._on_gone()
        else:
            self._ready.set_exception(
                StartFailed(f"the process that runs work on Ray ended at its start; see {self._log}")
            )


def _released(epoch: int, handed_us: int, error: str) -> Ended:
    return Ended(epoch, "released", 0, 0, max(0, boottime_us() - handed_us), (), error)
