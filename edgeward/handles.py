"""`AsyncJobHandle`: a future for a submitted job, in the event loop of its client."""
# ruff: noqa: ASYNC109  a future's `timeout` is what every reader expects

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

from edgeward import errors
from edgeward.jobs import Found, HashFound
from edgeward.views import Job, JobReceipt, Why
from protos import types_pb2

PENDING = types_pb2.JOB_STATE_PENDING
SUCCEEDED = types_pb2.JOB_STATE_SUCCEEDED
ENDED_BADLY: dict[int, tuple[type[errors.EdgewardError], str]] = {
    types_pb2.JOB_STATE_FAILED: (errors.JobFailed, "failed"),
    types_pb2.JOB_STATE_CANCELLED: (errors.Cancelled, "was cancelled"),
    types_pb2.JOB_STATE_EXPIRED: (errors.Expired, "was not done by its deadline"),
    types_pb2.JOB_STATE_REFUSED: (errors.Refused, "was refused"),
}
HEARD_NOWHERE, HEARD_ON_SESSION, HEARD_ON_WATCH = range(3)


class Waiter(Protocol):
    def settled(self, job: AsyncJobHandle) -> None: ...

    def failed(self, error: errors.EdgewardError) -> None:
        """Nothing will be heard of the job: the coordinator is away, or does not know it."""


class Verbs(Protocol):
    """What a handle asks of its client."""

    async def wait(self, jobs: Iterable[AsyncJobHandle], timeout: float | None = None) -> object: ...
    async def cancel(self, jobs: Iterable[AsyncJobHandle]) -> int: ...
    async def describe(self, jobs: Iterable[AsyncJobHandle]) -> list[Job]: ...
    async def why(self, job: AsyncJobHandle, node: str | None = None) -> Why: ...


class AsyncJobHandle:
    """A job. Cheap: thousands are a normal number. To be used in the event loop of its client."""

    # ruff: noqa: ASYNC109  a future's `timeout` is what every reader expects

    __slots__ = ("_client", "_error", "_hashes_done", "_nonces", "_state", "_waiters", "heard", "key", "number")

    def __init__(self, client: Verbs, key: str) -> None:
        self.key = key
        self.number: int | None = None  # the id; None until accepted
        self.heard = HEARD_NOWHERE  # where news of it will come from
        self._client = client
        self._state: int = PENDING
        self._hashes_done = 0
        self._nonces: tuple[tuple[int, bytes], ...] = ()
        self._error: errors.EdgewardError | None = None
        self._waiters: list[Waiter] = []

    def __repr__(self) -> str:
        return f"<job {self.job_id if self.number is not None else self.key}: {_name(self._state)}>"

    @property
    def job_id(self) -> str:
        """Raises what `result` raises where the job was never accepted."""
        return str(uuid.UUID(bytes=self.id_bytes))

    @property
    def id_bytes(self) -> bytes:
        if self.number is None:
            raise self._error or errors.InvalidJob("This job has not been accepted.")
        return self.number.to_bytes(16, "big")

    def done(self) -> bool:
        return self._state >= SUCCEEDED

    async def result(self, timeout: float | None = None) -> HashFound:
        """What was found. Raises JobFailed, Expired, Cancelled or Refused as the job ended, TimedOut after `timeout`
        seconds (the job goes on), Unreachable when the coordinator stays away."""
        await self.exception(timeout)
        return self.outcome()

    def outcome(self) -> HashFound:
        """As `result`, of a job that is done."""
        if self._error is not None:
            raise self._error
        return HashFound([Found(nonce, digest.hex()) for nonce, digest in self._nonces], self._hashes_done)

    async def exception(self, timeout: float | None = None) -> errors.EdgewardError | None:
        """How the job ended, other than well; None if it succeeded. Raises TimedOut and Unreachable as `result`."""
        if not self.done():
            await self._client.wait([self], timeout)
            if not self.done():
                raise errors.TimedOut(f"Job {self.job_id} is not done after {timeout:g} s; it goes on.")
        return self._error

    async def cancel(self) -> bool:
        """Whether the job was still open."""
        return not self.done() and await self._client.cancel([self]) > 0

    def add_done_callback(self, callback: Callable[[AsyncJobHandle], object]) -> None:
        """Calls `callback` with this handle once the job has ended; at once if it has."""
        if self.done():
            callback(self)
        else:
            self.add_waiter(_Callback(callback))

    async def describe(self) -> Job:
        """Everything that the coordinator tells of the job, attempts included."""
        return (await self._client.describe([self]))[0]

    async def state(self) -> str:
        return _name(self._state) if self.done() else (await self.describe()).state

    async def receipt(self) -> JobReceipt | None:
        """What it cost so far; None until something was settled."""
        return (await self.describe()).receipt

    async def why(self, node: str | None = None) -> Why:
        return await self._client.why(self, node)

    def add_waiter(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)

    def remove_waiter(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def settle(self, state: int, hashes_done: int, nonces: tuple[tuple[int, bytes], ...], error: str) -> None:
        """The end of the job; a second one changes nothing."""
        if self.done():
            return
        self._hashes_done, self._nonces = hashes_done, nonces
        if state in ENDED_BADLY:
            kind, ended = ENDED_BADLY[state]
            self._error = kind(f"Job {self.job_id} {ended}{': ' + error if error else '.'}")
        self._end(state)

    def reject(self, error: errors.EdgewardError) -> None:
        """Never accepted, and why."""
        self._error = error
        self._end(types_pb2.JOB_STATE_REFUSED)

    def _end(self, state: int) -> None:
        self._state = state  # last, because threads look at it
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.settled(self)

    def lose(self, error: errors.EdgewardError) -> None:
        """Nothing more will be heard of it unless someone waits again."""
        self.heard = HEARD_NOWHERE
        for waiter in self._waiters:
            waiter.failed(error)


class _Callback:
    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[AsyncJobHandle], object]) -> None:
        self._callback = callback

    def settled(self, job: AsyncJobHandle) -> None:
        asyncio.get_running_loop().call_soon(self._callback, job)  # so that its exceptions stay its own

    def failed(self, error: errors.EdgewardError) -> None:
        """A callback waits on: it is for the end of the job alone."""


def _name(state: int) -> str:
    return types_pb2.JobState.Name(state).removeprefix("JOB_STATE_").lower()  # type: ignore[arg-type]
