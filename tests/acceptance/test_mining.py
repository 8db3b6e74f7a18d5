"""`edgeward mining` as a person types it, on the scenario that the project ships."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EDGEWARD = Path(sys.executable).with_name("edgeward")
SHOCK = "examples/scenarios/price-shock/scenario.toml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EDGEWARD, "mining", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_tariff_that_rises_for_good_moves_the_hashing_elsewhere(tmp_path: Path) -> None:
    out = tmp_path / "mining.json"
    ran = run(SHOCK, "--json", "--out", str(out))

    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document == json.loads(out.read_text())
    shares = {row["region"]: row["share"] for row in document["regions"]}
    assert abs(sum(shares.values()) - 1) < 1e-9
    assert shares["Oslo"] > shares["SaoPaulo"], "the river got dearer for good in the third week"
    before, after = document["epochs"][0], document["epochs"][1]
    assert after["mean_interval_s"] > 700 > before["mean_interval_s"]
    assert after["change"] < -0.1


def test_same_scenario_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (run(SHOCK, "--json").stdout for _ in range(2))

    assert first == second
    assert first


def test_table_marks_who_cannot_make_a_coin_for_a_hundred_thousand_dollars() -> None:
    ran = run(SHOCK)

    assert ran.returncode == 0, ran.stderr
    assert "Hashprice $34.57" in ran.stdout
    (warsaw,) = (line for line in ran.stdout.splitlines() if line.startswith("Warsaw"))
    assert warsaw.endswith("above $100,000")


def test_scenario_without_a_coin_is_refused_with_what_to_add() -> None:
    ran = run("examples/scenarios/edge-or-hub/scenario.toml")

    assert ran.returncode == 2
    assert "add a [mining] table" in ran.stderr
    assert ran.stdout == ""
