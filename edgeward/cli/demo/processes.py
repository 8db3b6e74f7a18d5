"""The processes of the demo: started with a log each, watched, and ended so that nothing of them is left."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from edgeward.errors import EdgewardError

START_S = 30.0
DRAIN_S = 12.0  # a node gives its work back for up to 10 s
RAY_S = 20.0
LAST_STEPS_S = 3.0  # between a process's last sign and its end
TAIL_LINES = 15
CONFIGURATION = """
[limits]
task_s = 0.5    # a slot is never taken for longer: who waits behind patient work waits little
"""
COMMAND = (sys.executable, "-P", "-c", "from edgeward.cli import main; main()")


class Processes:
    """Everything that the demo runs. `end` is to be called once, whatever happened before."""

    def __init__(self) -> None:
        self.place = _temporary_directory()
        self.ray = self.place / "ray"
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """`edgeward` with these arguments; what it says goes to its log."""
        ours = {"EDGEWARD_RAY_DIR": str(self.ray), "EDGEWARD_RAY_GRACE_S": "0"}
        theirs = {key: value for key, value in os.environ.items() if not key.startswith("EDGEWARD_")}
        with self._log(name).open("ab") as log:
            self._started[name] = subprocess.Popen(
                [*COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=theirs | ours,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    def start_coordinator(self, region: str) -> str:
        """Returns its address once it serves. Raises EdgewardError with the end of its log."""
        data = self.place / "coordinator"
        config = self.place / "coordinator.toml"
        config.write_text(CONFIGURATION)
        free_ports = ("--listen=127.0.0.1:0", "--http=127.0.0.1:0")
        self.start(
            "coordinator", "coordinator", f"--config={config}", f"--data={data}", f"--region={region}", *free_ports
        )
        deadline = time.monotonic() + START_S
        while not (data / "address.json").exists():
            self.check()
            if time.monotonic() > deadline:
                raise EdgewardError(f"The coordinator did not start in {START_S:g} s.{self.tail('coordinator')}")
            time.sleep(0.05)
        return str(json.loads((data / "address.json").read_text())["grpc"])

    @property
    def credentials(self) -> Path:
        """The coordinator's own admin's."""
        return self.place / "coordinator" / "admin"

    def check(self) -> None:
        """Raises EdgewardError, with the end of its log, where something ended that should not have."""
        for name, process in self._started.items():
            if process.poll() is not None:
                raise EdgewardError(f"{name} ended by itself (exit code {process.returncode}).{self.tail(name)}")

    def tail(self, name: str) -> str:
        """The last lines of a log, and of Ray's where a node has one; beginning with a line break, or empty."""
        parts = []
        for log in (self._log(name), self.place / name / "ray.log"):
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            if lines:
                parts += [f"The end of {log.name}:", *(f"  {line}" for line in lines[-TAIL_LINES:])]
        return "".join(f"\n{line}" for line in parts)

    def end(self, say: Callable[[str], None]) -> None:
        """Drains the nodes, stops the coordinator, waits for Ray, removes the directory, and looks whether all is gone.

        Raises EdgewardError where a process had to be killed; then it is gone as well.
        """
        family = self._family()
        coordinator = [process for name, process in self._started.items() if name == "coordinator"]
        nodes = [process for process in self._started.values() if process not in coordinator]
        for processes in (nodes, nodes, coordinator):  # a second SIGTERM stops a node at once
            _terminate(processes)
        self._end_ray()
        family |= self._family()
        _wait_until(lambda: not any(map(_lives, family)), LAST_STEPS_S)
        left = [process for process in family if _lives(process)]
        for process in left:
            process.kill()
        for started in self._started.values():
            started.wait(LAST_STEPS_S)
        shutil.rmtree(self.place)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise EdgewardError(f"{len(left)} processes did not end when asked and were killed: {pids}")
        say(f"Nothing is left: {len(family)} processes have ended, the temporary directory is gone.")

    def _end_ray(self) -> None:
        """Ray ends by itself once its last node has left, but one that was still starting has nobody to end it yet."""
        from node.executor import local_ray  # as late as everything that the command line starts

        if (self.ray / "address.json").exists():
            local_ray.wait_until_gone(self.ray, RAY_S)
            return
        ours = {process.pid for process in self._started.values()}
        for process in self._family():
            if process.pid not in ours:
                process.kill()

    def _log(self, name: str) -> Path:
        return self.place / f"{name}.log"

    def _family(self) -> set[psutil.Process]:
        """All that runs on our account: what carries our Ray's directory in its environment, and Ray's whole session,
        whose workers write over theirs.
        """
        from node.executor import local_ray

        session = found.session if (found := local_ray.running(self.ray)) else None
        family = set()
        for process in psutil.process_iter():
            try:
                of_ray = session is not None and os.getsid(process.pid) == session
                if of_ray or process.environ().get("EDGEWARD_RAY_DIR") == str(self.ray):
                    family.add(process)
            except (ProcessLookupError, psutil.Error):
                continue  # it has just ended, or is somebody else's
        return family


def _lives(process: psutil.Process) -> bool:
    """False for a zombie: it has ended, and waits only for its parent to hear of it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _terminate(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM to those that live, and time to follow it."""
    for process in processes:
        process.terminate()  # does nothing to one that has ended
    _wait_until(lambda: all(process.poll() is not None for process in processes), DRAIN_S)


def _wait_until(holds: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)


def _temporary_directory() -> Path:
    """Short: Ray's sockets, deep inside, have paths of at most 107 bytes."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="edgeward-demo-", dir=usual if len(usual) <= 20 else "/tmp"))  # noqa: S108
