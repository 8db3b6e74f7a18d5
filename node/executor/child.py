"""The process between a node and Ray: joins a Ray, hires the workers, dispatches. It ends when either neighbour does.

Its standard output and error are the node's log, so whatever Ray prints lands there.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
import threading
from typing import NoReturn

from node.executor import columns, local_ray
from node.executor.dispatch import Dispatcher, WorkerLost
from node.executor.frames import Frames, Kind, frame
from node.executor.local_ray import Membership
from node.executor.port import Capability, StartFailed
from node.executor.settings import Settings
from node.executor.slot import boottime_us

_INIT_S = 30.0  # `ray.init` against a Ray that does not answer would hang for ever
_LEAVE_S = 3.0
_PR_SET_PDEATHSIG = 1


def main(settings: Settings) -> NoReturn:
    """Serve the node until its end of the socket closes."""
    _die_with(settings.parent)
    os.set_inheritable(settings.socket, False)  # Ray's processes must not keep it open
    node = socket.socket(fileno=settings.socket)
    try:
        joined = _join(settings, node)
    except StartFailed as failed:
        _give_up(node, str(failed))
    asyncio.run(_Service(settings, node, joined).serve())
    sys.exit(0)


def _die_with(parent: int) -> None:
    """The end of the socket says it as well, but not to a process that is stuck in a call."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)  # it died before we asked


def _join(settings: Settings, node: socket.socket) -> Membership | None:
    """Connect this process to Ray; None for an existing cluster."""
    joined = None
    if settings.ray_address:
        _knock(settings.ray_address)
    else:
        place = local_ray.directory()
        local_ray.authenticate(place)
        joined = local_ray.join(place, sys.stderr.buffer)
    address = joined.ray.address if joined else settings.ray_address
    late = threading.Timer(_INIT_S, _give_up, (node, f"Ray at {address} did not answer within {_INIT_S:.0f} s"))
    late.daemon = True
    late.start()
    try:
        _connect(address, joined)
    except Exception as error:  # whatever Ray raises here, the node can only be told
        raise StartFailed(f"could not join Ray at {address} ({type(error).__name__})") from error
    finally:
        late.cancel()
    return joined


def _knock(address: str) -> None:
    """Ray itself would try for half a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise StartFailed(
            f"no Ray answers at {address} ({error}): start it there, or name another HOST:PORT"
        ) from error


def _connect(address: str, joined: Membership | None) -> None:
    """Ray is imported here and not above: its settings are read from the environment when it is."""
    import ray

    from node.executor import loopback

    options: dict[str, object] = {}
    if joined:
        loopback.keep_ray_on_loopback()
        options = {"_node_ip_address": loopback.LOOPBACK, "_temp_dir": str(joined.directory / "r")}
    ray.init(
        address=address, namespace=f"edgeward-{os.getpid()}", log_to_driver=False, configure_logging=False, **options
    )


def _give_up(node: socket.socket, sentence: str) -> NoReturn:
    node.setblocking(True)
    node.sendall(frame(Kind.FAILED, sentence.encode()))
    os._exit(1)


class _Service:
    def __init__(self, settings: Settings, node: socket.socket, joined: Membership | None) -> None:
        self._settings, self._node, self._joined = settings, node, joined
        self._gone = asyncio.Event()
        self._frames = Frames(self._obey, self._gone.set)
        self._dispatcher: Dispatcher | None = None

    async def serve(self) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: self._frames, sock=self._node)
        if self._joined:
            keeper = os.pidfd_open(self._joined.ray.session)
            asyncio.get_running_loop().add_reader(keeper, self._ray_ended)
        try:
            await self._start()
        except (WorkerLost, StartFailed) as failed:
            self._frames.send(Kind.FAILED, str(failed).encode())
            self._frames.close()
        await self._gone.wait()
        self._leave()

    async def _start(self) -> None:
        from node.executor.ray_workers import hire

        brake = self._settings.max_hashes_per_s
        workers = await asyncio.gather(*(hire(brake) for _ in range(self._settings.slots)))
        hashes_per_s, engine = await workers[0].calibrate(), await workers[0].engine()
        self._dispatcher = Dispatcher(
            workers,
            hashes_per_s,
            clock=boottime_us,
            hire=lambda: hire(brake),
            on_ended=lambda block: self._frames.send(Kind.ENDED, block),
            on_progress=self._tell_progress,
            on_lost=lambda sentence: self._frames.send(Kind.LOST, sentence.encode()),
        )
        capability = Capability(len(workers), hashes_per_s, engine, *self._isolation())
        self._frames.send(Kind.READY, json.dumps(capability).encode())

    def _isolation(self) -> tuple[str, tuple[str, ...]]:
        if self._joined is None:
            return "external", ()
        from node.executor import loopback

        return "token", loopback.exposed(self._joined.ray.session)

    def _obey(self, kind: Kind, body: bytes) -> None:
        """The node speaks only after READY."""
        assert self._dispatcher is not None
        if kind is Kind.RUN:
            self._dispatcher.run(columns.read_tasks(body))
        elif kind is Kind.STOP:
            self._dispatcher.stop(columns.read_integers(body))
        elif kind is Kind.LEASE:
            self._dispatcher.lease(columns.read_integers(body)[0])

    def _tell_progress(self, known: dict[int, int]) -> None:
        self._frames.send(Kind.PROGRESS, columns.integers([*known, *known.values()]))

    def _ray_ended(self) -> None:
        """The keeper is gone, so Ray is or soon will be. A new child joins, or starts, a new one."""
        self._frames.send(Kind.LOST, b"the local Ray ended")
        os._exit(1)

    def _leave(self) -> NoReturn:
        """Ray's workers of this process end with it; a Ray that does not let go is left behind."""
        late = threading.Timer(_LEAVE_S, os._exit, (0,))
        late.daemon = True
        late.start()
        import ray

        ray.shutdown()
        os._exit(0)
