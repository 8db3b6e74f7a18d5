"""`edgeward login`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import print_json, print_line
from edgeward.errors import EdgewardError, InvalidJob, Unauthorised, Unreachable

if TYPE_CHECKING:
    from protos import join as joining


def register(app: typer.Typer) -> None:
    command(
        app,
        "login",
        examples("edgeward login edgeward://...", "edgeward login edgeward://... --credentials ./here"),
    )(login)


def login(
    call: Invocation,
    join: Annotated[str, typer.Argument(metavar="JOIN", help="From `edgeward token create --role client`.")],
    name: Annotated[str | None, flag("N", "What you are called there. [default: as the token says]")] = None,
) -> None:
    """Become a user of a coordinator: turns a join string into credentials that later commands find.

    They go to the directory that --credentials names, else to your configuration. What stood there is replaced.
    """
    import asyncio

    from edgeward import endpoint
    from protos import join as joining

    directory = Path(call.credentials) if call.credentials else endpoint.config_directory()
    try:
        credentials = asyncio.run(joining.join(join, name or "", directory))
    except joining.JoinError as error:
        raise _in_our_words(error) from error
    if call.json:
        who = {"name": credentials.name, "role": credentials.role, "address": credentials.address}
        print_json(who | {"credentials": str(directory)})
    else:
        who_where = f"{credentials.name}, {credentials.role} at {credentials.address}"
        print_line(f"you are {who_where}; credentials in {directory}")


def _in_our_words(error: "joining.JoinError") -> EdgewardError:
    from protos import join as joining

    kinds: dict[type[joining.JoinError], type[EdgewardError]] = {
        joining.JoinStringInvalid: InvalidJob,
        joining.JoinRefused: Unauthorised,
        joining.CoordinatorUnreachable: Unreachable,
    }
    return kinds.get(type(error), EdgewardError)(str(error))
