"""Who may call what: one table, and a call without a row is refused to everybody."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    ADMIN = "admin"
    CLIENT = "client"
    OBSERVER = "observer"
    NODE = "node"
    JOINER = "joiner"  # holds a join secret, nothing else


GRANTED = frozenset(Role) - {Role.JOINER}
"""The roles that a certificate or a token can carry."""


class Identity(NamedTuple):
    """Who is calling. Names are unique over all roles, so a name alone tells whose a job is."""

    name: str  # a joiner's is the id of its join string
    role: Role
    fingerprint: bytes  # SHA-256 of the certificate in DER; empty for the holder of a bearer token


_ADMINS = frozenset({Role.ADMIN})
_CLIENTS = frozenset({Role.ADMIN, Role.CLIENT})
_READERS = frozenset({Role.ADMIN, Role.CLIENT, Role.OBSERVER})

METHODS: Mapping[str, frozenset[Role]] = {
    "/edgeward.v1.Jobs/Submit": _CLIENTS,
    "/edgeward.v1.Jobs/Session": _CLIENTS,
    "/edgeward.v1.Jobs/Cancel": _CLIENTS,
    "/edgeward.v1.Jobs/Plan": _CLIENTS,
    "/edgeward.v1.Jobs/Watch": _READERS,
    "/edgeward.v1.Jobs/GetJobs": _READERS,
    "/edgeward.v1.Jobs/ListJobs": _READERS,
    "/edgeward.v1.Jobs/Why": _READERS,
    "/edgeward.v1.Jobs/WhatIf": _READERS,
    "/edgeward.v1.Jobs/Placements": _READERS,
    "/edgeward.v1.Nodes/Connect": frozenset({Role.NODE}),
    "/edgeward.v1.Cluster/ListNodes": _READERS,
    "/edgeward.v1.Cluster/ListSites": _READERS,
    "/edgeward.v1.Cluster/ListStrategies": _READERS,
    "/edgeward.v1.Cluster/SetStrategy": _ADMINS,
    "/edgeward.v1.Cluster/Order": _ADMINS,
    "/edgeward.v1.Cluster/CreateToken": _ADMINS,
    "/edgeward.v1.Cluster/ListTokens": _ADMINS,
    "/edgeward.v1.Enrolment/Join": frozenset({Role.JOINER}),
}
"""Full gRPC method -> the roles that may call it. A test holds it against the services in protos/, both ways."""

PATHS: Mapping[str, frozenset[Role]] = {
    "/": _READERS,
    "/metrics": frozenset({Role.ADMIN, Role.OBSERVER}),  # sums over everybody's jobs
    "/api/v1/jobs": METHODS["/edgeward.v1.Jobs/ListJobs"],
    "/api/v1/jobs/{job_id}": METHODS["/edgeward.v1.Jobs/GetJobs"],
    "/api/v1/jobs/{job_id}/why": METHODS["/edgeward.v1.Jobs/Why"],
    "/api/v1/placements": METHODS["/edgeward.v1.Jobs/Placements"],
    "/api/v1/nodes": METHODS["/edgeward.v1.Cluster/ListNodes"],
    "/api/v1/sites": METHODS["/edgeward.v1.Cluster/ListSites"],
    "/api/v1/strategies": METHODS["/edgeward.v1.Cluster/ListStrategies"],
}
"""Path of HTTP -> the roles that may read it. `/healthz` and `/readyz` are open and stand nowhere."""
