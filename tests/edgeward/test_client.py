"""The client against a coordinator on a real port: one submit for thousands, streams that break, waits that end."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from grpc import aio

from edgeward import AsyncClient, Client, HashJob
from edgeward.errors import (
    Cancelled,
    EdgewardError,
    Expired,
    InvalidJob,
    JobFailed,
    KeyConflict,
    Refused,
    TimedOut,
    UnknownJob,
    Unreachable,
)
from protos import jobs_pb2, types_pb2
from tests.edgeward.conftest import opened
from tests.edgeward.fake_coordinator import HIT, FakeCoordinator, placement

HEADER = "00" * 72 + "ffff001d"


def search(start: int = 0, count: int = 1000, **more: object) -> HashJob:
    return HashJob(HEADER, nonce_start=start, nonce_count=count, **more)


async def test_job_submitted_is_found_and_costed(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.finds = [42]
    job = await client.submit(search(), key="block-1", origin="Paris")
    found = await job.result(timeout=10)
    assert [(each.nonce, each.hash) for each in found.nonces] == [(42, HIT.hex())]
    assert found.hashes_done == 1000
    receipt = await job.receipt()
    assert receipt is not None and receipt.cost_usd == 0.0003 and receipt.nodes == ["dam-1"]
    assert coordinator.submissions[0].key == "block-1" and coordinator.submissions[0].options.origin == "Paris"


async def test_list_goes_up_in_one_message_and_comes_back_in_order(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    jobs = await client.submit([search(start=start, count=start + 1) for start in range(3000)])
    await client.wait(jobs, timeout=20)
    results = [await job.result() for job in jobs]
    assert [result.hashes_done for result in results] == list(range(1, 3001))
    assert coordinator.messages == 1
    (submission,) = coordinator.submissions
    assert submission.count == 3000 and len(submission.hash.headers) == 76 and len(submission.hash.nonce_starts) == 3000
    assert len({job.job_id for job in jobs}) == 3000


async def test_list_of_mixed_kinds_is_two_submissions_under_derived_keys(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    jobs = await client.submit([search(count=1), search(count=2, find="all"), search(count=3)], key="k")
    assert [(await job.result(10)).hashes_done for job in jobs] == [1, 2, 3]
    assert [(each.key, each.count, each.hash.find_all) for each in coordinator.submissions] == [
        ("k", 2, False),
        ("k/1", 1, True),
    ]
    assert [job.key for job in jobs] == ["k", "k/1", "k"]


async def test_submits_made_together_share_few_messages(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    jobs = await asyncio.gather(*(client.submit(search(count=n + 1)) for n in range(200)))
    done, not_done = await client.wait(jobs, timeout=10)
    assert len(done) == 200 and not not_done
    assert [(await job.result()).hashes_done for job in jobs] == list(range(1, 201))
    assert coordinator.messages < 20


async def test_empty_list_asks_nothing(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    assert await client.submit([]) == []
    assert coordinator.sessions == 0


async def test_answer_lost_with_the_stream_is_asked_again_by_the_same_key(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    coordinator.loses_answers = 1
    job = await client.submit(search(count=77))
    assert (await job.result(timeout=10)).hashes_done == 77
    assert len(coordinator.jobs) == 1 and coordinator.sessions == 2
    first, again = coordinator.submissions
    assert first.key == again.key


async def test_settlement_lost_with_the_stream_is_heard_by_a_watch(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    coordinator.unavailable = 2  # the first watches fail as well
    coordinator.drop_streams()
    waiting = asyncio.create_task(job.result(timeout=10))
    while coordinator.watches < 3:  # noqa: ASYNC110  it counts on another thread
        await asyncio.sleep(0.01)
    coordinator.settle()
    assert (await waiting).hashes_done == 1000


async def test_job_is_settled_though_nobody_waits_when_the_stream_breaks(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    coordinator.drop_streams()
    ended = asyncio.Event()
    job.add_done_callback(lambda _: ended.set())
    coordinator.settle()
    async with asyncio.timeout(10):
        await ended.wait()


async def test_broken_stream_is_opened_again_for_the_next_submit(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    await (await client.submit(search())).result(10)
    coordinator.drop_streams()
    await (await client.submit(search())).result(10)
    await (await client.submit(search())).result(10)
    assert coordinator.sessions == 2 and len(coordinator.jobs) == 3


async def test_same_key_again_gives_the_same_job_and_its_end(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    first = await client.submit(search(), key="same")
    await first.result(10)
    again = await client.submit(search(), key="same")
    assert again.job_id == first.job_id
    assert (await again.result(10)).hashes_done == 1000


async def test_same_key_for_other_work_conflicts(client: AsyncClient) -> None:
    await client.submit(search(), key="same")
    with pytest.raises(KeyConflict, match="choose another"):
        await client.submit(search(count=5), key="same")


async def test_refusal_says_what_would_admit_the_job(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    survivors = [types_pb2.Survivors(rule="no_engine", left=2), types_pb2.Survivors(rule="residency", left=0)]
    coordinator.refusal = types_pb2.Refusal(
        reason="No node stands in Oslo.", relaxation="Without keep_in 2 nodes could.", survivors=survivors
    )
    with pytest.raises(Refused, match=r"^No node stands in Oslo\. Without keep_in 2 nodes could\.$") as refused:
        await client.submit(search(), keep_in="Oslo")
    assert refused.value.survivors == [("no_engine", 2), ("residency", 0)]
    with pytest.raises(Refused):
        await client.submit([search(), search()], keep_in=["Oslo"])


async def test_invalid_by_the_coordinator_is_raised_at_submit(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    kind = jobs_pb2.INVALID_KIND_JOB
    coordinator.invalid = jobs_pb2.Invalid(kind=kind, sentence="The origin 'Mars' is not in the latency table.")
    with pytest.raises(InvalidJob, match="Mars"):
        await client.submit(search(), origin="Mars")


async def test_list_rejected_in_part_keeps_the_accepted_part(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    await client.submit(search(count=9), key="k/1")  # the key that the second submission below derives
    good, bad = await client.submit([search(), search(find="all")], key="k")
    assert (await good.result(10)).hashes_done == 1000
    assert bad.done() and "coordinator" not in repr(bad)
    with pytest.raises(KeyConflict):
        await bad.result()
    with pytest.raises(KeyConflict):
        _ = bad.job_id


@pytest.mark.parametrize(
    ("state", "error", "raised"),
    [
        (types_pb2.JOB_STATE_FAILED, "the engine broke", JobFailed),
        (types_pb2.JOB_STATE_EXPIRED, "", Expired),
        (types_pb2.JOB_STATE_CANCELLED, "", Cancelled),
        (types_pb2.JOB_STATE_REFUSED, "", Refused),
    ],
)
async def test_job_that_ends_badly_raises_how(
    client: AsyncClient, coordinator: FakeCoordinator, state: int, error: str, raised: type[Exception]
) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    coordinator.settle(state, error)
    with pytest.raises(raised, match=error or job.job_id):
        await job.result(timeout=10)
    assert isinstance(await job.exception(), raised)


async def test_result_that_does_not_come_in_time_times_out_and_the_job_goes_on(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    with pytest.raises(TimedOut, match="it goes on"):
        await job.result(timeout=0.05)
    assert await job.state() == "pending"
    coordinator.settle()
    assert (await job.result(timeout=10)).hashes_done == 1000
    assert await job.state() == "succeeded"


async def test_cancel_tells_whether_the_job_was_open(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    assert await job.cancel() is True
    with pytest.raises(Cancelled):
        await job.result(10)
    assert await job.cancel() is False


async def test_cancel_all_counts_the_open(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    await client.submit([search(), search()])
    assert await client.cancel(all=True) == 2
    assert await client.cancel(all=True) == 0


async def test_jobs_come_as_they_complete(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    first, last = await client.submit([search(count=1), search(count=2)])
    order = client.as_completed([first, last], timeout=10)
    coordinator.settle_last()
    assert await anext(order) is last
    coordinator.settle()
    assert await anext(order) is first
    with pytest.raises(StopAsyncIteration):
        await anext(order)


async def test_as_completed_times_out_over_what_is_left(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    jobs = await client.submit([search(), search()])
    coordinator.settle_last()
    seen = []
    with pytest.raises(TimedOut, match="1 of 2 jobs"):
        async for job in client.as_completed(jobs, timeout=0.2):
            seen.append(job)  # noqa: PERF401
    assert seen == [jobs[1]]


async def test_wait_reports_progress(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job = await client.submit(search())
    seen: list[tuple[int, int]] = []
    waiting = asyncio.create_task(client.wait([job], 10, lambda done, total: seen.append((done, total))))
    while not seen:
        coordinator.progress(250, 1000)
        await asyncio.sleep(0.01)
    coordinator.settle()
    done, _ = await waiting
    assert done == [job] and seen[0] == (250, 1000)


async def test_done_callback_is_called_once_and_its_fault_harms_nobody(
    client: AsyncClient, coordinator: FakeCoordinator
) -> None:
    coordinator.holds = True
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    first, second = await client.submit([search(), search()])
    called = []
    first.add_done_callback(lambda job: 1 / 0)
    first.add_done_callback(called.append)
    coordinator.settle()
    await second.result(10)
    assert called == [first] and isinstance(faults[0], ZeroDivisionError)
    first.add_done_callback(called.append)
    assert called == [first, first]


async def test_job_by_id_is_followed_to_its_end(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job = await client.submit(search(), key="mine")
    other = await client.job(job.job_id)
    coordinator.settle()
    assert (await other.result(10)).hashes_done == 1000
    assert (await (await client.job(job.job_id)).result()).hashes_done == 1000
    assert other.key == "mine"


@pytest.mark.parametrize("job_id", ["nonsense", "0198c2d1-7a3e-7c11-9f5e-2b1c3d4e5f60"])
async def test_unknown_id_is_unknown(client: AsyncClient, job_id: str) -> None:
    with pytest.raises(UnknownJob, match="edgeward jobs"):
        await client.job(job_id)


async def test_read_is_repeated_while_the_coordinator_starts(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.unavailable = 3
    assert [node.name for node in await client.nodes()] == ["dam-1", "edge-paris"]


async def test_read_gives_up_on_a_coordinator_that_stays_away(coordinator: FakeCoordinator) -> None:
    async with AsyncClient(coordinator.address, timeout=0.3, channel=opened(coordinator.address)) as client:
        coordinator.unavailable = 1000
        with pytest.raises(Unreachable, match=coordinator.address):
            await client.nodes()


async def test_coordinator_that_was_never_there_is_told_within_seconds() -> None:
    started = time.monotonic()
    async with AsyncClient("127.0.0.1:9", channel=opened("127.0.0.1:9")) as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 \(connection refused\).*edgeward coordinator"):
            await client.submit(search())
    assert time.monotonic() - started < 5


async def test_waiting_ends_when_the_coordinator_stays_away(coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    async with AsyncClient(coordinator.address, timeout=0.5, channel=opened(coordinator.address)) as client:
        job = await client.submit(search())
        coordinator.unavailable = 1000
        coordinator.drop_streams()
        with pytest.raises(Unreachable):
            await job.result(timeout=20)
        coordinator.unavailable = 0
        coordinator.settle()
        assert (await job.result(timeout=10)).hashes_done == 1000  # asked again, it listens again


async def test_placements_go_on_where_a_broken_stream_stood(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    coordinator.placements = [placement(seq) for seq in range(1, 6)]
    coordinator.unavailable = 1
    assert [each.seq async for each in client.placements()] == [1, 2, 3, 4, 5]


async def test_token_is_never_made_twice(client: AsyncClient, coordinator: FakeCoordinator) -> None:
    created = await client.create_token("node", name="dam-1", ttl_s=60)
    assert created.join == "edgeward://secret" and created.bearer is None
    assert (await client.create_token("observer", bearer=True)).bearer == "b-secret"
    assert [(each.role, each.name, each.ttl_s) for each in coordinator.token_requests[:1]] == [("node", "dam-1", 60)]


async def test_closed_channel_is_made_again(coordinator: FakeCoordinator) -> None:
    opens: list[aio.Channel] = []

    def channel() -> aio.Channel:
        opens.append(opened(coordinator.address)())
        return opens[-1]

    client = AsyncClient(channel=channel)
    await client.nodes()
    await client.close()
    await client.nodes()
    await client.close()
    assert len(opens) == 2


# The blocking face.


def test_blocking_client_does_the_same(blocking: Client, coordinator: FakeCoordinator) -> None:
    coordinator.finds = [7]
    job = blocking.submit(search())
    assert job.result(timeout=10).nonces[0].nonce == 7
    assert job.done() and job.state == "succeeded" and job.exception() is None
    assert job.receipt is not None and job.receipt.energy_joules == 12.3
    jobs = blocking.submit([search(count=1), search(count=2)])
    done, not_done = blocking.wait(jobs, timeout=10)
    assert done == jobs and not not_done
    assert {each.result().hashes_done for each in blocking.as_completed(jobs)} == {1, 2}
    assert blocking.jobs(limit=1)[0].job_id == jobs[-1].job_id


def test_blocking_why_prints_as_a_table_and_holds_every_node(blocking: Client) -> None:
    why = blocking.submit(search()).why()
    assert [(node.node, node.rank) for node in why.considered] == [("edge-paris", 1), ("dam-1", 2), ("old-1", None)]
    assert why.considered[2].cost_usd is None
    text = str(why)
    assert "placed on edge-paris: $0.0003, 12 ms; runner-up dam-1: $0.0001, 196 ms; weighted" in text
    assert "draining: old-1 takes no new work." in text


def test_blocking_callback_may_use_the_client(blocking: Client, coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    job = blocking.submit(search())
    heard: list[str] = []
    job.add_done_callback(lambda each: heard.append(each.state) or heard.append(blocking.strategies()[0].name))
    coordinator.settle()
    job.result(10)
    end = time.monotonic() + 10
    while len(heard) < 2 and time.monotonic() < end:
        time.sleep(0.005)
    assert heard == ["succeeded", "hub"]


def test_blocking_plan_decides_and_runs_nothing(blocking: Client, coordinator: FakeCoordinator) -> None:
    plan = blocking.plan(search(), origin="Paris")
    assert plan.feasible and plan.placements[0].node == "edge-paris" and not coordinator.jobs
    assert "would be placed on edge-paris" in str(plan)


def test_following_placements_may_be_left(blocking: Client, coordinator: FakeCoordinator) -> None:
    coordinator.placements = [placement(1), placement(2), placement(3)]
    for seen in blocking.placements(follow=True):
        if seen.seq == 3:
            break
    assert blocking.strategies()


def test_closed_client_says_so(coordinator: FakeCoordinator) -> None:
    client = Client(coordinator.address, channel=opened(coordinator.address))
    client.close()
    with pytest.raises(EdgewardError, match="closed: make another"):
        client.nodes()
    client.close()


def test_thread_that_waits_is_told_when_the_client_closes(coordinator: FakeCoordinator) -> None:
    coordinator.holds = True
    client = Client(coordinator.address, channel=opened(coordinator.address))
    job = client.submit(search())
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(job.result)
        client.wait([job], timeout=0.05)
        client.close()
        with pytest.raises(EdgewardError, match="closed while it was waiting"):
            waiting.result(timeout=10)
