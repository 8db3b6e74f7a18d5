"""Measures of concentration, against published shares."""

from math import isnan, log

import pytest

from coordinator.simulator.concentration import (
    concentration,
    effective_number,
    entropy,
    gini,
    hhi,
    jain,
    nakamoto,
    top_share,
)

PUBLISHED = {  # shares in per cent; hhi, effective number, Nakamoto, Gini
    "mining by country, Sep 2019": ([75.53] + [24.47 / 9] * 9, 5771, 1.73, 1, 0.655),
    "Aug 2021": ([35.4, 18.1, 11, 9.5, 4.7, 4.6, 4.5, 3.1] + [9.1 / 3] * 3, 1893, 5.28, 2, 0.471),
    "pools, Mar 2025": ([31.38, 23.28, 13.56, 10.2] + [19 / 9] * 9 + [2.48], 1865, 5.36, 2, 0.554),
    "pools, proxies joined": ([40, 30, 14.5, 10, 5, 0.5], 2836, 3.53, 2, 0.462),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_measures_of_published_shares_are_as_tabled(name: str) -> None:
    shares, index, effective, few, unequal = PUBLISHED[name]

    assert round(hhi(shares)) == index
    assert round(effective_number(shares), 2) == effective
    assert nakamoto(shares) == few
    assert round(gini(shares), 3) == unequal


def test_equal_holders_are_as_dispersed_as_can_be() -> None:
    measured = concentration([7.0] * 4)

    assert measured.hhi == pytest.approx(2500)
    assert measured.nakamoto == 3, "two of four hold half, which is not more than half"
    assert measured.gini == pytest.approx(0, abs=1e-12)
    assert measured.top_share == 0.25
    assert entropy([7.0] * 4) == pytest.approx(log(4))
    assert jain([7.0] * 4) == pytest.approx(1)


def test_ten_tenths_need_six_although_five_add_up_to_a_half_in_floating_point() -> None:
    assert nakamoto([0.1] * 10) == 6


def test_one_holder_among_idle_ones_is_as_concentrated_as_can_be() -> None:
    amounts = [0.0, 0.0, 3.0, 0.0]

    assert concentration(amounts) == (1e4, 1, 0.75, 1.0)
    assert jain(amounts) == 0.25
    assert entropy(amounts) == 0


def test_a_third_is_reached_by_fewer_than_a_half() -> None:
    assert nakamoto([30, 30, 20, 20], 1 / 3) == 2
    assert nakamoto([40, 30, 30], 1 / 3) == 1


@pytest.mark.parametrize("nothing", [[], [0.0, 0.0]])
def test_nothing_has_no_concentration(nothing: list[float]) -> None:
    assert nakamoto(nothing) == 0
    assert all(isnan(measure(nothing)) for measure in (hhi, gini, top_share, entropy, effective_number, jain))


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="at least zero"):
        hhi([1.0, -1.0])
