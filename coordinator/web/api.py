"""`/api/v1`: the services of gRPC asked by HTTP, and their answers as the contract's documents.

Every path is one method of a service, called as the bearer of the token: what a caller may see is decided there and
nowhere else. Answers are bounded: a list longer than its limit is read on with `since`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from coordinator.rpc.cluster import ClusterService
from coordinator.rpc.jobs import JobsService
from coordinator.web.parameters import Parameters, job_in_path
from protos import cluster_pb2, document, jobs_pb2
from protos.document import Document

Answer = Callable[[Request], Awaitable[Document | list[Document]]]

JOBS_SHOWN = 50
PLACEMENTS_A_PAGE = 1000  # with `since` and no limit
NO_CONTEXT: Any = None  # the services tell failures by exceptions and need none of gRPC's


class Api:
    """One coroutine for each path, in `answers`."""

    def __init__(self, jobs: JobsService, cluster: ClusterService) -> None:
        self._jobs = jobs
        self._cluster = cluster
        self.answers: dict[str, Answer] = {
            "/api/v1/jobs": self._list_jobs,
            "/api/v1/jobs/{job_id}": self._job,
            "/api/v1/jobs/{job_id}/why": self._why,
            "/api/v1/placements": self._placements,
            "/api/v1/nodes": self._nodes,
            "/api/v1/sites": self._sites,
            "/api/v1/strategies": self._strategies,
        }

    async def _list_jobs(self, request: Request) -> list[Document]:
        """Newest first, without their attempts."""
        given = Parameters(request.query_params, ("state", "limit"))
        wanted = jobs_pb2.ListJobsRequest(limit=given.limit(JOBS_SHOWN))
        state = given.state()
        if state is not None:
            wanted.state = state
        return [document.job(each) for each in (await self._jobs.ListJobs(wanted, NO_CONTEXT)).jobs]

    async def _job(self, request: Request) -> Document:
        Parameters(request.query_params, ())
        wanted = jobs_pb2.GetJobsRequest(job_ids=[job_in_path(request.path_params["job_id"])])
        (found,) = (await self._jobs.GetJobs(wanted, NO_CONTEXT)).jobs
        return document.job(found)

    async def _why(self, request: Request) -> Document:
        given = Parameters(request.query_params, ("node",))
        wanted = jobs_pb2.WhyRequest(job_id=job_in_path(request.path_params["job_id"]), node=given.text("node"))
        return document.why(await self._jobs.Why(wanted, NO_CONTEXT))

    async def _placements(self, request: Request) -> list[Document]:
        """By rising seq: the last ones, or the first ones past `since`."""
        given = Parameters(request.query_params, ("since", "job", "node", "limit"))
        since = given.integer("since", 0, 2**63 - 1)
        wanted = jobs_pb2.PlacementsRequest(
            since_seq=since,
            job_id=given.job(),
            node=given.text("node"),
            limit=given.limit(0 if since is None else PLACEMENTS_A_PAGE),
        )
        told = self._jobs.Placements(wanted, NO_CONTEXT)
        return [document.placement(each) async for message in told for each in message.placements]

    async def _nodes(self, request: Request) -> list[Document]:
        Parameters(request.query_params, ())
        told = await self._cluster.ListNodes(cluster_pb2.ListNodesRequest(), NO_CONTEXT)
        return [document.node(each) for each in told.nodes]

    async def _sites(self, request: Request) -> list[Document]:
        Parameters(request.query_params, ())
        told = await self._cluster.ListSites(cluster_pb2.ListSitesRequest(), NO_CONTEXT)
        return [document.site(each) for each in told.sites]

    async def _strategies(self, request: Request) -> list[Document]:
        Parameters(request.query_params, ())
        told = await self._cluster.ListStrategies(cluster_pb2.ListStrategiesRequest(), NO_CONTEXT)
        return document.by_name(document.strategy(each) for each in told.strategies)
