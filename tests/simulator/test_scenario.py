"""Scenarios as people write them: what is read, what stands where nothing is said, what is refused and where."""

import subprocess
import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest

from coordinator.errors import InvalidConfiguration
from coordinator.simulator.model import EventKind, stream
from coordinator.simulator.scenario import load
from placement.model import Kind
from placement.model import Path as Way
from tests.simulator.files import FILES, FLEET, SCENARIO, written

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/scenarios").glob("*/scenario.toml"))
SERIES = ROOT.parent / "shared/data"


def refusal(path: Path) -> str:
    with pytest.raises(InvalidConfiguration) as refused:
        load(path)
    return str(refused.value).replace(f"{path.parent}/", "")


# what is read


def test_scenario_gives_fleet_world_and_jobs(tmp_path: Path) -> None:
    scenario = load(written(tmp_path))

    assert [facts.name for facts in scenario.nodes] == ["dam-1", "dam-2", "box"]
    dam, _, box = scenario.nodes
    assert (dam.region, dam.operator, dam.hub, dam.price_zone, dam.pue) == ("SaoPaulo", "hydro-co", True, "BR-SE", 1.1)
    assert (dam.marginal_watts, dam.hashes_per_s) == ((900 - 120) / 8, 9e9)
    assert (box.hub, box.price_usd_per_kwh, box.price_source, box.tokens_per_s) == (False, 0.2, "operator", 20)
    assert scenario.start == 1_673_222_400
    assert scenario.world.prices.zones.keys() == {"BR-SE"}
    assert scenario.world.network.between("SaoPaulo", "Paris") == pytest.approx(0.192)
    assert scenario.jobs.kind.tolist() == [Kind.HASH, Kind.INFERENCE]
    assert scenario.jobs.units.tolist() == [9e9, 20]


def test_defaults_stand_where_nothing_is_said(tmp_path: Path) -> None:
    scenario = load(written(tmp_path))

    assert (scenario.heartbeat_s, scenario.horizon_s, scenario.world.path) == (2, 86400, Way.RELAYED)
    assert scenario.world.money.second_usd == 0.0002
    assert (scenario.events, scenario.mining, scenario.parameters) == ((), None, {})
    jobs = scenario.jobs
    assert np.isnan(jobs.objective_s).all()
    assert np.isnan(jobs.second_usd).all()
    assert jobs.deadline_s.tolist() == [inf, inf]
    assert jobs.keep_ins[jobs.keep_in[0]] == ()
    assert not jobs.deferrable.any()
    box = scenario.nodes[2]
    assert (box.pue, box.idle_watts, box.bandwidth_mbps, box.slots) == (1, 0, inf, 1)


def test_every_column_of_a_job_is_read(tmp_path: Path) -> None:
    header = (
        "arrival_s,kind,origin,units,context_tokens,objective_ms,second_usd,deadline_s,keep_in,bytes_in,bytes_out,"
        "priority,deferrable"
    )
    row = "0.5,inference,Paris,12.5,300,80,0.01,60,SaoPaulo|Paris,1000,2000,-7,true"
    jobs = load(written(tmp_path, jobs_csv=f"{header}\n{row}\n1,hash,,5,,,,,,,,,\n")).jobs

    assert (jobs.units[0], jobs.context_tokens[0], jobs.objective_s[0], jobs.second_usd[0]) == (12.5, 300, 0.08, 0.01)
    assert (jobs.deadline_s[0], jobs.bytes_in[0], jobs.bytes_out[0], jobs.priority[0]) == (60, 1000, 2000, -7)
    assert jobs.keep_ins[jobs.keep_in[0]] == ("Paris", "SaoPaulo")
    assert jobs.deferrable.tolist() == [True, False]
    assert jobs.origins[jobs.origin[1]] == "Frankfurt", "who says nothing asks where the coordinator is"


