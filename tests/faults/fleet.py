"""A coordinator and a node as real processes that can be killed and started again where they were."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.store.sqlite import SqliteStore
from edgeward import Client
from tests.simulation.check import broken_promises
from tests.simulation.history import History

EDGEWARD = (sys.executable, "-P", "-c", "from edgeward.cli import main; main()")
READY_S = 90.0
HASHES_PER_S = 40_000


class Fleet:
    """Everything under one directory; ports are chosen at the first start and kept."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = place / "coordinator"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0
        self._grpc, self._http = "127.0.0.1:0", "127.0.0.1:0"

    def start_coordinator(self) -> None:
        (self.data / "address.json").unlink(missing_ok=True)
        listen = (f"--listen={self._grpc}", f"--http={self._http}", "--region=Paris")
        self._start("coordinator", "coordinator", f"--data={self.data}", *listen)
        self.until(lambda: (self.data / "address.json").exists())
        address = json.loads((self.data / "address.json").read_text())
        self._grpc, self._http = address["grpc"], address["http"]

    def client(self) -> Client:
        return Client(self._grpc, credentials=self.data / "admin")

    def start_node(self, join: str = "") -> None:
        """The first time with a join string, later with what it got for it."""
        brake = (f"--max-hashes-per-s={HASHES_PER_S}", "--slots=1", "--max-watts=30")
        first = (f"--join={join}", "--name=n1") if join else ()
        self._start("node", "node", f"--data={self.place / 'node'}", *brake, *first)

    def until_node_is(self, client: Client, state: str) -> None:
        self.until(lambda: [node.state for node in client.nodes()] == [state])

    def kill(self, name: str) -> None:
        """kill -9: no handler runs, nothing is flushed."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def drain(self) -> int:
        process = self.processes.pop("node")
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(20)

    def judge(self) -> list[str]:
        """Every promise that the store alone can show to be broken."""
        copy = self.place / "judged.db"
        copy.unlink(missing_ok=True)
        with sqlite3.connect(self.data / "coordinator.db") as live, sqlite3.connect(copy) as still:
            live.backup(still)
        store = SqliteStore(copy)
        try:
            return broken_promises(History(), store)
        finally:
            store.close()

    def until(self, holds: Callable[[], bool], within_s: float = READY_S) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not ended, f"{ended} ended\n{self._logs()}"
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.05)

    def _start(self, name: str, *arguments: str) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "EDGEWARD_CREDENTIALS"}
        self._starts += 1
        with (self.place / f"{self._starts}-{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen([*EDGEWARD, *arguments], stdout=log, stderr=log, env=environment)

    def _logs(self) -> str:
        logs = sorted(self.place.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)


@contextmanager
def running(place: Path) -> Iterator[Fleet]:
    fleet = Fleet(place)
    try:
        fleet.start_coordinator()
        with fleet.client() as client:
            fleet.start_node(client.create_token("node").join or "")
            fleet.until_node_is(client, "ready")
        yield fleet
    finally:
        fleet.stop()
