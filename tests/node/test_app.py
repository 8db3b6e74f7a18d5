"""The whole process, but for Ray: started, watched, ended by signals, on the main thread as in life."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from node.app import run
from node.config import NodeConfig
from node.executor.inline import InlineExecutor
from node.executor.port import Executor, OnEnded, OnLost, StartFailed
from node.identity import sole_use
from tests.node.authority import Authority
from tests.node.fake_coordinator import FakeCoordinator

T = TypeVar("T")


class SecureCoordinator(FakeCoordinator):
    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self._authority = authority

    def _listen(self, server: grpc.aio.Server) -> int:
        pair = self._authority.coordinator()
        return server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([pair], self._authority.pem, require_client_auth=True)
        )


class Elsewhere:
    """A coordinator on a thread of its own, because the node under test needs the main one."""

    def __init__(self, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        authority = Authority()
        self.coordinator = self._now(self._start(authority))
        authority.node("edge-1", self.coordinator.address).save(data / "identity")

    async def _start(self, authority: Authority) -> SecureCoordinator:
        return await SecureCoordinator(authority).__aenter__()  # type: ignore[return-value]

    def meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _now(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._now(self.coordinator.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def inline(config: NodeConfig, _data: Path, *, on_ended: OnEnded, on_lost: OnLost) -> Executor:
    return InlineExecutor(
        config.slots, on_ended=on_ended, max_hashes_per_s=config.max_hashes_per_s, hashes_per_s=1_000_000
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def elsewhere(data: Path) -> Iterator[Elsewhere]:
    running = Elsewhere(data)
    yield running
    running.close()


def test_node_started_again_works_and_a_signal_drains_it(
    data: Path, elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]
) -> None:
    coordinator = elsewhere.coordinator

    async def work_then_end() -> None:
        link = await coordinator.link()
        link.assign(1)
        await coordinator.until(lambda: 1 in coordinator.outcomes)
        link.assign(2, count=2**32)
        await coordinator.until(lambda: any(beat.running for beat in coordinator.beats(link)))
        os.kill(os.getpid(), signal.SIGTERM)

    elsewhere.meanwhile(work_then_end())
    assert run(data=data, site="loft", region="Paris", slots=1, extra_delay_ms=5, make_executor=inline) == 0
    assert coordinator.outcomes == {1: "done", 2: "released"}
    facts = coordinator.links[0].hello.facts
    assert (facts.name, facts.site, facts.region, facts.slots) == ("edge-1", "loft", "Paris", 1)
    assert (facts.hashes_per_s, facts.extra_delay_ms) == (1_000_000, 5)
    out, err = capfd.readouterr()
    ready = "Node edge-1 at loft (Paris, edge) is ready: 1 slot, 1,000,000 hashes/s each (hashlib, inline)"
    assert out.startswith(f"{ready}, 5 ms of delay injected; coordinator 127.0.0.1:")
    assert out.count("\n") == 1
    assert "connected" in err
    assert "Traceback" not in err


def test_second_signal_stops_at_once(data: Path, elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]) -> None:
    coordinator = elsewhere.coordinator

    async def drain_that_cannot_finish() -> None:
        link = await coordinator.link()
        link.assign(1, count=2**32)
        await coordinator.until(lambda: any(beat.running for beat in coordinator.beats(link)))
        coordinator.speaks.clear()
        os.kill(os.getpid(), signal.SIGINT)
        await coordinator.until(lambda: any(message.HasField("draining") for message in link.heard))
        os.kill(os.getpid(), signal.SIGINT)

    elsewhere.meanwhile(drain_that_cannot_finish())
    assert run(data=data, slots=1, make_executor=inline) == 130
    assert capfd.readouterr().err.rstrip().endswith("its lease lapses.")


def test_signal_handlers_are_given_back(data: Path, elsewhere: Elsewhere) -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def end() -> None:
        await elsewhere.coordinator.link()
        os.kill(os.getpid(), signal.SIGTERM)

    elsewhere.meanwhile(end())
    assert run(data=data, slots=1, make_executor=inline) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def failure(capfd: pytest.CaptureFixture[str]) -> str:
    """What stands on standard error: one sentence."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_node_that_never_joined_is_told_how(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(data=data, name="edge-1", make_executor=inline) == 4
    assert "start it once with --join" in failure(capfd)


def test_text_that_is_no_join_string_is_wrong_usage(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(data=data, name="edge-1", join="hello", make_executor=inline) == 2
    assert "no join string" in failure(capfd)


def test_coordinator_that_is_not_there_when_joining_is_named(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = f"edgeward://127.0.0.1:1/{'A' * 43}/{'0' * 10}/{'A' * 43}"
    assert run(data=data, name="edge-1", join=line, make_executor=inline) == 3
    assert "127.0.0.1:1" in failure(capfd)


def test_configuration_is_refused_before_a_join_string_is_spent(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(data=data, name="edge-1", join="hello", idle_watts=-1.0, make_executor=inline) == 2
    assert "--idle-watts = -1.0: must be 0 or more" in failure(capfd)


def test_data_directory_in_use_is_refused(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with sole_use(data):
        assert run(data=data, make_executor=inline) == 1
    assert "Another node" in failure(capfd)


def test_executor_that_cannot_start_ends_the_node_with_its_sentence(
    data: Path, elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(InlineExecutor):
        async def start(self) -> Any:
            raise StartFailed("Ray did not start; its log says why")

    def broken(config: NodeConfig, _data: Path, *, on_ended: OnEnded, on_lost: OnLost) -> Executor:
        return Broken(config.slots, on_ended=on_ended)

    assert run(data=data, make_executor=broken) == 1
    assert failure(capfd) == "Ray did not start; its log says why.\n"


def test_identity_that_belongs_to_another_name_is_wrong_usage(
    data: Path, elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(data=data, name="edge-9", make_executor=inline) == 2
    assert "belongs to the node edge-1" in failure(capfd)
