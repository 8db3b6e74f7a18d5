"""Orders, what-if and plan ids as an operator types them, against a coordinator on a real port."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from edgeward.cli import app
from tests.coordinator.web.standing import Standing, standing

HEADER = "00" * 76


async def typed(there: Standing, directory: Path, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON; its exit code must be `code`."""
    where = ("--coordinator", there.app.addresses["grpc"], "--credentials", str(directory / "admin"), "--json")
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if result.stdout else None


async def test_orders_tell_what_would_move_then_move_it_and_are_taken_back(tmp_path: Path) -> None:
    async with standing(tmp_path) as there:
        await there.node("cheap", price_usd_per_kwh=0.03)
        await there.node("dear", price_usd_per_kwh=0.30)
        job = await there.submit("somebody", "k", nonces=10_000)
        planned = await typed(there, tmp_path, "drain", "cheap", "--plan")
        assert planned["changed"] is False
        assert [(move["job_id"], move["from_node"], move["to_node"]) for move in planned["moves"]] == [
            (job, "cheap", "dear")
        ]
        assert (await typed(there, tmp_path, "node-info", "cheap"))["state"] == "ready"
        assert (await typed(there, tmp_path, "drain", "cheap"))["changed"] is True
        assert (await typed(there, tmp_path, "node-info", "cheap"))["state"] == "draining"
        await typed(there, tmp_path, "resume", "cheap")
        await typed(there, tmp_path, "curtail", "cheap")
        assert [site["curtailed"] for site in await typed(there, tmp_path, "sites")] == [True, False]
        await typed(there, tmp_path, "release", "cheap")
        await typed(there, tmp_path, "set-price", "cheap", "0.5")
        (cheap, _) = await typed(there, tmp_path, "sites")
        assert (cheap["price_usd_per_kwh"], cheap["price_source"], cheap["curtailed"]) == (0.5, "operator", False)
        await typed(there, tmp_path, "drain", "nobody", code=2)


async def test_whatif_and_a_plan_that_no_longer_holds(tmp_path: Path) -> None:
    async with standing(tmp_path) as there:
        await there.node("cheap", price_usd_per_kwh=0.03)
        await there.node("dear", price_usd_per_kwh=0.30)
        job = await there.submit("somebody", "k", nonces=10_000)
        answer = await typed(there, tmp_path, "whatif", job)
        assert answer["actual"]["strategy"] == "weighted" and answer["actual"]["node"] == "cheap"
        assert "nearest" in [each["strategy"] for each in answer["alternatives"]]
        search = ("submit", "hash", "--header", HEADER, "--target", "1", "--nonce-count", "10")
        plan = (await typed(there, tmp_path, *search, "--plan"))["plan_id"]
        assert (await typed(there, tmp_path, *search, "--plan-id", plan))["state"] in ("pending", "running")
        await typed(there, tmp_path, "set-price", "cheap", "0.9")
        refused = await typed(there, tmp_path, *search, "--plan-id", plan, code=5)
        assert refused["state"] == "refused" and "the world has moved" in refused["refusal"]["reason"]
