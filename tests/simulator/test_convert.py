"""Published files become the files of a scenario, which the scenario's own readers then take."""

from pathlib import Path

import numpy as np
import pytest

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.file import read_latency, read_series
from coordinator.simulator.convert import hourly_prices, llm_requests, round_trips, swf
from coordinator.simulator.convert.hourly_prices import Layout
from coordinator.simulator.trace import Regions, read_jobs, read_requests

HERE = Regions(frozenset({"Paris"}), "Paris")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.csv"


@pytest.mark.parametrize(
    "text",
    [
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,374,44\n2023-11-16 18:17:08.2949600,396,109\n",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "9.315,GPT-4,396,109,505,x\n5,GPT-4,374,44,418,x\n",
    ],
    ids=["azure", "burst-gpt"],
)
def test_requests_of_known_traces_count_from_the_first(source: Path, target: Path, text: str) -> None:
    source.write_text(text)

    assert llm_requests.convert(source, target) == 2
    jobs = read_requests(target, {"Paris": 1.0}, seed=1)
    assert jobs.arrival_s.tolist() == [0, 4.315]
    assert jobs.context_tokens.tolist() == [374, 396]
    assert jobs.units.tolist() == [44, 109]


def test_requests_of_an_unknown_trace_are_refused(source: Path, target: Path) -> None:
    source.write_text("when,what\n1,2\n")

    with pytest.raises(InvalidConfiguration, match="line 1: none of the traces known here"):
        llm_requests.convert(source, target)
    assert not target.exists()


def test_prices_in_columns_become_usd_per_kwh_and_gaps_stay(source: Path, target: Path) -> None:
    source.write_text("time,DE,FR\n2023-01-09T01:00Z,-5,\n2023-01-09T00:00Z,100,80.5\n")

    assert hourly_prices.convert(source, target, Layout("time", 0.001, {"DE": "DE-LU", "FR": "FR"})) == 2
    series = read_series(target)
    assert series.values["DE-LU"].tolist() == [0.1, -0.005]
    assert series.values["FR"][0] == 0.0805
    assert np.isnan(series.values["FR"][1])


def test_prices_in_rows_on_a_local_clock_survive_the_hour_that_comes_twice(source: Path, target: Path) -> None:
    hours = ["2023-10-29 01:00", "2023-10-29 02:00", "2023-10-29 02:00", "2023-10-29 03:00"]
    rows = [f"{hour},{zone},{n}" for n, hour in enumerate(hours) for zone in ("France", "Germany")]
    source.write_text("\n".join(["at,country,price", *rows]) + "\n")

    layout = Layout("at", 0.001, {"France": "FR"}, zone="country", price="price", clock="Europe/Paris")
    assert hourly_prices.convert(source, target, layout) == 4
    series = read_series(target)
    assert np.diff(series.times).tolist() == [3600] * 3
    assert series.values["FR"].tolist() == [0, 0.001, 0.002, 0.003]


def test_price_that_is_no_number_is_refused_with_its_place(source: Path, target: Path) -> None:
    source.write_text("at,DE\n2023-01-09T00:00Z,n/a\n")

    with pytest.raises(InvalidConfiguration, match=r"line 2, column at: 'n/a' is no price"):
        hourly_prices.convert(source, target, Layout("at", 1.0, {"DE": "DE"}))


def test_round_trips_in_rows_are_averaged_over_repeats(source: Path, target: Path) -> None:
    source.write_text("from,to,avg\nParis,Oslo,0.030\nParis,Oslo,0.040\nOslo,Paris,\n")

    assert round_trips.convert(source, target, ("from", "to", "avg"), ms=1000) == 1
    assert read_latency(target) == {("Paris", "Oslo"): 35.0}


def test_square_of_round_trips_becomes_pairs(source: Path, target: Path) -> None:
    source.write_text(",Paris,Oslo\nParis,0.5,31\nOslo,33,\n")
    with pytest.raises(InvalidConfiguration, match="without a name"):
        round_trips.convert(source, target)

    source.write_text("city,Paris,Oslo\nParis,0.5,31\nOslo,33,\n")
    assert round_trips.convert(source, target) == 3
    assert read_latency(target)["Oslo", "Paris"] == 33


def test_batch_log_becomes_hashes_that_take_its_processor_seconds(source: Path, target: Path) -> None:
    lines = [
        "; Version: 2.2",
        "1 100 5 60 4 -1 -1 4 90 -1 1 1 1 1 1 -1 -1 -1",
        "2 160 0 30 -1 -1 -1 2 30 -1 1 1 1 1 1 -1 -1 -1",
        "3 170 0 -1 8 -1 -1 8 30 -1 0 1 1 1 1 -1 -1 -1",
    ]
    source.write_text("\n".join(lines))

    assert swf.convert(source, target, "Paris", hashes_per_s=1e6, slack=1.0) == swf.Converted(jobs=2, left_out=1)
    jobs = read_jobs(target, HERE)
    assert jobs.arrival_s.tolist() == [0, 60]
    assert jobs.units.tolist() == [240e6, 60e6]
    assert jobs.deadline_s.tolist() == [480, 120]
    assert jobs.deferrable.all()


def test_batch_log_of_another_format_is_refused_with_its_line(source: Path, target: Path) -> None:
    source.write_text("; remark\n1 2 3\n")

    with pytest.raises(InvalidConfiguration, match="line 2: 3 fields where a job has 18 numbers"):
        swf.convert(source, target, "Paris", hashes_per_s=1.0)
