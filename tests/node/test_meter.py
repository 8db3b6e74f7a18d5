"""Energy as a stated model."""

from __future__ import annotations

from node.meter import ModelledMeter


def test_all_slots_for_an_hour_draw_what_stands_between_idle_and_full() -> None:
    meter = ModelledMeter.of(idle_watts=120, max_watts=900, slots=8)
    hour_us = 3600 * 10**6
    assert 8 * meter.microjoules(hour_us) == (900 - 120) * hour_us
    assert not meter.measured


def test_attempt_that_never_ran_draws_nothing() -> None:
    assert ModelledMeter.of(0, 100, 1).microjoules(0) == 0
