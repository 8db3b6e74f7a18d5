"""The turn, live: drain what arrived, let the coordinator decide, write it all in one transaction, and only then act.

While a turn is being written the inputs of the next one gather, so group commit falls out of it: one write a turn,
however many submits and reports are in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from coordinator.coordinator import Coordinator
from coordinator.errors import CoordinatorError, StoreUnavailable
from coordinator.ports import Clock, Outlets, Store, Turn
from coordinator.restore import keyframe
from coordinator.store.frozen import digest, world_to_bytes

log = structlog.get_logger()
T = TypeVar("T")
Input = Callable[[Coordinator, float], Any]
Observer = Callable[[Turn, float, float], None]  # a turn; the seconds it took, and those of them for its write

TICK_S = 0.25  # the longest that leases and deadlines go unlooked at
TURNS_A_KEYFRAME = 256
RETRY_S = 0.5  # after a write that failed


class TurnLoop:
    """Owns the coordinator. Everything that changes it goes through `ask` or `tell`."""

    def __init__(
        self, rebuild: Callable[[float], Coordinator], store: Store, clock: Clock, outlets: Callable[[], Outlets]
    ) -> None:
        """`rebuild`: a coordinator from what the store has, at a moment; used at the start and after a failed write."""
        self._rebuild = rebuild
        self._store = store
        self._clock = clock
        self._outlets = outlets
        self._inputs: list[tuple[Input, asyncio.Future[Any] | None]] = []
        self._arrived = asyncio.Event()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._since_keyframe = 0
        self._stopping = False
        self.observers: list[Observer] = []  # called with every turn that was written, once it was acted on
        self.write_error = ""  # why the store cannot be written now
        self.coordinator = rebuild(clock.now())
        self._world = self.coordinator.world
        self._world_digest = ""
        self.coordinator.turn.world = self._world

    def ask(self, apply: Callable[[Coordinator, float], T]) -> asyncio.Future[T]:
        """Run `apply` in the next turn; the answer comes when that turn is durable. Errors come the same way."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._inputs.append((apply, future))
        self._arrived.set()
        return future

    def tell(self, apply: Input) -> None:
        """Run `apply` in the next turn; nobody waits."""
        self._inputs.append((apply, None))
        self._arrived.set()

    async def in_writer(self, work: Callable[[], T]) -> T:
        """Do something else with the store, between two turns' writes."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def stop(self) -> None:
        """End after the turn that is being made."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Turn after turn until `stop`."""
        while not self._stopping:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._arrived.wait()
            except TimeoutError:
                pass  # time alone is an input as well
            self._arrived.clear()
            await self._turn()
        for _, future in self._inputs:
            if future is not None and not future.done():
                future.set_exception(StoreUnavailable("the coordinator is stopping; try again"))
        self._writer.shutdown()

    async def _turn(self) -> None:
        began = time.perf_counter()
        inputs, self._inputs = self._inputs, []
        coordinator, now = self.coordinator, self._clock.now()
        answers: list[tuple[asyncio.Future[Any], Any, CoordinatorError | None]] = []
        for apply, future in inputs:
            answer, error = _tried(apply, coordinator, now)
            if future is not None:
                answers.append((future, answer, error))
        coordinator.tick(now)
        turn = coordinator.take_turn(now)
        decided = time.perf_counter()
        if turn.durable:
            try:
                await self._write(turn)
            except StoreUnavailable as failed:
                await self._failed(failed, answers)
                return
        written = time.perf_counter()
        self._outlets().acted(turn)
        for future, answer, error in answers:
            if not future.done():
                if error is None:
                    future.set_result(answer)
                else:
                    future.set_exception(error)
        if turn.durable:
            for observe in self.observers:
                observe(turn, time.perf_counter() - began, written - decided)
        if turn.dispatch and coordinator.queue:
            self._arrived.set()  # more may be placed at once

    async def _write(self, turn: Turn) -> None:
        if turn.world is not None:
            self._world_digest = digest(world_to_bytes(turn.world))
        turn.world_digest = self._world_digest
        self._since_keyframe += 1
        if self._since_keyframe >= TURNS_A_KEYFRAME:
            turn.keyframe = keyframe(self.coordinator)
            self._since_keyframe = 0
        await asyncio.get_running_loop().run_in_executor(self._writer, self._store.commit, turn)
        if self.write_error:
            log.info("store_writable_again")
            self.write_error = ""

    async def _failed(
        self, failed: StoreUnavailable, answers: list[tuple[asyncio.Future[Any], Any, CoordinatorError | None]]
    ) -> None:
        """Nothing of the turn counts: nobody gets an answer but the failure, and the working copy is made anew."""
        if not self.write_error:
            log.error("store_not_writable", reason=str(failed))
        self.write_error = str(failed)
        for future, _, _ in answers:
            if not future.done():
                future.set_exception(failed)
        while not self._stopping:
            try:
                self.coordinator = self._rebuild(self._clock.now())  # at once: nobody may read what does not count
            except StoreUnavailable as unreadable:
                self.write_error = str(unreadable)
                await asyncio.sleep(RETRY_S)
                continue
            self.coordinator.turn.world = self._world
            self._outlets().reset()
            await asyncio.sleep(RETRY_S)
            return


def _tried(apply: Input, coordinator: Coordinator, now: float) -> tuple[Any, CoordinatorError | None]:
    """The answer, or the refusal. Any other error is a surprise and ends the process: the store is whole."""
    try:
        return apply(coordinator, now), None
    except CoordinatorError as refused:
        return None, refused
