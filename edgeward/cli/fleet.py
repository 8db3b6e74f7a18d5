"""`edgeward nodes` and `sites`, and the orders to them: drain, resume, set-price, curtail, release."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgeward.cli.command import Invocation, command, examples
from edgeward.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from edgeward.views import Move

NodeName = Annotated[str, typer.Argument(metavar="NAME", help="As `edgeward nodes` lists it.")]
SiteName = Annotated[str, typer.Argument(metavar="SITE", help="As `edgeward sites` lists it.")]
OnlyPlan = Annotated[bool, typer.Option("--plan", help="Say what would move and change nothing.")]


def register(app: typer.Typer) -> None:
    command(app, "nodes", examples("edgeward nodes", "edgeward nodes --json | jq -r '.[].name'"))(nodes)
    command(app, "node-info", examples("edgeward node-info edge-paris"))(node_info)
    command(app, "sites", examples("edgeward sites"))(sites)
    command(app, "drain", examples("edgeward drain dam-1 --plan", "edgeward drain dam-1"))(drain)
    command(app, "resume", examples("edgeward resume dam-1"))(resume)
    command(app, "set-price", examples("edgeward set-price dam 0.12 --plan"))(set_price)
    command(app, "curtail", examples("edgeward curtail dam --plan", "edgeward curtail dam"))(curtail)
    command(app, "release", examples("edgeward release dam"))(release)


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


def node_info(call: Invocation, name: NodeName) -> None:
    """One machine, everything that is known of it."""
    from edgeward import tables, views
    from edgeward.errors import UnknownJob

    with call.client() as client:
        found = [node for node in client.nodes() if node.name == name]
    if not found:
        raise UnknownJob(f"no node is called {name!r}: `edgeward nodes` lists them.")
    if call.json:
        print_json(views.as_document(found[0]))
    else:
        print_table(tables.nodes(found))


def drain(call: Invocation, name: NodeName, plan: OnlyPlan = False) -> None:
    """Take a machine out of service: it gets no new work and gives back what it has; covered ranges count."""
    with call.client() as client:
        moved = client.drain(name, plan=plan)
    _tell(call, moved, plan, f"{name} is draining")


def resume(call: Invocation, name: NodeName) -> None:
    """Let a drained machine take work again."""
    with call.client() as client:
        client.resume(name)
    _tell(call, [], False, f"{name} takes work again")


def set_price(
    call: Invocation,
    site: SiteName,
    usd_per_kwh: Annotated[float, typer.Argument(metavar="USD_PER_KWH", help="From now on; may be negative.")],
    plan: OnlyPlan = False,
) -> None:
    """Say what a site's electricity costs; outranks feeds and what its nodes declare. Work moves where that pays."""
    with call.client() as client:
        moved = client.set_price(site, usd_per_kwh, plan=plan)
    _tell(call, moved, plan, f"{site} pays {usd_per_kwh:g} USD per kWh")


def curtail(call: Invocation, site: SiteName, plan: OnlyPlan = False) -> None:
    """Stop drawing power for work at a site now; its work goes elsewhere."""
    with call.client() as client:
        moved = client.curtail(site, plan=plan)
    _tell(call, moved, plan, f"{site} is curtailed")


def release(call: Invocation, site: SiteName) -> None:
    """Let a curtailed site take work again."""
    with call.client() as client:
        client.release(site)
    _tell(call, [], False, f"{site} takes work again")


def _tell(call: Invocation, moved: "list[Move]", plan: bool, done: str) -> None:
    from edgeward import tables, views

    if call.json:
        print_json({"changed": not plan, "moves": [views.as_document(move) for move in moved]})
        return
    tasks = f"{len(moved)} task{'' if len(moved) == 1 else 's'}"
    print_line(f"nothing was changed; {tasks} would move" if plan else f"{done}; {tasks} on the move")
    if moved:
        print_table(tables.moves(moved))
