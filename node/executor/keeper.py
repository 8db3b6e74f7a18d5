"""Ends the local Ray when nobody on this host uses it any more.

Runs by path with a bare interpreter (`python -I -S keeper.py DIRECTORY GRACE_S`), in place of the starter: so it leads
Ray's session and is the parent of Ray's processes. Standard library only, to stay small.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_POLL_S = 0.5
_TERM_S = 2.0


def main(directory: Path, grace_s: float) -> None:
    """Wait until no member has held the lock for `grace_s`, or until a process of Ray's died; then end the session."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is sent to the whole group, of which the keeper is the last
    members = os.open(directory / "members.lock", os.O_RDWR | os.O_CREAT, 0o600)
    empty_since: float | None = None
    while not _a_child_died():
        time.sleep(_POLL_S)
        if not _taken(members):
            empty_since = None
            continue
        empty_since = empty_since or time.monotonic()
        if time.monotonic() - empty_since >= grace_s:
            break  # the lock stays ours: who joins now waits until everything is gone
        fcntl.flock(members, fcntl.LOCK_UN)
    (directory / "address.json").unlink(missing_ok=True)
    _end_session()
    shutil.rmtree(directory / "r", ignore_errors=True)
    (directory / "token").unlink(missing_ok=True)  # last: who waits for the end looks for it


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _a_child_died() -> bool:
    """Ray cannot go on without any of the processes that `ray start` left."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _end_session() -> None:
    _adopt_orphans()
    deadline = time.monotonic() + _TERM_S
    os.killpg(os.getpgrp(), signal.SIGTERM)
    while others := _session_without_me():
        if time.monotonic() > deadline:
            for pid in others:
                _kill(pid)
        time.sleep(0.05)


def _adopt_orphans() -> None:
    """Grandchildren that outlive their parents come to us to be reaped: not every container's first process does it."""
    import ctypes  # only now: the keeper waits for days and should be small

    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was quicker


def _session_without_me() -> list[int]:
    """The living processes of this session; zombies of ours are reaped on the way."""
    mine, me = os.getsid(0), os.getpid()
    _reap()
    living = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == me:
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue  # it has just gone
        state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
        if int(session) == mine and state not in "ZX":
            living.append(int(entry))
    return living


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
