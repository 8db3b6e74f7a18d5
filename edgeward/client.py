"""`Client`: a coordinator, for programs without an event loop. It runs an `AsyncClient` on a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, Self, TypeVar, Unpack, overload

from edgeward import errors
from edgeward.async_client import TIMEOUT_S, AsyncClient, OpenChannel, Waited
from edgeward.handles import AsyncJobHandle
from edgeward.jobs import HashFound, HashJob
from edgeward.settlements import ProgressCallback
from edgeward.submission import SubmitOptions
from edgeward.views import (
    CreatedToken,
    Job,
    JobReceipt,
    Move,
    Node,
    Placement,
    Plan,
    Site,
    Strategy,
    Token,
    WhatIf,
    Why,
)

T = TypeVar("T")
GOODBYE_S = 0.2


class Client:
    """As `AsyncClient`, verb by verb, blocking. Safe to use from any thread, best as `with`.

    Where an argument or a result is not explained here, `AsyncClient` has the promise.
    """

    def __init__(
        self,
        coordinator: str | None = None,
        *,
        credentials: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT_S,
        channel: OpenChannel | None = None,
    ) -> None:
        self._client = AsyncClient(coordinator, credentials=credentials, timeout=timeout, channel=channel)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edgeward-client", daemon=True)
        self._callbacks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgeward-callbacks")
        self._thread.start()
        self._finish = weakref.finalize(self, _finish, self._client, self._loop, self._thread, self._callbacks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection. Accepted jobs go on."""
        self._finish()

    @property
    def address(self) -> str:
        return self._client.address

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, run on the client's loop; Ctrl-C here cancels it there."""
        if not self._finish.alive:
            coroutine.close()
            raise errors.EdgewardError("This client is closed: make another.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise errors.EdgewardError("This client was closed while it was waiting; accepted jobs go on.") from None
        except BaseException:
            future.cancel()
            raise

    def when_done(self, job: AsyncJobHandle, callback: Callable[[], object]) -> None:
        """Calls `callback` on a thread where it may use this client, once `job` has ended."""

        def hand_over(_: AsyncJobHandle) -> None:
            self._callbacks.submit(callback)

        self._loop.call_soon_threadsafe(job.add_done_callback, hand_over)

    @overload
    def submit(self, job: HashJob, **options: Unpack[SubmitOptions]) -> JobHandle: ...
    @overload
    def submit(self, job: Iterable[HashJob], **options: Unpack[SubmitOptions]) -> list[JobHandle]: ...
    def submit(self, job: HashJob | Iterable[HashJob], **options: Unpack[SubmitOptions]) -> JobHandle | list[JobHandle]:
        """A handle, or handles in the order of the list; accepted for good."""
        if isinstance(job, HashJob):
            return JobHandle(self, self.run(self._client.submit(job, **options)))
        return [JobHandle(self, handle) for handle in self.run(self._client.submit(job, **options))]

    def wait(
        self, jobs: Iterable[JobHandle], timeout: float | None = None, progress: ProgressCallback | None = None
    ) -> Waited[JobHandle]:
        """As `AsyncClient.wait`; `progress` is called on the client's thread and must not block."""
        waited = list(jobs)
        self.run(self._client.wait([job.inner for job in waited], timeout, progress))
        return Waited([job for job in waited if job.done()], [job for job in waited if not job.done()])

    def as_completed(self, jobs: Iterable[JobHandle], timeout: float | None = None) -> Iterator[JobHandle]:
        handles = {job.inner: job for job in jobs}
        for inner in self._flatten(lambda: self._client.completed_batches(handles, timeout)):
            yield handles[inner]

    def cancel(self, jobs: Iterable[JobHandle | str] = (), *, all: bool = False) -> int:
        return self.run(self._client.cancel([_inner(job) for job in jobs], all=all))

    def job(self, job_id: str) -> JobHandle:
        return JobHandle(self, self.run(self._client.job(job_id)))

    def describe(self, jobs: Iterable[JobHandle | str]) -> list[Job]:
        return self.run(self._client.describe([_inner(job) for job in jobs]))

    def jobs(self, state: str | None = None, limit: int | None = None) -> list[Job]:
        return self.run(self._client.jobs(state, limit))

    def plan(self, job: HashJob, **options: Unpack[SubmitOptions]) -> Plan:
        return self.run(self._client.plan(job, **options))

    def why(self, job: JobHandle | str, node: str | None = None) -> Why:
        return self.run(self._client.why(_inner(job), node))

    def placements(
        self,
        *,
        follow: bool = False,
        since: int | None = None,
        job: JobHandle | str | None = None,
        node: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Placement]:
        of_job = None if job is None else _inner(job)
        return self._flatten(
            lambda: self._client.placement_batches(follow=follow, since=since, job=of_job, node=node, limit=limit)
        )

    def nodes(self) -> list[Node]:
        return self.run(self._client.nodes())

    def sites(self) -> list[Site]:
        return self.run(self._client.sites())

    def strategies(self) -> list[Strategy]:
        return self.run(self._client.strategies())

    def set_strategy(self, name: str) -> Strategy:
        return self.run(self._client.set_strategy(name))

    def whatif(self, job: JobHandle | str) -> WhatIf:
        """As `AsyncClient.whatif`."""
        return self.run(self._client.whatif(_inner(job)))

    def drain(self, node: str, *, plan: bool = False) -> list[Move]:
        return self.run(self._client.drain(node, plan=plan))

    def resume(self, node: str) -> None:
        self.run(self._client.resume(node))

    def set_price(self, site: str, price_usd_per_kwh: float, *, plan: bool = False) -> list[Move]:
        return self.run(self._client.set_price(site, price_usd_per_kwh, plan=plan))

    def curtail(self, site: str, *, plan: bool = False) -> list[Move]:
        return self.run(self._client.curtail(site, plan=plan))

    def release(self, site: str) -> None:
        self.run(self._client.release(site))

    def create_token(
        self, role: str, *, name: str | None = None, ttl_s: int | None = None, uses: int = 1, bearer: bool = False
    ) -> CreatedToken:
        return self.run(self._client.create_token(role, name=name, ttl_s=ttl_s, uses=uses, bearer=bearer))

    def tokens(self) -> list[Token]:
        return self.run(self._client.tokens())

    def _flatten(self, open_batches: Callable[[], AsyncIterator[list[T]]]) -> Iterator[T]:
        """One hop between the threads for a batch, not for an item."""
        batches: AsyncIterator[list[T]] | None = None
        taking: asyncio.Task[object] | None = None

        async def take() -> list[T]:
            nonlocal batches, taking
            batches, taking = batches or open_batches(), asyncio.current_task()
            return await anext(batches, [])

        async def leave() -> None:
            if taking is not None and not taking.done():  # the caller was interrupted while it waited
                taking.cancel()
                await asyncio.wait([taking])
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

        try:
            while batch := self.run(take()):
                yield from batch
        finally:
            if self._finish.alive:
                self.run(leave())


class JobHandle:
    """A job, as `Client` gives it. Safe to use from any thread."""

    __slots__ = ("_client", "inner")

    def __init__(self, client: Client, job: AsyncJobHandle) -> None:
        self._client = client
        self.inner = job

    def __repr__(self) -> str:
        return repr(self.inner)

    def __hash__(self) -> int:
        return hash(self.inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobHandle) and self.inner is other.inner

    @property
    def job_id(self) -> str:
        return self.inner.job_id

    @property
    def key(self) -> str:
        return self.inner.key

    @property
    def state(self) -> str:
        """Asks the coordinator while the job is open."""
        return self._client.run(self.inner.state())

    @property
    def receipt(self) -> JobReceipt | None:
        """What it cost so far, asked at every use; None until something was settled."""
        return self._client.run(self.inner.receipt())

    def done(self) -> bool:
        return self.inner.done()

    def result(self, timeout: float | None = None) -> HashFound:
        """As `AsyncJobHandle.result`."""
        if self.inner.done():  # then there is nothing to wait for on the client's thread
            return self.inner.outcome()
        return self._client.run(self.inner.result(timeout))

    def exception(self, timeout: float | None = None) -> errors.EdgewardError | None:
        """As `AsyncJobHandle.exception`."""
        return self._client.run(self.inner.exception(timeout))

    def cancel(self) -> bool:
        return self._client.run(self.inner.cancel())

    def add_done_callback(self, callback: Callable[[JobHandle], object]) -> None:
        """Calls `callback` with this handle once the job has ended, on a thread of the client where it may call the
        client again."""
        self._client.when_done(self.inner, lambda: callback(self))

    def describe(self) -> Job:
        return self._client.run(self.inner.describe())

    def why(self, node: str | None = None) -> Why:
        return self._client.run(self.inner.why(node))


def _inner(job: JobHandle | str) -> AsyncJobHandle | str:
    return job.inner if isinstance(job, JobHandle) else job


def _finish(
    client: AsyncClient, loop: asyncio.AbstractEventLoop, thread: threading.Thread, callbacks: ThreadPoolExecutor
) -> None:
    """Runs once: at close, when the client is forgotten, or at the end of the program."""
    asyncio.run_coroutine_threadsafe(_end(client), loop).add_done_callback(
        lambda _: loop.call_soon_threadsafe(loop.stop)
    )
    if threading.current_thread() is not thread:  # it may be forgotten there
        thread.join()
        loop.close()
    callbacks.shutdown(wait=False)


async def _end(client: AsyncClient) -> None:
    """Leaves no task behind, gRPC's own included: the loop stops next."""
    await client.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=GOODBYE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
