"""Published tables of round trips -> `latency.csv`: `source,destination,rtt_ms`.

Takes rows of (source, destination, round trip) under any names, or a square: the first column names the source, the
others are the destinations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.table import Table, read_table
from coordinator.simulator.convert.target import figure, write


def convert(source: Path, target: Path, columns: Sequence[str] | None = None, ms: float = 1.0) -> int:
    """Of pairs measured more than once the mean; empty cells are left out. Returns how many pairs there are.

    `columns`: source, destination and round trip, where the file has rows of them; left out, it is a square. `ms`: what
    one unit of the source is, 1000 for seconds. Raises InvalidConfiguration.
    """
    table = read_table(source)
    measured: dict[tuple[str, str], list[float]] = {}
    for row, column, pair, text in _rows(table, columns) if columns else _square(table):
        if text.strip():
            measured.setdefault(pair, []).append(_round_trip(table, row, column, text) * ms)
    rows = ((*pair, figure(float(f"{sum(found) / len(found):.9g}"))) for pair, found in sorted(measured.items()))
    write(target, ("source", "destination", "rtt_ms"), rows)
    return len(measured)


Cell = tuple[int, str, tuple[str, str], str]  # row, column, (source, destination), round trip


def _rows(table: Table, columns: Sequence[str]) -> Iterator[Cell]:
    for name in columns:
        if name not in table.columns:
            raise InvalidConfiguration(
                f"{table.path}, line 1: there is no column {name!r}; there are {', '.join(table.columns)}"
            )
    source, destination, value = (table.columns.index(name) for name in columns)
    for number, row in enumerate(table.rows):
        yield number, columns[2], (row[source].strip(), row[destination].strip()), row[value]


def _square(table: Table) -> Iterator[Cell]:
    for number, row in enumerate(table.rows):
        for column, text in zip(table.columns[1:], row[1:], strict=True):
            yield number, column, (row[0].strip(), column), text


def _round_trip(table: Table, row: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise table.error(row, column, f"{text!r} is no round trip of at least 0")
    return value
