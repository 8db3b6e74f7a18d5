"""`edgeward strategies` and `strategy`."""

from typing import Annotated

import typer

from edgeward.cli.command import Invocation, command, examples
from edgeward.cli.output import print_json, print_line, print_table
from edgeward.errors import EdgewardError


def register(app: typer.Typer) -> None:
    command(app, "strategies", examples("edgeward strategies"))(strategies)
    command(app, "strategy", examples("edgeward strategy", "edgeward strategy nearest"))(strategy)


def strategies(call: Invocation) -> None:
    """The ways to place jobs, each with its rule; the live one is marked."""
    from edgeward import tables, views

    with call.client() as client:
        found = client.strategies()
    if call.json:
        print_json([views.as_document(each) for each in found])
    else:
        print_table(tables.strategies(found))


def strategy(
    call: Invocation,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Place jobs by this one from now on.")] = None,
) -> None:
    """Which strategy places jobs now; with a name, change it while everything runs."""
    from edgeward import views

    with call.client() as client:
        live = client.set_strategy(name) if name else next((each for each in client.strategies() if each.live), None)
    if live is None:
        raise EdgewardError("The coordinator names no live strategy: choose one with `edgeward strategy NAME`.")
    if call.json:
        print_json(views.as_document(live))
    else:
        print_line(f"{live.name} ({live.family}): {live.rule}")
