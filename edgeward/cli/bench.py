"""`edgeward bench hash`: what this machine's kernels do, against `hashlib` and against what the processor could do."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgeward.cli.command import Invocation, command, examples
from edgeward.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from node.engines.sha256_bench import Measured


def register(app: typer.Typer) -> None:
    """Adds `bench` and what it can measure."""
    bench = typer.Typer(no_args_is_help=True, help="What this machine can do, measured.")
    command(bench, "hash", examples("edgeward bench hash", "edgeward bench hash --json --seconds 20"))(hash_)
    app.add_typer(bench, name="bench")


def hash_(
    call: Invocation,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long to measure.")] = 5.0,
) -> None:
    """Hashes a second of one core by each kernel, in turn with hashlib (midstate copied); medians.

    The limit is what the core's measured instruction throughput would allow; joules are stated only where measured. A
    node uses the chosen one. Other work on the machine disturbs the rates more than their ratio.
    """
    from node.engines.sha256_bench import cpu, measure

    measured = measure(seconds)
    if call.json:
        print_json({"cpu": cpu(), "kernels": [each._asdict() for each in measured]})
    else:
        print_line(f"{cpu()}, one core")
        _print(measured)


def _print(measured: "list[Measured]") -> None:
    from rich.table import Table

    table = Table("kernel", box=None)
    for heading in ("million hashes/s", "times hashlib", "of the limit", "nanojoules/hash"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in measured:
        table.add_row(
            each.name,
            f"{each.hashes_per_s / 1e6:,.2f}",
            f"{each.ratio_to_hashlib:,.1f}",
            "-" if each.share_of_limit is None else f"{each.share_of_limit:.0%}",
            "-" if each.joules_per_hash is None else f"{each.joules_per_hash * 1e9:,.0f}",
            "chosen" if each.chosen else "",
        )
    print_table(table)
