"""`edgeward nodes` and `sites`."""

import typer

from edgeward.cli.command import Invocation, command, examples
from edgeward.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    command(app, "nodes", examples("edgeward nodes", "edgeward nodes --json | jq -r '.[].name'"))(nodes)
    command(app, "sites", examples("edgeward sites"))(sites)


def nodes(call: Invocation) -> None:
    """The machines: state, load, price of their electricity, distance and speed."""
    from edgeward import tables, views

    with call.client() as client:
        found = client.nodes()
    if call.json:
        print_json([views.as_document(node) for node in found])
    else:
        print_table(tables.nodes(found))


def sites(call: Invocation) -> None:
    """The places: whose they are, what electricity costs there now, and who says so."""
    from edgeward import tables, views

    with call.client() as client:
        found = client.sites()
    if call.json:
        print_json([views.as_document(site) for site in found])
    else:
        print_table(tables.sites(found))
