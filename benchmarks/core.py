"""The durable core alone: turns, SQLite with synchronous FULL, placed over 1,000 nodes, settled, in batches of 256.

No wire, no worker: a turn that admits and places a batch, and a turn that settles it, each committed before it counts.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row
from coordinator.admit import Limits, Request
from coordinator.convert import request_from
from coordinator.coordinator import Coordinator
from coordinator.judging import Report
from coordinator.lifecycle import AttemptEvent
from coordinator.ports import Turn
from coordinator.restore import keyframe, restored
from coordinator.store.sqlite import SqliteStore
from coordinator.turn import TURNS_A_KEYFRAME
from placement.cost import World
from placement.model import NodeFacts
from placement.network import Network
from placement.strategy import load
from protos import types_pb2

NODES = 1000
BATCH = 256
BATCHES = 200
ROUNDS = 5


class Core:
    """A coordinator and its store, turned by hand."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.now = 1.7e9
        limits = Limits(heartbeat_s=1e6, lease_s=1e7)
        world = World(network=Network("r0"))
        self.coordinator: Coordinator = restored(self.store.load_open(), world, limits, load, self.now)
        self.coordinator.turn.world = world
        self.commit_s: list[float] = []
        for i in range(NODES):
            self._join(i)
        self.turn()

    def _join(self, i: int) -> None:
        price = 0.03 + 0.001 * (i % 97)
        facts = NodeFacts(
            f"node-{i}", f"site-{i}", f"r{i % 20}", price_usd_per_kwh=price, idle_watts=50, max_watts=300, slots=4,
            hashes_per_s=1e6 * (1 + i % 7), pue=1.1,
        )  # fmt: skip
        self.coordinator.hello(facts, (), (), 1, self.now)
        self.coordinator.heartbeat(facts.name, 0.01 * (i % 13 + 1), 0, 0, (), self.now)

    def turn(self) -> Turn:
        self.now += 0.002
        self.coordinator.tick(self.now)
        turn = self.coordinator.take_turn(self.now)
        if turn.number % TURNS_A_KEYFRAME == 0:
            turn.keyframe = keyframe(self.coordinator)
        before = time.perf_counter()
        self.store.commit(turn)
        self.commit_s.append(time.perf_counter() - before)
        return turn

    def batch(self, number: int) -> None:
        """Admit and place 256 jobs, then settle them."""
        self.coordinator.submit(_request(number), self.now)
        placed = self.turn()
        for name, attempts in placed.dispatch.items():
            self.coordinator.report(
                name,
                [Report(one.epoch, AttemptEvent.DONE, one.piece.units, 100, -1, False) for one in attempts],
                self.now,
            )
        assert len(self.turn().settlements) == BATCH


def _request(number: int) -> Request:
    message = types_pb2.Submission(
        key=f"batch-{number}",
        count=BATCH,
        options=types_pb2.Options(origin="r3", objective_ms=100),
        hash=types_pb2.HashWork(
            headers=b"\1" * 76, targets=b"\0" * 8 + b"\xff" * 24, nonce_starts=[0], nonce_counts=[1]
        ),
    )
    return request_from(message, "bench")


def sync_time_ms(directory: Path) -> float:
    """Median time of one fdatasync after a page was written."""
    times = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"\0" * 4096)
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e3


def run() -> list[Row]:
    """Jobs a second of several rounds, with the disk's sync time beside them."""
    with tempfile.TemporaryDirectory(prefix="edgeward-bench-") as directory:
        core = Core(Path(directory) / "core.db")
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # as the coordinator's process does
        rates: list[float] = []
        number = 0
        for _ in range(ROUNDS):
            before = time.perf_counter()
            for _ in range(BATCHES):
                core.batch(number)
                number += 1
            rates.append(BATCHES * BATCH / (time.perf_counter() - before))
        sync_ms = sync_time_ms(Path(directory))
        commit_ms = statistics.median(core.commit_s) * 1e3
        core.store.close()
        size = sum(path.stat().st_size for path in Path(directory).iterdir())
    return [
        Row("durable core, batches of 256 over 1,000 nodes", "jobs/s", rates, goal="at least 25,000"),
        Row("  its median commit", "ms", [commit_ms]),
        Row("  the disk's median fdatasync", "ms", [sync_ms]),
        Row("  on disk", "bytes a job", [size / (number * BATCH)]),
    ]
