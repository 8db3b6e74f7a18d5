"""The open jobs of a client, and how it hears that they ended.

A job accepted on the live session is settled there. Everything else (accepted on a session that was lost, under a key
that was used before, or named by its id) is heard of by a Watch. Hearing of the same end twice changes nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from grpc import aio

from edgeward.connection import Connection, pauses
from edgeward.errors import EdgewardError, TimedOut
from edgeward.handles import HEARD_NOWHERE, HEARD_ON_SESSION, HEARD_ON_WATCH, AsyncJobHandle
from protos import jobs_pb2

LOW_64_BITS = 2**64 - 1
IDS_PER_WATCH = 10_000
ProgressCallback = Callable[[int, int], object]


class Settlements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open: dict[int, list[AsyncJobHandle]] = {}  # by the low 8 bytes of the id; two handles may be one job
        self._watches: set[asyncio.Task[None]] = set()

    def follow(self, jobs: Sequence[AsyncJobHandle], on_session: bool) -> None:
        """From now on these accepted jobs are settled when the coordinator says so."""
        for job in jobs:
            assert job.number is not None
            self._open.setdefault(job.number & LOW_64_BITS, []).append(job)
            job.heard = HEARD_ON_SESSION if on_session else HEARD_NOWHERE
        if not on_session:
            self._watch(jobs)

    def session_lost(self) -> None:
        self._watch([job for jobs in self._open.values() for job in jobs if job.heard == HEARD_ON_SESSION])

    def apply(self, settled: jobs_pb2.Settled) -> None:
        found = {each.position: tuple((hit.nonce, hit.hash) for hit in each.nonces) for each in settled.found}
        errors = {each.position: each.error for each in settled.errors}
        columns = zip(settled.numbers, settled.states, settled.hashes_done, strict=True)
        for position, (number, state, hashes_done) in enumerate(columns):
            for job in self._open.pop(number, ()):
                job.settle(state, hashes_done, found.get(position, ()), errors.get(position, ""))

    async def wait(
        self, jobs: Sequence[AsyncJobHandle], timeout_s: float | None, progress: ProgressCallback | None
    ) -> None:
        """Returns when all of `jobs` are done or `timeout_s` has passed. Raises when nothing more will be heard."""
        still_open = [job for job in jobs if not job.done()]
        if not still_open:
            return
        countdown = _Countdown(len(still_open))
        for job in still_open:
            job.add_waiter(countdown)
        self._watch([job for job in still_open if job.heard == HEARD_NOWHERE])
        reporting = asyncio.create_task(self._report(still_open, progress)) if progress else None
        try:
            ended, _ = await asyncio.wait([countdown.over], timeout=timeout_s)
            for each in ended:
                each.result()  # raises what made the wait fail
        finally:
            if reporting:
                reporting.cancel()
            for job in still_open:
                job.remove_waiter(countdown)

    async def arrivals(
        self, jobs: Sequence[AsyncJobHandle], timeout_s: float | None
    ) -> AsyncIterator[list[AsyncJobHandle]]:
        """The jobs in the order in which they end, as many at a time as have ended."""
        arrived = _Arrivals([job for job in jobs if job.done()])
        still_open = [job for job in jobs if not job.done()]
        for job in still_open:
            job.add_waiter(arrived)
        self._watch([job for job in still_open if job.heard == HEARD_NOWHERE])
        left, clock = len(jobs), asyncio.get_running_loop().time
        end = None if timeout_s is None else clock() + timeout_s
        try:
            while left:
                batch = await arrived.take(None if end is None else max(0.0, end - clock()))
                if not batch:
                    raise TimedOut(f"{left} of {len(jobs)} jobs are not done after {timeout_s:g} s; they go on.")
                left -= len(batch)
                yield batch
        finally:
            for job in still_open:
                job.remove_waiter(arrived)

    async def close(self) -> None:
        watches = list(self._watches)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    def _watch(self, jobs: Sequence[AsyncJobHandle]) -> None:
        for at in range(0, len(jobs), IDS_PER_WATCH):
            part = jobs[at : at + IDS_PER_WATCH]
            for job in part:
                job.heard = HEARD_ON_WATCH
            task = asyncio.create_task(self._watch_until_known(part))
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)

    async def _watch_until_known(self, jobs: Sequence[AsyncJobHandle]) -> None:
        try:
            await self._listen(jobs, None)
        except EdgewardError as error:
            for job in jobs:
                if not job.done():
                    job.lose(error)

    async def _report(self, jobs: Sequence[AsyncJobHandle], progress: ProgressCallback) -> None:
        with contextlib.suppress(EdgewardError):  # the wait itself meets the same error and tells it
            await self._listen(jobs, progress)

    async def _listen(self, jobs: Sequence[AsyncJobHandle], progress: ProgressCallback | None) -> None:
        """Watches `jobs` until all are done, through broken streams; `progress` hears the units done, and their sum."""
        pause = pauses()

        async def once() -> None:
            while still_open := [job for job in jobs if not job.done()]:
                request = jobs_pb2.WatchRequest(job_ids=[job.id_bytes for job in still_open], progress=bool(progress))
                call: aio.UnaryStreamCall[jobs_pb2.WatchRequest, jobs_pb2.WatchResponse]
                call = self._connection.jobs.Watch(request)
                async for response in call:
                    self._connection.contact()
                    self.apply(response.settled)
                    if progress and response.HasField("progress"):
                        progress(sum(response.progress.units_done), sum(response.progress.units))
                if not all(job.done() for job in still_open):  # the coordinator ended the stream: it is shutting down
                    await asyncio.sleep(next(pause))

        await self._connection.persist(once)


class _Countdown:
    def __init__(self, left: int) -> None:
        self._left = left
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settled(self, job: AsyncJobHandle) -> None:
        self._left -= 1
        if not self._left and not self.over.done():
            self.over.set_result(None)

    def failed(self, error: EdgewardError) -> None:
        if not self.over.done():
            self.over.set_exception(error)


class _Arrivals:
    def __init__(self, arrived: list[AsyncJobHandle]) -> None:
        self._arrived = arrived
        self._error: EdgewardError | None = None
        self._news = asyncio.Event()
        if arrived:
            self._news.set()

    def settled(self, job: AsyncJobHandle) -> None:
        self._arrived.append(job)
        self._news.set()

    def failed(self, error: EdgewardError) -> None:
        self._error = error
        self._news.set()

    async def take(self, timeout_s: float | None) -> list[AsyncJobHandle]:
        """What has arrived since the last time, at least one; nothing after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout_s)
        self._news.clear()
        batch, self._arrived = self._arrived, []
        if not batch and self._error:
            raise self._error
        return batch
