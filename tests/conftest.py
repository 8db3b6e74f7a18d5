"""What the whole test run shares: one local Ray, started by the first test that needs it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.executor.local_ray import wait_until_gone


@pytest.fixture(scope="session")
def local_ray() -> Iterator[Path]:
    """The directory of a local Ray of this run's own, for whoever starts a RayExecutor or a node.

    The run itself is a member, so it stays up between tests: starting it takes seconds. At the end it must end.
    """
    directory = Path(tempfile.mkdtemp(prefix="ew-", dir="/tmp"))  # Ray's sockets need a short path
    membership = os.open(directory / "members.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(membership, fcntl.LOCK_SH)
    before = {name: os.environ.get(name) for name in ("EDGEWARD_RAY_DIR", "EDGEWARD_RAY_GRACE_S")}
    os.environ.update(EDGEWARD_RAY_DIR=str(directory), EDGEWARD_RAY_GRACE_S="0")
    try:
        yield directory
    finally:
        os.close(membership)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        ended = wait_until_gone(directory, 30)
        shutil.rmtree(directory, ignore_errors=True)
    assert ended, "the local Ray outlived its last user"
