"""Run a seed and judge it. `python -m tests.simulation.simulate SEED` says what a seed does."""

from __future__ import annotations

import sys

from coordinator import turn
from tests.simulation.check import broken_promises
from tests.simulation.clients import use
from tests.simulation.trouble import trouble
from tests.simulation.world import World


def simulate(seed: int) -> World:
    """A whole run; what was seen is in the world's history and on its disk. Raises what the machines raised."""
    world = World(seed)
    usual = turn.TURNS_A_KEYFRAME
    turn.TURNS_A_KEYFRAME = world.rng.choice((4, 30, usual))  # a short run must begin from keyframes as well
    try:
        world.run(use, trouble)
    finally:
        turn.TURNS_A_KEYFRAME = usual
    if world.loop.faults:
        raise world.loop.faults[0]
    return world


def judged(seed: int) -> list[str]:
    """What a seed breaks, a surprise of the machines included."""
    try:
        world = simulate(seed)
    except Exception as surprise:  # noqa: BLE001 - any surprise is a finding, and the seed must be told with it
        return [f"a process ended by {type(surprise).__name__}: {surprise}"]
    return broken_promises(world.history, world.disk)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        world = simulate(int(argument))
        history = world.history
        print(f"seed {argument}: {len(history.submits)} submits, {len(history.reads)} reads, {len(history.runs)} runs")
        print("\n".join(broken_promises(history, world.disk)) or "every promise kept")
