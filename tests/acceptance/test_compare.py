"""`edgeward compare`, as a person calls it: files in, files out."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from coordinator.simulator import runs
from edgeward.cli import app

DATA = Path(__file__).parents[3] / "shared" / "data"
MEASURES = {
    "strategy", "jobs", "completed", "failed", "refused", "expired", "energy_kwh", "energy_usd", "fleet_energy_kwh",
    "fleet_energy_usd", "carbon_kg", "network_usd", "cost_usd", "latency_ms", "objective_met", "wait_ms",
    "utilization", "concentration", "share_by_site", "blast_radius", "moves", "messages", "cost_over_bound", "by_kind",
}  # fmt: skip
LINE = {
    "strategy", "seed", "job", "kind", "node", "site", "arrival_s", "placed_s", "start_s", "end_s", "latency_ms",
    "energy_joules", "energy_usd", "network_usd", "carbon_g",
}  # fmt: skip

FLEET = """
[[site]]
name = "dam"
region = "Lyon"
operator = "hydro"
tier = "hub"
price_zone = "FR"
[[site]]
name = "corner"
region = "Paris"
operator = "shop"
price_usd_per_kwh = 0.25
pue = 1.2
[[node]]
site = "dam"
name = "dam"
count = 2
slots = 2
idle_watts = 100
max_watts = 500
hash = { hashes_per_s = 2e6 }
inference = { requests_per_s = 10, tokens_per_s = 100 }
[[node]]
site = "corner"
name = "box"
slots = 1
idle_watts = 5
max_watts = 30
inference = { requests_per_s = 10, tokens_per_s = 40 }
"""
SCENARIO = """
name = "two-sites"
seed = 5
start = 2023-01-09T00:00:00Z
fleet = "fleet.toml"
jobs = "jobs.csv"
prices = "prices.csv"
latency = "latency.csv"
coordinator_region = "Lyon"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "prices.csv").write_text("ts_utc,FR\n2023-01-09T00:00:00Z,0.1\n2023-01-09T01:00:00Z,-0.05\n")
    (tmp_path / "latency.csv").write_text("source,destination,rtt_ms\nParis,Lyon,12\n")
    rows = ["arrival_s,kind,origin,units,objective_ms"]
    rows += [f"{3500 + 2 * k},{'hash' if k % 3 == 0 else 'inference'},Paris,{4e6 if k % 3 == 0 else 30},1000"
             for k in range(100)]  # fmt: skip
    (tmp_path / "jobs.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    return tmp_path / "scenario.toml"


def compare(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_every_key_of_the_contract_is_there(scenario: Path, tmp_path: Path) -> None:
    out, log, timing = tmp_path / "out.json", tmp_path / "log.jsonl", tmp_path / "timing.json"
    compare(scenario, "--strategies", "weighted,hub", "--out", out, "--log", log, "--timing", timing)
    document = json.loads(out.read_text())
    assert (document["scenario"], document["seed"], document["seeds"], document["bound"]) == ("two-sites", 5, 1, None)
    assert isinstance(document["quote_version"], int)
    assert [one["strategy"] for one in document["strategies"]] == ["hub", "weighted"]
    for one in document["strategies"]:
        assert one.keys() >= MEASURES
        assert one["by_kind"]["hash"].keys() >= MEASURES - {"strategy", "by_kind"}
        assert one["blast_radius"].keys() == {
            "region", "work_share", "objective_met_after", "price_x3_frozen", "price_x3",
        }  # fmt: skip
        assert one["jobs"] == one["completed"] == 100
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {frozenset(line) for line in lines} == {frozenset(LINE)}
    assert [(line["strategy"], line["job"]) for line in lines] == [
        (s, k) for s in ("hub", "weighted") for k in range(100)
    ]
    assert {one["strategy"] for one in json.loads(timing.read_text())["strategies"]} == {"hub", "weighted"}


def test_log_adds_up_to_the_document_and_prices_every_second(scenario: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out.json", tmp_path / "log.jsonl"
    compare(scenario, "--strategies", "hub", "--out", out, "--log", log)
    (one,) = json.loads(out.read_text())["strategies"]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    watts = (500 - 100) / 2
    for line in lines:
        before, after = (
            max(min(3600, line["end_s"]) - line["start_s"], 0),
            max(line["end_s"] - max(3600, line["start_s"]), 0),
        )
        assert line["energy_joules"] == pytest.approx(watts * (line["end_s"] - line["start_s"]), rel=1e-9)
        assert line["energy_usd"] == pytest.approx(watts / 3.6e6 * (before * 0.1 - after * 0.05), rel=1e-6)
        assert line["latency_ms"] == pytest.approx((line["end_s"] - line["arrival_s"]) * 1e3 + 12 + 1, abs=1e-6)
    assert sum(line["energy_usd"] for line in lines) == pytest.approx(one["energy_usd"], rel=1e-9)
    assert one["share_by_site"] == {"corner": 0.0, "dam": 1.0}


def test_same_scenario_and_seed_give_the_same_bytes_in_another_process(scenario: Path, tmp_path: Path) -> None:
    written = []
    for run in ("1", "2"):
        out, log = tmp_path / f"out{run}", tmp_path / f"log{run}"
        command = [sys.executable, "-m", "edgeward.cli.__main__", "compare", str(scenario), "--seeds", "2"]
        if run == "1":
            compare(scenario, "--seeds", "2", "--out", out, "--log", log)
        else:
            main = "from edgeward.cli import main; main()"
            command = [sys.executable, "-c", main, *command[3:], "--out", str(out), "--log", str(log)]
            subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "77"}, stdout=subprocess.DEVNULL)
        written.append((out.read_bytes(), log.read_bytes()))
    assert written[0] == written[1]


def test_many_processes_say_what_one_says(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = runs.compare(scenario, ["hub", "weighted"], ledgers=True)
    monkeypatch.setattr(runs, "ALONE", 0)
    told: list[tuple[int, int]] = []
    there = runs.compare(scenario, ["hub", "weighted"], ledgers=True, progress=lambda *at: told.append(at))
    assert there.document == here.document
    assert list(there.log()) == list(here.log())
    assert told and told[-1][1] == 200


def test_over_several_seeds_figures_have_intervals(scenario: Path) -> None:
    document = json.loads(compare(scenario, "--strategies", "nearest", "--seeds", "3", "--json").stdout)
    (one,) = document["strategies"]
    low, high = one["intervals"]["cost_usd"]
    assert low <= one["cost_usd"] <= high
    assert one["intervals"]["latency_ms"]["p95"][0] <= one["latency_ms"]["p95"]


def test_table_has_a_line_for_each_strategy(scenario: Path) -> None:
    shown = compare(scenario, "--strategies", "hub,nearest").stdout
    assert "two-sites, seed 5" in shown and "hub" in shown and "nearest" in shown


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--strategies", "magic"), "magic"), (("--strategies", ","), "name at least one")]
)
def test_unknown_strategy_is_a_wrong_usage(scenario: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in compare(scenario, *arguments, code=2).stderr


def test_broken_scenario_is_refused_before_anything_runs(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("arrival_s,kind,origin,units\n5,hash,Paris,1\n4,hash,Paris,1\n")
    assert "jobs.csv, line 3" in compare(scenario, "--out", tmp_path / "out", code=2).stderr
    assert not (tmp_path / "out").exists()
    assert "cannot be read" in compare(tmp_path / "none.toml", code=2).stderr


@pytest.mark.skipif(not DATA.exists(), reason="the real series are not beside this checkout")
def test_real_hour_of_requests_over_real_prices_and_round_trips(tmp_path: Path) -> None:
    """An hour of language-model requests from Paris and New York, over a hub far off and edges near."""
    with (DATA / "latency" / "city_rtt_ms.csv").open() as file:
        wanted = {"Paris", "NewYork", "Frankfurt", "SaoPaulo"}
        rows = [row for row in csv.reader(file) if {row[0], row[1]} <= wanted]
    (tmp_path / "latency.csv").write_text("source,destination,rtt_ms\n" + "\n".join(map(",".join, rows)) + "\n")
    requests = (DATA / "requests" / "azure_llm_2023_conversation.csv").read_text().splitlines()[:3001]
    (tmp_path / "requests.csv").write_text("\n".join(requests) + "\n")
    sites = {"dam": ("SaoPaulo", "hub", "BR-SE", 12), "east": ("NewYork", "edge", "US-NY-NYIS", 6),
             "seine": ("Paris", "edge", "FR", 6)}  # fmt: skip
    (tmp_path / "fleet.toml").write_text(
        "\n".join(
            f'[[site]]\nname = "{name}"\nregion = "{region}"\noperator = "{name}"\ntier = "{tier}"\n'
            f'price_zone = "{zone}"\n[[node]]\nsite = "{name}"\nname = "{name}"\ncount = {count}\n'
            "slots = 4\nidle_watts = 300\nmax_watts = 1500\n"
            "inference = { requests_per_s = 40, prefill_tokens_per_s = 5000, tokens_per_s = 60 }"
            for name, (region, tier, zone, count) in sites.items()
        )
    )
    (tmp_path / "scenario.toml").write_text(
        f"""name = "real-hour"\nseed = 3\nstart = 2023-01-09T17:00:00Z\nfleet = "fleet.toml"\nlatency = "latency.csv"
prices = "{DATA / "prices" / "day_ahead_usd_per_kwh_2021_2023.csv"}"\ncoordinator_region = "Frankfurt"\npath = "direct"
[requests]\nfile = "requests.csv"\nobjective_ms = 2000\norigins = {{ Paris = 0.5, NewYork = 0.5 }}\n"""
    )
    arguments = ("--strategies", "hub,nearest,weighted", "--json")
    document = json.loads(compare(tmp_path / "scenario.toml", *arguments).stdout)
    cards = {one["strategy"]: one for one in document["strategies"]}
    assert all(one["completed"] == one["jobs"] == 3000 for one in cards.values())
    assert cards["hub"]["concentration"]["site"]["top_share"] == 1.0
    assert cards["nearest"]["latency_ms"]["p50"] < cards["hub"]["latency_ms"]["p50"]
    assert cards["weighted"]["cost_usd"] == min(one["cost_usd"] for one in cards.values())
    assert all(np.isfinite(one["blast_radius"]["price_x3"]) for one in cards.values())
