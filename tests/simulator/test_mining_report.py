"""`edgeward mining`: the document of a scenario, and the command around it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.mining_report import report
from coordinator.simulator.scenario import load
from tests.simulator.files import written

SCENARIO = """\
start = 2023-01-09T00:00:00Z
fleet = "fleet.toml"
"""
MINING = """\
[mining]
network_hashes_per_s = 1e21
coin_usd = 67000
subsidy_coin = 3.125
reaction_hours = 0
"""
FLEET = """\
[[site]]
name = "dam"
region = "SaoPaulo"
operator = "hydro-co"
price_usd_per_kwh = 0.03
[[site]]
name = "roof"
region = "Essen"
operator = "sun-ag"
price_usd_per_kwh = 0.06
pue = 1.25
[[node]]
site = "dam"
name = "dam"
count = 2
slots = 10
max_watts = 4.5e9
hash = { hashes_per_s = 2.5e19 }
hardware_usd_per_hour = 10000
[[node]]
site = "roof"
name = "roof"
max_watts = 7.2e9
hash = { hashes_per_s = 5e20 }
"""
DOCUMENT = (
    "hashprice_usd_per_ph_day", "kwh_per_coin", "regions", "machines", "epochs", "concentration",
)  # fmt: skip


def document(directory: Path, extra: str = "", fleet: str = FLEET) -> dict[str, object]:
    return report(load(written(directory, SCENARIO + MINING + extra, fleet_toml=fleet), needs_jobs=False))


def rows(found: dict[str, object], key: str, by: str) -> dict[str, dict[str, object]]:
    listed = found[key]
    assert isinstance(listed, list)
    return {str(row[by]): row for row in listed}


def test_costs_by_region_and_machine_follow_the_formulas(tmp_path: Path) -> None:
    found = document(tmp_path)

    assert found["hashprice_usd_per_ph_day"] == pytest.approx(144 * 3.125 * 67_000 / 1e6)
    assert found["j_per_th"] == pytest.approx(18), "PUE is in every joule: 14.4 * 1.25 is 18 as well"
    assert found["kwh_per_coin"] == pytest.approx(0.960e6)
    regions, machines = rows(found, "regions", "region"), rows(found, "machines", "site")
    assert regions["SaoPaulo"]["energy_usd_per_coin"] == pytest.approx(28_800)
    assert regions["Essen"]["energy_usd_per_coin"] == pytest.approx(57_600)
    assert machines["roof"]["break_even_usd_per_kwh"] == pytest.approx(30.15 / 24 / 18)
    assert machines["roof"]["usd_per_th"] == pytest.approx(18 / 3.6e6 * 0.06)
    # 10,000 USD an hour for each half of 500 EH/s: 0.96 USD a PH/s and day
    assert machines["dam"]["break_even_with_hardware_usd_per_kwh"] == pytest.approx((30.15 - 0.96) / 24 / 18)


def test_everybody_who_pays_his_way_shares_the_network(tmp_path: Path) -> None:
    found = document(tmp_path)

    regions = rows(found, "regions", "region")
    assert {name: row["share"] for name, row in regions.items()} == pytest.approx({"SaoPaulo": 0.5, "Essen": 0.5})
    assert all(row["profitable"] for row in regions.values())
    operators = rows(found, "operators", "operator")
    assert operators["sun-ag"]["revenue_usd_per_day"] == pytest.approx(72 * 3.125 * 67_000)
    assert operators["sun-ag"]["energy_usd_per_day"] == pytest.approx(5e20 * 18e-12 * 24 / 1e3 * 0.06)
    concentration = found["concentration"]
    assert isinstance(concentration, dict)
    assert concentration["region"]["hhi"] == pytest.approx(5000)
    assert concentration["node"]["hhi"] == pytest.approx(1e4 * (0.25**2 * 2 + 0.5**2))
    epochs = found["epochs"]
    assert isinstance(epochs, list)
    assert len(epochs) == 26
    assert all(epoch["mean_interval_s"] == pytest.approx(600) for epoch in epochs)


def test_region_whose_price_triples_stops_and_the_rest_share_its_blocks(tmp_path: Path) -> None:
    zone = FLEET.replace('operator = "sun-ag"\nprice_usd_per_kwh = 0.06', 'operator = "sun-ag"\nprice_zone = "DE"')
    prices = "ts_utc,DE\n2023-01-09T00:00:00Z,0.06\n2023-01-09T01:00:00Z,0.06\n"
    shock = '[[event]]\nkind = "price"\nzone = "DE"\nat_s = 0\nfactor = 3.0\n'
    scenario = SCENARIO + 'prices = "prices.csv"\n' + MINING + shock
    found = report(load(written(tmp_path, scenario, fleet_toml=zone, prices_csv=prices), needs_jobs=False))

    essen = rows(found, "regions", "region")["Essen"]
    assert (essen["hashes_per_s"], essen["profitable"]) == (0, False)
    assert essen["usd_per_kwh"] == pytest.approx(0.18)
    epochs = found["epochs"]
    assert isinstance(epochs, list)
    assert (epochs[0]["mean_interval_s"], epochs[0]["change"]) == (pytest.approx(1200), pytest.approx(-0.5))
    assert epochs[0]["at"] == "2023-02-06T00:00:00.000Z"


@pytest.mark.parametrize("event", ['kind = "ban"\nregion = "Essen"', 'kind = "outage"\nnode = "roof"'])
def test_ban_of_half_the_network_stretches_blocks_at_once(tmp_path: Path, event: str) -> None:
    found = document(tmp_path, f"[[event]]\n{event}\nat_s = 604800\n")

    epochs = found["epochs"]
    assert isinstance(epochs, list)
    assert epochs[0]["mean_interval_s"] == pytest.approx(900)
    assert epochs[0]["change"] == pytest.approx(-1 / 3)
    assert epochs[1]["hhi_by_region"] == pytest.approx(1e4)


def test_ban_of_everybody_ends_the_chain_and_says_so(tmp_path: Path) -> None:
    everywhere = "".join(f'[[event]]\nkind = "ban"\nregion = "{name}"\nat_s = 3e6\n' for name in ("Essen", "SaoPaulo"))
    found = document(tmp_path, everywhere)

    epochs = found["epochs"]
    assert isinstance(epochs, list)
    assert len(epochs) == 2
    assert "no block is found" in str(found["ended"])


def test_fleet_that_cannot_hash_is_refused(tmp_path: Path) -> None:
    idle = FLEET.replace("hash = { hashes_per_s = 2.5e19 }", "inference = { tokens_per_s = 1 }")
    idle = idle.replace("hash = { hashes_per_s = 5e20 }", "inference = { tokens_per_s = 1 }")

    with pytest.raises(InvalidConfiguration, match="can hash"):
        document(tmp_path, fleet=idle)


# the command


def edgeward(*arguments: str) -> Result:
    import typer

    from edgeward.cli import mining

    app = typer.Typer()
    app.callback()(lambda: None)
    mining.register(app)
    return CliRunner().invoke(app, ["mining", *arguments])


def test_command_prints_one_document_and_writes_the_same(tmp_path: Path) -> None:
    path, out = written(tmp_path, SCENARIO + MINING, fleet_toml=FLEET), tmp_path / "mining.json"
    run = edgeward(str(path), "--json", "--out", str(out))

    assert run.exit_code == 0
    assert json.loads(run.stdout) == json.loads(out.read_text())
    assert set(DOCUMENT) <= json.loads(run.stdout).keys()


def test_command_marks_a_coin_above_a_hundred_thousand_dollars(tmp_path: Path) -> None:
    dear = FLEET.replace("0.06", "0.12")
    run = edgeward(str(written(tmp_path, SCENARIO + MINING, fleet_toml=dear)))

    (essen,) = (line for line in run.stdout.splitlines() if line.startswith("Essen"))
    assert "$115,200" in essen
    assert essen.endswith("above $100,000")


def test_command_without_a_coin_says_what_to_add(tmp_path: Path) -> None:
    run = edgeward(str(written(tmp_path, SCENARIO, fleet_toml=FLEET)))

    assert run.exit_code == 2
    assert "add a [mining] table with network_hashes_per_s, coin_usd" in run.output


def test_command_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    run = edgeward(str(tmp_path / "nowhere.toml"))

    assert run.exit_code == 2
    assert "nowhere.toml cannot be read" in run.output
