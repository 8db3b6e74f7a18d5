"""`edgeward mining`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import print_json, print_line, print_table
from edgeward.errors import EdgewardError

if TYPE_CHECKING:
    from rich.table import Table

DEAR_USD = 100_000.0  # a coin past this is marked


class InvalidScenario(EdgewardError, ValueError):
    """The scenario does not hold together; nothing ran."""

    exit_code = 2


def register(app: typer.Typer) -> None:
    command(
        app,
        "mining",
        examples("edgeward mining scenario.toml", "edgeward mining scenario.toml --out mining.json --json"),
    )(mining)


def mining(
    call: Invocation,
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="A scenario with a [mining] table.")],
    out: Annotated[Path | None, flag("FILE.json", "Write everything there, as one JSON document.")] = None,
) -> None:
    """What a coin costs at every site of a scenario, and where the hashing goes as prices and rules move.

    Hash rate follows prices with the scenario's reaction time, difficulty follows hash rate every 2016 blocks.
    Regions are means over a year of epochs; hashprice and kWh a coin are those of the start.
    """
    from coordinator.errors import InvalidConfiguration
    from coordinator.simulator.mining_report import report
    from coordinator.simulator.scenario import load

    try:
        document = report(load(scenario, needs_jobs=False))
    except InvalidConfiguration as wrong:
        raise InvalidScenario(str(wrong)) from None
    if out is not None:
        _write(out, document)
    if call.json:
        print_json(document)
    else:
        _print(document)


def _write(out: Path, document: dict[str, Any]) -> None:
    import json

    try:
        out.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidScenario(f"{out} cannot be written ({error.strerror}): name another file with --out") from None


def _print(document: dict[str, Any]) -> None:
    print_line(
        f"Hashprice ${document['hashprice_usd_per_ph_day']:.2f} a PH/s and day, {document['kwh_per_coin']:,.0f} kWh a "
        f"coin at the fleet's {document['j_per_th']:.3g} J/TH, difficulty {document['difficulty']:.4g}."
    )
    print_line("")
    print_table(_regions(document["regions"]))
    print_line("")
    print_table(_machines(document["machines"]))
    print_line("")
    print_table(_epochs(document["epochs"]))
    if document["ended"]:
        print_line(f"Then {document['ended']}.")
    print_line("")
    print_table(_concentration(document["concentration"]))


def _table(*columns: str) -> "Table":
    """The first column is words, the rest are figures."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _regions(rows: list[dict[str, Any]]) -> "Table":
    table = _table("REGION", "HASH RATE", "SHARE", "USD/KWH", "ENERGY A COIN", "PAYS", "")
    for row in sorted(rows, key=lambda row: float(row["energy_usd_per_coin"])):
        table.add_row(
            row["region"],
            _rate(row["hashes_per_s"]),
            _per_cent(row["share"]),
            f"{row['usd_per_kwh']:.4f}",
            f"${row['energy_usd_per_coin']:,.0f}",
            "yes" if row["profitable"] else "no",
            "above $100,000" if row["energy_usd_per_coin"] > DEAR_USD else "",
        )
    return table


def _machines(rows: list[dict[str, Any]]) -> "Table":
    table = _table("SITE", "MACHINES", "HASH RATE", "J/TH", "USD/TH", "BREAK-EVEN", "WITH HARDWARE", "ON")
    for row in rows:
        table.add_row(
            row["site"],
            f"{row['count']:,}",
            _rate(row["hashes_per_s"]),
            f"{row['j_per_th']:.4g}",
            f"{row['usd_per_th']:.3g}",
            f"{row['break_even_usd_per_kwh']:.4f} USD/kWh",
            f"{row['break_even_with_hardware_usd_per_kwh']:.4f} USD/kWh",
            _per_cent(row["on_share"]),
        )
    return table


def _epochs(rows: list[dict[str, Any]]) -> "Table":
    table = _table("RETARGET", "BLOCK INTERVAL", "CHANGE", "DIFFICULTY", "HHI BY REGION")
    for row in rows:
        table.add_row(
            row["at"][:10],
            f"{row['mean_interval_s'] / 60:.2f} min",
            f"{round(row['change'], 5) + 0.0:+.1%}",
            f"{row['difficulty']:.4g}",
            _whole(row["hhi_by_region"]),
        )
    return table


def _concentration(measures: dict[str, dict[str, float | None]]) -> "Table":
    table = _table("CONCENTRATION BY", "HHI", "NAKAMOTO", "GINI", "TOP SHARE")
    for what, row in measures.items():
        gini = row["gini"]
        table.add_row(
            what,
            _whole(row["hhi"]),
            _whole(row["nakamoto"]),
            "-" if gini is None else f"{gini:.3f}",
            _per_cent(row["top_share"]),
        )
    return table


def _rate(hashes_per_s: float) -> str:
    for unit, size in (("EH/s", 1e18), ("PH/s", 1e15)):
        if hashes_per_s >= size:
            return f"{hashes_per_s / size:,.4g} {unit}"
    from edgeward import tables

    return tables.rate(hashes_per_s)


def _per_cent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
