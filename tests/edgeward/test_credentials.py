"""The client at a real door: mutual TLS, and what it says when the two do not belong together."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.security.roles import Role
from edgeward import AsyncClient, Unauthorised, connection
from edgeward.cli import app
from protos.credentials import Credentials
from tests.coordinator.security.door import open_door


async def nodes(credentials: Credentials, directory: Path) -> list[object]:
    credentials.save(directory)
    async with AsyncClient(credentials=directory) as client:
        return list(await client.nodes())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_CONTACT_S", 0.5)


async def test_credentials_carry_the_address_and_open_the_door(tmp_path: Path) -> None:
    async with open_door(tmp_path / "door") as door:
        assert await nodes(door.credentials(Role.CLIENT, "alice"), tmp_path / "alice") == []
        assert [caller.name for caller in door.callers] == ["alice"]


async def test_role_that_may_not_is_not_authorised(tmp_path: Path) -> None:
    async with open_door(tmp_path / "door") as door:
        with pytest.raises(Unauthorised, match="not for the role node"):
            await nodes(door.credentials(Role.NODE, "dam-1"), tmp_path / "dam-1")


async def test_another_coordinator_at_the_address_is_not_trusted(tmp_path: Path) -> None:
    async with open_door(tmp_path / "mine") as mine, open_door(tmp_path / "other") as other:
        alice = replace(mine.credentials(Role.CLIENT, "alice"), address=other.address)
        with pytest.raises(Unauthorised, match="do not belong together"):
            await nodes(alice, tmp_path / "alice")
        assert not other.parsed


async def test_certificate_of_another_authority_is_not_let_in(tmp_path: Path) -> None:
    async with open_door(tmp_path / "mine") as mine, open_door(tmp_path / "other") as other:
        bob = replace(
            other.credentials(Role.CLIENT, "bob"),
            address=mine.address,
            authority_pem=mine.access.authority.certificate_pem,
        )
        with pytest.raises(Unauthorised, match="do not belong together"):
            await nodes(bob, tmp_path / "bob")


async def test_damaged_credentials_say_what_to_do(tmp_path: Path) -> None:
    async with open_door(tmp_path / "door") as door:
        alice = door.credentials(Role.CLIENT, "alice")
        alice.save(tmp_path / "alice")
        (tmp_path / "alice" / "key.pem").unlink()
        with pytest.raises(Unauthorised, match="cannot be read"):
            AsyncClient(credentials=tmp_path / "alice")


async def test_login_takes_the_name_that_the_token_gives(tmp_path: Path) -> None:
    async with open_door(tmp_path / "door") as door:
        arguments = ["login", door.join_string("client", name="bob"), "--credentials", str(tmp_path / "bob")]
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        assert result.exit_code == 0 and f"you are bob, client at {door.address}" in result.stdout
        async with AsyncClient(credentials=tmp_path / "bob") as client:
            assert await client.nodes() == []
