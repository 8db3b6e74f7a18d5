"""The clients' service: submit, watch, ask. A client sees its own jobs; observers and admins see all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from coordinator import identity, planning
from coordinator import live as living
from coordinator.convert import request_from
from coordinator.coordinator import Admitted, Coordinator
from coordinator.errors import CoordinatorError, InvalidSubmission, KeyConflict, UnknownName
from coordinator.explaining import Explained
from coordinator.live import Live, settled_message
from coordinator.ports import Store
from coordinator.reading import PLACEMENTS_SHOWN, Follower, Reading
from coordinator.rpc.gate import current_identity
from coordinator.security.roles import Role
from coordinator.turn import TurnLoop
from coordinator.views import Views, considered_message, refusal_message
from coordinator.whatif import Outcome
from placement import strategy
from placement.feasible import Survey
from placement.model import JobState
from protos import jobs_pb2 as pb
from protos import jobs_pb2_grpc, types_pb2

Context = grpc.aio.ServicerContext[Any, Any]
PROGRESS_S = 0.5
A_MESSAGE = 256  # placements in one message of the stream


class JobsService(jobs_pb2_grpc.JobsServicer):
    """Jobs: what a client may ask."""

    def __init__(self, turns: TurnLoop, store: Store, live: Live, now: Callable[[], float]) -> None:
        self._turns = turns
        self._store = store
        self._live = live
        self._now = now

    @property
    def _coordinator(self) -> Coordinator:
        return self._turns.coordinator

    def _reading(self) -> Reading:
        return Reading(self._coordinator, self._store)

    # -- submitting

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        return await self._submit(request, None)

    async def _submit(self, request: pb.SubmitRequest, watch: living.Watch | None) -> pb.SubmitResponse:
        """All submissions of a request in one turn; each is answered by itself."""
        client = current_identity().name
        asked = [self._submit_one(submission, client, watch) for submission in request.submissions]
        return pb.SubmitResponse(submitted=await asyncio.gather(*asked))

    async def _submit_one(self, message: types_pb2.Submission, client: str, watch: living.Watch | None) -> pb.Submitted:
        def apply(coordinator: Coordinator, now: float) -> Admitted | Survey:
            request = request_from(message, client)
            if message.plan_id:
                outdated = planning.outdated(coordinator, request, message.plan_id, now)
                if outdated is not None:
                    return outdated
            admitted = coordinator.submit(request, now, self._store.submission_of_key(client, request.key))
            if watch is not None and isinstance(admitted, Admitted):
                self._live.watch(watch, _numbers(admitted))
            return admitted

        try:
            admitted = await self._turns.ask(apply)
        except InvalidSubmission as wrong:
            return _invalid(pb.INVALID_KIND_JOB, wrong)
        except UnknownName as wrong:
            return _invalid(pb.INVALID_KIND_JOB, wrong)
        except KeyConflict as wrong:
            return _invalid(pb.INVALID_KIND_KEY_CONFLICT, wrong)
        if isinstance(admitted, Survey):
            return pb.Submitted(refusal=refusal_message(admitted))
        submission = admitted.submission
        if watch is not None and admitted.repeated:
            await self._tell_settled(watch, list(_numbers(admitted)))
        first = identity.key(submission.first, submission.submitted_us, self._coordinator.salt)
        return pb.Submitted(
            accepted=pb.Accepted(first_job_id=first, count=submission.count, repeated_key=admitted.repeated)
        )

    async def _tell_settled(self, watch: living.Watch, numbers: Sequence[int]) -> None:
        """Jobs that may have been settled before somebody watched them."""
        absent = [number for number in numbers if number not in self._coordinator.jobs]
        settled = await asyncio.to_thread(self._store.settled, absent) if absent else []
        if settled:
            watch.outbox.put(settled_message(settled))
            watch.numbers.difference_update(one.job for one in settled)

    async def Session(
        self, requests: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        watch = living.Watch()
        answering: set[asyncio.Task[None]] = set()
        failed: list[Exception] = []

        async def answer(request: pb.SessionRequest) -> None:
            try:
                submitted = await self._submit(request.submit, watch)
                watch.outbox.put(pb.SessionResponse(request=request.request, submitted=submitted))
            except CoordinatorError as error:  # the store, or too much open: the client dials again and repeats itself
                failed.append(error)
                watch.outbox.close()

        async def read() -> None:
            try:
                async for request in requests:
                    task = asyncio.ensure_future(answer(request))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                if answering:
                    await asyncio.wait(answering)
            except Exception as error:  # noqa: BLE001 - raised again where the stream is answered
                failed.append(error)
            finally:
                if failed or not watch.numbers:
                    watch.outbox.close()

        reader = asyncio.ensure_future(read())
        try:
            while (message := await watch.outbox.get()) is not None:
                if isinstance(message, pb.Settled):
                    yield pb.SessionResponse(settled=message)
                else:
                    yield message  # type: ignore[misc]
                if reader.done() and not watch.numbers:
                    break
            if failed:
                raise failed[0]
        finally:
            reader.cancel()
            self._live.unwatch(watch)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        numbers = self._visible(request.job_ids)
        watch = living.Watch()
        self._live.watch(watch, numbers)
        try:
            await self._tell_settled(watch, numbers)
            told = 0
            while told < len(set(numbers)):
                message = await self._next(watch, numbers, request.progress)
                if message is None:
                    return
                told += len(message.settled.numbers)
                yield message
        finally:
            self._live.unwatch(watch)

    async def _next(self, watch: living.Watch, numbers: list[int], progress: bool) -> pb.WatchResponse | None:
        """A settlement, or after a while how far the open jobs are."""
        try:
            async with asyncio.timeout(PROGRESS_S if progress else None):
                settled = await watch.outbox.get()
        except TimeoutError:
            open_jobs = [self._coordinator.jobs[number] for number in numbers if number in self._coordinator.jobs]
            done = [job.units_done + sum(one.units_seen for one in job.live.values()) for job in open_jobs]
            return pb.WatchResponse(
                progress=pb.Progress(
                    numbers=[identity.low(job.number) for job in open_jobs],
                    units_done=done,
                    units=[job.units for job in open_jobs],
                )
            )
        return pb.WatchResponse(settled=settled) if isinstance(settled, pb.Settled) else None

    # -- asking

    def _visible(self, job_ids: Sequence[bytes]) -> list[int]:
        """The numbers of jobs that the caller may see. Raises `UnknownName` for others, as if they did not exist."""
        reading, who = self._reading(), current_identity()
        numbers = [reading.number_of(job_id) for job_id in job_ids]
        if who.role is Role.CLIENT:
            for number, job_id in zip(numbers, job_ids, strict=True):
                job = self._coordinator.jobs.get(number)
                owner = job.submission.client if job is not None else reading.owner(number)
                if owner != who.name:
                    raise UnknownName(f"no job has the id {job_id.hex()}; `edgeward jobs` lists them")
        return numbers

    def _only(self) -> str | None:
        who = current_identity()
        return who.name if who.role is Role.CLIENT else None

    async def GetJobs(self, request: pb.GetJobsRequest, context: Context) -> pb.GetJobsResponse:
        return pb.GetJobsResponse(jobs=self._reading().jobs(self._visible(request.job_ids)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        if request.state not in {0, *JobState}:
            raise InvalidSubmission(f"{request.state} is no state of a job")
        state = JobState(request.state) if request.state else None
        limit = min(request.limit or 50, 10_000)
        return pb.ListJobsResponse(jobs=self._reading().listed(state, self._only(), limit))

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        numbers, only = [] if request.all else self._visible(request.job_ids), self._only()

        def apply(coordinator: Coordinator, now: float) -> int:
            if not request.all:
                return coordinator.cancel(numbers, now)
            mine = [n for n, job in coordinator.jobs.items() if only is None or job.submission.client == only]
            return coordinator.cancel(mine, now)

        return pb.CancelResponse(cancelled=await self._turns.ask(apply))

    async def Plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanResponse:
        wanted = request_from(request.submission, current_identity().name)
        planned = await self._turns.ask(lambda coordinator, now: planning.plan(coordinator, wanted, now))
        if isinstance(planned, Survey):
            return pb.PlanResponse(feasible=False, refusal=refusal_message(planned))
        views = Views(self._coordinator)
        first = planned.placements[0]
        return pb.PlanResponse(
            feasible=planned.feasible,
            plan_id=planned.plan_id,
            placements=[views.placement(one, planned.submission) for one in planned.placements if one.node >= 0],
            considered=[considered_message(one, first.facts) for one in first.considered],
        )

    async def Why(self, request: pb.WhyRequest, context: Context) -> pb.WhyResponse:
        (number,) = self._visible([request.job_id])
        reading = self._reading()
        if request.node and request.node not in self._coordinator.members:
            raise UnknownName(f"no node is called {request.node!r}; `edgeward nodes` lists them")
        read = await asyncio.to_thread(lambda: list(reading.placements(reading.epochs_of(number))))
        response = pb.WhyResponse(job_id=request.job_id)
        for explained, placement in read:
            every = [considered_message(one, explained.facts) for one in explained.considered]
            response.explanations.add(
                placement=placement,
                considered=[one for one in every if request.node in ("", one.node)],
            )
        return response

    async def WhatIf(self, request: pb.WhatIfRequest, context: Context) -> pb.WhatIfResponse:
        (number,) = self._visible([request.job_id])
        reading, find = self._reading(), self._coordinator.placer.find
        answer = await asyncio.to_thread(reading.whatif, number, strategy.names(), find)
        return pb.WhatIfResponse(
            job_id=request.job_id,
            actual=_alternative(answer.actual),
            alternatives=[_alternative(one) for one in answer.others],
            tasks=answer.tasks,
            tasks_of=answer.tasks_of,
        )

    async def Placements(self, request: pb.PlacementsRequest, context: Context) -> AsyncIterator[pb.PlacementsResponse]:
        reading = self._reading()
        job = self._visible([request.job_id])[0] if request.job_id else None
        if request.node and request.node not in self._coordinator.members:
            raise UnknownName(f"no node is called {request.node!r}; `edgeward nodes` lists them")
        only = self._only()

        def wanted(explained: Explained, placement: types_pb2.Placement) -> bool:
            return (
                (job is None or explained.task.job == job)
                and request.node in ("", placement.node)
                and (only is None or reading.owner(explained.task.job) == only)
            )

        since = request.since_seq if request.HasField("since_seq") else None
        end = self._store.next_epoch()
        shown = 0
        if since is not None or not request.follow:
            limit = request.limit or (PLACEMENTS_SHOWN if since is None else 1 << 62)
            past = await asyncio.to_thread(_past, reading, wanted, since, end, job, limit)
            shown = len(past)
            for at in range(0, len(past), A_MESSAGE):
                yield pb.PlacementsResponse(placements=past[at : at + A_MESSAGE])
        if not request.follow:
            return
        follower = await asyncio.to_thread(Follower, self._coordinator, self._store, end - 1)
        while not request.limit or shown < request.limit:
            turned = self._live.turned
            fresh = await asyncio.to_thread(lambda: [seen for one, seen in follower.read() if wanted(one, seen)])
            if fresh:
                shown += len(fresh)
                yield pb.PlacementsResponse(placements=fresh)
            else:
                await turned.wait()


def _past(
    reading: Reading,
    wanted: Callable[[Explained, types_pb2.Placement], bool],
    since: int | None,
    end: int,
    job: int | None,
    limit: int,
) -> list[types_pb2.Placement]:
    """Placements before `end`: those past `since`, oldest first, or the last ones."""
    epochs: Sequence[int] = range((since or 0) + 1, end)
    if job is not None:
        epochs = [epoch for epoch in reading.epochs_of(job) if epoch in epochs]
    if since is not None:
        found: list[types_pb2.Placement] = []
        for one, seen in reading.placements(epochs):
            if wanted(one, seen):
                found.append(seen)
                if len(found) == limit:
                    break
        return found
    last: list[types_pb2.Placement] = []
    stop, step = len(epochs), limit
    while stop > 0 and len(last) < limit:
        start = max(stop - step, 0)
        last = [seen for one, seen in reading.placements(epochs[start:stop]) if wanted(one, seen)] + last
        stop, step = start, min(step * 4, 20_000)
    return last[-limit:]


def _alternative(outcome: Outcome) -> pb.Alternative:
    return pb.Alternative(
        strategy=outcome.strategy,
        node=outcome.node or "",
        cost_usd=outcome.cost_usd,
        energy_usd=outcome.energy_usd,
        expected_ms=outcome.expected_s * 1e3,
        held=outcome.held,
    )


def _numbers(admitted: Admitted) -> range:
    return range(admitted.submission.first, admitted.submission.first + admitted.submission.count)


def _invalid(kind: pb.InvalidKind.ValueType, wrong: Exception) -> pb.Submitted:
    return pb.Submitted(invalid=pb.Invalid(kind=kind, sentence=str(wrong)))
