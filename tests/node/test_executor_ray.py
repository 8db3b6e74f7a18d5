"""The real executor where it meets the world: killed workers and children, one Ray for several nodes, its walls."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from node.executor import local_ray as ray_of_this_host
from node.executor.port import Capability, StartFailed
from node.executor.ray_executor import RayExecutor
from node.executor.slot import boottime_us
from tests.node.executors import FOREVER, Listener, task

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


class Node:
    """An executor as a node has it, started and under a lease."""

    def __init__(self, directory: Path) -> None:
        self.listener = Listener()
        self.log = directory / "ray.log"
        self.executor = RayExecutor(
            1, self.log, on_ended=self.listener.on_ended, on_lost=self.listener.on_lost, max_hashes_per_s=50_000.0
        )

    async def start(self) -> Capability:
        capability = await self.executor.start()
        self.executor.lease(boottime_us() + 300_000_000)
        return capability

    def child(self) -> psutil.Process:
        (child,) = (each for each in psutil.Process().children() if str(self.log) in each_log(each))
        return child

    async def works(self) -> bool:
        handed = task(100)
        self.executor.run([handed])
        return (await self.listener.ends_of(handed))[0].outcome == "done"


def each_log(process: psutil.Process) -> str:
    return os.readlink(f"/proc/{process.pid}/fd/2")


def workers() -> set[int]:
    """Ray's worker processes that hold a slot, of all nodes on this machine's test Ray."""
    return {each.pid for each in psutil.process_iter() if each.name().startswith("ray::RaySlot")}


@pytest.fixture
async def node(local_ray: Path, tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    yield node
    await node.executor.close()


async def test_ray_listens_on_loopback_only_and_its_directory_is_closed_to_others(node: Node, local_ray: Path):
    capability = await node.start()
    assert (capability.isolation, capability.exposed) == ("token", ())
    listening = [
        connection
        for each in psutil.process_iter()
        if _session_of(each) == ray_of_this_host.running(local_ray).session
        for connection in each.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 5, "the test looks at the wrong processes"
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert _mode(local_ray) == 0o700
    assert _mode(local_ray / "token") == 0o600


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _session_of(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return -1


async def test_brake_holds_on_a_real_worker(node: Node):
    capability = await node.start()
    assert capability.hashes_per_s == 50_000
    handed = task(25_000)
    node.executor.run([handed])
    (end,) = await node.listener.ends_of(handed)
    assert 450_000 < end.run_us < 1_500_000


async def test_killed_worker_releases_its_task_and_another_takes_over(node: Node):
    before = workers()
    await node.start()
    (worker,) = workers() - before
    running = task(FOREVER)
    node.executor.run([running])
    await asyncio.sleep(0.2)
    psutil.Process(worker).kill()
    (end,) = await node.listener.ends_of(running)
    assert (end.outcome, end.units_done) == ("released", 0)
    await node.listener.loss("worker was lost")
    assert await node.works()
    assert len(workers() - before - {worker}) == 1


async def test_killed_child_releases_its_tasks_and_tasks_handed_in_meanwhile_are_run_later(node: Node):
    await node.start()
    running = task(FOREVER)
    node.executor.run([running])
    await asyncio.sleep(0.2)
    child = node.child()
    child.kill()
    (end,) = await node.listener.ends_of(running)
    assert (end.outcome, end.units_done) == ("released", 0)
    await node.listener.loss(f"started again; see {node.log}")
    unlucky, lucky = task(1), task(1)
    node.executor.run([unlucky, lucky])
    node.executor.stop([unlucky.epoch])
    assert [end.outcome for end in await node.listener.ends_of(unlucky, lucky)] == ["released", "done"]
    assert node.child().pid != child.pid


async def test_second_node_joins_the_same_ray_and_the_first_may_leave(node: Node, local_ray: Path, tmp_path: Path):
    await node.start()
    session = ray_of_this_host.running(local_ray).session
    (tmp_path / "second").mkdir()
    second = Node(tmp_path / "second")
    await second.start()
    await node.executor.close()
    assert ray_of_this_host.running(local_ray).session == session
    assert await second.works()
    await second.executor.close()


async def test_ray_killed_under_a_node_is_started_anew_and_the_node_goes_on(node: Node, local_ray: Path):
    await node.start()
    old = ray_of_this_host.running(local_ray).session
    assert old in {parent.pid for each in map(psutil.Process, workers()) for parent in each.parents()}
    psutil.Process(old).kill()
    await node.listener.loss("the local Ray ended")
    await node.listener.loss("started again")
    assert await node.works()
    assert ray_of_this_host.running(local_ray).session != old
    assert not [each for each in psutil.process_iter() if _session_of(each) == old], "the old one's processes live on"


KILLED_NODE = """
import asyncio, pathlib, sys
from node.executor.ray_executor import RayExecutor

async def main():
    executor = RayExecutor(1, pathlib.Path(sys.argv[1]), on_ended=print, on_lost=print)
    await executor.start()
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_killed_node_leaves_neither_child_nor_worker(local_ray: Path, tmp_path: Path):
    before = workers()
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_NODE, str(tmp_path / "ray.log"), stdout=asyncio.subprocess.PIPE
    )
    assert node.stdout is not None
    assert await node.stdout.readline() == b"started\n"
    left = [*psutil.Process(node.pid).children(), *map(psutil.Process, workers() - before)]
    assert len(left) == 2
    node.kill()
    await node.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


async def test_start_that_fails_is_one_sentence_that_names_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EDGEWARD_RAY_DIR", "/tmp/" + "long" * 20)
    node = Node(tmp_path)
    with pytest.raises(StartFailed) as failed:
        await node.start()
    sentence = str(failed.value)
    assert "too long" in sentence
    assert str(node.log) in sentence
    assert "\n" not in sentence
    assert capfd.readouterr() == ("", "")


async def test_external_cluster_that_is_not_there_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    listener = Listener()
    log = tmp_path / "ray.log"
    executor = RayExecutor(1, log, on_ended=listener.on_ended, on_lost=listener.on_lost, ray_address="127.0.0.1:9")
    with pytest.raises(StartFailed, match=r"no Ray answers at 127\.0\.0\.1:9.*ray\.log"):
        await executor.start()
    assert capfd.readouterr() == ("", "")


async def test_log_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    with pytest.raises(StartFailed, match=r"cannot be written .* choose another data directory"):
        await Node(tmp_path / "missing").start()
