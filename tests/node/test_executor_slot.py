"""A slot's worker, with a clock that the test holds and orders that come early and late."""

from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.port import Ended
from node.executor.slot import Slot

SECOND = 1_000_000


class Clock:
    """Moves on by itself with every look, as if looking were what takes time."""

    def __init__(self, now: int, step: int) -> None:
        self.now, self._step = now, step

    def __call__(self) -> int:
        self.now += self._step
        return self.now


def run(slot: Slot, call: int, until_us: int, *epochs: int, count: int = 1, handed_us: int = 0) -> list[Ended]:
    rows = [QueuedTask(epoch, bytes(76), bytes(32), 0, count, False, handed_us) for epoch in epochs]
    return columns.read_ended(slot.run(call, until_us, columns.tasks(rows)))


def test_task_that_comes_after_the_lease_is_not_begun():
    (end,) = run(Slot(clock=Clock(5 * SECOND, 0)), 1, 5 * SECOND, 7, handed_us=4 * SECOND)
    assert end == Ended(7, "released", 0, 0, SECOND, (), "")


def test_lease_that_runs_out_stops_at_the_next_look_and_releases_the_rest_of_the_batch():
    slot = Slot(clock=Clock(0, SECOND))
    first, second = run(slot, 1, 4 * SECOND, 7, 8, count=2**32)
    assert (first.outcome, second.outcome) == ("released", "released")
    assert 0 < first.units_done < 2**32
    assert second.units_done == 0


def test_lease_on_a_machine_whose_clock_is_ahead_is_read_in_the_nodes_time():
    slot = Slot(clock=Clock(1_000 * SECOND, 0))
    assert run(slot, 1, 5 * SECOND, 7)[0].outcome == "released"
    slot.align(999 * SECOND)
    (end,) = run(slot, 2, 5 * SECOND, 8, handed_us=SECOND // 2)
    assert (end.outcome, end.waited_us) == ("done", SECOND // 2)


def test_stop_that_overtakes_its_call_is_honoured_when_the_call_comes():
    slot = Slot(clock=Clock(0, 0))
    slot.stop(2, [8])
    assert [end.outcome for end in run(slot, 1, SECOND, 6, 7)] == ["done", "done"]
    assert [end.outcome for end in run(slot, 2, SECOND, 8, 9)] == ["released", "done"]


def test_stop_that_comes_after_its_call_ended_changes_nothing():
    slot = Slot(clock=Clock(0, 0))
    run(slot, 1, SECOND, 6)
    slot.stop(1, [7])
    assert run(slot, 2, SECOND, 7)[0].outcome == "done"


def test_lease_that_comes_late_does_not_shorten_the_known_one():
    slot = Slot(clock=Clock(0, 0))
    slot.lease(9 * SECOND)
    assert run(slot, 1, 0, 6)[0].outcome == "done"
