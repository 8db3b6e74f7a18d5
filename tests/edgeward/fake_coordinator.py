"""A small coordinator: the real services on a loopback port, with work that is done at once or on command.

It runs on a thread of its own, so that both clients, which have loops of their own, can talk to it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from grpc import aio

from protos import cluster_pb2, cluster_pb2_grpc, jobs_pb2, jobs_pb2_grpc, types_pb2

LOW = 2**64 - 1
FIRST_ID = 0x0198C2D1_7A3E_7C11_9F5E_000000000000
AT_US = 1_763_800_000_123_456
HIT = bytes.fromhex("00" * 28 + "deadbeef")


class FakeCoordinator(jobs_pb2_grpc.JobsServicer, cluster_pb2_grpc.ClusterServicer):
    """`holds`: jobs stay open until `settle`. `finds`: the nonces that any search finds. `loses_answers`: so many times
    a submit is accepted and the stream breaks before the answer. `refusal`, `invalid`: given instead of acceptance."""

    def __init__(self) -> None:
        self.holds = False
        self.finds: list[int] = []
        self.loses_answers = 0
        self.unavailable = 0  # so many unary calls and watches fail first
        self.refusal: types_pb2.Refusal | None = None
        self.invalid: jobs_pb2.Invalid | None = None
        self.submissions: list[types_pb2.Submission] = []
        self.messages = 0  # with submissions in them
        self.watches = 0
        self.sessions = 0
        self.jobs: dict[int, types_pb2.Job] = {}
        self.live = "weighted"
        self.placements: list[types_pb2.Placement] = []
        self.token_requests: list[cluster_pb2.CreateTokenRequest] = []
        self._keys: dict[str, tuple[int, bytes]] = {}
        self._listeners: list[asyncio.Queue[Any]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.address = ""

    # What tests do to it, from their own thread.

    def start(self, port: int = 0) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(port), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def settle(self, state: types_pb2.JobState.ValueType = types_pb2.JOB_STATE_SUCCEEDED, error: str = "") -> None:
        """Every open job ends so, and whoever listens hears it."""
        self._run(self._settle, [number for number, job in self.jobs.items() if is_open(job)], state, error)

    def settle_last(self) -> None:
        self._run(self._settle, [max(number for number, job in self.jobs.items() if is_open(job))])

    def drop_streams(self) -> None:
        self._run(self._tell, None)

    def progress(self, done: int, total: int) -> None:
        number = next(iter(self.jobs)) & LOW
        progress = jobs_pb2.Progress(numbers=[number], units_done=[done], units=[total])
        self._run(self._tell, progress)

    def _run(self, function: Any, *arguments: Any) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(*arguments), done.set()))
        assert done.wait(10)

    # How it works.

    async def _serve(self, port: int) -> None:
        self._server = aio.server()
        jobs_pb2_grpc.add_JobsServicer_to_server(self, self._server)
        cluster_pb2_grpc.add_ClusterServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()

    def _tell(self, news: Any) -> None:
        for listener in self._listeners:
            listener.put_nowait(news)

    def _settle(
        self,
        numbers: list[int],
        state: types_pb2.JobState.ValueType = types_pb2.JOB_STATE_SUCCEEDED,
        error: str = "",
    ) -> None:
        for number in numbers:
            job = self.jobs[number]
            job.state, job.error, job.settled_us = state, error, AT_US + 1_500_000
            if state == types_pb2.JOB_STATE_SUCCEEDED:
                found = [types_pb2.FoundNonce(nonce=nonce, hash=HIT) for nonce in self.finds]
                job.hash.CopyFrom(types_pb2.HashResult(nonces=found, hashes_done=job.units))
                job.receipt.CopyFrom(types_pb2.Receipt(energy_microjoules=12_300_000, energy_picodollars=300_000_000))
                job.nodes[:] = ["dam-1"]
        self._tell(numbers)

    def _settled(self, numbers: list[int]) -> jobs_pb2.Settled:
        settled = jobs_pb2.Settled()
        for number in (number for number in numbers if not is_open(self.jobs[number])):
            job, position = self.jobs[number], len(settled.numbers)
            settled.numbers.append(number & LOW)
            settled.states.append(job.state)
            settled.hashes_done.append(job.hash.hashes_done)
            if job.hash.nonces:
                settled.found.add(position=position, nonces=job.hash.nonces)
            if job.error:
                settled.errors.add(position=position, error=job.error)
        return settled

    def _accept(self, submission: types_pb2.Submission) -> jobs_pb2.Submitted:
        if self.refusal is not None:
            return jobs_pb2.Submitted(refusal=self.refusal)
        if self.invalid is not None:
            return jobs_pb2.Submitted(invalid=self.invalid)
        body = submission.hash.SerializeToString()
        known = self._keys.get(submission.key)
        if known and known[1] != body:
            sentence = f"The key {submission.key} was used for other work: choose another."
            kind = jobs_pb2.INVALID_KIND_KEY_CONFLICT
            return jobs_pb2.Submitted(invalid=jobs_pb2.Invalid(kind=kind, sentence=sentence))
        first = known[0] if known else FIRST_ID + len(self.jobs) + 1
        self._keys[submission.key] = (first, body)
        for number in range(first, first + submission.count) if not known else ():
            counts = submission.hash.nonce_counts
            self.jobs[number] = types_pb2.Job(
                job_id=number.to_bytes(16, "big"),
                kind=types_pb2.KIND_HASH,
                state=types_pb2.JOB_STATE_PENDING,
                submitted_us=AT_US,
                key=submission.key,
                units=counts[(number - first) % len(counts)],
            )
        accepted = jobs_pb2.Accepted(
            first_job_id=first.to_bytes(16, "big"), count=submission.count, repeated_key=known is not None
        )
        return jobs_pb2.Submitted(accepted=accepted)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[asyncio.Queue[Any]]:
        listener: asyncio.Queue[Any] = asyncio.Queue()
        self._listeners.append(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[jobs_pb2.SessionResponse]:
        self.sessions += 1
        mine: set[int] = set()
        with self._listening() as listener:
            reading = asyncio.create_task(self._read(request_iterator, listener))
            try:
                while (news := await listener.get()) is not None:
                    if isinstance(news, jobs_pb2.SessionRequest):
                        async for response in self._submitted(news, mine, context):
                            yield response
                    elif isinstance(news, list):
                        yield jobs_pb2.SessionResponse(settled=self._settled([n for n in news if n in mine]))
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut")
            finally:
                reading.cancel()

    async def _read(self, requests: Any, listener: asyncio.Queue[Any]) -> None:
        async for request in requests:
            listener.put_nowait(request)

    async def _submitted(self, request: Any, mine: set[int], context: Any) -> AsyncIterator[jobs_pb2.SessionResponse]:
        self.messages += 1
        self.submissions += request.submit.submissions
        answers = [self._accept(submission) for submission in request.submit.submissions]
        if self.loses_answers:
            self.loses_answers -= 1
            if not self.holds:
                self._settle([number for number, job in self.jobs.items() if is_open(job)])
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut")
        yield jobs_pb2.SessionResponse(request=request.request, submitted=jobs_pb2.SubmitResponse(submitted=answers))
        for answer in answers:
            if answer.HasField("accepted") and not answer.accepted.repeated_key:
                first = int.from_bytes(answer.accepted.first_job_id, "big")
                mine |= set(range(first, first + answer.accepted.count))
        if not self.holds:
            self._settle([number for number in sorted(mine) if is_open(self.jobs[number])])

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[jobs_pb2.WatchResponse]:
        self.watches += 1
        await self._maybe_away(context)
        numbers = [int.from_bytes(job_id, "big") for job_id in request.job_ids]
        with self._listening() as listener:
            yield jobs_pb2.WatchResponse(settled=self._settled(numbers))
            while any(is_open(self.jobs[number]) for number in numbers):
                news = await listener.get()
                if news is None:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut")
                if isinstance(news, jobs_pb2.Progress) and request.progress:
                    yield jobs_pb2.WatchResponse(progress=news)
                if isinstance(news, list):
                    yield jobs_pb2.WatchResponse(settled=self._settled([n for n in news if n in numbers]))

    async def _maybe_away(self, context: Any) -> None:
        if self.unavailable:
            self.unavailable -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "starting")

    async def GetJobs(self, request: Any, context: Any) -> jobs_pb2.GetJobsResponse:
        await self._maybe_away(context)
        numbers = [int.from_bytes(job_id, "big") for job_id in request.job_ids]
        if not all(number in self.jobs for number in numbers):
            await context.abort(grpc.StatusCode.NOT_FOUND, "No job has this id: `edgeward jobs` lists them.")
        return jobs_pb2.GetJobsResponse(jobs=[self.jobs[number] for number in numbers])

    async def ListJobs(self, request: Any, context: Any) -> jobs_pb2.ListJobsResponse:
        found = [job for job in self.jobs.values() if request.state in (0, job.state)]
        return jobs_pb2.ListJobsResponse(jobs=found[::-1][: request.limit or 50])

    async def Cancel(self, request: Any, context: Any) -> jobs_pb2.CancelResponse:
        named = {int.from_bytes(job_id, "big") for job_id in request.job_ids}
        numbers = [n for n, job in self.jobs.items() if is_open(job) and (request.all or n in named)]
        self._settle(numbers, types_pb2.JOB_STATE_CANCELLED)
        return jobs_pb2.CancelResponse(cancelled=len(numbers))

    async def Plan(self, request: Any, context: Any) -> jobs_pb2.PlanResponse:
        if self.refusal is not None:
            return jobs_pb2.PlanResponse(feasible=False, refusal=self.refusal)
        return jobs_pb2.PlanResponse(feasible=True, plan_id="p1", placements=[placement(1)], considered=CONSIDERED)

    async def Why(self, request: Any, context: Any) -> jobs_pb2.WhyResponse:
        shown = [each for each in CONSIDERED if request.node in ("", each.node)]
        explanation = jobs_pb2.Explanation(placement=placement(7), considered=shown)
        return jobs_pb2.WhyResponse(job_id=request.job_id, explanations=[explanation])

    async def Placements(self, request: Any, context: Any) -> AsyncIterator[jobs_pb2.PlacementsResponse]:
        since = request.since_seq if request.HasField("since_seq") else 0
        seen = [each for each in self.placements if each.seq > since]
        for at in range(0, len(seen), 2):
            yield jobs_pb2.PlacementsResponse(placements=seen[at : at + 2])
            await self._maybe_away(context)
        if request.follow:
            await asyncio.Event().wait()

    async def ListNodes(self, request: Any, context: Any) -> cluster_pb2.ListNodesResponse:
        await self._maybe_away(context)
        dam = cluster_pb2.Node(
            name="dam-1", state="ready", site="dam", region="SaoPaulo", tier="hub", slots=2, price_usd_per_kwh=0.035
        )
        edge = cluster_pb2.Node(
            name="edge-paris", state="draining", site="paris", slots=1, extra_delay_ms=40, rtt_ms=40.5
        )
        return cluster_pb2.ListNodesResponse(nodes=[edge, dam])

    async def ListSites(self, request: Any, context: Any) -> cluster_pb2.ListSitesResponse:
        return cluster_pb2.ListSitesResponse(sites=[cluster_pb2.Site(name="dam", nodes=["dam-2", "dam-1"])])

    async def ListStrategies(self, request: Any, context: Any) -> cluster_pb2.ListStrategiesResponse:
        return cluster_pb2.ListStrategiesResponse(strategies=[self._strategy(name) for name in ("weighted", "hub")])

    async def SetStrategy(self, request: Any, context: Any) -> cluster_pb2.SetStrategyResponse:
        if request.name not in ("weighted", "hub"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"There is no strategy {request.name!r}.")
        self.live = request.name
        return cluster_pb2.SetStrategyResponse(strategy=self._strategy(request.name))

    def _strategy(self, name: str) -> cluster_pb2.Strategy:
        return cluster_pb2.Strategy(name=name, family="between", rule="least quote", live=name == self.live)

    async def CreateToken(self, request: Any, context: Any) -> cluster_pb2.CreateTokenResponse:
        self.token_requests.append(request)
        if request.role == "admin":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "Only an admin makes admins.")
        secret = {"bearer": "b-secret"} if request.bearer else {"join": "edgeward://secret"}
        return cluster_pb2.CreateTokenResponse(id="t1", expires_us=AT_US, **secret)

    async def ListTokens(self, request: Any, context: Any) -> cluster_pb2.ListTokensResponse:
        return cluster_pb2.ListTokensResponse(tokens=[cluster_pb2.Token(id="t1", role="node", expires_us=AT_US)])


def is_open(job: types_pb2.Job) -> bool:
    return job.state < types_pb2.JOB_STATE_SUCCEEDED


def placement(seq: int) -> types_pb2.Placement:
    return types_pb2.Placement(
        seq=seq,
        at_us=AT_US,
        job_id=(FIRST_ID + 0xABCD).to_bytes(16, "big"),
        attempt_id=bytes(16),
        node="edge-paris",
        strategy="weighted",
        cost_usd=0.0018,
        energy_usd=0.0003,
        time_usd=0.0015,
        expected_ms=12.2,
        runner_up=types_pb2.RunnerUp(node="dam-1", cost_usd=0.0061, bill_usd=0.0001, expected_ms=196.3),
    )


CONSIDERED = [
    types_pb2.Considered(node="edge-paris", rank=1, cost_usd=0.0003, energy_usd=0.0003, expected_ms=12.2, rtt_ms=12),
    types_pb2.Considered(node="dam-1", rank=2, cost_usd=0.0001, energy_usd=0.0001, expected_ms=196.3, rtt_ms=190),
    types_pb2.Considered(
        node="old-1",
        cost_usd=float("inf"),
        rejections=[types_pb2.Rejection(rule="draining", sentence="old-1 takes no new work.")],
    ),
]