def test_requests_become_jobs_whose_origins_are_drawn_alike_for_everybody(tmp_path: Path) -> None:
    requests = SCENARIO.replace('jobs = "jobs.csv"\n', "") + (
        '[requests]\nfile = "trace.csv"\nobjective_ms = 2000\norigins = { Paris = 3, SaoPaulo = 1 }\n'
    )
    trace = "arrival_s,context_tokens,generated_tokens\n" + "".join(f"{n},374,44\n" for n in range(1000))
    path = written(tmp_path, requests, trace_csv=trace)

    jobs = load(path).jobs
    assert (jobs.units[0], jobs.context_tokens[0], jobs.objective_s[0]) == (44, 374, 2.0)
    assert 700 < np.count_nonzero(jobs.origin == jobs.origins.index("Paris")) < 800
    assert (load(path).jobs.origin == jobs.origin).all()
    assert (load(path, seed=2).jobs.origin != jobs.origin).any()


def test_streams_of_chance_are_apart_by_name_and_by_seed() -> None:
    draws = {float(stream(seed, name).random()) for seed in (1, 2) for name in ("origins", "strategy")}

    assert len(draws) == 4


def test_events_are_sorted_and_last_to_the_end_unless_they_say(tmp_path: Path) -> None:
    events = (
        '[[event]]\nkind = "outage"\nsite = "dam"\nat_s = 60\nfor_s = 30\n'
        '[[event]]\nkind = "price"\nzone = "BR-SE"\nat_s = 10\nadd_usd_per_kwh = 0.1\n'
    )
    price, outage = load(written(tmp_path, SCENARIO + events)).events

    assert (price.kind, price.zone, price.add_usd_per_kwh, price.factor, price.until_s) == (
        EventKind.PRICE, "BR-SE", 0.1, 1.0, inf,
    )  # fmt: skip
    assert (outage.kind, outage.site, outage.until_s) == (EventKind.OUTAGE, "dam", 90)


def test_strategies_keep_their_parameters(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, SCENARIO + "[strategy.nearest]\nspill_after_s = inf\n"))

    assert scenario.parameters == {"nearest": {"spill_after_s": inf}}


def test_gaps_may_be_held_and_are_counted(tmp_path: Path) -> None:
    gap = "ts_utc,BR-SE\n2023-01-09T00:00:00Z,0.03\n2023-01-09T01:00:00Z,\n2023-01-09T02:00:00Z,0.07\n"
    late = "arrival_s,kind,units\n0,hash,1\n10000,hash,1\n"
    held = SCENARIO.replace('prices = "prices.csv"', 'prices = "prices.csv"\nprice_gaps = "hold"')
    scenario = load(written(tmp_path, held, prices_csv=gap, jobs_csv=late))

    assert scenario.counted.held_price_rows == {"BR-SE": 1}
    zone, noon = np.zeros(1, dtype=np.int64), np.array([scenario.start + 5000])
    assert scenario.world.prices.at(zone, noon).tolist() == [0.03]


def test_gap_after_the_jobs_is_nobodys_mistake_but_known(tmp_path: Path) -> None:
    gap = "ts_utc,BR-SE\n2023-01-09T00:00:00Z,0.03\n2023-01-09T01:00:00Z,\n"
    scenario = load(written(tmp_path, prices_csv=gap))

    assert scenario.known_until - scenario.start == 3600


def test_pairs_that_the_latency_file_lacks_are_counted(tmp_path: Path) -> None:
    scenario = load(
        written(tmp_path, latency_csv="source,destination,rtt_ms\nFrankfurt,Paris,9\nFrankfurt,SaoPaulo,203\n")
    )

    assert scenario.counted.predicted_pairs == 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_shipped_scenarios_are_whole_small_and_marked_as_generated(path: Path) -> None:
    scenario = load(path)

    assert len(scenario.jobs) > 1000
    assert scenario.counted.predicted_pairs == 0
    assert "Generated by ../generate.py" in path.read_text()
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 200_000


def test_three_scenarios_are_shipped() -> None:
    assert {path.parent.name for path in EXAMPLES} == {"three-continents", "price-shock", "edge-or-hub"}


