"""Whatever strategy decides: its decisions, made again from the log with the state and the seed, are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from coordinator.coordinator import Coordinator
from coordinator.explaining import LogReader, agrees
from coordinator.restore import restored
from coordinator.store.memory import MemoryStore
from placement.strategy import Strategy, load, names
from tests.builders import Running
from tests.contract.history import STEPS, Step, lived
from tests.contract.test_turn_log import FOR_EVER, STEPPING

PARAMETERS: dict[str, dict[str, Any]] = {  # under which a strategy has something to remember, or waits
    "cheapest": {"hysteresis_usd": 1e-7},
    "diversified": {"max_share": {"site": 0.5}, "window_s": 5.0},
    "drift": {"v": 1e6},
}


class Under(Running):
    """A coordinator that places by one strategy."""

    strategy = "weighted"

    def reopened(self) -> Coordinator:
        core = restored(self.store.load_open(), self.world, self.limits, _find, self.now)
        core.placer.live = self.strategy
        return core


def _find(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    return load(name, parameters or PARAMETERS.get(name))


@pytest.mark.parametrize("name", names())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_recomputed_decisions_are_those_that_were_made(name: str, steps: list[Step]) -> None:
    store = MemoryStore()
    under = type("UnderIt", (Under,), {"strategy": name})
    for _ in lived(under(store, world=STEPPING), steps):
        pass
    keyframe, rows = store.turns(1, FOR_EVER)
    reader = LogReader(store)
    reader.start(keyframe)
    for row in rows:
        for standing in reader.decisions(row):  # the reader's fleet stands where the strategy stood
            assert agrees(standing), standing.decision
