"""Step curves and the exact area under them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.energy import JOULES_PER_KWH, Curves, joules
from tests.placement.markets import Steps, area_under, curves, near, step_curves, value_at

ONLY = np.array([0])


def integral(one: Curves, start: float, end: float, zone: int = 0) -> float:
    return float(one.integral(np.array([zone]), np.array([start]), np.array([end]))[0])


def at(one: Curves, moment: float, zone: int = 0) -> float:
    return float(one.at(np.array([zone]), np.array([moment]))[0])


HOURS = Curves({"north": ([0.0, 3600.0, 7200.0], [0.10, 0.30, -0.05])})


@pytest.mark.parametrize(
    ("start", "end", "area"),
    [
        (0.0, 3600.0, 360.0),
        (1800.0, 5400.0, 180.0 + 540.0),
        (3600.0, 7200.0, 1080.0),
        (7200.0, 7300.0, -5.0),
        (-100.0, 100.0, 20.0),
        (7000.0, 9000.0, 60.0 - 90.0),
        (50.0, 50.0, 0.0),
    ],
    ids=["one step", "across", "edge to edge", "negative", "before the first", "past the last", "nothing"],
)
def test_area_is_value_times_seconds(start: float, end: float, area: float) -> None:
    assert integral(HOURS, start, end) == pytest.approx(area, abs=1e-9)


def test_value_holds_from_its_moment_to_the_next() -> None:
    assert [at(HOURS, moment) for moment in (-5.0, 0.0, 3599.99, 3600.0, 7200.0, 1e9)] == [
        0.10,
        0.10,
        0.10,
        0.30,
        -0.05,
        -0.05,
    ]


@given(curve=step_curves(-1.0, 1.0), start=st.floats(-10.0, 8000.0), length=st.floats(0.0, 9000.0))
def test_area_equals_the_sum_span_by_span(curve: Steps, start: float, length: float) -> None:
    start += curve[0][0]
    expected = area_under(curve, start, start + length)
    assert integral(curves({"z": curve}), start, start + length) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(
    many=st.lists(step_curves(-1.0, 1.0), min_size=1, max_size=12),
    offset=st.floats(-10.0, 9000.0),
    length=st.floats(0.0, 4000.0),
)
def test_zones_stacked_answer_as_each_alone(many: list[Steps], offset: float, length: float) -> None:
    stacked = curves({f"z{k}": curve for k, curve in enumerate(many)})
    zones = np.arange(len(many))
    moments = np.array([curve[0][0] + offset for curve in many])
    alone = [curves({"z": curve}) for curve in many]
    assert stacked.at(zones, moments).tolist() == [at(one, moment) for one, moment in zip(alone, moments, strict=True)]
    together = stacked.integral(zones, moments, moments + length).tolist()
    apart = [integral(one, moment, moment + length) for one, moment in zip(alone, moments, strict=True)]
    assert together == apart


@given(curve=step_curves(-1.0, 1.0), moment=st.floats(-10.0, 8000.0))
def test_value_stands_until_its_next_change(curve: Steps, moment: float) -> None:
    one = curves({"z": curve})
    moment += curve[0][0]
    until = float(one.next_change(ONLY, moment)[0])
    steps = [step for step, _ in curve]
    assert until > moment
    assert until in [*steps, np.inf]
    assert all(at(one, step) == at(one, moment) for step in steps if moment + 1e-6 < step < until)


@given(curve=step_curves(-1.0, 1.0))
def test_value_at_its_own_step_is_the_new_one(curve: Steps) -> None:
    one = curves({"other": [(0.0, 9.0)], "z": curve})
    for moment, _ in curve:
        assert at(one, moment, zone=1) == value_at(curve, moment)


def test_steps_come_back_as_they_went_in() -> None:
    steps = {"a": ([0.0, 1.0], [2.0, 3.0]), "b": ([5.0], [-1.0])}
    assert Curves(steps).to_steps() == steps


@pytest.mark.parametrize(
    ("moments", "values"),
    [([], []), ([0.0, 1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([2.0, 1.0], [1.0, 2.0]), ([0.0], [float("nan")])],
    ids=["empty", "uneven", "twice", "falling", "no number"],
)
def test_curve_that_is_none_is_refused_by_name(moments: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError, match="curve north"):
        Curves({"north": (moments, values)})


def test_a_kilowatt_for_an_hour_is_a_kilowatt_hour_and_pue_comes_on_top() -> None:
    assert joules(1000.0, 3600.0, 1.0) == JOULES_PER_KWH
    assert near(joules(1000.0, 3600.0, 1.5), 1.5 * JOULES_PER_KWH)
