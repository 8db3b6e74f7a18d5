"""Who this node is: the credentials in its data directory, got once with a join string; and that it runs only once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

from protos.credentials import Credentials, CredentialsError
from protos.join import JoinString, join


class IdentityConflict(Exception):
    """What was asked for contradicts what the data directory holds; the sentence says what to do."""


class AlreadyRunning(IdentityConflict):
    """Another process works with this data directory."""


@contextlib.contextmanager
def sole_use(data: Path) -> Iterator[None]:
    """Hold the data directory, made if need be, for this process alone. Raises AlreadyRunning, or OSError."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise AlreadyRunning(
                f"Another node (process {holder or 'unknown'}) runs with the data directory {data}: "
                "stop it first, or give this one its own with --data."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def remembered(data: Path, flags: Mapping[str, object]) -> dict[str, object]:
    """The flags of this start over those of the starts before it, kept for the next one; None means not given.

    So a node that is started again with its data directory alone is the node that it was. Raises IdentityConflict.
    """
    kept = data / "flags.json"
    try:
        before = json.loads(kept.read_text()) if kept.exists() else {}
    except ValueError as error:
        raise IdentityConflict(f"{kept} cannot be read ({error}): remove it and give the flags again.") from None
    merged = before | {key: value for key, value in flags.items() if value is not None}
    fresh = kept.with_suffix(".new")
    fresh.write_text(json.dumps(merged, indent=1) + "\n")
    fresh.replace(kept)
    return {**dict.fromkeys(flags), **merged}


def holds_identity(directory: Path) -> bool:
    """Whether this node has joined before; if what is there is damaged, loading it says so."""
    return (directory / "certificate.pem").exists()


async def identify(directory: Path, join_string: str | None, name: str) -> Credentials:
    """The stored credentials, or new ones by joining as `name` ("": the coordinator chooses).

    A join string that was used here before changes nothing, so a service may always be started with it; if the
    coordinator has moved, its address is taken over. Raises CredentialsError, JoinError or IdentityConflict.
    """
    if not holds_identity(directory):
        if join_string is None:
            raise CredentialsError(
                "This node has not joined yet: start it once with --join and the line that "
                "`edgeward token create --role node` prints on the coordinator."
            )
        return await join(join_string, name, directory)
    credentials = Credentials.load(directory)
    if name and credentials.name != name:
        raise IdentityConflict(
            f"The data directory belongs to the node {credentials.name}, not {name}: "
            "leave --name out, or give this node its own directory with --data."
        )
    if join_string is not None:
        line = JoinString.parse(join_string)
        if sha256(PEM_cert_to_DER_cert(credentials.authority_pem.decode())).digest() != line.authority:
            raise IdentityConflict(
                "The data directory holds an identity for another coordinator: "
                "give this node its own directory with --data, or leave --join out."
            )
        if credentials.address != line.address:
            credentials = replace(credentials, address=line.address)
            credentials.save(directory)
    return credentials
