"""What every executor promises: one suite over the one without Ray and the real one."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.engines.sha256d import scan
from node.executor.inline import InlineExecutor
from node.executor.port import Executor
from node.executor.ray_executor import RayExecutor
from node.executor.slot import boottime_us
from tests.node.executors import EASY, FOREVER, Listener, task

pytestmark = pytest.mark.asyncio(loop_scope="module")
KINDS = [
    "inline",
    pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.timeout(240)]),
]
SLOTS = 2


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("local_ray")
    return str(request.param)


def make(kind: str, slots: int, listener: Listener, directory: Path) -> Executor:
    if kind == "inline":
        return InlineExecutor(slots, on_ended=listener.on_ended)
    return RayExecutor(slots, directory / "ray.log", on_ended=listener.on_ended, on_lost=listener.on_lost)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(kind: str, listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Executor]:
    """Started once a module, since a Ray takes seconds."""
    executor = make(kind, SLOTS, listener, tmp_path_factory.mktemp("node"))
    capability = await executor.start()
    assert capability.slots == SLOTS
    assert capability.hashes_per_s > 10_000
    yield executor
    await executor.close()


@pytest.fixture
def executor(running: Executor) -> Executor:
    """Under a lease that outlives the test, though not by much."""
    running.lease(boottime_us() + 60_000_000)
    return running


async def test_range_without_a_hit_is_covered_and_says_so(executor: Executor, listener: Listener):
    handed = task(30_000)
    executor.run([handed])
    (end,) = await listener.ends_of(handed)
    assert (end.outcome, end.units_done, end.nonces, end.error) == ("done", 30_000, (), "")
    assert end.run_us > 100  # at 65 million hashes a second half a millisecond


async def test_find_first_ends_at_the_hit_and_find_all_has_every_hit(executor: Executor, listener: Listener):
    first, every = task(5_000, target=EASY, start=9), task(5_000, target=EASY, start=9, find_all=True)
    executor.run([first, every])
    ends = await listener.ends_of(first, every)
    target = int.from_bytes(EASY)
    for handed, end in zip((first, every), ends, strict=True):
        expected = scan(handed.header, target, 9, 5_000, handed.find_all)
        assert (end.outcome, end.units_done, end.nonces) == ("done", *expected)


async def test_thousands_of_tiny_tasks_each_end_once_and_are_heard_of_in_batches(
    executor: Executor, listener: Listener
):
    many = [task(1, start=nonce) for nonce in range(5_000)]
    told_before = len(listener.batches)
    executor.run(many)
    ends = await listener.ends_of(*many)
    assert all(end.outcome == "done" and end.units_done == 1 for end in ends)
    assert len(listener.batches) - told_before < 500


async def test_work_that_makes_no_sense_fails_with_a_sentence_and_the_rest_goes_on(
    executor: Executor, listener: Listener
):
    whole_header, past_the_end, good = task(1, header=bytes(80)), task(2, start=2**32 - 1), task(1)
    executor.run([whole_header, past_the_end, good])
    ends = await listener.ends_of(whole_header, past_the_end, good)
    assert [end.outcome for end in ends] == ["failed", "failed", "done"]
    assert "76" in ends[0].error
    assert "2^32" in ends[1].error


async def test_stopped_while_running_comes_back_soon_with_exactly_what_it_covered(
    executor: Executor, listener: Listener
):
    running = task(FOREVER, target=EASY, find_all=True)
    executor.run([running])
    await asyncio.sleep(0.2)
    asked = time.monotonic()
    executor.stop([running.epoch, 2**63])
    (end,) = await listener.ends_of(running)
    assert time.monotonic() - asked < 20.0  # it would run for minutes
    assert end.outcome == "released"
    assert 0 < end.units_done < FOREVER
    few = end.nonces[:20]
    assert few == scan(running.header, int.from_bytes(EASY), 0, few[-1] + 1, True).nonces
    assert end.nonces[-1] < end.units_done


async def test_stopped_while_queued_comes_back_with_nothing_done_and_the_others_run(
    executor: Executor, listener: Listener
):
    busy, queued, last = [task(FOREVER) for _ in range(SLOTS)], task(FOREVER), task(1)
    executor.run([*busy, queued, last])
    executor.stop([queued.epoch])
    (end,) = await listener.ends_of(queued)
    assert (end.outcome, end.units_done) == ("released", 0)
    assert last.epoch not in listener.ended
    executor.stop([each.epoch for each in busy])
    assert [end.outcome for end in await listener.ends_of(*busy, last)] == ["released"] * SLOTS + ["done"]


async def test_tasks_run_at_once_as_many_as_there_are_slots_and_the_next_waits(executor: Executor, listener: Listener):
    long = [task(FOREVER) for _ in range(SLOTS)]
    after = task(1)
    executor.run([*long, after])
    async with asyncio.timeout(20):
        while len(executor.progress()) < SLOTS:  # noqa: ASYNC110 - progress is looked up, not told
            await asyncio.sleep(0.05)
    known = executor.progress()
    assert known.keys() == {each.epoch for each in long}
    assert all(units > 0 for units in known.values())
    executor.stop([each.epoch for each in long])
    ends = await listener.ends_of(*long, after)
    assert all(end.units_done >= known[end.epoch] for end in ends[:-1])
    assert ends[-1].waited_us > 300_000
    assert executor.progress() == {}


async def test_lease_not_given_nothing_runs_given_it_runs_run_out_it_stops_extended_it_goes_on(
    kind: str, tmp_path: Path
):
    listener = Listener()
    executor = make(kind, 1, listener, tmp_path)
    await executor.start()
    early, running, queued, late, again = task(), task(FOREVER), task(FOREVER), task(), task()

    executor.run([early])
    assert [(end.outcome, end.units_done) for end in await listener.ends_of(early)] == [("released", 0)]

    until_us = boottime_us() + 400_000
    executor.lease(until_us)
    executor.run([running, queued])
    ends = await listener.ends_of(running, queued)
    assert 0 <= boottime_us() - until_us < 1_000_000
    assert [end.outcome for end in ends] == ["released", "released"]
    assert ends[0].units_done > 0
    assert ends[0].waited_us + ends[0].run_us < 500_000
    assert ends[1].units_done == 0

    executor.run([late])
    assert (await listener.ends_of(late))[0].outcome == "released"
    executor.lease(boottime_us() + 60_000_000)
    executor.run([again])
    assert (await listener.ends_of(again))[0].outcome == "done"
    await executor.close()


async def test_closed_while_it_works_everything_is_heard_of_with_what_was_done(kind: str, tmp_path: Path):
    listener = Listener()
    executor = make(kind, 1, listener, tmp_path)
    await executor.start()
    executor.lease(boottime_us() + 60_000_000)
    running, queued = task(FOREVER), task(FOREVER)
    executor.run([running, queued])
    await asyncio.sleep(0.2)
    await executor.close()
    ends = await listener.ends_of(running, queued, within_s=0.1)
    assert [end.outcome for end in ends] == ["released", "released"]
    assert ends[0].units_done > 0
    await executor.close()
