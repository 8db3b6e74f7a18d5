"""`edgeward placements`."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import out, print_json_line, print_line

if TYPE_CHECKING:
    from edgeward.views import Placement


def register(app: typer.Typer) -> None:
    command(
        app,
        "placements",
        examples(
            "edgeward placements --follow",
            "edgeward placements --since 1200 --json",
            "edgeward placements --node edge-paris --limit 10",
        ),
    )(placements)


def placements(
    call: Invocation,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, as placements are made.")] = False,
    since: Annotated[int | None, typer.Option(metavar="SEQ", min=0, help="Those after this number.")] = None,
    job: Annotated[str | None, flag("ID", "Only of this job.")] = None,
    node: Annotated[str | None, flag("N", "Only on this node.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most this many. [default: 50]")] = None,
) -> None:
    """The placement log: what went where, at what cost and latency, and who came second.

    Without --since the last 50, or with --follow from now on. --json prints one object a line.
    """
    from edgeward import views

    with call.client() as client:
        for placement in client.placements(follow=follow, since=since, job=job, node=node, limit=limit):
            if call.json:
                print_json_line(views.as_document(placement))
            else:
                _print(placement)


def _print(placement: "Placement") -> None:
    from rich.text import Text

    from edgeward import tables

    print_line(Text.assemble((tables.placement_prefix(placement), "dim"), tables.placement_line(placement)))
    out().file.flush()
