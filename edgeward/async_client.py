"""`AsyncClient`: everything a user may ask of a coordinator."""
# ruff: noqa: ASYNC109  a future's `timeout` is what every reader expects

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Self, TypeVar, Unpack, overload

from grpc import aio

from edgeward import endpoint, errors
from edgeward.connection import Connection, pauses
from edgeward.handles import AsyncJobHandle
from edgeward.jobs import HashJob
from edgeward.session import Session
from edgeward.settlements import ProgressCallback, Settlements
from edgeward.submission import SubmitOptions, submissions
from edgeward.views import CreatedToken, Job, Move, Node, Placement, Plan, Site, Strategy, Token, WhatIf, Why
from protos import cluster_pb2, jobs_pb2, types_pb2
from protos.credentials import Credentials, CredentialsError, secure_channel

J = TypeVar("J")
OpenChannel = Callable[[], aio.Channel]
TIMEOUT_S = 30.0


class Waited(NamedTuple, Generic[J]):
    done: list[J]
    not_done: list[J]


@dataclass(frozen=True, slots=True)
class _Link:
    """What belongs to one event loop and so is made inside it, at the first call."""

    connection: Connection
    settlements: Settlements
    session: Session


class AsyncClient:
    """A coordinator, for programs with an event loop. Use it in one loop, best as `async with`.

    `coordinator` is HOST:PORT and `credentials` a directory; left out, EDGEWARD_COORDINATOR and EDGEWARD_CREDENTIALS,
    the user's configuration and the coordinator of this machine are asked, in this order. `timeout` is how long, in
    seconds, a call may take and how long a coordinator that went away is waited for; one that was never reached is
    given up after three. `channel` opens a channel of your own instead, in the loop.

    Every verb raises Unreachable and Unauthorised; the constructor raises Unauthorised where there are no credentials.
    """

    def __init__(
        self,
        coordinator: str | None = None,
        *,
        credentials: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT_S,
        channel: OpenChannel | None = None,
    ) -> None:
        self._timeout_s = timeout
        self._link: _Link | None = None
        if channel is None:
            self.address, self._open_channel = _secured(coordinator, credentials)
        else:
            self.address, self._open_channel = coordinator or "the channel given", channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection. Accepted jobs go on."""
        if self._link is not None:
            link, self._link = self._link, None
            await link.session.close()
            await link.settlements.close()
            await link.connection.close()

    @property
    def _there(self) -> _Link:
        if self._link is None:
            connection = Connection(self.address, self._open_channel(), self._timeout_s)
            settlements = Settlements(connection)
            self._link = _Link(connection, settlements, Session(connection, settlements))
        return self._link

    @overload
    async def submit(self, job: HashJob, **options: Unpack[SubmitOptions]) -> AsyncJobHandle: ...
    @overload
    async def submit(self, job: Iterable[HashJob], **options: Unpack[SubmitOptions]) -> list[AsyncJobHandle]: ...
    async def submit(
        self, job: HashJob | Iterable[HashJob], **options: Unpack[SubmitOptions]
    ) -> AsyncJobHandle | list[AsyncJobHandle]:
        """Returns when the coordinator has accepted the work for good: a handle, or handles in the order of the list.

        A list goes in one round trip. Raises InvalidJob, KeyConflict or Refused when nothing of it was accepted; where
        only a part was rejected (searches for the first hit and for all are judged apart) its handles carry the error.
        """
        jobs = [job] if isinstance(job, HashJob) else list(job)
        parts = submissions(jobs, options)
        handles: list[AsyncJobHandle] = [None] * len(jobs)  # type: ignore[list-item]  # filled below
        for submission, positions in parts:
            key = submission.key
            for position in positions:
                handles[position] = AsyncJobHandle(self, key)

        def accept(answers: list[jobs_pb2.Submitted]) -> None:
            for (_, positions), answer in zip(parts, answers, strict=True):
                self._accept([handles[position] for position in positions], answer)

        if parts:
            await self._there.session.submit([submission for submission, _ in parts], accept, self._timeout_s)
        if handles and all(handle.number is None for handle in handles):
            raise await handles[0].exception() or errors.EdgewardError("The coordinator gave no answer.")
        return handles[0] if isinstance(job, HashJob) else handles

    def _accept(self, handles: Sequence[AsyncJobHandle], answer: jobs_pb2.Submitted) -> None:
        if answer.WhichOneof("outcome") == "accepted":
            first = int.from_bytes(answer.accepted.first_job_id, "big")
            for number, handle in enumerate(handles, first):
                handle.number = number
            # Under a repeated key the jobs may have ended before this session began, and no session tells that twice.
            self._there.settlements.follow(handles, on_session=not answer.accepted.repeated_key)
        else:
            rejection = _rejection(answer)
            for handle in handles:
                handle.reject(rejection)

    async def wait(
        self,
        jobs: Iterable[AsyncJobHandle],
        timeout: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> Waited[AsyncJobHandle]:
        """Returns `(done, not_done)` when all have ended or after `timeout` seconds. A failed job is done as well.

        `progress` is called now and then with the units done and their sum: nonces, for hashing.
        """
        waited = list(jobs)
        await self._there.settlements.wait(waited, timeout, progress)
        return Waited([job for job in waited if job.done()], [job for job in waited if not job.done()])

    async def as_completed(
        self, jobs: Iterable[AsyncJobHandle], timeout: float | None = None
    ) -> AsyncIterator[AsyncJobHandle]:
        """The jobs in the order in which they end. Raises TimedOut after `timeout` seconds."""
        async for batch in self.completed_batches(jobs, timeout):
            for job in batch:
                yield job

    def completed_batches(
        self, jobs: Iterable[AsyncJobHandle], timeout: float | None = None
    ) -> AsyncIterator[list[AsyncJobHandle]]:
        """As `as_completed`, as many at a time as have ended."""
        return self._there.settlements.arrivals(list(jobs), timeout)

    async def cancel(self, jobs: Iterable[AsyncJobHandle | str] = (), *, all: bool = False) -> int:
        """How many were still open. `all`: every open job of this client, or of everybody if it is an admin's."""
        request = jobs_pb2.CancelRequest(job_ids=[_id_bytes(job) for job in jobs], all=all)
        return (await self._there.connection.unary(self._there.connection.jobs.Cancel, request)).cancelled

    async def job(self, job_id: str) -> AsyncJobHandle:
        """A handle on a job that was submitted before, by anybody. Raises UnknownJob."""
        (message,) = await self._get([_id_bytes(job_id)])
        handle = AsyncJobHandle(self, message.key)
        handle.number = int.from_bytes(message.job_id, "big")
        nonces = tuple((found.nonce, found.hash) for found in message.hash.nonces)
        if message.state >= types_pb2.JOB_STATE_SUCCEEDED:
            handle.settle(message.state, message.hash.hashes_done, nonces, message.error)
        else:
            self._there.settlements.follow([handle], on_session=False)
        return handle

    async def describe(self, jobs: Iterable[AsyncJobHandle | str]) -> list[Job]:
        """Everything that the coordinator tells of these jobs, attempts included. Raises UnknownJob."""
        return [Job.of(message) for message in await self._get([_id_bytes(job) for job in jobs])]

    async def _get(self, ids: Sequence[bytes]) -> Sequence[types_pb2.Job]:
        request = jobs_pb2.GetJobsRequest(job_ids=ids)
        return (await self._there.connection.unary(self._there.connection.jobs.GetJobs, request)).jobs

    async def jobs(self, state: str | None = None, limit: int | None = None) -> list[Job]:
        """The newest first, without their attempts; 50 unless told otherwise."""
        request = jobs_pb2.ListJobsRequest(state=_state(state), limit=limit or 0)
        response = await self._there.connection.unary(self._there.connection.jobs.ListJobs, request)
        return [Job.of(message) for message in response.jobs]

    async def plan(self, job: HashJob, **options: Unpack[SubmitOptions]) -> Plan:
        """Decides as if `job` were submitted now, and runs nothing."""
        ((submission, _),) = submissions([job], options)
        request = jobs_pb2.PlanRequest(submission=submission)
        return Plan.of(await self._there.connection.unary(self._there.connection.jobs.Plan, request))

    async def why(self, job: AsyncJobHandle | str, node: str | None = None) -> Why:
        """Every placement of the job, with every node that was considered, or with `node` alone."""
        request = jobs_pb2.WhyRequest(job_id=_id_bytes(job), node=node or "")
        return Why.of(await self._there.connection.unary(self._there.connection.jobs.Why, request))

    async def placements(
        self,
        *,
        follow: bool = False,
        since: int | None = None,
        job: AsyncJobHandle | str | None = None,
        node: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Placement]:
        """The placement log: the last 50, those after number `since`, or, with `follow`, as they are made."""
        async for batch in self.placement_batches(follow=follow, since=since, job=job, node=node, limit=limit):
            for placement in batch:
                yield placement

    async def whatif(self, job: AsyncJobHandle | str) -> WhatIf:
        """What the other strategies would have done with a job, on what was known when it was placed."""
        connection = self._there.connection
        request = jobs_pb2.WhatIfRequest(job_id=_id_bytes(job))
        return WhatIf.of(await connection.unary(connection.jobs.WhatIf, request))

    async def placement_batches(
        self,
        *,
        follow: bool = False,
        since: int | None = None,
        job: AsyncJobHandle | str | None = None,
        node: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[list[Placement]]:
        """As `placements`, as many at a time as arrive together. A broken stream goes on where it stood."""
        connection = self._there.connection
        await connection.ready()
        outage, pause = connection.outage(), pauses()
        request = jobs_pb2.PlacementsRequest(
            since_seq=since, follow=follow, job_id=_id_bytes(job) if job else b"", node=node or "", limit=limit or 0
        )
        while True:
            try:
                call: aio.UnaryStreamCall[jobs_pb2.PlacementsRequest, jobs_pb2.PlacementsResponse]
                call = connection.jobs.Placements(request)
                async for response in call:
                    connection.contact()
                    if response.placements:
                        request.since_seq = response.placements[-1].seq
                        yield [Placement.of(message) for message in response.placements]
                if not follow:
                    return
                await asyncio.sleep(next(pause))  # the coordinator ended the stream: it is shutting down
            except aio.AioRpcError as error:
                await outage.rest(error)

    async def nodes(self) -> list[Node]:
        connection = self._there.connection
        response = await connection.unary(connection.cluster.ListNodes, cluster_pb2.ListNodesRequest())
        return sorted((Node.of(message) for message in response.nodes), key=lambda node: node.name)

    async def sites(self) -> list[Site]:
        connection = self._there.connection
        response = await connection.unary(connection.cluster.ListSites, cluster_pb2.ListSitesRequest())
        return sorted((Site.of(message) for message in response.sites), key=lambda site: site.name)

    async def strategies(self) -> list[Strategy]:
        connection = self._there.connection
        response = await connection.unary(connection.cluster.ListStrategies, cluster_pb2.ListStrategiesRequest())
        return sorted((Strategy.of(message) for message in response.strategies), key=lambda strategy: strategy.name)

    async def set_strategy(self, name: str) -> Strategy:
        """From now on jobs are placed by this strategy."""
        connection = self._there.connection
        request = cluster_pb2.SetStrategyRequest(name=name)
        return Strategy.of((await connection.unary(connection.cluster.SetStrategy, request)).strategy)

    async def drain(self, node: str, *, plan: bool = False) -> list[Move]:
        """The node takes no new work and gives back what it has. `plan`: only tell what would move."""
        return await self._order(cluster_pb2.OrderRequest(plan=plan, drain_node=node))

    async def resume(self, node: str) -> None:
        """A drained node takes work again."""
        await self._order(cluster_pb2.OrderRequest(resume_node=node))

    async def set_price(self, site: str, price_usd_per_kwh: float, *, plan: bool = False) -> list[Move]:
        """What a site's electricity costs from now on; outranks feeds and declarations."""
        price = cluster_pb2.SitePrice(site=site, price_usd_per_kwh=price_usd_per_kwh)
        return await self._order(cluster_pb2.OrderRequest(plan=plan, set_price=price))

    async def curtail(self, site: str, *, plan: bool = False) -> list[Move]:
        """The site stops drawing power for work now; its work goes elsewhere."""
        return await self._order(cluster_pb2.OrderRequest(plan=plan, curtail_site=site))

    async def release(self, site: str) -> None:
        """A curtailed site takes work again."""
        await self._order(cluster_pb2.OrderRequest(release_site=site))

    async def _order(self, request: cluster_pb2.OrderRequest) -> list[Move]:
        connection = self._there.connection
        response = await connection.unary(connection.cluster.Order, request)
        return [Move.of(message) for message in response.moves]

    async def create_token(
        self,
        role: str,
        *,
        name: str | None = None,
        ttl_s: int | None = None,
        uses: int = 1,
        bearer: bool = False,
    ) -> CreatedToken:
        """A join string for a `node`, `client`, `observer` or `admin`, or a bearer token for HTTP."""
        connection = self._there.connection
        request = cluster_pb2.CreateTokenRequest(role=role, name=name or "", ttl_s=ttl_s or 0, uses=uses, bearer=bearer)
        return CreatedToken.of(await connection.unary(connection.cluster.CreateToken, request, again=False))

    async def tokens(self) -> list[Token]:
        connection = self._there.connection
        response = await connection.unary(connection.cluster.ListTokens, cluster_pb2.ListTokensRequest())
        return [Token.of(message) for message in response.tokens]


def _secured(coordinator: str | None, directory: str | os.PathLike[str] | None) -> tuple[str, OpenChannel]:
    where = endpoint.find(coordinator, directory)
    try:
        credentials = Credentials.load(where.credentials)
    except CredentialsError as error:
        raise errors.Unauthorised(str(error)) from error
    address = where.address or credentials.address
    return address, lambda: secure_channel(credentials, address)


def _rejection(answer: jobs_pb2.Submitted) -> errors.EdgewardError:
    if answer.WhichOneof("outcome") == "refusal":
        refusal = answer.refusal
        survivors = [(each.rule, each.left) for each in refusal.survivors]
        return errors.Refused(refusal.reason, survivors, refusal.relaxation or None)
    if answer.invalid.kind == jobs_pb2.INVALID_KIND_KEY_CONFLICT:
        return errors.KeyConflict(answer.invalid.sentence)
    return errors.InvalidJob(answer.invalid.sentence)


def _id_bytes(job: AsyncJobHandle | str) -> bytes:
    if isinstance(job, AsyncJobHandle):
        return job.id_bytes
    try:
        return uuid.UUID(job).bytes
    except (ValueError, AttributeError):
        raise errors.UnknownJob(f"{job!r} is no job id: `edgeward jobs` lists them.") from None


def _state(name: str | None) -> types_pb2.JobState.ValueType:
    if name is None:
        return types_pb2.JOB_STATE_UNSPECIFIED
    states = {each.removeprefix("JOB_STATE_").lower(): each for each in types_pb2.JobState.keys()[1:]}
    if name not in states:
        raise errors.InvalidJob(f"{name!r} is no state of a job: it is one of {', '.join(states)}.")
    return types_pb2.JobState.Value(states[name])
