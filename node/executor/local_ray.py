"""The one local Ray of this user on this host: shared by all nodes, belonging to none.

A directory (0700) holds its token, its address, its session folders and two locks. Who uses Ray holds `members.lock`
shared; the keeper, which leads Ray's session, waits to take it exclusively and then ends the session. `start.lock` is
held while somebody looks for a running one or starts it, so there are never two.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from node.executor.port import StartFailed

START_S = 60.0
GRACE_S = "2"
TOKEN_VARIABLE = "RAY_AUTH_TOKEN_PATH"  # noqa: S105 - a name
_LONGEST_DIRECTORY = 44  # a Unix socket's path ends at 107 bytes, and Ray appends up to 63


class Running(NamedTuple):
    """A Ray that answers."""

    address: str
    session: int  # of all its processes, and the keeper's process id


class Membership(NamedTuple):
    """The right to rely on a Ray: it lives at least as long as this process."""

    ray: Running
    directory: Path
    lock: int


def directory() -> Path:
    """Where Ray lives, made if need be: EDGEWARD_RAY_DIR, else a folder of this user's among the temporary files."""
    name = f"edgeward-ray-{os.getuid()}"
    if chosen := os.environ.get("EDGEWARD_RAY_DIR"):
        place = Path(chosen).absolute()
    else:
        place = Path(tempfile.gettempdir(), name)
        if len(str(place)) > _LONGEST_DIRECTORY:
            place = Path("/tmp", name)  # noqa: S108 - made 0700 and checked to be ours, below
    if len(os.fsencode(place)) > _LONGEST_DIRECTORY:
        raise StartFailed(
            f"EDGEWARD_RAY_DIR={place} is too long for Ray's sockets: choose a path of at most "
            f"{_LONGEST_DIRECTORY} bytes"
        )
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StartFailed(f"{place} is not this user's own directory: remove it, or set EDGEWARD_RAY_DIR to another")
    place.chmod(0o700)
    return place


def authenticate(place: Path) -> None:
    """Ray in this process and in those it starts: token mode, with our own token and nobody's cluster from outside."""
    os.environ.update({"RAY_AUTH_MODE": "token", TOKEN_VARIABLE: str(place / "token")})
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_task_events_report_interval_ms="0")
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_TMPDIR"):
        os.environ.pop(name, None)


def join(place: Path, log: IO[bytes]) -> Membership:
    """Become a member of the Ray that runs in `place`; start it if none does. Raises StartFailed."""
    start_lock = _open_lock(place / "start.lock")
    try:
        fcntl.flock(start_lock, fcntl.LOCK_EX)
        members_lock = _open_lock(place / "members.lock")
        fcntl.flock(members_lock, fcntl.LOCK_SH)  # waits while the keeper of an earlier one tidies up
        try:
            return Membership(running(place) or _start(place, log), place, members_lock)
        except BaseException:
            os.close(members_lock)
            raise
    finally:
        os.close(start_lock)


def wait_until_gone(place: Path, timeout_s: float) -> bool:
    """Whether the Ray in `place` ended in time and left nothing; it does so by itself when its last member has left."""
    deadline = time.monotonic() + timeout_s
    while (place / "token").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def running(place: Path) -> Running | None:
    """What the address file says, if it is true: files outlive a keeper that was killed."""
    try:
        said = json.loads((place / "address.json").read_text())
        host, _, port = said["address"].rpartition(":")
        if psutil.Process(said["session"]).status() == psutil.STATUS_ZOMBIE:
            return None
        with socket.create_connection((host, int(port)), timeout=2):
            return Running(said["address"], said["session"])
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def _start(place: Path, log: IO[bytes]) -> Running:
    """Start Ray in a session of its own and wait for its address."""
    _clear_away(place)
    token = os.open(place / "token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(token, secrets.token_hex(32).encode())
    os.close(token)
    grace_s = os.environ.get("EDGEWARD_RAY_GRACE_S", GRACE_S)
    starter = subprocess.Popen(
        [sys.executable, "-P", "-m", "node.executor.ray_head", str(place), grace_s],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_S
    while not (found := running(place)):
        if starter.poll() is not None or time.monotonic() > deadline:
            _kill_session(starter.pid, place)
            raise StartFailed("the local Ray did not start")
        time.sleep(0.02)
    return found


def _clear_away(place: Path) -> None:
    """What a Ray left whose keeper was killed."""
    try:
        _kill_session(int(json.loads((place / "address.json").read_text())["session"]), place)
    except (OSError, ValueError, KeyError):
        return  # the last one left in order
    (place / "address.json").unlink(missing_ok=True)
    shutil.rmtree(place / "r", ignore_errors=True)


def _kill_session(session: int, place: Path) -> None:
    """Process ids come round again, so only those that carry our token's path, or Ray's title instead, are taken."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != session:
                continue
            if process.name().startswith("ray::") or process.environ().get(TOKEN_VARIABLE) == str(place / "token"):
                process.kill()
        except (ProcessLookupError, psutil.Error):
            continue  # it has ended, or is not ours
