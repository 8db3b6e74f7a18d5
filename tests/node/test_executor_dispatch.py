"""The queue in front of the workers, with workers that do what the test says."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from node.executor import columns
from node.executor.columns import QueuedTask
from node.executor.dispatch import MOST_CALLS, MOST_TASKS, Dispatcher, WorkerLost
from node.executor.port import Ended

HASHES_PER_S = 1_000_000.0  # so a hash is a microsecond
SECOND = 1_000_000
MILLISECOND = 1_000


class FakeWorker:
    """Keeps every call until the test finishes or loses it."""

    def __init__(self) -> None:
        self.calls: dict[int, tuple[list[QueuedTask], asyncio.Future[bytes]]] = {}
        self.batches: list[list[int]] = []
        self.stopped: list[tuple[int, list[int]]] = []
        self.until_us = 0

    async def run(self, call: int, until_us: int, tasks: bytes) -> bytes:
        rows = list(columns.read_tasks(tasks))
        self.until_us = until_us
        self.batches.append([row.epoch for row in rows])
        self.calls[call] = rows, asyncio.get_running_loop().create_future()
        return await self.calls[call][1]

    def stop(self, call: int, epochs: Sequence[int]) -> None:
        self.stopped.append((call, list(epochs)))

    def lease(self, until_us: int) -> None:
        self.until_us = until_us

    async def progress(self) -> tuple[int, int] | None:
        return None

    async def finish_one(self) -> None:
        rows, future = self.calls.pop(min(self.calls))
        future.set_result(columns.ended([Ended(row.epoch, "done", row.nonce_count, 1, 1, (), "") for row in rows]))
        await settle()

    async def die(self) -> None:
        calls, self.calls = self.calls, {}
        for _, future in calls.values():
            future.set_exception(WorkerLost("the worker was killed"))
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class World:
    """A dispatcher over fakes, with a clock that stands still unless moved."""

    def __init__(self, workers: int) -> None:
        self.workers = [FakeWorker() for _ in range(workers)]
        self.ended: list[Ended] = []
        self.losses: list[str] = []
        self.hired = asyncio.Event()
        self.now = 10 * SECOND
        self.dispatcher = Dispatcher(
            self.workers,
            HASHES_PER_S,
            clock=lambda: self.now,
            hire=self._hire,
            on_ended=lambda block: self.ended.extend(columns.read_ended(block)),
            on_progress=lambda known: None,
            on_lost=self.losses.append,
        )
        self.dispatcher.lease(20 * SECOND)

    async def _hire(self) -> FakeWorker:
        self.workers.append(FakeWorker())
        self.hired.set()
        return self.workers[-1]

    async def hand_in(self, first: int, how_many: int, hashes: int, priority: int = 0) -> None:
        epochs = range(first, first + how_many)
        self.dispatcher.run(
            QueuedTask(epoch, bytes(76), bytes(32), 0, hashes, False, self.now, priority) for epoch in epochs
        )
        await settle()

    def ends(self) -> dict[int, str]:
        return {end.epoch: end.outcome for end in self.ended}


@pytest.fixture
async def one() -> AsyncIterator[World]:
    world = World(workers=1)
    yield world
    world.dispatcher.cancel()


@pytest.fixture
async def two() -> AsyncIterator[World]:
    world = World(workers=2)
    yield world
    world.dispatcher.cancel()


async def test_lone_task_is_sent_at_once(one: World):
    await one.hand_in(1, 1, 1)
    assert one.workers[0].batches == [[1]]


async def test_thousands_of_tiny_tasks_travel_in_full_batches_in_order_and_few_at_a_time(one: World):
    await one.hand_in(0, 5_000, 1)
    worker = one.workers[0]
    assert len(worker.calls) == MOST_CALLS
    while worker.calls:
        assert len(worker.calls) <= MOST_CALLS
        await worker.finish_one()
    assert [len(batch) for batch in worker.batches[:9]] == [MOST_TASKS] * 9
    assert [end.epoch for end in one.ended] == list(range(5_000))


async def test_batch_holds_no_more_than_fifty_milliseconds_of_work(one: World):
    await one.hand_in(0, 100, 4 * MILLISECOND)
    assert one.workers[0].batches == [list(range(12)), list(range(12, 24))]  # one runs, one waits there, no more


async def test_long_task_travels_alone_and_nothing_waits_behind_it(two: World):
    await two.hand_in(1, 1, 5 * SECOND)
    await two.hand_in(2, 1, 5 * SECOND)
    await two.hand_in(3, 1, 5 * SECOND)
    assert [worker.batches for worker in two.workers] == [[[1]], [[2]]]
    await two.workers[1].finish_one()
    assert two.workers[1].batches == [[2], [3]]


async def test_higher_priority_overtakes_what_waits_and_never_what_runs(one: World):
    await one.hand_in(1, 3, 5 * SECOND)
    await one.hand_in(4, 2, 5 * SECOND, priority=10)
    await one.hand_in(6, 1, 5 * SECOND, priority=-10)
    worker = one.workers[0]
    for _ in range(6):
        await worker.finish_one()
    assert worker.batches == [[1], [4], [5], [2], [3], [6]]


async def test_few_tasks_of_some_milliseconds_are_spread_over_idle_workers(two: World):
    await two.hand_in(0, 8, 5 * MILLISECOND)
    assert [sum(map(len, worker.batches)) for worker in two.workers] == [4, 4]


async def test_stopped_in_the_queue_comes_back_released_and_never_reaches_a_worker(one: World):
    await one.hand_in(1, 3, SECOND)
    one.now += 40
    one.dispatcher.stop([2, 99])
    assert one.ended == [Ended(2, "released", 0, 0, 40, (), "")]
    await one.workers[0].finish_one()
    assert one.workers[0].batches == [[1], [3]]


async def test_stopped_in_flight_is_told_to_the_worker_that_has_it(two: World):
    await two.hand_in(1, 2, SECOND)
    two.dispatcher.stop([2])
    assert [worker.stopped for worker in two.workers] == [[], [(2, [2])]]
    assert two.ended == []


async def test_lapsed_lease_releases_what_waits_and_sends_nothing(one: World):
    await one.hand_in(1, 3, SECOND)
    one.now = 20 * SECOND
    await one.workers[0].finish_one()
    assert one.ends() == {1: "done", 2: "released", 3: "released"}
    await one.hand_in(4, 1, 1)
    assert one.ends()[4] == "released"
    assert one.workers[0].batches == [[1]]


async def test_extended_lease_reaches_busy_workers_at_once_and_never_shrinks(one: World):
    await one.hand_in(1, 1, SECOND)
    one.dispatcher.lease(30 * SECOND)
    one.dispatcher.lease(25 * SECOND)
    assert one.workers[0].until_us == 30 * SECOND


async def test_lost_worker_releases_what_it_had_says_so_once_and_is_replaced(one: World):
    await one.hand_in(0, 2_000, 1)
    queued_behind = 2_000 - MOST_CALLS * MOST_TASKS
    await one.workers[0].die()
    assert one.losses == ["the worker was killed"]
    assert list(one.ends().values()) == ["released"] * (2_000 - queued_behind)
    assert {end.error for end in one.ended} == {"the worker was killed"}
    await asyncio.wait_for(one.hired.wait(), 5)
    await settle()
    assert sum(map(len, one.workers[1].batches)) == queued_behind
