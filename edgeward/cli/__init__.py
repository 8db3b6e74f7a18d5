"""The `edgeward` command: one file for each noun. Nothing slow is imported before a command needs it."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from edgeward.cli import (
    bench,
    compare,
    coordinator,
    fleet,
    jobs,
    login,
    mining,
    node,
    placements,
    strategies,
    submit,
    token,
)
from edgeward.cli.command import CoordinatorFlag, CredentialsFlag, Flags, Invocation, JsonFlag, command, examples
from edgeward.cli.output import print_json, print_line

app = typer.Typer(
    name="edgeward",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Places compute by what its electricity costs there and now, and by how long the answer travels.",
    epilog=examples(
        "edgeward demo                              all of it on this machine, in a minute and a half",
        "edgeward coordinator                       start; it prints the line for the next machine",
        "edgeward submit hash --header HEX --wait   search a block header's nonces",
        "edgeward placements --follow               watch where work goes, and why",
    )
    + "\n\nExit codes: 0 done, 1 failed, 2 wrong usage or unknown id, 3 no coordinator, 4 not authorised, 5 refused,"
    " 6 deadline or time-out, 130 interrupted.",
)


@app.callback()
def everywhere(
    context: typer.Context,
    coordinator: CoordinatorFlag = None,
    credentials: CredentialsFlag = None,
    json: JsonFlag = False,
) -> None:
    context.obj = Flags(coordinator, credentials, json, open_client=context.obj)


for noun in (bench, compare, coordinator, node, submit, jobs, placements, fleet, strategies, token, login, mining):
    noun.register(app)


@command(app, "demo", examples("edgeward demo", "edgeward demo --keep     and then talk to it from another terminal"))
def demo(
    call: Invocation,
    keep: Annotated[bool, typer.Option("--keep", help="Go on afterwards, until Ctrl-C.")] = False,
) -> None:
    """A hub beside a dam and an edge box near the user, real work under several strategies, and the comparison.

    Everything runs on this machine, the distances are injected and said so. Leaves nothing running and nothing behind.
    """
    from edgeward.cli.demo import run

    raise typer.Exit(run(json=call.json, keep=keep))


@command(app, "version", examples("edgeward version --json"))
def version(call: Invocation) -> None:
    """The version that is installed here."""
    from importlib.metadata import version as installed

    if call.json:
        print_json({"version": installed("edgeward")})
    else:
        print_line(f"edgeward {installed('edgeward')}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors reach the user as our sentences
    app(args=arguments, prog_name="edgeward")
