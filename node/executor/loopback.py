"""Keeps Ray's listeners on 127.0.0.1, and tests that it worked.

Ray has no setting for it: it rewrites loopback to the host's outbound address. Both patches touch private names of Ray
2.60; `exposed` and its test tell when a newer Ray has moved them.
"""

import os

import psutil
from ray._private import services

LOOPBACK = "127.0.0.1"


def keep_ray_on_loopback() -> None:
    """Before `ray start` and `ray.init`, in each process that calls them: 127.0.0.1 stays what it is."""
    rewrite = services.resolve_ip_for_localhost

    def resolve(host: str) -> str:
        return host if host == LOOPBACK else str(rewrite(host))

    services.resolve_ip_for_localhost = resolve


def exposed(session: int) -> tuple[str, ...]:
    """Listeners off loopback, as "name address:port", of Ray's session and of this process, its driver."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and os.getsid(process.pid) != session:
                continue
            for socket in process.net_connections(kind="inet"):
                if socket.status == psutil.CONN_LISTEN and not socket.laddr.ip.startswith(
                    ("127.", "::1", "::ffff:127.")
                ):
                    found.add(f"{process.name()} {socket.laddr.ip}:{socket.laddr.port}")
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue  # it ended while we looked
    return tuple(sorted(found))
