"""Prices, carbon and round trips from files: exact places in complaints, gaps by policy, staleness said aloud."""

import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.file import read_latency, read_series
from coordinator.feeds.series import Series
from placement.energy import Curves

SHARED = Path(__file__).parents[3] / "shared" / "data"
HOUR = 3600.0
START = datetime(2023, 1, 9, tzinfo=UTC).timestamp()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prices.csv"


def hourly(file: Path, *rows: str, zones: str = "FR,BR-SE") -> Series:
    """A file with a row an hour from START; a row is its cells after the time."""
    lines = [f"2023-01-09T{hour:02}:00:00Z,{cells}" for hour, cells in enumerate(rows)]
    file.write_text("\n".join([f"ts_utc,{zones}", *lines]) + "\n")
    return read_series(file)


def complaint(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(InvalidConfiguration) as refusal:
        read_series(file)
    return str(refusal.value).removeprefix(str(file))


def test_prices_become_steps_in_unix_seconds_with_negative_ones_kept(file: Path) -> None:
    series = hourly(file, "0.2,0.03", "-0.05,0.03", "0.1,0.04")
    times, values = series.steps(["FR"], "error").curves["FR"]
    assert times.tolist() == [START, START + HOUR, START + 2 * HOUR]
    assert values.tolist() == [0.2, -0.05, 0.1]


def test_steps_are_what_the_integral_of_energy_takes(file: Path) -> None:
    curves = Curves(hourly(file, "0.2,1", "-0.1,2").steps(["FR", "BR-SE"], "error").curves)
    zones = np.array([curves.zones["FR"], curves.zones["BR-SE"]])
    areas = curves.integral(zones, np.full(2, START + HOUR / 2), np.full(2, START + 1.5 * HOUR))
    assert areas == pytest.approx([0.05 * HOUR, 1.5 * HOUR])


def test_moments_may_carry_an_offset_and_without_one_are_utc(file: Path) -> None:
    file.write_text("ts_utc,FR\n2023-01-09T01:00:00+01:00,1\n2023-01-09 01:00,2\n")
    assert read_series(file).times.tolist() == [START, START + HOUR]


def test_a_file_from_a_spreadsheet_with_mark_and_blank_lines_is_read(file: Path) -> None:
    file.write_bytes("﻿ts_utc,FR\r\n2023-01-09T00:00Z,0.1\r\n\r\n".encode())
    assert read_series(file).values["FR"].tolist() == [0.1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", " has no columns: its first line names them"),
        ("ts_utc,FR\n", " has no rows below its first line: at least one is needed"),
        ("time,FR\n2023-01-09,1\n", ", line 1: the columns must be ts_utc, then one for each zone"),
        ("ts_utc\n2023-01-09\n", ", line 1: the columns must be ts_utc, then one for each zone"),
        ("ts_utc,FR,FR\n2023-01-09,1,1\n", ", line 1: column 'FR' is given twice"),
        ("ts_utc,\n2023-01-09,1\n", ", line 1: column '' is without a name"),
        ("ts_utc,FR\n2023-01-09,0,05\n", ", line 2: 3 cells where line 1 names 2 columns"),
        (
            "ts_utc,FR\n2023-01-09,1\n\nsoon,1\n",
            ", line 4, column ts_utc: 'soon' is no moment like 2023-01-09T00:00:00Z",
        ),
        (
            "ts_utc,FR\n2023-01-09,1\n2023-01-08,1\n",
            ", line 3, column ts_utc: 2023-01-08 does not come after 2023-01-09; sort the rows by time",
        ),
        (
            "ts_utc,FR\n2023-01-09,1\n2023-01-09,1\n",
            ", line 3, column ts_utc: 2023-01-09 does not come after 2023-01-09; sort the rows by time",
        ),
        (
            "ts_utc,FR,DE\n2023-01-09,1,cheap\n",
            ", line 2, column DE: 'cheap' is no number; leave the cell empty for a gap",
        ),
        ("ts_utc,FR\n2023-01-09,nan\n", ", line 2, column FR: 'nan' is no number"),
        ("ts_utc,FR\n2023-01-09,inf\n", ", line 2, column FR: 'inf' is no number"),
    ],
)
def test_a_fault_in_the_file_is_named_by_file_line_and_column(file: Path, text: str, sentence: str) -> None:
    assert complaint(file, text) == sentence


def test_carbon_below_zero_is_refused(file: Path) -> None:
    file.write_text("ts_utc,FR\n2023-01-09,-1\n")
    with pytest.raises(InvalidConfiguration, match=r"line 2, column FR: '-1' is no number of at least 0"):
        read_series(file, minimum=0)


