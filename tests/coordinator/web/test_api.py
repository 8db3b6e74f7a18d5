"""The contract's JSON over HTTP, asked of a coordinator that stands, by people of every role."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from coordinator.security.roles import PATHS, Identity, Role
from coordinator.web.api import Api
from coordinator.web.metrics import Metrics
from coordinator.web.paths import Ports, application
from tests.coordinator.web.standing import Standing, standing

NOBODY = uuid.UUID(int=7)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as one:
        yield one


def paths_of(here: Standing) -> set[str]:
    return {"/", "/metrics", *Api(here.app.jobs, here.app.cluster).answers}


async def test_job_from_submit_to_settlement_is_seen_in_every_list(here: Standing) -> None:
    await here.node("dam", price_usd_per_kwh=0.036, max_watts=1e8)
    job = await here.submit("ana", "k1")
    await here.report("dam", here.running("dam"), joules=10)
    async with here.people(Role.OBSERVER) as somebody:
        (listed,) = (await somebody.get("/api/v1/jobs")).json()
        told = (await somebody.get(f"/api/v1/jobs/{job}")).json()
        (placement,) = (await somebody.get("/api/v1/placements")).json()
        why = (await somebody.get(f"/api/v1/jobs/{job}/why")).json()
        (node,) = (await somebody.get("/api/v1/nodes")).json()
        (site,) = (await somebody.get("/api/v1/sites")).json()
        strategies = (await somebody.get("/api/v1/strategies")).json()
    assert (listed["job_id"], listed["state"], listed["attempts"]) == (job, "succeeded", [])
    assert told["receipt"]["cost_usd"] == pytest.approx(10 * 0.036 / 3.6e6, abs=1e-12)
    assert [attempt["node"] for attempt in told["attempts"]] == ["dam"]
    assert (placement["job_id"], placement["node"]) == (job, "dam")
    assert why["placements"][0]["placement"] == placement
    assert [considered["node"] for considered in why["placements"][0]["considered"]] == ["dam"]
    assert (node["name"], node["state"], site["nodes"]) == ("dam", "ready", ["dam"])
    assert [one["name"] for one in strategies if one["live"]] == ["weighted"]


async def test_client_sees_its_own_jobs_and_no_others(here: Standing) -> None:
    await here.node("dam", slots=2)
    hers, his = await here.submit("ana", "k"), await here.submit("bo", "k")
    await here.report("dam", here.running("dam")[1:])
    async with here.people(Role.CLIENT, "ana") as ana:
        assert [job["job_id"] for job in (await ana.get("/api/v1/jobs")).json()] == [hers]
        assert [one["job_id"] for one in (await ana.get("/api/v1/placements")).json()] == [hers]
        assert (await ana.get(f"/api/v1/jobs/{hers}")).json()["client"] == "ana"
        for path in (f"/api/v1/jobs/{his}", f"/api/v1/jobs/{his}/why", f"/api/v1/placements?job={his}"):
            assert (await ana.get(path)).status_code == 404, path


async def test_lists_are_narrowed_as_by_the_command_line(here: Standing) -> None:
    await here.node("dam", slots=4)
    jobs = [await here.submit("ana", f"k{number}") for number in range(4)]
    await here.report("dam", here.running("dam")[:1])
    async with here.people(Role.ADMIN) as admin:

        async def ids(path: str) -> list[str]:
            return [one["job_id"] for one in (await admin.get(f"/api/v1/{path}")).json()]

        assert await ids("jobs") == jobs[::-1]
        assert await ids("jobs?limit=2") == jobs[:1:-1]
        assert await ids("jobs?state=succeeded") == jobs[:1]
        assert await ids("placements") == jobs
        assert await ids("placements?limit=1") == jobs[3:]
        assert await ids(f"placements?job={jobs[2]}") == jobs[2:3]
        assert await ids("placements?node=dam") == jobs
        seqs = [one["seq"] for one in (await admin.get("/api/v1/placements")).json()]
        assert await ids(f"placements?since={seqs[1]}") == jobs[2:]
        assert await ids("placements?since=0&limit=1") == jobs[:1]


@pytest.mark.parametrize(
    "query",
    [
        *("jobs?state=done", "jobs?state=", "jobs?limit=0", "jobs?limit=-1", "jobs?limit=10001", "jobs?limit=1e2"),
        *("jobs?limit=²", "jobs?since=1", "jobs?limit=1&limit=2", "nodes?limit=1", f"jobs/{NOBODY}?x=1"),
        *("placements?since=-1", "placements?since=x", f"placements?since={2**63}", "placements?job=7"),
    ],
)
async def test_parameter_that_makes_no_sense_is_400_with_a_sentence(here: Standing, query: str) -> None:
    async with here.people(Role.OBSERVER) as somebody:
        answer = await somebody.get(f"/api/v1/{query}")
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 20


@pytest.mark.parametrize(
    "path",
    [
        *(f"jobs/{NOBODY}", f"jobs/{NOBODY}/why", "jobs/7", "jobs/7/why", f"placements?job={NOBODY}"),
        *("placements?node=nobody", "jobs/", "nothing", "%2e%2e/%2e%2e/metrics"),
    ],
)
async def test_what_nobody_knows_is_404_without_a_redirect(here: Standing, path: str) -> None:
    async with here.people(Role.OBSERVER) as somebody:
        answer = await somebody.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]


async def test_writing_is_405(here: Standing) -> None:
    async with here.people(Role.ADMIN) as admin:
        answer = await admin.post("/api/v1/jobs")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "GET" in answer.json()["error"]


async def test_table_of_roles_and_the_paths_are_the_same(here: Standing) -> None:
    assert paths_of(here) == set(PATHS)


async def test_nodes_read_nothing(here: Standing) -> None:
    ports = Ports(
        Api(here.app.jobs, here.app.cluster),
        Metrics(lambda: here.app.turns.coordinator, str),
        str,
        lambda token: Identity("dam", Role.NODE, b""),
    )
    door = httpx.ASGITransport(application(ports, loopback_only=False))
    async with httpx.AsyncClient(transport=door, base_url="http://x", headers={"Authorization": "Bearer x"}) as node:
        for path in PATHS:
            assert (await node.get(path.format(job_id=NOBODY))).status_code == 403, path


async def test_metrics_are_not_for_clients_because_they_sum_over_everybody(here: Standing) -> None:
    async with here.people(Role.CLIENT) as client:
        assert (await client.get("/metrics")).status_code == 403
    async with here.people(Role.OBSERVER) as somebody:
        assert (await somebody.get("/metrics")).status_code == 200


async def test_store_that_cannot_be_written_is_alive_but_not_ready(here: Standing) -> None:
    async with here.stranger() as probe:
        assert (await probe.get("/readyz")).status_code == 200
        here.app.turns.write_error = "the disk is full: make room"
        ready, healthy = await probe.get("/readyz"), await probe.get("/healthz")
    assert (ready.status_code, ready.json()) == (503, {"error": "the disk is full: make room"})
    assert healthy.status_code == 200
