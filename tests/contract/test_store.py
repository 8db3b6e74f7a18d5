"""One contract for every store, kept through turns that a real coordinator made."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from coordinator.coordinator import Coordinator
from coordinator.errors import SettledTwice, StoreTooNew, StoreUnavailable
from coordinator.ports import Settlement, Store, Turn
from coordinator.store.sqlite import SqliteStore
from placement.cost import World
from placement.energy import Curves
from placement.model import JobState
from placement.network import Network
from tests.builders import GRAIN, START, TRIVIAL, Running, coordinator, fleet, node, submission
from tests.contract.history import STEPS, Step, lived
from tests.contract.stores import KINDS, maker


@pytest.fixture(scope="module", params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    """Opens a new store at each call."""
    return maker(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def store(opened: Callable[[], Store]) -> Iterator[Store]:
    one = opened()
    yield one
    one.close()


# -- what was open is open again


def picture(core: Coordinator) -> dict[int, dict[str, Any]]:
    """Everything of the open jobs that must survive the process."""
    waiting: dict[int, list[tuple[int, int, int, int]]] = {number: [] for number in core.jobs}
    for run in core.queue:
        for piece in run.pieces:
            if not piece.job.settled:
                waiting[piece.job.number].append((piece.part, piece.start, piece.units, piece.tries))
    return {
        number: {
            "state": job.state,
            "units_done": job.units_done,
            "found": job.found,
            "uncut_from": job.cut_to if job.units > job.submission.grain else 0,
            "pieces": sorted(waiting[number]),
            "tasks_waiting": job.waiting,
            "live": {
                epoch: (core.table.names[one.node], *one.piece[1:], one.placed_us) for epoch, one in job.live.items()
            },
            "closed": job.closed,
            "reasons": job.reasons,
            "next_part": job.parts,
            "energy_microjoules": job.energy_microjoules,
            "cost_picodollars": job.cost_picodollars,
        }
        for number, job in core.jobs.items()
    }


def units_accounted(core: Coordinator) -> dict[int, int]:
    """Units done, on a node, or waiting, by job. Whatever happened, each unit is in one of these places."""
    units = {
        number: job.units_done + sum(one.piece.units for one in job.live.values()) for number, job in core.jobs.items()
    }
    for run in core.queue:
        pieces = [piece for piece in run.pieces if not piece.job.settled]
        for piece in pieces:
            units[piece.job.number] += piece.units
    for number, job in core.jobs.items():
        grain = job.submission.grain
        if job.units > grain:
            units[number] += (job.units - job.cut_to) // grain * grain
    return units


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_restored_coordinator_at_every_turn_boundary_equals_the_live_one(
    opened: Callable[[], Store], steps: list[Step]
) -> None:
    store = opened()
    try:
        for running in lived(Running(store), steps):
            again = running.reopened()
            assert picture(again) == picture(running.core)
            assert sum(run.count for run in again.queue) == sum(run.count for run in running.core.queue)
            assert again.next_job == running.core.next_job
            assert again.placer.next_epoch == running.core.placer.next_epoch
            assert again.turn.number == store.last_turn() + 1
    finally:
        store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_every_unit_of_an_open_job_is_done_or_leased_or_waiting_once(steps: list[Step]) -> None:
    for running in lived(Running(), steps):
        assert units_accounted(running.core) == {number: job.units for number, job in running.core.jobs.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_admitted_job_is_open_or_settled_and_never_both(opened: Callable[[], Store], steps: list[Step]) -> None:
    store = opened()
    try:
        for running in lived(Running(store), steps):
            every = range(1, running.core.next_job)
            settled = {one.job for one in store.settled(every)}
            assert settled | running.core.jobs.keys() == set(every)
            assert settled.isdisjoint(running.core.jobs)
            assert store.load_open().open_jobs == running.core.jobs.keys()
    finally:
        store.close()


def test_whole_job_that_runs_at_a_keyframe_does_not_wait_again_after_a_restart(store: Store) -> None:
    running = coordinator(store, node())
    running.core.submit(submission(units=GRAIN), running.now)
    running.turn(keep=True)
    again = running.reopened()
    (job,) = again.jobs.values()
    assert (len(job.live), job.waiting) == (1, 0)


# -- settled once


def settled_turn(running: Running) -> Turn:
    """One job, run and settled; the turn that settled it."""
    running.core.submit(submission("once"), running.now)
    running.turn()
    running.report(running.live()[0][1])
    return running.turn()


def test_settlement_of_a_settled_job_is_refused_and_leaves_no_trace(store: Store) -> None:
    running = coordinator(store, node())
    first = settled_turn(running).settlements[0]
    again = Turn(running.core.turn.number, int(START * 1e6), next_epoch=99)
    again.settlements = [first._replace(state=JobState.FAILED)]
    again.submissions = []
    with pytest.raises(SettledTwice):
        store.commit(again)
    (kept,) = store.settled([first.job])
    assert (kept.state, kept.body) == (JobState.SUCCEEDED, first.body)
    assert store.next_epoch() != 99
    assert store.last_turn() == again.number - 1


def test_two_settlements_of_a_job_in_one_turn_are_refused(store: Store) -> None:
    running = coordinator(store, node())
    running.core.submit(submission(), running.now)
    running.turn()
    twice = Turn(running.core.turn.number, int(START * 1e6))
    twice.settlements = [Settlement(1, JobState.FAILED, 0, 0, 0, body) for body in (b"one", b"two")]
    with pytest.raises(SettledTwice):
        store.commit(twice)
    assert store.settled([1]) == []


# -- keys


def test_key_leads_to_its_submission_and_only_for_its_client(store: Store) -> None:
    running = coordinator(store, node())
    request = submission("mine", count=3, origin="Paris", objective_ms=80.0, deadline_s=60.0)
    running.core.submit(request, running.now)
    running.turn()
    known = store.submission_of_key("client", "mine")
    assert known is not None
    assert (known.first, known.count, known.body, known.wishes) == (1, 3, request.body, request.wishes)
    assert (known.objective_s, known.before, known.grain) == (0.08, START + 60.0, GRAIN)
    assert store.submission_of_key("another", "mine") is None
    assert store.submission_of_key("client", "yours") is None


def test_repeated_key_after_settlement_gives_the_same_jobs(store: Store) -> None:
    running = coordinator(store, node())
    settled_turn(running)
    admitted = running.core.submit(submission("once"), running.now, store.submission_of_key("client", "once"))
    assert admitted.repeated  # type: ignore[union-attr]
    assert running.core.next_job == 2


# -- history


def test_history_is_newest_first_and_filtered_before_it_is_limited(store: Store) -> None:
    running = coordinator(store, *fleet(8))
    for k in range(6):
        running.core.submit(submission(f"k{k}", client="even" if k % 2 == 0 else "odd"), running.now)
    running.turn()
    running.core.cancel([1, 2, 3], running.now)
    running.turn()
    for _, epoch in running.live():
        running.report(epoch)
    running.turn()

    def jobs(state: JobState | None, client: str | None, limit: int = 10) -> list[int]:
        return [one.job for one in store.history(state, client, limit)]

    assert jobs(None, None) == [6, 5, 4, 3, 2, 1]
    assert jobs(None, None, 2) == [6, 5]
    assert jobs(JobState.CANCELLED, None) == [3, 2, 1]
    assert jobs(JobState.CANCELLED, "odd", 1) == [2]
    assert jobs(JobState.SUCCEEDED, "even") == [5]
    assert jobs(JobState.EXPIRED, None) == []
    assert {one.submission.client for one in store.history(None, "odd", 10)} == {"odd"}


def test_settled_finds_only_those_that_are_and_many_at_once(store: Store) -> None:
    running = coordinator(store, node())
    running.core.submit(submission(count=1200), running.now)
    running.turn()
    running.core.cancel(range(1, 1101), running.now)
    running.turn()
    assert {one.job for one in store.settled(range(1, 1201))} == set(range(1, 1101))


# -- the turn log


def placing_turns(store: Store, count: int, keep: frozenset[int] = frozenset()) -> Running:
    """`count` turns that place two tasks each, with nothing else between; a keyframe with those in `keep`."""
    running = coordinator(store, *fleet(3, lambda i: {"slots": 2}))
    for k in range(count):
        running.core.submit(submission(f"k{k}", count=2), running.now)
        running.turn(passed_s=0.1, keep=k in keep)
    return running


def test_turns_of_epochs_begin_after_the_keyframe_before_them(store: Store) -> None:
    placing_turns(store, 6, frozenset({1, 3}))  # turn 1 joins; turns 2 to 7 place epochs 1-2, 3-4, ... 11-12
    keyframe, rows = store.turns(9, 10)
    assert keyframe is not None
    assert [row.number for row in rows] == [6]
    keyframe, rows = store.turns(8, 10)  # placed by the turn of the second keyframe: the first one is before it
    assert keyframe is not None
    assert [row.number for row in rows] == [4, 5, 6]
    keyframe, rows = store.turns(1, 2)
    assert keyframe is None
    assert [row.number for row in rows] == [1, 2]
    assert [row.first_epoch for row in rows] == [0, 1]


def test_turns_without_any_placement_are_none(store: Store) -> None:
    coordinator(store, node())
    assert store.turns(1, 1 << 62) == (None, [])


def test_turn_that_held_everything_placed_no_epoch(store: Store) -> None:
    running = coordinator(store, node(hub=True))
    running.core.submit(submission(count=2, strategy="hub"), running.now)
    running.turn()
    running.core.submit(submission("later", strategy="hub"), running.now)
    running.turn()
    assert [row.first_epoch for row in store.turns_after(1)] == [1, 0]


def test_turns_after_are_the_rest_in_order(store: Store) -> None:
    placing_turns(store, 3)
    assert [row.number for row in store.turns_after(0)] == [1, 2, 3, 4]
    assert [row.number for row in store.turns_after(2)] == [3, 4]
    assert store.turns_after(4) == []
    assert store.last_turn() == 4
    assert store.next_epoch() == 7


def test_empty_store_starts_everything_at_one(store: Store) -> None:
    state = store.load_open()
    assert (state.next_job, state.next_epoch, state.next_turn) == (1, 1, 1)
    assert (state.facts, state.submissions, state.open_jobs, state.keyframe, state.turns) == ([], [], set(), None, [])
    assert (store.last_turn(), store.next_epoch()) == (0, 1)


# -- facts, worlds, the strategy


def test_facts_stand_as_they_stood_at_a_version(store: Store) -> None:
    running = Running(store)
    for facts in (node("a", slots=1), node("b"), node("a", slots=2)):
        running.core.put_facts(facts)
    running.turn()
    assert store.facts_until(0) == []
    assert store.facts_until(1) == [node("a", slots=1)]
    assert store.facts_until(2) == [node("a", slots=1), node("b")]
    assert store.facts_until(3) == [node("a", slots=2), node("b")]
    assert store.load_open().facts == [(3, node("a", slots=2)), (2, node("b"))]


def test_world_comes_back_as_it_was(store: Store) -> None:
    world = World(
        prices=Curves({"north": ([0.0, 3600.0], [0.1, -0.02])}),
        carbon=Curves({"north": ([0.0], [300.0])}),
        network=Network("Paris", {("Paris", "Oslo"): 30.0, ("Oslo", "Paris"): 40.0}),
    )
    turn = coordinator(store, node(), world=world).store.turns_after(0)[0]
    from coordinator.turnlog import decode

    again = store.world(decode(turn.record).world)
    assert again.prices.to_steps() == world.prices.to_steps()
    assert again.carbon.to_steps() == world.carbon.to_steps()
    assert (again.network.coordinator_region, again.network.rtt_ms) == ("Paris", world.network.rtt_ms)
    assert again.money == world.money


def test_live_strategy_is_kept(store: Store) -> None:
    running = coordinator(store, node())
    running.core.set_strategy("nearest")
    running.turn()
    assert running.reopened().strategy == "nearest"


# -- the SQLite file


def forget_before(store: SqliteStore, turn: int) -> int:
    """Forget what is older than the moment of a turn."""
    with sqlite3.connect(store.path) as database:
        moment = database.execute("SELECT at_us FROM turn WHERE number = ?", (turn,)).fetchone()[0]
    return store.forget_turns_before(moment)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_forgetting_turns_never_loses_what_a_restart_needs(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = maker("sqlite", tmp_path_factory.mktemp("forget"))()
    try:
        for running in lived(Running(store), steps):
            store.forget_turns_before(int(running.now * 1e6))  # type: ignore[attr-defined]
            again = running.reopened()
            assert picture(again) == picture(running.core)
            assert again.placer.next_epoch == running.core.placer.next_epoch
    finally:
        store.close()


def test_forgotten_log_keeps_no_turn_that_cannot_be_explained(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    placing_turns(store, 6, frozenset({1, 3}))
    assert forget_before(store, 6) == 4
    keyframe, rows = store.turns(1, 1 << 62)
    assert keyframe is not None
    assert [row.number for row in rows] == [6, 7]
    store.close()


def test_log_without_an_old_keyframe_is_not_forgotten(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    placing_turns(store, 3)
    assert store.forget_turns_before(int(START * 1e6) + 10**9) == 0
    assert len(store.turns_after(0)) == 4
    store.close()


def test_file_of_a_newer_revision_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match=r"9999.*install the version that wrote it"):
        SqliteStore(path)


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("a diary, by mistake\n" * 100)
    with pytest.raises(StoreUnavailable, match="is not a store of Edgeward"):
        SqliteStore(path)
    assert path.read_text().startswith("a diary")


def test_refused_file_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("a diary, by mistake\n" * 100)
    with pytest.raises(StoreUnavailable) as first:
        SqliteStore(path)
    path.unlink()
    SqliteStore(path).close()
    assert "in use" not in str(first.value)


def test_second_coordinator_on_a_store_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    first = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match="in use: another coordinator"):
        SqliteStore(path)
    first.close()
    SqliteStore(path).close()


def test_copy_of_the_file_after_a_commit_has_the_commit(tmp_path: Path) -> None:
    """What a crash leaves behind: the file and its write-ahead log, never closed."""
    store = SqliteStore(tmp_path / "store.db")
    running = coordinator(store, node())
    running.core.submit(submission("durable", count=2, target=TRIVIAL), running.now)
    running.turn()
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for part in ("store.db", "store.db-wal"):
        shutil.copy(tmp_path / part, crashed / part)
    again = SqliteStore(crashed / "store.db")
    assert again.load_open().open_jobs == {1, 2}
    assert again.load_open().next_epoch == running.core.placer.next_epoch
    again.close()
    store.close()


def test_epochs_and_numbers_go_on_rising_when_everything_is_settled_and_forgotten(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    running = coordinator(store, node())
    settled_turn(running)
    running.core.put_facts(replace(node(), pue=1.5))
    running.turn(passed_s=1.0, keep=True)
    forget_before(store, store.last_turn())
    again = running.reopened()
    assert (again.next_job, again.placer.next_epoch) == (2, 2)
    assert again.turn.number == running.core.turn.number
    store.close()
