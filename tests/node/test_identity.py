"""Who a node is, and that it is only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.identity import AlreadyRunning, IdentityConflict, identify, remembered, sole_use
from protos.credentials import Credentials, CredentialsError
from protos.join import JoinString
from tests.node.authority import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(authority: Authority, tmp_path: Path) -> Path:
    authority.node("edge-1", "127.0.0.1:7370").save(tmp_path / "identity")
    return tmp_path / "identity"


def test_second_node_on_one_data_directory_is_told_of_the_first(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with sole_use(data), pytest.raises(AlreadyRunning, match=r"process \d+.*--data"), sole_use(data):
        pass
    with sole_use(data):
        pass


async def test_node_that_joined_before_needs_no_join_string(identity: Path) -> None:
    assert (await identify(identity, None, "")).name == "edge-1"


async def test_node_that_never_joined_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="start it once with --join"):
        await identify(tmp_path, None, "edge-1")


async def test_join_string_used_before_changes_nothing_but_an_address_that_moved(
    authority: Authority, identity: Path
) -> None:
    line = JoinString.new("127.0.0.9:9999", authority.fingerprint)
    assert (await identify(identity, str(line), "edge-1")).address == "127.0.0.9:9999"
    assert Credentials.load(identity).address == "127.0.0.9:9999"


async def test_identity_for_another_coordinator_is_not_used_for_this_one(identity: Path) -> None:
    line = JoinString.new("127.0.0.1:7370", bytes(32))
    with pytest.raises(IdentityConflict, match="another coordinator"):
        await identify(identity, str(line), "")


async def test_name_that_is_not_the_identitys_is_refused(identity: Path) -> None:
    with pytest.raises(IdentityConflict, match="belongs to the node edge-1, not edge-2"):
        await identify(identity, None, "edge-2")


def test_flags_of_an_earlier_start_hold_until_they_are_given_anew(tmp_path: Path) -> None:
    remembered(tmp_path, {"site": "dam", "price_usd_per_kwh": 0.03, "slots": None})
    again = remembered(tmp_path, {"site": None, "price_usd_per_kwh": 0.05, "slots": None})
    assert again == {"site": "dam", "price_usd_per_kwh": 0.05, "slots": None}


def test_flags_that_cannot_be_read_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text("{")
    with pytest.raises(IdentityConflict, match="remove it and give the flags again"):
        remembered(tmp_path, {"site": None})
