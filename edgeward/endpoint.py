"""Where the coordinator is and who we are: flags, environment, the user's configuration, this machine's coordinator."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeward.errors import InvalidAddress, Unauthorised, Unreachable

DEFAULT_ADDRESS = "127.0.0.1:7370"


@dataclass(frozen=True, slots=True)
class Endpoint:
    address: str | None  # None: the one that the credentials were given for
    credentials: Path


def config_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """What `edgeward login` writes: the credentials of this user."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgeward"


def data_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """What a coordinator on this machine keeps, unless told otherwise."""
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "edgeward"


def find(
    coordinator: str | None = None,
    credentials: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """The coordinator to call and the credentials to call it with; arguments outrank the environment, that the files.

    Raises Unauthorised where there are no credentials, Unreachable where the address makes no sense.
    """
    directory = _credentials(credentials or environ.get("EDGEWARD_CREDENTIALS"), environ)
    address = coordinator or environ.get("EDGEWARD_COORDINATOR") or _taken_address(directory.parent / "address.json")
    if address is not None:
        _check(address)
    return Endpoint(address, directory)


def _credentials(named: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    if named is not None:
        directory = Path(named).expanduser()
        if not directory.is_dir():
            raise Unauthorised(
                f"There is no credentials directory {directory}: name another, or run `edgeward login JOIN "
                "--credentials DIR` with a join string from the coordinator's operator."
            )
        return directory
    places = (config_directory(environ), data_directory(environ) / "admin")
    for place in places:
        if (place / "certificate.pem").exists():
            return place
    raise Unauthorised(
        f"There are no credentials in {places[0]} or {places[1]}: run `edgeward login JOIN` with a join string from "
        "the coordinator's operator, or start a coordinator on this machine with `edgeward coordinator`."
    )


def _taken_address(file: Path) -> str | None:
    """What a coordinator wrote beside its own admin credentials. A copy elsewhere carries its address inside."""
    try:
        return str(json.loads(file.read_text())["grpc"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{file} cannot be read ({error}): use --coordinator HOST:PORT.") from None


def _check(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidAddress(f"{address!r} is no address: write HOST:PORT, for example {DEFAULT_ADDRESS}.")
