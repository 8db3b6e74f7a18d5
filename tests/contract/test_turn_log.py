"""What the turn log promises: every decision made again is the decision that was made, bit for bit, and it is small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from coordinator import turnlog
from coordinator.explaining import LogReader, agrees, explain, recompute
from coordinator.lifecycle import AttemptEvent
from coordinator.ports import Store, Turn
from coordinator.store.memory import MemoryStore
from coordinator.store.sqlite import SqliteStore
from placement.cost import Money, World
from placement.energy import Curves
from placement.network import Network
from tests.builders import GRAIN, START, Running, coordinator, fleet, node, submission
from tests.contract.history import STEPS, Step, lived
from tests.contract.stores import KINDS, maker

STEPPING = World(  # prices that step while the runs of the tests last
    prices=Curves({"north": ([START - 60.0, START + 3.0, START + 9.0], [0.2, -0.05, 0.4])}),
    carbon=Curves({"north": ([START - 60.0, START + 5.0], [50.0, 700.0])}),
    network=Network("Paris"),
    money=Money(carbon_usd_per_kg=0.1, idle_share=0.5),
)
FOR_EVER = 1 << 62


@pytest.fixture(scope="module", params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    """Opens a new store at each call."""
    return maker(request.param, tmp_path_factory.mktemp(request.param))


def verdicts(store: Store, first_epoch: int = 1, last_epoch: int = FOR_EVER) -> Iterator[tuple[int, bool]]:
    """First epoch of every decision that is read for these epochs, and whether recomputing it agrees."""
    keyframe, rows = store.turns(first_epoch, last_epoch)
    reader = LogReader(store)
    reader.start(keyframe)
    for row in rows:
        for standing in reader.decisions(row):
            yield standing.decision.first_epoch, agrees(standing)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_recomputed_decisions_of_any_run_are_those_that_were_made(
    opened: Callable[[], Store], steps: list[Step]
) -> None:
    store = opened()
    try:
        *_, running = lived(Running(store, world=STEPPING), steps)
        every = dict(verdicts(store))
        assert all(every.values()), every
        for epoch in range(1, running.core.placer.next_epoch):  # from the keyframe before it, wherever that is
            found = dict(verdicts(store, epoch, epoch))
            assert all(found.values()), found
            assert max(first for first in every if first <= epoch) in found
    finally:
        store.close()


def test_decision_at_a_moment_between_microseconds_is_recomputed_exactly() -> None:
    running = coordinator(MemoryStore(), *fleet(3, lambda i: {"price_usd_per_kwh": 0.1 + i / 30}))
    for k in range(5):
        running.now = START + k * 0.1234567
        running.core.submit(submission(f"k{k}", count=4, objective_ms=1.0), running.now)
        running.turn()
    assert [same for _, same in verdicts(running.store)] == [True] * 5


def test_log_read_from_a_reopened_file_agrees(tmp_path: Path) -> None:
    running = coordinator(SqliteStore(tmp_path / "store.db"), *fleet(4))
    for k in range(6):
        running.core.submit(submission(f"k{k}", count=3, objective_ms=5.0), running.now)
        running.turn(passed_s=0.3, keep=k == 2)
    running.store.close()
    reopened = SqliteStore(tmp_path / "store.db")
    assert len(list(verdicts(reopened))) == 6
    assert all(same for _, same in verdicts(reopened))
    assert list(verdicts(reopened, 16)) == [(10, True), (13, True), (16, True)]  # the keyframe came with epochs 7 to 9
    reopened.close()


def test_log_that_was_forgotten_in_part_agrees_in_what_is_left(tmp_path: Path) -> None:
    running = coordinator(SqliteStore(tmp_path / "store.db"), *fleet(4))
    for k in range(6):
        running.core.submit(submission(f"k{k}", count=3, objective_ms=5.0), running.now)
        running.turn(passed_s=0.3, keep=k == 2)
    running.store.forget_turns_before(int(running.now * 1e6))  # type: ignore[attr-defined]
    assert list(verdicts(running.store)) == [(10, True), (13, True), (16, True)]
    running.store.close()


def test_a_change_in_what_was_logged_is_noticed() -> None:
    running = coordinator(MemoryStore(), node("a"), node("b", price_usd_per_kwh=0.2))
    running.core.submit(submission(), running.now)
    running.turn()
    reader = LogReader(running.store)
    for row in running.store.turns(1, 1)[1]:
        for standing in reader.decisions(row):
            other = standing.decision._replace(nodes=[1])
            assert agrees(standing)
            assert not agrees(standing._replace(decision=other))
            assert not agrees(standing._replace(decision=standing.decision._replace(check=7)))


def test_explanation_ranks_the_node_that_was_chosen_first_and_names_everyone() -> None:
    dear, cheap = node("dear", price_usd_per_kwh=0.5), node("cheap", price_usd_per_kwh=0.1)
    running = coordinator(MemoryStore(), dear, cheap, node("away", keep_private=True, region="Oslo"))
    running.core.submit(submission(count=2), running.now)
    running.turn()
    reader = LogReader(running.store)
    shown = [
        explained
        for row in running.store.turns(1, 2)[1]
        for standing in reader.decisions(row)
        for explained in explain(standing, {1, 2})
    ]
    assert [one.epoch for one in shown] == [1, 2]
    for one in shown:
        assert one.considered[0].node == one.node
        assert [each.rank for each in one.considered] == [1, 2, None]
        assert [each.reason.value for each in one.considered[2].rejections] == ["private"]
        plan = recompute(standing_of(running.store))
        assert one.considered[0].cost_usd == plan.costs[0][one.epoch - 1]


def standing_of(store: Store):  # type: ignore[no-untyped-def]
    reader = LogReader(store)
    return next(standing for row in store.turns(1, 1)[1] for standing in reader.decisions(row))


def test_record_of_a_turn_reads_back_as_it_was_written() -> None:
    running = coordinator(MemoryStore(), *fleet(3))
    running.core.submit(submission("one", count=2, units=2 * GRAIN + 5, deadline_s=9.0, budget_usd=1.0), running.now)
    turn = running.turn()
    read = turnlog.decode(turnlog.encode(turn))
    (made,), (logged,) = turn.decisions, read.decisions
    assert (read.now, read.facts_version, read.loads) == (running.now, turn.facts_version, turn.loads)
    assert (logged.groups, logged.placed, logged.nodes) == (made.groups, made.placed, made.nodes)
    assert (logged.strategy, logged.state, logged.first_epoch) == ("weighted", None, 1)
    assert [task.units for task in turnlog.tasks(logged.runs)] == [GRAIN, GRAIN, 5, GRAIN, GRAIN, 5]
    assert [task.job for task in turnlog.tasks(logged.runs)] == [1, 1, 1, 2, 2, 2]


# -- size


def many_nodes() -> Running:
    """A thousand nodes that differ in price and speed, after the turn that logs all their queues once."""
    running = coordinator(
        MemoryStore(),
        *fleet(1000, lambda i: {"price_usd_per_kwh": 0.05 + i * 1e-5, "hashes_per_s": 500.0 + i, "slots": 4}),
    )
    running.core.submit(submission("first"), running.now)
    running.turn()
    return running


def bytes_of(turn: Turn) -> int:
    return len(turnlog.encode(turn))


def test_turn_of_a_lone_job_takes_under_200_bytes() -> None:
    running = many_nodes()
    running.report(running.live()[0][1])
    running.core.submit(submission("lone", objective_ms=20.0), running.now)
    assert bytes_of(running.turn(passed_s=1.0)) < 200


def test_turn_of_256_equal_jobs_takes_under_2_kilobytes() -> None:
    running = many_nodes()
    for k in range(3):  # each time everything that the last turn placed has been reported
        for _, epoch in running.live():
            running.report(epoch, AttemptEvent.DONE)
        running.core.submit(submission(f"group-{k}", count=256, objective_ms=20.0), running.now)
        turn = running.turn(passed_s=1.0)
        assert len(turn.decisions[0].nodes) == 256
        assert bytes_of(turn) < 2_000, k
