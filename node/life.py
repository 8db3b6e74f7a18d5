"""The life of a node, on a thread and an event loop of its own: join, start the executor, keep a session, leave."""

from __future__ import annotations

import asyncio
import queue
import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from node.actions import Cause, Quit
from node.agent import Agent
from node.config import ConfigError, NodeConfig, complete, read
from node.delay import DelayProxy
from node.executor.port import Capability, Executor, OnEnded, OnLost, StartFailed
from node.facts import gather
from node.identity import IdentityConflict, holds_identity, identify
from node.meter import ModelledMeter
from node.redial import Redial
from node.session import Session
from protos.credentials import Credentials, CredentialsError, secure_channel
from protos.join import CoordinatorUnreachable, JoinError, JoinRefused

DRAIN_GRACE_S = 10.0

DONE, FAILED, USAGE, UNREACHABLE, NOT_AUTHORISED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class MakeExecutor(Protocol):
    def __call__(self, config: NodeConfig, data: Path, /, *, on_ended: OnEnded, on_lost: OnLost) -> Executor: ...


class Said(NamedTuple):
    """For the log."""

    event: str
    fields: Mapping[str, object]


class Ready(NamedTuple):
    """For the person who started the node."""

    sentence: str


class Over(NamedTuple):
    """The last thing said."""

    exit_code: int
    sentence: str


class Life:
    """`live` is for its own thread; `signalled` and `outgoing` are for the main one."""

    def __init__(
        self,
        data: Path,
        config_file: Path | None,
        join_string: str | None,
        flags: Mapping[str, object],
        make_executor: MakeExecutor,
    ) -> None:
        self.outgoing: queue.SimpleQueue[Said | Ready | Over] = queue.SimpleQueue()
        self._data, self._config_file, self._join_string, self._flags = data, config_file, join_string, flags
        self._make_executor = make_executor
        self._stop: Callable[[], object] | None = None  # as soon as there is something to stop
        self._drain: Callable[[], object] | None = None  # as soon as there is something to drain
        self._signalled = False

    def signalled(self) -> None:
        """The first signal drains a session that runs; a second one, or one that comes before that, stops at once."""
        if self._drain is not None and not self._signalled:
            self._drain()
        elif self._stop is not None:
            self._stop()
        self._signalled = True

    def live(self) -> None:
        """Whatever happens ends in one `Over`; only a fault of our own raises as well."""
        over = Over(FAILED, "The node failed by a fault of its own: please report what stands above.")
        try:
            over = asyncio.run(self._live())
        except asyncio.CancelledError:
            over = Over(INTERRUPTED, "Stopped at once; what ran here is placed again when its lease lapses.")
        except CoordinatorUnreachable as error:
            over = Over(UNREACHABLE, _sentence(error))
        except (CredentialsError, JoinRefused) as error:
            over = Over(NOT_AUTHORISED, _sentence(error))
        except (ConfigError, IdentityConflict, JoinError) as error:
            over = Over(USAGE, _sentence(error))
        except StartFailed as error:
            over = Over(FAILED, _sentence(error))
        finally:
            self._stop = self._drain = None
            self.outgoing.put(over)

    async def _live(self) -> Over:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._signalled:
            raise asyncio.CancelledError
        credentials, config = await self._identity()
        async with AsyncExitStack() as stack:
            address = credentials.address
            if config.extra_delay_ms:
                address = await stack.enter_async_context(_proxy(address, config.extra_delay_ms))
            session = Session(
                lambda: secure_channel(credentials, address),
                say=self._say,
                redial=Redial(random.Random(), slack_us=round(4000 * config.extra_delay_ms)),  # TCP, TLS, welcome
            )
            executor = self._make_executor(config, self._data, on_ended=session.ended, on_lost=self._lost)
            stack.push_async_callback(executor.close)
            capability = await executor.start()
            meter = ModelledMeter.of(config.idle_watts, config.max_watts, capability.slots)
            facts = gather(config, capability, energy_measured=meter.measured)
            agent = Agent(facts, meter, incarnation=secrets.randbits(64))
            self._drain = lambda: loop.call_soon_threadsafe(session.drain, round(DRAIN_GRACE_S * 1e6))
            self._announce(config, capability, credentials.address)
            return _over(await session.run(agent, executor))

    async def _identity(self) -> tuple[Credentials, NodeConfig]:
        """Everything that can be checked is checked before a join string is spent."""
        directory = self._data / "identity"
        known = Credentials.load(directory).name if holds_identity(directory) else None
        given = read(self._config_file, {**self._flags, "name": self._flags.get("name") or known})
        wanted = str(given["name"].value) if "name" in given else ""
        complete(given, wanted or "unnamed")
        credentials = await identify(directory, self._join_string, wanted)
        return credentials, complete(given, credentials.name)

    def _say(self, event: str, fields: Mapping[str, object]) -> None:
        self.outgoing.put(Said(event, fields))

    def _lost(self, sentence: str) -> None:
        self._say("worker lost", {"reason": sentence})

    def _announce(self, config: NodeConfig, capability: Capability, address: str) -> None:
        slots = f"{capability.slots} slot" + ("" if capability.slots == 1 else "s")
        speed = f"{capability.hashes_per_s:,.0f} hashes/s each ({capability.engine}, {capability.isolation})"
        injected = f", {config.extra_delay_ms:g} ms of delay injected" if config.extra_delay_ms else ""
        brake = f", braked to {config.max_hashes_per_s:,.0f} hashes/s" if config.max_hashes_per_s else ""
        place = f"{config.site} ({config.region}, {config.tier})"
        self.outgoing.put(
            Ready(f"Node {config.name} at {place} is ready: {slots}, {speed}{brake}{injected}; coordinator {address}")
        )
        if capability.exposed:
            advice = "Ray listens off loopback: close these addresses to the network"
            self._say("exposed", {"listeners": ", ".join(capability.exposed), "advice": advice})


def _proxy(address: str, extra_delay_ms: float) -> DelayProxy:
    host, _, port = address.rpartition(":")
    return DelayProxy(host.strip("[]"), int(port), extra_delay_ms / 1000)


def _over(end: Quit) -> Over:
    match end.cause:
        case Cause.DRAINED:
            return Over(DONE, end.sentence)
        case Cause.REFUSED:
            return Over(NOT_AUTHORISED, _sentence(end.sentence))
        case Cause.FENCED:
            return Over(FAILED, f"Another agent speaks for this node now ({end.sentence}); this one has stopped.")
        case Cause.GRACE:
            return Over(FAILED, _sentence(end.sentence))


def _sentence(error: object) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
