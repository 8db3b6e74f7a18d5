"""A coordinator and nodes as real processes, as a user starts them; the nodes use the Ray that the test run shares."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeward import Client

EDGEWARD = (sys.executable, "-P", "-c", "from edgeward.cli import main; main()")
READY_S = 80.0


@contextmanager
def running(place: Path, **nodes: tuple[str, ...]) -> Iterator[Path]:
    """The credentials of a coordinator in Paris with these nodes, each with its arguments for `edgeward node`."""
    data = place / "coordinator"
    processes: list[subprocess.Popen[bytes]] = []
    ports = ("--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--region=Paris")
    try:
        processes.append(_started(place / "coordinator.log", "coordinator", f"--data={data}", *ports))
        _until(lambda: (data / "address.json").exists(), place, processes)
        with Client(json.loads((data / "address.json").read_text())["grpc"], credentials=data / "admin") as client:
            join = client.create_token("node", uses=len(nodes)).join
            for name, arguments in nodes.items():
                ours = (f"--join={join}", f"--data={place / name}", f"--name={name}", f"--site={name}")
                processes.append(_started(place / f"{name}.log", "node", *ours, *arguments))
            _until(lambda: [n.state for n in client.nodes() if n.rtt_ms] == ["ready"] * len(nodes), place, processes)
        yield data / "admin"
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(20)


def _started(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if key != "EDGEWARD_CREDENTIALS"}
    with log.open("wb") as sink:
        return subprocess.Popen([*EDGEWARD, *arguments], stdout=sink, stderr=sink, env=environment)


def _until(holds, place: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + READY_S
    while not holds():
        logs = "\n".join(log.read_text() for log in place.glob("*.log"))
        assert all(process.poll() is None for process in processes), logs
        assert time.monotonic() < deadline, logs
        time.sleep(0.1)
