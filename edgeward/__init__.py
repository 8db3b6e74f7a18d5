"""Edgeward places compute by what electricity costs there and now, and by how long the answer travels.

from edgeward import Client, HashJob

with Client() as edgeward:
    job = edgeward.submit(HashJob(header=header_hex), deadline_s=600)
    print(job.result().nonces, job.receipt.cost_usd)
    print(job.why())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgeward.errors import (
    Cancelled,
    EdgewardError,
    Expired,
    InvalidJob,
    JobFailed,
    KeyConflict,
    Refused,
    TimedOut,
    Unauthorised,
    UnknownJob,
    Unreachable,
)
from edgeward.jobs import Found, HashFound, HashJob

if TYPE_CHECKING:
    from edgeward.async_client import AsyncClient
    from edgeward.client import Client, JobHandle
    from edgeward.handles import AsyncJobHandle

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "Cancelled",
    "Client",
    "EdgewardError",
    "Expired",
    "Found",
    "HashFound",
    "HashJob",
    "InvalidJob",
    "JobFailed",
    "JobHandle",
    "KeyConflict",
    "Refused",
    "TimedOut",
    "Unauthorised",
    "UnknownJob",
    "Unreachable",
]

_LATE = {  # these load gRPC, which `edgeward --help` can do without
    "AsyncClient": "edgeward.async_client",
    "AsyncJobHandle": "edgeward.handles",
    "Client": "edgeward.client",
    "JobHandle": "edgeward.client",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'edgeward' has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
