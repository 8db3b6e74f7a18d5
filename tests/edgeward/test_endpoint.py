"""Flags outrank the environment, the environment the files; the coordinator of this machine comes last."""

import json
from pathlib import Path

import pytest

from edgeward.endpoint import find
from edgeward.errors import Unauthorised, Unreachable


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_DATA_HOME": str(tmp_path / "data")}


def credentials(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "certificate.pem").write_text("")
    return directory


def taken(data: Path, address: str) -> None:
    (data / "address.json").write_text(json.dumps({"grpc": address, "http": "127.0.0.1:1", "pid": 1}))


def test_coordinator_of_this_machine_is_found_by_what_it_took(home: dict[str, str], tmp_path: Path) -> None:
    admin = credentials(tmp_path / "data" / "edgeward" / "admin")
    taken(admin.parent, "127.0.0.1:4711")
    where = find(environ=home)
    assert (where.address, where.credentials) == ("127.0.0.1:4711", admin)


def test_login_outranks_the_coordinator_of_this_machine(home: dict[str, str], tmp_path: Path) -> None:
    taken(credentials(tmp_path / "data" / "edgeward" / "admin").parent, "127.0.0.1:4711")
    mine = credentials(tmp_path / "config" / "edgeward")
    where = find(environ=home)
    assert (where.address, where.credentials) == (None, mine)


def test_environment_outranks_the_files_and_arguments_the_environment(home: dict[str, str], tmp_path: Path) -> None:
    credentials(tmp_path / "config" / "edgeward")
    theirs, mine = credentials(tmp_path / "theirs"), credentials(tmp_path / "mine")
    home |= {"EDGEWARD_COORDINATOR": "there:1", "EDGEWARD_CREDENTIALS": str(theirs)}
    where = find(environ=home)
    assert (where.address, where.credentials) == ("there:1", theirs)
    where = find("here:2", mine, environ=home)
    assert (where.address, where.credentials) == ("here:2", mine)


def test_admin_directory_named_alone_is_enough(home: dict[str, str], tmp_path: Path) -> None:
    admin = credentials(tmp_path / "somewhere" / "admin")
    taken(admin.parent, "127.0.0.1:5")
    assert find(credentials=admin, environ=home).address == "127.0.0.1:5"


def test_nothing_anywhere_says_what_to_do(home: dict[str, str]) -> None:
    with pytest.raises(Unauthorised, match="edgeward login"):
        find(environ=home)


def test_directory_that_is_not_there_is_not_authorised(home: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(Unauthorised, match="no credentials directory"):
        find(credentials=tmp_path / "nowhere", environ=home)


@pytest.mark.parametrize("address", ["localhost", ":7370", "host:", "host:x", "host:0", "host:65536"])
def test_address_that_is_none_is_told(home: dict[str, str], tmp_path: Path, address: str) -> None:
    with pytest.raises(Unreachable, match="HOST:PORT"):
        find(address, credentials(tmp_path / "mine"), environ=home)


def test_address_file_that_is_damaged_is_told(home: dict[str, str], tmp_path: Path) -> None:
    admin = credentials(tmp_path / "data" / "edgeward" / "admin")
    (admin.parent / "address.json").write_text("{")
    with pytest.raises(Unreachable, match="--coordinator"):
        find(environ=home)
