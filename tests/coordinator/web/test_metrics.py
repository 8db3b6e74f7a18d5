"""What is counted, and that each thing is counted once."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.security.roles import Role
from tests.coordinator.web.standing import Standing, standing

TASK = 2_000_000  # nonces of a task on a node with 1e6 hashes a second


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as one:
        yield one


async def scrape(here: Standing) -> dict[str, float]:
    """Every sample by its name and labels, as written."""
    async with here.people(Role.OBSERVER) as prometheus:
        text = (await prometheus.get("/metrics")).text
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


async def test_metrics_every_name_begins_with_edgeward(here: Standing) -> None:
    names = await scrape(here)
    assert len(names) > 30
    assert not [name for name in names if not name.startswith("edgeward_")]


async def test_metrics_tell_open_jobs_and_nodes_by_state(here: Standing) -> None:
    await here.submit("ana", "waits")
    assert (await scrape(here))['edgeward_jobs_open{state="pending"}'] == 1
    await here.node("dam")
    await here.app.turns.ask(lambda coordinator, now: None)
    now = await scrape(here)
    assert now['edgeward_jobs_open{state="running"}'] == 1
    assert now['edgeward_nodes{state="ready"}'] == 1
    assert now['edgeward_placements_total{strategy="weighted"}'] == 1


async def test_metrics_count_settlements_and_what_they_cost(here: Standing) -> None:
    await here.node("dam", price_usd_per_kwh=0.36)
    await here.submit("ana", "k")
    await here.report("dam", here.running("dam"), joules=0.001)
    now = await scrape(here)
    assert now['edgeward_jobs_settled_total{state="succeeded"}'] == 1
    assert now["edgeward_settled_energy_joules_total"] == pytest.approx(0.001)
    assert now["edgeward_settled_cost_usd_total"] == pytest.approx(0.001 * 0.36 / 3.6e6, rel=0.01)
    assert now["edgeward_settled_credit_usd_total"] == 0


async def test_metrics_energy_at_a_negative_price_is_a_credit(here: Standing) -> None:
    await here.node("dam", price_usd_per_kwh=-0.36)
    await here.submit("ana", "k")
    await here.report("dam", here.running("dam"), joules=0.001)
    now = await scrape(here)
    assert now["edgeward_settled_cost_usd_total"] == 0
    assert now["edgeward_settled_credit_usd_total"] == pytest.approx(0.001 * 0.36 / 3.6e6, rel=0.01)


@pytest.mark.parametrize("together", [False, True])
async def test_metrics_attempts_of_a_job_in_parts_count_once_each(here: Standing, together: bool) -> None:
    await here.node("dam", slots=3)
    await here.submit("ana", "k", nonces=3 * TASK)
    epochs = here.running("dam")
    assert len(epochs) == 3
    for batch in [epochs] if together else [[epoch] for epoch in epochs]:
        await here.report("dam", batch)
    now = await scrape(here)
    assert now['edgeward_attempts_ended_total{state="succeeded"}'] == 3
    assert now['edgeward_jobs_settled_total{state="succeeded"}'] == 1


async def test_metrics_cancelled_job_counts_its_attempt_as_cancelled(here: Standing) -> None:
    await here.node("dam")
    await here.submit("ana", "k")
    await here.app.turns.ask(lambda coordinator, now: coordinator.cancel(list(coordinator.jobs), now))
    now = await scrape(here)
    assert now['edgeward_attempts_ended_total{state="cancelled"}'] == 1
    assert now['edgeward_jobs_settled_total{state="cancelled"}'] == 1


async def test_metrics_report_of_an_epoch_that_nobody_holds_is_stale(here: Standing) -> None:
    await here.node("dam")
    await here.report("dam", [999])
    assert (await scrape(here))["edgeward_stale_reports_total"] == 1


async def test_metrics_turns_are_those_that_were_written(here: Standing) -> None:
    await here.submit("ana", "first")
    before = await scrape(here)
    await here.app.turns.ask(lambda coordinator, now: None)
    idle = await scrape(here)
    await here.submit("ana", "k")
    after = await scrape(here)
    for name in ("edgeward_turn_seconds", "edgeward_commit_seconds"):
        assert before[f"{name}_count"] == idle[f"{name}_count"] == after[f"{name}_count"] - 1
    assert after["edgeward_commit_seconds_sum"] <= after["edgeward_turn_seconds_sum"]


async def test_metrics_tell_when_the_store_cannot_be_written(here: Standing) -> None:
    assert (await scrape(here))["edgeward_store_write_error"] == 0
    here.app.turns.write_error = "the disk is full"
    assert (await scrape(here))["edgeward_store_write_error"] == 1
