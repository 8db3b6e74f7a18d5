"""Every promise, under hundreds of schedules of faults. EDGEWARD_SCHEDULES=100000 soaks; EDGEWARD_SEED=n runs one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulation.simulate import judged, simulate

SCHEDULES = int(os.environ.get("EDGEWARD_SCHEDULES", "300"))
ONLY = os.environ.get("EDGEWARD_SEED")
FIRST = int(os.environ.get("EDGEWARD_FIRST_SEED", "0"))
SHARES = 10  # so that the suite may spread them over processes, and a failure stops only its share
KEPT = [
    int(line.split()[0]) for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines() if line[0] != "#"
]


def run(seeds: range | list[int]) -> None:
    for seed in seeds:
        broken = judged(seed)
        if broken:
            pytest.fail(
                f"seed {seed} breaks {len(broken)} promises; again with EDGEWARD_SEED={seed}:\n"
                + "\n".join(broken[:10])
            )


@pytest.mark.skipif(ONLY is None, reason="runs one seed, given as EDGEWARD_SEED")
def test_one_seed_keeps_every_promise() -> None:
    run([int(ONLY or 0)])


@pytest.mark.skipif(ONLY is not None, reason="one seed was asked for")
@pytest.mark.parametrize("seed", KEPT)
def test_seed_that_once_failed_keeps_every_promise(seed: int) -> None:
    run([seed])


@pytest.mark.skipif(ONLY is not None, reason="one seed was asked for")
@pytest.mark.timeout(0)  # the number of schedules is the caller's
@pytest.mark.parametrize("share", range(SHARES))
def test_any_schedule_of_faults_keeps_every_promise(share: int) -> None:
    run(range(FIRST + share, FIRST + SCHEDULES, SHARES))


@pytest.mark.parametrize("seed", [7, 11, 71])
def test_a_seed_is_a_whole_run_again(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.history == second.history
    assert len(first.history.runs) > 0
