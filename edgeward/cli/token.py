"""`edgeward token`."""

from typing import Annotated, Literal

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import print_error, print_json, print_line, print_table

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    token = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Let nodes and people in.")
    app.add_typer(token, name="token")
    command(
        token,
        "create",
        examples(
            "edgeward token create --role node --name dam-1",
            "edgeward token create --role client --ttl 2d --uses 5",
            "edgeward token create --role observer --bearer     for HTTP",
        ),
    )(create)
    command(token, "list", examples("edgeward token list"))(list_)


def create(
    call: Invocation,
    role: Annotated[Literal["node", "client", "observer", "admin"], typer.Option(help="What its holder may do.")],
    name: Annotated[str | None, flag("N", "Only for this name. [default: the holder chooses]")] = None,
    ttl: Annotated[str | None, flag("1h", "Good for so long: 90s, 30m, 1h, 7d.")] = None,
    uses: Annotated[int, typer.Option(metavar="N", min=1, help="How many may join with it.")] = 1,
    bearer: Annotated[bool, typer.Option("--bearer", help="A token for HTTP instead of a join string.")] = False,
) -> None:
    """Make a join string to paste on another machine, or a bearer token. It is shown this once."""
    ttl_s = None if ttl is None else seconds(ttl)
    from edgeward import views

    with call.client() as client:
        created = client.create_token(role, name=name, ttl_s=ttl_s, uses=uses, bearer=bearer)
    if call.json:
        print_json(views.as_document(created))
        return
    print_line(created.bearer or created.join or "")
    if created.bearer:
        print_error(f"good until {created.expires_at}; send it as `Authorization: Bearer ...`")
    elif role == "node":
        print_error(f"good until {created.expires_at}; on its machine: edgeward node --name {name or 'N'} --join ...")
    else:
        print_error(f"good until {created.expires_at}; on the other machine: edgeward login ...")


def list_(call: Invocation) -> None:
    """The tokens that are still good, without their secrets."""
    from edgeward import tables, views

    with call.client() as client:
        found = client.tokens()
    if call.json:
        print_json([views.as_document(token) for token in found])
    else:
        print_table(tables.tokens(found))


def seconds(text: str) -> int:
    """'90s', '30m', '1h', '7d', or plain seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in SECONDS else (text, "s")
    if not (number.isascii() and number.isdecimal() and int(number) > 0):
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 30m, 1h or 7d", param_hint="--ttl")
    return int(number) * SECONDS[unit]