@pytest.mark.skipif(not SERIES.exists(), reason="the real series are not beside this checkout")
def test_real_series_make_a_scenario(tmp_path: Path) -> None:
    real = SCENARIO.replace('jobs = "jobs.csv"\n', "").replace('"latency.csv"', f'"{SERIES}/latency/city_rtt_ms.csv"')
    real = real.replace('"prices.csv"', f'"{SERIES}/prices/day_ahead_usd_per_kwh_2021_2023.csv"')
    real += f'carbon = "{SERIES}/carbon/carbon_g_per_kwh_2021_2023.csv"\n'
    real += f'[requests]\nfile = "{SERIES}/requests/azure_llm_2023_conversation.csv"\n'
    real += "origins = { Paris = 0.5, NewYork = 0.5 }\n"
    scenario = load(written(tmp_path, real, fleet_toml=FLEET.replace("pue = 1.1", 'pue = 1.1\ncarbon_zone = "BR-SP"')))

    assert len(scenario.jobs) == 19_366
    assert scenario.counted.predicted_pairs == 0


# what is refused, and where


TOML = {
    "start = 2023-01-09T00:00:00Z": {
        'start = "yesterday"': "scenario.toml, line 3, column 1: start = 'yesterday': must be a moment",
        "start = 2023-01-09": "scenario.toml, line 3, column 1: start = 2023-01-09: must be a moment",
        "start = 2022-01-09T00:00:00Z": "prices.csv begins at 2023-01-09T00:00Z, after 2022-01-09T00:00Z",
        "": "scenario.toml: start is missing",
    },
    "seed = 1": {
        "seed = true": "scenario.toml, line 2, column 1: seed = true: must be a whole number",
        "seed = -1": "scenario.toml, line 2, column 1: seed = -1: must be 0 or more",
        "sead = 1": "scenario.toml, line 2, column 1: sead is an unknown key (did you mean seed?)",
    },
    'fleet = "fleet.toml"': {
        'fleet = "flet.toml"': "scenario.toml, line 4, column 1: fleet: there is no file flet.toml",
        "fleet = 3": "scenario.toml, line 4, column 1: fleet = 3: must be text",
    },
    'jobs = "jobs.csv"\n': {
        "": "scenario.toml has no jobs",
    },
    'coordinator_region = "Frankfurt"': {
        'coordinator_region = "Frankfort"': "line 8, column 1: coordinator_region: 'Frankfort' is neither in "
        "latency.csv nor a region of the fleet (did you mean Frankfurt?)",
    },
    'prices = "prices.csv"': {
        'prices = "prices.csv"\nprice_gaps = "fill"': "line 7, column 1: price_gaps = 'fill': must be 'error' or",
        "": "fleet.toml, line 6, column 1: site \"dam\" price_zone: no file has the price of zone 'BR-SE'",
        "prices = [": "scenario.toml, line",
    },
}


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [(line, instead, sentence) for line, cases in TOML.items() for instead, sentence in cases.items()],
)
def test_scenario_file_is_refused_with_its_place(tmp_path: Path, line: str, instead: str, sentence: str) -> None:
    assert line in SCENARIO

    assert sentence in refusal(written(tmp_path, SCENARIO.replace(line, instead)))


TABLES = {
    "[money]\nsecond_usd = -1": "line 10, column 1: money.second_usd = -1: must be 0 or more",
    "[money]\nsecond_usd = true": "line 10, column 1: money.second_usd = true: must be a number",
    "[money]\nsecond_used = 1": "line 10, column 1: money.second_used is an unknown key (did you mean second_usd?)",
    "[knowledge]\nheartbeat_s = nan": "line 10, column 1: knowledge.heartbeat_s = nan: must be a finite number",
    "[strategy.nearst]\nx = 1": 'line 9, column 1: strategy.nearst: "nearst" is no strategy (did you mean nearest?)',
    "[strategy.nearest]\nspill = 1": "line 10, column 1: strategy.nearest.spill: nearest.spill is an unknown key",
    "[strategy.nearest]\nspill_after_s = true": "line 10, column 1: strategy.nearest.spill_after_s: "
    "nearest.spill_after_s = True",
    "[mining]\nnetwork_hashes_per_s = 6e20": "line 9, column 1: mining.coin_usd is missing",
    "[requests]\nfile = \"x.csv\"": "jobs and [requests] exclude each other",
    '[[event]]\nkind = "flood"\nat_s = 1': "line 10, column 1: event number 1 kind = 'flood': must be",
    '[[event]]\nkind = "price"\nzone = "FR"\nat_s = 1\nfactor = 3': "line 11, column 1: event number 1 zone: the fleet "
    "has no zone 'FR'; there are BR-SE",
    '[[event]]\nkind = "price"\nzone = "BR-SE"\nat_s = 1': "line 9, column 1: event number 1: kind price needs exactly "
    "one of factor, add_usd_per_kwh",
    '[[event]]\nkind = "ban"\nregion = "Paris"\nat_s = -1': "line 12, column 1: event number 1 at_s = -1: must be 0",
    '[[event]]\nkind = "ban"\nsite = "dam"\nat_s = 1': "event number 1: kind ban takes no site, only region",
    '[[event]]\nkind = "outage"\nnode = "dam"\nat_s = 1': "line 11, column 1: event number 1 node: the fleet has no "
    "node 'dam' (did you mean dam-2?)",
    '[[event]]\nkind = "link"\nsource = "Paris"\ndestination = "Oslo"\nat_s = 1\nfactor = 2': "line 11, column 1: "
    "event number 1 source: the latency file gives no round trip between Paris and Oslo",
}  # fmt: skip


