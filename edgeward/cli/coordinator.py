"""`edgeward coordinator`."""

from pathlib import Path
from typing import Annotated

import typer

from edgeward.cli.command import Invocation, command, examples, flag

Text = str | None


def register(app: typer.Typer) -> None:
    command(
        app,
        "coordinator",
        examples(
            "edgeward coordinator",
            "edgeward coordinator --listen 0.0.0.0:7370 --advertise hub.example.org:7370",
            "edgeward coordinator --config site-prices.toml --strategy hub",
        ),
    )(coordinator)


def coordinator(
    call: Invocation,
    config: Annotated[Path | None, flag("FILE", "TOML: sites, prices, carbon, money, limits.")] = None,
    data: Annotated[Path | None, flag("DIR", "Store, authority, credentials. [default: yours]")] = None,
    listen: Annotated[Text, flag("HOST:PORT", "gRPC, TLS. [default: 127.0.0.1:7370]")] = None,
    http: Annotated[Text, flag("HOST:PORT", "Page and API. [default: 127.0.0.1:7371]")] = None,
    http_plain: Annotated[
        bool, typer.Option("--http-plain", help="HTTP without TLS off loopback: behind a proxy.")
    ] = False,
    advertise: Annotated[Text, flag("HOST:PORT", "The address that join strings carry.")] = None,
    store: Annotated[Text, flag("URL", "Where jobs are kept. [default: SQLite in the data]")] = None,
    strategy: Annotated[Text, flag("NAME", "Places jobs until told otherwise. [default: weighted]")] = None,
    region: Annotated[Text, flag("NAME", "Where this coordinator stands.")] = None,
) -> None:
    """Start the coordinator: it admits jobs, places them, and keeps what was promised.

    The first start makes an authority and an admin credential, and prints the line to paste on the next machine.
    SIGTERM ends it in order; killed at any moment and started again, it goes on where it was.
    """
    from coordinator.app import run
    from edgeward.endpoint import data_directory

    code = run(
        config=config,
        data=data,
        default_data=data_directory(),
        listen=listen,
        http=http,
        http_plain=http_plain or None,  # None: as the file says
        advertise=advertise,
        store=store,
        strategy=strategy,
        region=region,
    )
    raise typer.Exit(code or 0)