def test_a_file_that_is_missing_or_no_text_is_refused(file: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        read_series(file)
    file.write_bytes(b"ts_utc,FR\n\xff\xfe,1\n")
    with pytest.raises(InvalidConfiguration, match="UTF-8"):
        read_series(file)


def test_a_zone_without_a_column_is_refused_with_those_there_are(file: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"line 1: no column for zone 'DE-LU'; there are BR-SE, FR$"):
        hourly(file, "1,1").steps(["DE-LU"], "error")


def test_a_gap_is_refused_with_its_zone_and_hour(file: Path) -> None:
    series = hourly(file, "1,1", ",1", "3,1")
    with pytest.raises(InvalidConfiguration, match=r"line 3, column FR: no value for 2023-01-09T01:00Z; fill it in"):
        series.steps(["FR"], "error")
    assert series.steps(["BR-SE"], "error").held == {}


def test_a_gap_that_may_be_held_keeps_the_last_value_and_is_counted(file: Path) -> None:
    steps = hourly(file, "1,1", ",1", " ,1", "4,1").steps(["FR", "BR-SE"], "hold")
    times, values = steps.curves["FR"]
    assert (times - START).tolist() == [0, 3 * HOUR]
    assert values.tolist() == [1, 4]
    assert steps.held == {"FR": 2}


def test_a_gap_with_nothing_before_it_cannot_be_held(file: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"line 2, column FR: .*none before it"):
        hourly(file, ",1", "2,1").steps(["FR"], "hold")


def test_a_gap_outside_the_time_used_does_not_matter(file: Path) -> None:
    series = hourly(file, ",1", "2,1", "3,1", ",1")
    times, values = series.steps(["FR"], "error", START + 1.5 * HOUR, START + 3 * HOUR).curves["FR"]
    assert (times - START).tolist() == [HOUR, 2 * HOUR]
    assert values.tolist() == [2, 3]


def test_a_held_value_may_come_from_before_the_time_used(file: Path) -> None:
    steps = hourly(file, "1,1", ",1", "3,1").steps(["FR"], "hold", since=START + 1.5 * HOUR)
    times, values = steps.curves["FR"]
    assert (times - START).tolist() == [0, 2 * HOUR]
    assert values.tolist() == [1, 3]


def test_a_feed_is_fresh_until_its_last_step_is_over_and_then_says_for_how_long_it_is_stale(file: Path) -> None:
    series = hourly(file, "1,1", "2,1")
    assert series.note(START) == ""
    assert series.note(START + 2 * HOUR - 1) == ""
    assert series.note(START + 5 * HOUR) == (f"{file} ended at 2023-01-09T02:00Z: stale for 3 h, its last value stands")


def test_a_feed_that_ended_long_ago_still_gives_its_last_value(file: Path) -> None:
    _, values = hourly(file, "1,1", "2,1").steps(["FR"], "error", since=START + 1000 * HOUR).curves["FR"]
    assert values.tolist() == [2]


def test_a_feed_that_has_not_begun_is_refused(file: Path) -> None:
    series = hourly(file, "1,1")
    for ask in (lambda: series.note(START - 60), lambda: series.steps(["FR"], "hold", since=START - 60)):
        with pytest.raises(InvalidConfiguration, match="begins at 2023-01-09T00:00Z, after 2023-01-08T23:59Z"):
            ask()


def test_round_trips_are_read_as_given(file: Path) -> None:
    file.write_text("source,destination,rtt_ms\nParis,Lyon,8.5\nLyon, Paris,9\nParis,Paris,0\n")
    assert read_latency(file) == {("Paris", "Lyon"): 8.5, ("Lyon", "Paris"): 9.0, ("Paris", "Paris"): 0.0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b,ms\nParis,Lyon,8\n", ", line 1: the columns must be source,destination,rtt_ms"),
        ("source,destination,rtt_ms\nParis,Lyon,-1\n", ", line 2, column rtt_ms: '-1' is no number of at least 0"),
        ("source,destination,rtt_ms\nParis,Lyon,\n", ", line 2, column rtt_ms: empty; a pair needs all three"),
        ("source,destination,rtt_ms\nParis,,8\n", ", line 2, column destination: empty; a pair needs all three"),
        (
            "source,destination,rtt_ms\nParis,Lyon,8\nParis,Lyon,9\n",
            ", line 3, column source: Paris to Lyon was given before; leave one",
        ),
    ],
)
def test_a_fault_among_the_round_trips_is_named_by_place(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidConfiguration) as refusal:
        read_latency(file)
    assert str(refusal.value) == f"{file}{sentence}"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real series {name} is not beside this checkout")
    return path


def test_three_years_of_twenty_real_zones_are_read_in_a_second_and_a_half() -> None:
    path = shared("prices/day_ahead_usd_per_kwh_2021_2023.csv")
    began = time.process_time()
    series = read_series(path)
    assert time.process_time() - began < 1.5
    assert (len(series.times), len(series.values)) == (26280, 20)
    assert min(series.steps(["AT"], "hold").curves["AT"][1]) == pytest.approx(-0.5, rel=0.1)
    with pytest.raises(InvalidConfiguration, match=r"line 5064, column AT: no value for 2021-07-30T22:00Z"):
        series.steps(["AT"], "error")
    assert series.steps(["AT"], "hold").held == {"AT": 78}


def test_real_carbon_and_round_trips_are_read() -> None:
    carbon = read_series(shared("carbon/carbon_g_per_kwh_2021_2023.csv"), minimum=0)
    assert carbon.values["DE-LU"][0] == 526.8
    cities = read_latency(shared("latency/city_rtt_ms.csv"))
    assert cities["Accra", "Adelaide"] == 390.5
    assert len(read_latency(shared("latency/gcp_region_rtt_ms.csv"))) == 1122
