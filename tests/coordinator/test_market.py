"""The files that a configuration names, as the world that placing knows."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coordinator.config import Config
from coordinator.config_file import load
from coordinator.errors import InvalidConfiguration
from coordinator.feeds.market import read_market
from placement.energy import Curves

HOUR = 3600.0
NOON = datetime(2023, 1, 9, 12, tzinfo=UTC).timestamp()
PRICES = "ts_utc,FR,DE\n2023-01-09T11:00Z,0.1,0.2\n2023-01-09T12:00Z,0.3,\n2023-01-09T13:00Z,0.5,0.6\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "prices.csv").write_text(PRICES)
    (tmp_path / "carbon.csv").write_text("ts_utc,FR-1\n2023-01-09T00:00Z,50\n")
    (tmp_path / "latency.csv").write_text("source,destination,rtt_ms\nParis,Lyon,8\n")
    return tmp_path


def configured(directory: Path, text: str) -> Config:
    (directory / "coordinator.toml").write_text(text)
    return load(directory / "coordinator.toml")


def price(curves: Curves, zone: str, at: float) -> float:
    return float(curves.at(np.array([curves.zones[zone]]), np.array([at]))[0])


def test_everything_that_is_configured_is_in_the_world(directory: Path) -> None:
    market = read_market(
        configured(
            directory,
            'prices = "prices.csv"\ncarbon = "carbon.csv"\nlatency = "latency.csv"\nregion = "Paris"\n'
            '[[site]]\nname = "a"\nprice_zone = "FR"\ncarbon_zone = "FR-1"\n[money]\ncarbon_usd_per_kg = 0.1\n',
        ),
        NOON,
    )
    world = market.world
    assert price(world.prices, "FR", NOON + HOUR / 2) == 0.3
    assert price(world.prices, "FR", NOON + HOUR) == 0.5
    assert price(world.carbon, "FR-1", NOON) == 50
    assert world.network.coordinator_region == "Paris"
    assert world.network.between("Lyon", "Paris") == 0.008
    assert (world.money.carbon_usd_per_kg, world.money.second_usd) == (0.1, 0.0002)


def test_nothing_configured_is_a_world_without_markets() -> None:
    market = read_market(load(None), NOON)
    assert (market.world.prices.zones, market.world.carbon.zones) == ({}, {})
    assert market.note("FR", NOON) == ""


def test_a_zone_that_only_a_node_may_declare_is_there_unless_it_has_gaps(directory: Path) -> None:
    site = '[[site]]\nname = "a"\nprice_zone = "{}"\n'
    market = read_market(configured(directory, 'prices = "prices.csv"\n' + site.format("FR")), NOON)
    assert set(market.world.prices.zones) == {"FR"}
    later = read_market(configured(directory, 'prices = "prices.csv"\n' + site.format("FR")), NOON + HOUR)
    assert set(later.world.prices.zones) == {"FR", "DE"}  # the gap is over
    with pytest.raises(InvalidConfiguration, match="line 3, column DE: no value for 2023-01-09T12:00Z"):
        read_market(configured(directory, 'prices = "prices.csv"\n' + site.format("DE")), NOON)


def test_a_price_that_is_held_or_stale_says_so(directory: Path) -> None:
    market = read_market(configured(directory, 'prices = "prices.csv"\nprice_gaps = "hold"'), NOON)
    assert price(market.world.prices, "DE", NOON) == 0.2
    assert market.note("FR", NOON) == ""
    assert market.note("DE", NOON) == "no price of its own in 1 row, the last one stands"
    assert market.note("FR", NOON + 4 * HOUR).endswith(
        "prices.csv ended at 2023-01-09T14:00Z: stale for 2 h, its last value stands"
    )
    assert price(market.world.prices, "FR", NOON + 4 * HOUR) == 0.5


def test_a_market_that_has_not_begun_is_refused_even_if_no_site_names_it(directory: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="begins at 2023-01-09T11:00Z"):
        read_market(configured(directory, 'prices = "prices.csv"'), NOON - 2 * HOUR)
