"""Run a seed and judge it. `python -m tests.simulation.simulate SEED` says what a seed does."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from coordinator import turn
from tests.simulation.check import broken_promises
from tests.simulation.clients import use
from tests.simulation.trouble import trouble
from tests.simulation.world import World


def simulate(seed: int) -> World:
    """A whole run; what was seen is in the world's history and on its disk. Raises what the machines raised."""
    world = World(seed)
    with _alike(world.rng.choice((4, 30, turn.TURNS_A_KEYFRAME))):  # a short run must begin from keyframes as well
        world.run(use, trouble)
    if world.loop.faults:
        raise world.loop.faults[0]
    return world


@contextmanager
def _alike(turns_a_keyframe: int) -> Iterator[None]:
    """What must not differ from run to run: garbage is collected at the end, since a finaliser may have something to do
    in the world that it leaves."""
    usual, turn.TURNS_A_KEYFRAME = turn.TURNS_A_KEYFRAME, turns_a_keyframe
    gc.freeze()  # all that was here before: the collection at the end is then a small one
    gc.disable()
    try:
        yield
        gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
        turn.TURNS_A_KEYFRAME = usual


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
