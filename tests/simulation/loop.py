"""An event loop whose time is a number: it jumps to whatever is due next, so an hour passes in a blink.

Everything that waits on it is ordered by (moment, order of asking), so a run is a function of its seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class Stuck(AssertionError):
    """Everybody waits and nothing is due."""


class SimulatedLoop(asyncio.BaseEventLoop):
    def __init__(self, disk_s: Callable[[], float]) -> None:
        """`disk_s`: how long the next piece of work takes that a real loop would give to a thread, before and after."""
        super().__init__()
        self._now_s = 0.0
        self._disk_s = disk_s
        self._selector = self
        self._clock_resolution = 1e-9
        self.faults: list[BaseException] = []  # of tasks and callbacks that nobody waited for
        self.set_exception_handler(self._fault)

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> tuple[()]:
        """No sockets: time passes instead."""
        if timeout is None:
            raise Stuck("everybody waits and nothing is due")
        self._now_s += timeout
        return ()

    def _process_events(self, event_list: tuple[()]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """It is never asleep."""

    def _fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.faults.append(error)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As a thread would: some time passes, the work is done, some more passes, the answer is there.

        A process that dies in the first span has not done it, in the second it has and does not know.
        """
        answer: asyncio.Future[Any] = self.create_future()
        self.call_later(self._disk_s(), self._work, answer, func, args)
        return answer

    def _work(self, answer: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if answer.cancelled():
            return
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the caller's to judge
            self.call_later(self._disk_s(), _tell, answer, None, error)
        else:
            self.call_later(self._disk_s(), _tell, answer, result, None)


def _tell(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.cancelled():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
