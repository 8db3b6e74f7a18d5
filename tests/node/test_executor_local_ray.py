"""The place of the local Ray, without starting one."""

import json
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.executor import local_ray
from node.executor.port import StartFailed


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ew-", dir="/tmp") as directory:
        monkeypatch.setenv("EDGEWARD_RAY_DIR", f"{directory}/ray")
        yield Path(directory, "ray")


def test_place_is_made_and_closed_to_others(place: Path):
    assert local_ray.directory() == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_place_that_was_open_is_closed(place: Path):
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    local_ray.directory()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_place_that_somebody_replaced_by_a_link_is_refused(place: Path, tmp_path: Path):
    place.symlink_to(tmp_path)
    with pytest.raises(StartFailed, match="is not this user's own directory: remove it"):
        local_ray.directory()


def test_place_too_long_for_sockets_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGEWARD_RAY_DIR", "/tmp/" + "x" * 40)
    with pytest.raises(StartFailed, match="at most 44 bytes"):
        local_ray.directory()


def test_temporary_directory_too_long_for_sockets_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EDGEWARD_RAY_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 40)
    assert local_ray.directory().parent == Path("/tmp")


def test_address_counts_only_while_its_keeper_lives_and_something_listens(place: Path):
    assert local_ray.running(local_ray.directory()) is None
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as keeper,
    ):
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (place / "address.json").write_text(json.dumps({"address": address, "session": keeper.pid}))
        assert local_ray.running(place) == (address, keeper.pid)
        server.close()
        assert local_ray.running(place) is None
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        assert local_ray.running(place) is None


def test_address_file_that_is_half_written_does_not_count(place: Path):
    (local_ray.directory() / "address.json").write_text('{"address": "127.')
    assert local_ray.running(place) is None