@pytest.mark.parametrize(("table", "sentence"), TABLES.items())
def test_table_of_the_scenario_is_refused_with_its_place(tmp_path: Path, table: str, sentence: str) -> None:
    assert sentence in refusal(written(tmp_path, f"{SCENARIO}{table}\n"))


FLEETS = [
    ('region = "SaoPaulo"', 'region = "Santos"', "line 3, column 1: site \"dam\" region: 'Santos' is not in latency"),
    ('price_zone = "BR-SE"', 'price_zone = "BR-NE"', "line 6, column 1: site \"dam\" price_zone: zone 'BR-NE' has no"),
    ('price_zone = "BR-SE"\n', "", 'line 1, column 1: site "dam": its electricity has no price'),
    ("pue = 1.1", "pue = 0.9", 'line 7, column 1: site "dam" pue = 0.9: must be 1 or more'),
    ("slots = 8", "slots = 0", 'line 16, column 1: node "dam" slots = 0: must be 1 or more'),
    ("max_watts = 900", "max_watts = 90", 'line 12, column 1: node "dam": max_watts = 90 is less than idle_watts = 12'),
    ("9e9", "0", 'line 19, column 10: node "dam" hash hashes_per_s = 0: must be more than 0'),
    ("hash = { hashes_per_s = 9e9 }\n", "", 'node "dam": it can do nothing'),
    ('name = "box"', 'name = "dam-2"', "line 22, column 1: node \"dam-2\" name: node 'dam-2' was there before"),
    ('site = "loft"', 'site = "lift"', "line 21, column 1: node \"box\" site: no [[site]] is called 'lift' (did"),
    ('name = "loft"', 'name = "dam"', "line 9, column 1: site \"dam\" name: site 'dam' is described twice"),
    ("max_watts = 30", "max_wats = 30", 'max_watts is missing'),
    ("tokens_per_s = 20", "tokens_per_sec = 20", 'line 24, column 36: node "box" inference tokens_per_sec is an un'),
]  # fmt: skip


@pytest.mark.parametrize(("line", "instead", "sentence"), FLEETS)
def test_fleet_is_refused_with_its_place(tmp_path: Path, line: str, instead: str, sentence: str) -> None:
    assert line in FLEET

    complaint = refusal(written(tmp_path, fleet_toml=FLEET.replace(line, instead, 1)))
    assert complaint.startswith("fleet.toml, ")
    assert sentence in complaint


