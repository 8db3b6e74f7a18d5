"""From a pasted line to credentials that work, over a real port; and every way that it does not."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from coordinator.security.roles import Role
from protos.credentials import Credentials, secure_channel
from protos.join import CoordinatorUnreachable, JoinError, JoinRefused, JoinString, JoinStringInvalid, join
from tests.coordinator.security.door import Door, call, open_door

SUBMIT, CONNECT = "/edgeward.v1.Jobs/Submit", "/edgeward.v1.Nodes/Connect"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path / "data") as opened:
        yield opened


async def codes(credentials: Credentials, *paths: str) -> list[grpc.StatusCode]:
    async with secure_channel(credentials) as channel:
        return [await call(channel, path) for path in paths]


async def test_join_a_node_gets_credentials_that_connect_and_cannot_submit(door: Door, tmp_path: Path) -> None:
    credentials = await join(door.join_string(), "edge-paris", tmp_path / "node")
    assert credentials == Credentials.load(tmp_path / "node")
    assert (credentials.role, credentials.name, credentials.address) == ("node", "edge-paris", door.address)
    assert await codes(credentials, CONNECT, SUBMIT) == [grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED]
    assert [(caller.name, caller.role) for caller in door.callers] == [("edge-paris", Role.NODE)]
    assert sorted(os.listdir(tmp_path / "node")) == ["address", "authority.pem", "certificate.pem", "key.pem"]


async def test_join_pasted_with_blanks_and_line_breaks_works(door: Door, tmp_path: Path) -> None:
    line = door.join_string("client")
    credentials = await join(f"\n  {line[:60]}\r\n   {line[60:]} \n", "", tmp_path / "client")
    assert await codes(credentials, SUBMIT) == [grpc.StatusCode.OK]


async def test_join_with_a_used_string_is_told_so(door: Door, tmp_path: Path) -> None:
    line = door.join_string()
    await join(line, "dam", tmp_path / "first")
    with pytest.raises(JoinRefused, match="has been used"):
        await join(line, "thief", tmp_path / "second")
    assert os.listdir(tmp_path / "second") == []


async def test_join_by_many_at_once_lets_one_in(door: Door, tmp_path: Path) -> None:
    line = door.join_string()
    attempts = (join(line, f"n{number}", tmp_path / str(number)) for number in range(12))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Credentials"] + ["JoinRefused"] * 11


async def test_join_with_an_expired_string_is_told_so(door: Door, tmp_path: Path) -> None:
    line = door.join_string(ttl_s=600)
    door.clock.pass_s(601)
    with pytest.raises(JoinRefused, match="has expired"):
        await join(line, "dam", tmp_path / "node")


async def test_join_with_a_string_of_last_week_does_not_even_get_in(door: Door, tmp_path: Path) -> None:
    line = door.join_string(ttl_s=600)
    door.clock.pass_s(7 * 86_400)
    with pytest.raises(JoinRefused, match="expired, or was never made there"):
        await join(line, "dam", tmp_path / "node")


async def test_join_with_a_wrong_secret_is_refused_at_the_door(door: Door, tmp_path: Path) -> None:
    line = replace(JoinString.parse(door.join_string()), secret=bytes(32))
    with pytest.raises(JoinRefused, match="does not know this join string"):
        await join(line, "dam", tmp_path / "node")
    assert door.parsed == []


async def test_join_where_another_authority_answers_is_refused_before_anything_is_sent(
    door: Door, tmp_path: Path
) -> None:
    async with open_door(tmp_path / "elsewhere") as other:
        line = replace(JoinString.parse(door.join_string()), address=other.address)
        with pytest.raises(JoinRefused, match="not the coordinator that made this join string"):
            await join(line, "dam", tmp_path / "node")
    assert not (tmp_path / "node").exists()


async def test_join_with_a_name_that_is_taken_keeps_the_string_good(door: Door, tmp_path: Path) -> None:
    await join(door.join_string(), "dam", tmp_path / "first")
    line = door.join_string()
    with pytest.raises(JoinRefused, match="name dam is taken"):
        await join(line, "dam", tmp_path / "second")
    assert (await join(line, "dam-2", tmp_path / "second")).name == "dam-2"


async def test_join_whose_answer_was_lost_is_finished_by_joining_again(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, directory = door.join_string(), tmp_path / "node"

    def full(credentials: Credentials, where: Path) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(JoinError, match=r"disk full.*again with the same string"):
        patched.setattr(Credentials, "save", full)
        await join(line, "dam", directory)
    credentials = await join(line, "dam", directory)
    assert await codes(credentials, CONNECT) == [grpc.StatusCode.OK]
    assert [token.uses_left for token in door.access.list_tokens()] == [0]


async def test_join_over_older_credentials_leaves_them_when_refused(door: Door, tmp_path: Path) -> None:
    line = door.join_string("client")
    before = await join(line, "alice", tmp_path / "client")
    with pytest.raises(JoinRefused):
        await join(line, "alice", tmp_path / "client")
    assert Credentials.load(tmp_path / "client") == before


async def test_join_where_nobody_listens_says_so(door: Door, tmp_path: Path) -> None:
    line = replace(JoinString.parse(door.join_string()), address="127.0.0.1:1")
    with pytest.raises(CoordinatorUnreachable, match=r"No coordinator answers at 127.0.0.1:1"):
        await join(line, "dam", tmp_path / "node")


@asynccontextmanager
async def talker(greeting: bytes) -> AsyncIterator[str]:
    """Somebody at a port who says the same to everybody, or nothing."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting:
            writer.write(greeting)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())


async def test_join_where_something_else_listens_says_so(door: Door, tmp_path: Path) -> None:
    async with talker(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        line = replace(JoinString.parse(door.join_string()), address=address)
        with pytest.raises(CoordinatorUnreachable, match="is no Edgeward coordinator"):
            await join(line, "dam", tmp_path / "node")


async def test_join_where_nobody_answers_gives_up_in_time(door: Door, tmp_path: Path) -> None:
    async with talker(b"") as address:
        line = replace(JoinString.parse(door.join_string()), address=address)
        with pytest.raises(CoordinatorUnreachable, match="No coordinator answers"):
            await join(line, "dam", tmp_path / "node", timeout_s=0.2)


async def test_join_into_a_place_that_is_a_file_spends_nothing(door: Door, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JoinError, match="choose another directory"):
        await join(door.join_string(), "dam", tmp_path / "file")
    assert [token.uses_left for token in door.access.list_tokens()] == [1]


async def test_join_with_something_else_pasted_asks_for_the_whole_line(tmp_path: Path) -> None:
    with pytest.raises(JoinStringInvalid, match="paste the whole line"):
        await join("edgeward token create", "dam", tmp_path / "node")


async def test_port_new_certificate_after_half_its_life_keeps_old_connections(door: Door) -> None:
    client = door.credentials(Role.CLIENT)
    async with secure_channel(client) as before:
        assert await call(before, SUBMIT) is grpc.StatusCode.OK
        door.clock.pass_s(46 * 86_400)
        async with secure_channel(client) as after:
            # Dated 46 days from now, the new certificate shows that it is the one in use.
            assert await call(after, SUBMIT) is grpc.StatusCode.UNAVAILABLE
        assert await call(before, SUBMIT) is grpc.StatusCode.OK
