"""`edgeward node`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeward.cli.command import Invocation, command, examples, flag

Text = str | None
Amount = float | None


def register(app: typer.Typer) -> None:
    command(
        app,
        "node",
        examples(
            "edgeward node --join edgeward://... --name dam-1 --site dam --region SaoPaulo --tier hub",
            "edgeward node --name dam-1                        again, with the credentials it got",
            "edgeward node --join ... --name far --extra-delay-ms 180 --max-hashes-per-s 2e5",
        ),
    )(node)


def node(
    call: Invocation,
    join: Annotated[Text, flag("JOIN", "From `edgeward token create --role node`; once.")] = None,
    name: Annotated[Text, flag("N", "What this node is called.")] = None,
    config: Annotated[Path | None, flag("FILE", "TOML with the keys of a site and a node.")] = None,
    data: Annotated[Path | None, flag("DIR", "Credentials and state. [default: yours, by name]")] = None,
    site: Annotated[Text, flag("S", "The place with one meter where it stands.")] = None,
    region: Annotated[Text, flag("R", "Where that is: its latency neighbourhood.")] = None,
    operator: Annotated[Text, flag("O", "Who owns it.")] = None,
    tier: Annotated[Literal["hub", "edge"] | None, typer.Option(help="[default: edge]")] = None,
    price_zone: Annotated[Text, flag("Z", "Whose market price it pays.")] = None,
    price_usd_per_kwh: Annotated[Amount, flag("X", "Declared; the operator's price outranks it.")] = None,
    pue: Annotated[Amount, flag("X", "Power of the hall over power of the machine. [default: 1]")] = None,
    idle_watts: Annotated[Amount, flag("W", "What it draws doing nothing.")] = None,
    max_watts: Annotated[Amount, flag("W", "What it draws with all slots busy.")] = None,
    slots: Annotated[int | None, flag("N", "Attempts at a time. [default: the cores]")] = None,
    keep_private: Annotated[bool, typer.Option("--keep-private", help="Take only work of your own operator.")] = False,
    ray_address: Annotated[Text, flag("A", "An existing Ray cluster instead of a local one.")] = None,
    extra_delay_ms: Annotated[Amount, flag("N", "Injected: this much more round trip.")] = None,
    max_hashes_per_s: Annotated[Amount, flag("N", "Injected: no faster than this, a slot.")] = None,
) -> None:
    """Offer this machine: join a coordinator, say what it is and what it draws, run what is placed here.

    Started again it needs no join string. SIGTERM drains it; a second one stops at once.
    """
    from edgeward.endpoint import data_directory
    from node.app import run

    code = run(
        join=join,
        name=name,
        config=config,
        data=data or data_directory() / "nodes" / (name or "node"),
        site=site,
        region=region,
        operator=operator,
        tier=tier,
        price_zone=price_zone,
        price_usd_per_kwh=price_usd_per_kwh,
        pue=pue,
        idle_watts=idle_watts,
        max_watts=max_watts,
        slots=slots,
        keep_private=keep_private or None,  # None: as the file says
        ray_address=ray_address,
        extra_delay_ms=extra_delay_ms,
        max_hashes_per_s=max_hashes_per_s,
    )
    raise typer.Exit(code or 0)
