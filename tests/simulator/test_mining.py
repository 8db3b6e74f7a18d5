"""The coin's arithmetic and the clock of difficulty, against what is published of them."""

from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np
import pytest

from coordinator.simulator import mining
from coordinator.simulator.epochs import Chain, Coin, Epoch, Herd, NoBlocks, lucky

EXA = 1e18
DAY = 86_400.0
NETWORK = 100 * EXA
BITCOIN = Path(__file__).parents[3] / "shared/data/bitcoin/difficulty_epochs.csv"


def herd(percent: float, *off: tuple[float, float], price: float = 0.0, settled: float | None = None) -> Herd:
    """So many per cent of the network, at 20 J/TH, for electricity at one price."""
    return Herd(
        hashes_per_s=percent * EXA,
        j_per_th=20.0,
        times=np.zeros(1),
        usd_per_kwh=np.array([price]),
        settled_usd_per_kwh=price if settled is None else settled,
        off=off,
    )


def epochs(*herds: Herd, count: int = 3, rest: float = 0.0, reaction_s: float = 0.0) -> list[Epoch]:
    coin = Coin(mining.difficulty(NETWORK), block_coin=3.125, coin_usd=67_000, reaction_s=reaction_s)
    chain = Chain(herds, rest * EXA, coin)
    return [chain.epoch() for _ in range(count)]


def told(found: list[Epoch]) -> list[tuple[float, float, float]]:
    """Day of the retarget, mean interval in minutes, change in per cent."""
    return [
        (round(epoch.at_s / DAY, 1), round(epoch.mean_interval_s / 60, 2), round(epoch.change * 100, 1) + 0.0)
        for epoch in found
    ]


# closed forms


def test_hashprice_at_1020_exahashes_is_as_published_early_in_2026() -> None:
    earned = mining.hashprice(mining.difficulty(1020 * EXA), 3.125, 67_000)

    assert round(earned, 1) == 29.6


def test_hashprice_at_difficulty_1e14_is_as_tabled() -> None:
    assert mining.hashprice(1e14, 3.125, 100_000) == pytest.approx(62.86, abs=0.005)


@pytest.mark.parametrize(
    ("hashprice", "j_per_th", "expected"),
    [(30, 21.5, 0.058), (38, 84, 0.019), (60, 13.5, 0.185), (30, 30.5, 0.041), (60, 17.5, 0.143)],
)
def test_break_even_of_machines_is_as_tabled(hashprice: float, j_per_th: float, expected: float) -> None:
    assert round(mining.break_even(hashprice, j_per_th), 3) == expected


def test_break_even_with_the_hardware_paid_for_is_lower() -> None:
    assert mining.break_even(30, 20, hardware_usd_per_ph_day=12) == pytest.approx(18 / 480)


def test_energy_of_a_coin_in_2023_is_266_megawatt_hours() -> None:
    assert mining.kwh_per_coin(375 * EXA, 26.6, 6.25) == pytest.approx(266_000, rel=1e-3)


def test_a_coin_at_a_thousand_exahashes_costs_as_tabled() -> None:
    energy = mining.kwh_per_coin(1000 * EXA, 18, 3.125)

    assert energy == pytest.approx(0.960e6, rel=1e-6)
    assert energy * 0.03 == pytest.approx(28_800, rel=1e-3)
    assert 100_000 / energy == pytest.approx(0.104, abs=5e-4)


def test_usd_a_terahash_is_joules_times_price() -> None:
    assert mining.usd_per_th(36.0, 0.1) == pytest.approx(1e-6)


# retargets


def test_retarget_of_july_2021_is_the_real_one() -> None:
    assert mining.retarget(19_932_791_027_262.7, 1_678_665) == pytest.approx(14_363_025_673_660, rel=1e-6)


def test_retargets_of_all_headers_follow_the_formula() -> None:
    if not BITCOIN.exists():
        pytest.skip("the series of real difficulty epochs is not beside this checkout")
    table = np.genfromtxt(BITCOIN, delimiter=",", skip_header=1, usecols=(4, 5))
    for (before, seconds), (after, _) in pairwise(table):
        assert max(mining.retarget(before, seconds), 1.0) == pytest.approx(after, rel=3e-5)


def test_hash_rate_falling_by_38_per_cent_in_ten_days_stretches_blocks_and_then_retargets() -> None:
    steps = 2000
    leaving = [herd(38 / steps, ((n + 0.5) * 10 * DAY / steps, inf)) for n in range(steps)]

    first, second = epochs(herd(62), *leaving, count=2)

    assert told([first])[0][1:] == (13.94, -28.3)
    assert -0.14 < second.change < -0.125


def test_loss_of_80_per_cent_meets_the_clamp() -> None:
    assert told(epochs(herd(20), herd(80, (0, inf)))) == [(70.0, 50.0, -75.0), (87.5, 12.5, -20.0), (101.5, 10.0, 0.0)]


def test_loss_of_half_at_once_takes_one_epoch_of_28_days() -> None:
    assert told(epochs(herd(50), herd(50, (0, inf)), count=2)) == [(28.0, 20.0, -50.0), (42.0, 10.0, 0.0)]


def test_loss_of_half_in_the_middle_takes_two_epochs() -> None:
    found = told(epochs(herd(50), herd(50, (7 * DAY, inf)), count=2))

    assert found[0] == (21.0, 15.0, -33.3)
    assert found[1][2] == -25.0


def test_luck_scatters_the_length_of_an_epoch_by_one_in_the_root_of_2016() -> None:
    rng = np.random.default_rng(1)
    coin = Coin(mining.difficulty(NETWORK), 3.125, 67_000, 0.0)
    lengths = [Chain([herd(100)], 0.0, coin).epoch(lucky(rng)).at_s for _ in range(500)]

    assert np.std(lengths) / np.mean(lengths) == pytest.approx(0.0223, rel=0.1)


# hash rate that follows prices


def test_machines_that_stop_paying_leave_with_the_stated_reaction_time() -> None:
    (first,) = epochs(herd(40, price=1.0, settled=0.0), count=1, rest=60, reaction_s=3 * DAY)

    # 40 per cent fade as exp(-t / 3 d): their hashes are 40 * 3 d * (1 - exp(-T / 3 d))
    days = first.at_s / DAY
    assert first.hashes[0] == pytest.approx(40 * EXA * 3 * DAY * (1 - np.exp(-days / 3)), rel=1e-9)
    assert 60 * days + 120 * (1 - np.exp(-days / 3)) == pytest.approx(1400, rel=1e-9)


def test_difficulty_that_falls_brings_back_who_it_pays_again() -> None:
    pays_after = mining.break_even(mining.hashprice(mining.difficulty(NETWORK), 3.125, 67_000), 20) * 1.2
    found = epochs(herd(40, price=pays_after, settled=0.0), count=2, rest=60)

    assert found[0].hashes[0] == 0
    assert found[0].change == pytest.approx(-0.4)
    assert found[1].hashes[0] > 0


def test_energy_is_paid_at_the_price_of_the_hour_in_which_it_was_used() -> None:
    halves = Herd(40 * EXA, 20.0, np.array([0.0, 7 * DAY]), np.array([0.01, 0.03]), 0.01)
    (epoch,) = epochs(halves, count=1, rest=60)

    kwh = 40e6 * 20 * 14 * DAY / 3.6e6
    assert epoch.energy_usd[0] == pytest.approx(kwh * 0.02)


def test_a_network_of_which_nobody_is_left_finds_no_block() -> None:
    with pytest.raises(NoBlocks):
        epochs(herd(100, (DAY, inf)))
