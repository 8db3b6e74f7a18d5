"""The whole road against Ray alone: no-op work (a search of one nonce), one by one and in batches.

Ours is a client over TLS, admission, placement, two commits to disk, dispatch, a Ray worker, a checked report and a
settlement. Ray's is the call. Both run on the same Ray, turn and turn about.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.ray_peer import MARK
from benchmarks.report import Row
from edgeward import Client, HashJob
from node.executor.local_ray import wait_until_gone

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
    "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)
ROUNDS = 5
IN_A_BATCH = 10_000
ONE_BY_ONE = 100
EDGEWARD = Path(sys.executable).with_name("edgeward")


@contextmanager
def cluster() -> Iterator[tuple[Client, Path, int]]:
    """A coordinator and one node with two slots, as processes; gives a client, their Ray's directory, the pid."""
    with tempfile.TemporaryDirectory(prefix="ewb-", dir="/tmp") as directory:
        root = Path(directory)
        environment = os.environ | {"EDGEWARD_RAY_DIR": str(root / "ray"), "EDGEWARD_RAY_GRACE_S": "0"}
        os.environ["EDGEWARD_RAY_DIR"] = str(root / "ray")
        started: list[subprocess.Popen[bytes]] = []

        def start(*command: str) -> subprocess.Popen[bytes]:
            with (root / f"{command[0]}.log").open("wb") as log:
                process = subprocess.Popen([EDGEWARD, *command], env=environment, stdout=log, stderr=log)
            started.append(process)
            return process

        local = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        coordinator = start("coordinator", "--data", str(root / "co"), *local)
        try:
            _until((root / "co" / "address.json").exists)
            with Client(credentials=root / "co" / "admin") as client:
                join = client.create_token("node").join
                start("node", "--join", join, "--data", str(root / "node"), "--name", "bench", "--slots", "2")
                _until(lambda: any(node.state == "ready" for node in client.nodes()))
                yield client, root / "ray", coordinator.pid
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(30)
            wait_until_gone(root / "ray", 20)
            shutil.rmtree(root / "ray", ignore_errors=True)


def _until(ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark's processes did not start")
        time.sleep(0.1)


class Peer:
    """Ray, asked over a pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ray_peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._answer()

    def _answer(self) -> str:
        out: IO[str] | None = self._process.stdout
        for line in out or ():
            if line.startswith(MARK):
                return line.removeprefix(MARK)
        raise RuntimeError("the Ray peer ended")

    def rate(self, name: str, count: int) -> float:
        assert self._process.stdin is not None
        print(name, count, file=self._process.stdin, flush=True)
        return count / float(json.loads(self._answer()))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _batch(client: Client, count: int) -> float:
    jobs = [HashJob(header=GENESIS, nonce_start=nonce, nonce_count=1) for nonce in range(count)]
    before = time.perf_counter()
    handles = client.submit(jobs)
    for handle in handles:
        handle.result(timeout=120)
    return count / (time.perf_counter() - before)


def _one_by_one(client: Client, count: int) -> float:
    """Seconds of the median job on an idle system."""
    times = []
    for nonce in range(count):
        before = time.perf_counter()
        client.submit(HashJob(header=GENESIS, nonce_start=nonce, nonce_count=1)).result(timeout=20)
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def _idle(pid: int, seconds: float = 10.0) -> tuple[float, float]:
    """Share of a core, and resident MB, of a coordinator that has nothing to do."""
    import psutil

    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / seconds, process.memory_info().rss / 2**20


def run() -> list[Row]:
    """Rounds of ours and Ray's, alternating."""
    rates: dict[str, list[float]] = {}

    def note(name: str, figure: float) -> None:
        rates.setdefault(name, []).append(figure)

    with cluster() as (client, _, pid):
        cpu, rss = _idle(pid)
        peer = Peer()
        try:
            _batch(client, 1000)
            _one_by_one(client, 10)
            for _ in range(ROUNDS):
                note("batch", _batch(client, IN_A_BATCH))
                note("tasks", peer.rate("tasks", 1000))
                note("actor", peer.rate("actor", 2000))
                note("actor_batches", peer.rate("actor_batches", 20_000))
                note("one", _one_by_one(client, ONE_BY_ONE) * 1e3)
                note("task_sync", 1e3 / peer.rate("task_sync", ONE_BY_ONE))
                note("actor_sync", 1e3 / peer.rate("actor_sync", ONE_BY_ONE))
        finally:
            peer.close()

    def row(name: str, unit: str, ours: str, peer_name: str, peer_label: str, goal: str = "") -> Row:
        ratios = [mine / theirs for mine, theirs in zip(rates[ours], rates[peer_name], strict=True)]
        return Row(name, unit, rates[ours], peer_label, ratios, goal)

    return [
        row("jobs in batches of 10,000, end to end", "jobs/s", "batch", "tasks", "Ray no-op tasks", "at least 5"),
        row("  the same", "jobs/s", "batch", "actor", "Ray actor calls"),
        row("  the same", "jobs/s", "batch", "actor_batches", "Ray actor calls of 100 items"),
        row("one job on an idle system, p50", "ms", "one", "task_sync", "a synchronous Ray task", "at most 3"),
        row("  the same", "ms", "one", "actor_sync", "a synchronous Ray actor call"),
        Row("Ray no-op tasks", "/s", rates["tasks"]),
        Row("Ray actor calls", "/s", rates["actor"]),
        Row("Ray task, synchronous", "ms", rates["task_sync"]),
        Row("coordinator, idle", "% of a core", [cpu], goal="at most 1"),
        Row("coordinator, idle", "MB resident", [rss], goal="at most 150"),
    ]