JOBS = [
    ("", "jobs.csv has no columns"),
    ("arrival_s\n", "jobs.csv has no rows below its first line"),
    ("kind\nhash\n", "jobs.csv, line 1: the column arrival_s is missing"),
    ("arrival_s,colour\n1,red\n", "jobs.csv, line 1, column 2: 'colour' is an unknown column"),
    ("arrival_s,units\n1,2\n\n0.5,2\n", "jobs.csv, line 4, column arrival_s: 0.5 comes before 1 above it"),
    ("arrival_s,units\n1,-2\n", "jobs.csv, line 2, column units: -2 is negative"),
    ("arrival_s,units\n1,2\n2,nan\n", "jobs.csv, line 3, column units: 'nan' is no number"),
    ("arrival_s,units\n1,inf\n", "jobs.csv, line 2, column units: 'inf' is no number"),
    ("arrival_s,units\n1,1_000\n", "jobs.csv, line 2, column units: '1_000' is no number"),
    ("arrival_s,units\n1,true\n", "jobs.csv, line 2, column units: 'true' is no number"),
    ("arrival_s,units\n,1\n", "jobs.csv, line 2, column arrival_s: empty; every row needs it"),
    ("arrival_s,units\n1\n", "jobs.csv, line 2: 1 cells where line 1 names 2 columns"),
    ("arrival_s,kind\n1,bake\n", "jobs.csv, line 2, column kind: 'bake' must be hash or inference"),
    ("arrival_s,kind\n1,hash\n", "jobs.csv, line 2, column units: a hash job needs its number of hashes"),
    ("arrival_s,deferrable\n1,True\n", "jobs.csv, line 2, column deferrable: 'True' must be false or true"),
    ("arrival_s,priority\n1,101\n", "jobs.csv, line 2, column priority: '101' is no whole number from -100 to 100"),
    ("arrival_s,priority\n1,0.5\n", "jobs.csv, line 2, column priority: '0.5' is no whole number"),
    ("arrival_s,origin\n1,Pari\n", "jobs.csv, line 2, column origin: 'Pari' is neither in the latency file nor a "
     "region of the fleet (did you mean Paris?)"),
    ("arrival_s,keep_in\n1,Paris|Oslo\n", "jobs.csv, line 2, column keep_in: 'Oslo' is neither in the latency file"),
    ("arrival_s,units\n99999,2\n", "prices.csv, line 3, column BR-SE: the file ends at 2023-01-09T02:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), JOBS)
def test_jobs_are_refused_with_their_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path)
    (tmp_path / "jobs.csv").write_text(text)

    assert sentence in refusal(path)


def test_place_is_right_in_the_second_piece_of_a_long_file(tmp_path: Path) -> None:
    rows = "".join(f"{n},20\n" for n in range(5000))

    assert "jobs.csv, line 5002, column arrival_s: 7 comes before 4999" in refusal(
        written(tmp_path, jobs_csv=f"arrival_s,units\n{rows}7,20\n")
    )


def test_price_that_is_missing_in_an_hour_of_work_is_refused_with_its_place(tmp_path: Path) -> None:
    gap = "ts_utc,BR-SE\n2023-01-09T00:00:00Z,0.03\n2023-01-09T01:00:00Z,\n2023-01-09T02:00:00Z,0.07\n"
    long = "arrival_s,kind,units\n0,hash,6e13\n"  # 6,667 s on a slot of the dam

    assert "prices.csv, line 3, column BR-SE: no value for 2023-01-09T01:00Z" in refusal(
        written(tmp_path, prices_csv=gap, jobs_csv=long)
    )


def test_zone_without_carbon_says_which_key_names_another(tmp_path: Path) -> None:
    carbon = FILES["prices.csv"].replace("BR-SE", "BR-SP")
    complaint = refusal(written(tmp_path, SCENARIO + 'carbon = "carbon.csv"\n', carbon_csv=carbon))

    assert (
        "fleet.toml, line 6, column 1: site \"dam\" price_zone: zone 'BR-SE' has no column in carbon.csv" in complaint
    )
    assert complaint.endswith("name the one meant with carbon_zone")


def test_directory_is_no_scenario(tmp_path: Path) -> None:
    assert "is a directory: name the scenario file in it" in refusal(tmp_path)


def test_shipped_tables_are_what_the_script_beside_them_makes(tmp_path: Path) -> None:
    script = ROOT / "examples/scenarios/generate.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=60)

    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.csv"))
    assert made == sorted(path.relative_to(script.parent) for path in script.parent.rglob("*.csv"))
    assert [name for name in made if (tmp_path / name).read_bytes() != (script.parent / name).read_bytes()] == []
