"""The coordinator as a process: everything put together, started, and ended in order."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # before grpc: a stranger's handshake is no news

import asyncio
import contextlib
import gc
import json
import logging
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog

from coordinator import config_file
from coordinator.admit import Limits
from coordinator.clock import SteadyClock
from coordinator.config import Address, Config
from coordinator.coordinator import Coordinator
from coordinator.errors import (
    CoordinatorError,
    InvalidConfiguration,
    InvalidFacts,
    InvalidSubmission,
    KeyConflict,
    Overloaded,
    PortTaken,
    StoreTooNew,
    StoreUnavailable,
    UnknownName,
)
from coordinator.feeds.market import read_market
from coordinator.live import Live
from coordinator.restore import restored
from coordinator.rpc.cluster import ClusterService, finder
from coordinator.rpc.enrolment import Enrolment
from coordinator.rpc.gate import Gate
from coordinator.rpc.jobs import JobsService
from coordinator.rpc.nodes import NodesService
from coordinator.rpc.wire import Malformed
from coordinator.security.access import Access
from coordinator.security.admin import ensure_admin
from coordinator.security.authority import Authority, AuthorityError
from coordinator.security.registry import SqliteRegistry
from coordinator.security.roles import Role
from coordinator.security.tokens import TokenInvalid, TokenRequest
from coordinator.security.transport import SERVER_OPTIONS, server_credentials
from coordinator.sites import resolver
from coordinator.store.sqlite import SqliteStore
from coordinator.turn import TurnLoop
from coordinator.web.server import HttpServer
from protos import cluster_pb2_grpc, jobs_pb2_grpc, nodes_pb2_grpc

log = structlog.get_logger()
Status = grpc.StatusCode
FORGET_EVERY_S = 3600.0

STATUSES: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (InvalidSubmission, Status.INVALID_ARGUMENT),
    (InvalidFacts, Status.INVALID_ARGUMENT),
    (Malformed, Status.INVALID_ARGUMENT),
    (TokenInvalid, Status.INVALID_ARGUMENT),
    (KeyConflict, Status.ALREADY_EXISTS),
    (UnknownName, Status.NOT_FOUND),
    (Overloaded, Status.RESOURCE_EXHAUSTED),
    (StoreUnavailable, Status.UNAVAILABLE),
)


def translate(error: BaseException) -> tuple[grpc.StatusCode, str] | None:
    """The one place where failures become statuses."""
    return next(((status, str(error)) for kind, status in STATUSES if isinstance(error, kind)), None)


class App:
    """A coordinator that serves. `start` returns when both ports are open; `stop` leaves nothing behind."""

    def __init__(self, config: Config, data: Path) -> None:
        """Opens the store and reads the feeds. Raises what `coordinator.errors` has for it."""
        self.config = config
        self.data = data
        self.clock = SteadyClock()
        self.live = Live()
        self.market = read_market(config, self.clock.now())
        self.store = SqliteStore(store_path(config, data), strategy=config.strategy.name)
        self.turns = TurnLoop(self._rebuild, self.store, self.clock, lambda: self.live)
        if {"strategy"} & config.model_fields_set:
            self.turns.coordinator.set_strategy(config.strategy.name)
        self.first_start = not (data / "authority").exists()
        self.access = Access(
            Authority.open(data / "authority", self._now_us()), SqliteRegistry(self.store.path), self._now_us
        )
        self.addresses: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    def _now_us(self) -> int:
        return int(self.clock.now() * 1e6)

    def _rebuild(self, now: float) -> Coordinator:
        shared = Limits.__dataclass_fields__.keys() & type(self.config.limits).model_fields.keys()
        limits = Limits(**{name: getattr(self.config.limits, name) for name in shared})
        find = finder(self.config.strategy.parameters)
        resolve = resolver(self.config.site, self.market.world)
        return restored(self.store.load_open(), self.market.world, limits, find, now, resolve)

    async def start(self) -> None:
        """Open the ports and begin the turns. Raises `PortTaken` for an address that cannot be had."""
        limits = self.config.limits
        self._server = grpc.aio.server(
            interceptors=[Gate(self.access.identify, translate)], options=SERVER_OPTIONS, maximum_concurrent_rpcs=5000
        )
        self.jobs = JobsService(self.turns, self.store, self.live, self.clock.now)
        self.cluster = ClusterService(self.turns, self.access, self.clock.now, self.advertised, self.price_note)
        jobs_pb2_grpc.add_JobsServicer_to_server(self.jobs, self._server)
        nodes_pb2_grpc.add_NodesServicer_to_server(
            NodesService(self.turns, self.live, heartbeat_s=limits.heartbeat_s, lease_s=limits.lease_s), self._server
        )
        cluster_pb2_grpc.add_ClusterServicer_to_server(self.cluster, self._server)
        cluster_pb2_grpc.add_EnrolmentServicer_to_server(Enrolment(self.access), self._server)
        host, wanted = self.config.listen.host, self.config.listen.port
        try:
            port = self._server.add_secure_port(str(self.config.listen), server_credentials(self.access))
        except RuntimeError as taken:
            raise PortTaken(f"port {wanted} on {host} cannot be had: choose another with --listen, or 0") from taken
        await self._server.start()
        self.addresses = {"grpc": str(Address(host, port)), "http": None, "pid": os.getpid()}
        await asyncio.to_thread(ensure_admin, self.access, self.data / "admin", _dialable(host, port))
        self._tasks.append(asyncio.create_task(self.turns.run(), name="turns"))
        self._tasks.append(asyncio.create_task(self._forget(), name="forget"))
        self._http = HttpServer(
            self.config.http, self.turns, self.access, self.jobs, self.cluster, plain=self.config.http_plain
        )
        self.addresses["http"] = await self._http.start()
        _write_atomically(self.data / "address.json", json.dumps(self.addresses) + "\n")

    async def _forget(self) -> None:
        """Bound the turn log."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            before = int((self.clock.now() - self.config.limits.turn_log_days * 86400) * 1e6)
            with contextlib.suppress(StoreUnavailable):
                await self.turns.in_writer(partial(self.store.forget_turns_before, before))

    def advertised(self) -> str:
        """The address that join strings carry."""
        if self.config.advertise is not None:
            return str(self.config.advertise)
        host, _, port = self.addresses["grpc"].rpartition(":")
        return _dialable(host.strip("[]"), int(port))

    def price_note(self, site: str, now: float) -> str:
        """What is to be said of a site's price: a feed that ended, a gap that was bridged."""
        table = self.turns.coordinator.table
        zones = {facts.price_zone for facts in table.facts if facts.site == site}
        return "; ".join(filter(None, (self.market.note(zone, now) for zone in sorted(zones))))

    async def wait(self) -> None:
        """Until something that should run for ever ends, which is an error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Finish the turn, close the ports and the store."""
        await self._http.stop()
        self.live.reset()
        await self._server.stop(0.5)
        self.turns.stop()
        for task in self._tasks:
            if task.get_name() != "turns":
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            (self.data / "address.json").unlink()
        self.store.close()


