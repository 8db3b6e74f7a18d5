"""`edgeward compare`."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import err, print_error, print_json, print_table

INVALID = 2


def register(app: typer.Typer) -> None:
    command(
        app,
        "compare",
        examples(
            "edgeward compare scenario.toml",
            "edgeward compare scenario.toml --strategies hub,nearest,weighted --seeds 10",
            "edgeward compare scenario.toml --out report.json --log attempts.jsonl",
        ),
    )(compare)


def compare(
    call: Invocation,
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="Fleet, prices, round trips and jobs.")],
    strategies: Annotated[str, flag("A,B|all", "Which to compare. [default: all]")] = "all",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each, from the scenario's seed on.")] = 1,
    out: Annotated[Path | None, flag("FILE.json", "Write every measure.")] = None,
    log: Annotated[Path | None, flag("FILE.jsonl", "Write a line for each attempt that used a slot.")] = None,
    timing: Annotated[Path | None, flag("FILE.json", "Write how long the runs took.")] = None,
) -> None:
    """What every strategy would have cost: the same jobs, replayed through the code that places live ones.

    The same scenario, seed and version write the same bytes, to --out and --log.
    """
    from coordinator.errors import InvalidConfiguration
    from coordinator.simulator.runs import chosen
    from coordinator.simulator.runs import compare as run_all
    from placement.strategy import UnknownStrategy

    try:
        names = chosen(strategies)
        with _progress() as told:
            found = run_all(scenario, names, seeds, ledgers=log is not None, progress=told)
        if out is not None:
            _write(out, [json.dumps(found.document, indent=1, sort_keys=True, allow_nan=False)])
        if log is not None:
            _write(log, (json.dumps(line, allow_nan=False) for line in found.log()))
        if timing is not None:
            _write(timing, [json.dumps(found.timing, indent=1)])
    except (InvalidConfiguration, UnknownStrategy, OSError) as wrong:
        print_error(str(wrong))
        raise typer.Exit(INVALID) from None
    if call.json:
        print_json(found.document)
    else:
        print_table(_table(found.document))


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, on standard error; nothing elsewhere."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("jobs replayed"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield told


def _table(document: dict[str, Any]) -> Any:
    from rich.table import Table

    from edgeward.tables import duration, money

    seeds = f", {document['seeds']} seeds" if document["seeds"] > 1 else ""
    table = Table(title=f"{document['scenario']}, seed {document['seed']}{seeds}", title_justify="left")
    table.add_column("strategy")
    headings = ("cost", "energy", "p50", "p95", "objective met", "done", "busy", "top site", "price x3: kept, free")
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in document["strategies"]:
        blast = one["blast_radius"]
        table.add_row(
            one["strategy"],
            money(one["cost_usd"]),
            money(one["energy_usd"]),
            duration(one["latency_ms"]["p50"]),
            duration(one["latency_ms"]["p95"]),
            _share(one["objective_met"]),
            f"{one['completed']:,.0f} of {one['jobs']:,.0f}",
            _share(one["utilization"]),
            _share(one["concentration"]["site"]["top_share"]),
            f"{_ratio(blast['price_x3_frozen'])}, {_ratio(blast['price_x3'])}",
        )
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
