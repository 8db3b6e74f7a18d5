"""The HTTP port: opened and closed with the coordinator, in its event loop.

Plain on loopback. Elsewhere TLS by the authority, unless a proxy in front does it (`--http-plain`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from coordinator.config import Address
from coordinator.errors import PortTaken
from coordinator.rpc.cluster import ClusterService
from coordinator.rpc.jobs import JobsService
from coordinator.security.access import Access
from coordinator.security.authority import CERTIFICATE_LIFE_US
from coordinator.turn import TurnLoop
from coordinator.web.api import Api
from coordinator.web.door import is_loopback
from coordinator.web.metrics import Metrics
from coordinator.web.paths import Ports, application

HEADERS_AT_MOST = 16 * 2**10
CONNECTIONS_AT_MOST = 512
IDLE_S = 30  # between two requests of a connection
CLOSING_S = 1  # for requests that are being answered when the coordinator ends
BACKLOG = 128


class HttpServer:
    """What a coordinator serves over HTTP. Begins to count turns as soon as it is made."""

    def __init__(
        self,
        address: Address,
        turns: TurnLoop,
        access: Access,
        jobs: JobsService,
        cluster: ClusterService,
        *,
        plain: bool,
    ) -> None:
        """`plain`: no TLS off loopback either, because a proxy adds it."""
        self._address, self._access = address, access
        loopback = is_loopback(address.host)
        self._tls = not (loopback or plain)
        metrics = Metrics(lambda: turns.coordinator, lambda: turns.write_error)
        turns.observers.append(metrics.turned)
        ports = Ports(Api(jobs, cluster), metrics, lambda: turns.write_error, access.verify_bearer)
        self._serving: asyncio.Task[None] | None = None
        self._application = application(ports, loopback_only=loopback and not plain)

    async def start(self) -> str:
        """Open the port; returns the "host:port" taken. Raises `PortTaken`."""
        listening = await asyncio.to_thread(_listen, self._address)
        config = uvicorn.Config(
            self._application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # strangers who do not speak HTTP are no news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_AT_MOST,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=CLOSING_S,
            h11_max_incomplete_event_size=HEADERS_AT_MOST,
            ssl_context_factory=(lambda config, default: tls_context(self._access)) if self._tls else None,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listening]), name="http")
        await asyncio.wait(
            [self._serving, asyncio.ensure_future(self._server.begun.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        if self._serving.done():
            self._serving.result()
        return str(Address(self._address.host, listening.getsockname()[1]))

    async def stop(self) -> None:
        """Finish what is being answered, for a second at most, and close the port, if it was opened."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Server(uvicorn.Server):
    """A server among others in a process: signals are not its own, and it tells when it has begun."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()


def _listen(address: Address) -> socket.socket:
    """A listening socket. Raises `PortTaken`."""
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0].lower()  # create_server adds the address again
        raise PortTaken(
            f"port {address.port} on {address.host} cannot be had for HTTP ({reason}): choose another with --http, or 0"
        ) from error


def tls_context(access: Access) -> ssl.SSLContext:
    """TLS by the authority; a certificate past half its life is replaced at the next handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    renew_us = 0

    def renew(*handshake: object) -> None:
        nonlocal renew_us
        now = access.now_us()
        if now < renew_us:
            return
        fresh = access.authority.server_certificate(now)
        with tempfile.TemporaryDirectory(prefix="edgeward-") as private:  # OpenSSL reads keys from files only
            path = Path(private, "port.pem")
            path.write_bytes(fresh.key_pem + fresh.chain_pem)
            context.load_cert_chain(path)
        renew_us = now + CERTIFICATE_LIFE_US // 2

    renew()
    context.sni_callback = renew
    return context