def store_path(config: Config, data: Path) -> Path:
    """The SQLite file of a store URL; left out, in the data directory."""
    if config.store is None:
        return data / "coordinator.db"
    scheme, _, rest = config.store.partition("://")
    if scheme != "sqlite" or not rest.lstrip("/"):
        raise InvalidConfiguration(f"store {config.store!r} is not understood: give sqlite:///PATH or leave it out")
    return Path(rest[1:] if rest.startswith("//") else rest)


def _dialable(host: str, port: int) -> str:
    everywhere = host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return str(Address("127.0.0.1" if everywhere else host, port))


def _write_atomically(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def run(*, config: Path | None, default_data: Path, **flags: Any) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24),
        ],
    )
    try:
        return asyncio.run(_serve(config, default_data, flags))
    except InvalidConfiguration as wrong:
        print(f"edgeward coordinator: {wrong}", file=sys.stderr)
        return 2
    except StoreTooNew as newer:
        print(f"edgeward coordinator: {newer}", file=sys.stderr)
        return 2
    except (CoordinatorError, AuthorityError, OSError) as failed:
        print(f"edgeward coordinator: {failed}", file=sys.stderr)
        return 1


async def _serve(config_path: Path | None, default_data: Path, flags: Mapping[str, Any]) -> int:
    config = config_file.load(config_path, flags)
    data = config.data or default_data
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    app = App(config, data)
    gc.collect()
    gc.freeze()  # what is alive now lives for ever; long collections would be latency
    gc.set_threshold(50_000, 20, 50)
    await app.start()
    await _announce(app)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(app.wait())]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        waiting[1].cancel()
        await app.stop()
    return 0


async def _announce(app: App) -> None:
    """Say where it listens and, at the first start, the line to paste on the next machine."""
    addresses = app.addresses
    print(f"Edgeward coordinator: gRPC {addresses['grpc']}, HTTP {addresses['http']}, data {app.data}", flush=True)
    if app.first_start:
        created = await asyncio.to_thread(
            app.access.create_token, TokenRequest(Role.NODE, "", 0, 0, False), app.advertised()
        )
        print("On the next machine, within the hour:")
        print(f"  edgeward node --name NAME --join {created.join}", flush=True)
        print(f"For another: edgeward --credentials {app.data / 'admin'} token create --role node", flush=True)
