"""Published electricity prices -> `prices.csv`: `ts_utc`, then a column for each zone, USD per kWh.

Takes one column a zone, or rows of (moment, zone, price) as market operators and Ember publish them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.table import Table, read_table
from coordinator.simulator.convert import moments
from coordinator.simulator.convert.target import figure, write


@dataclass(frozen=True)
class Layout:
    """How the source writes prices."""

    time: str  # column
    usd_per_kwh: float  # what one unit of the source is: 0.001 for USD/MWh
    zones: Mapping[str, str]  # one column a zone: column -> zone; in rows: the source's name -> zone
    zone: str | None = None  # in rows: the column that names the zone ...
    price: str | None = None  # ... and the one with its price
    clock: str = "UTC"  # of moments without a zone of their own


def convert(source: Path, target: Path, layout: Layout) -> int:
    """Rows sorted by time, gaps left empty; returns how many. Raises InvalidConfiguration."""
    table = read_table(source)
    wanted = [layout.time, layout.zone, layout.price] if layout.zone else [layout.time, *layout.zones]
    for name in wanted:
        if name not in table.columns:
            raise InvalidConfiguration(
                f"{source}, line 1: there is no column {name!r}; there are {', '.join(table.columns)}"
            )
    prices: dict[float, dict[str, str]] = {}
    for row, at, zone, text in _cells(table, layout):
        found = prices.setdefault(at, {})
        if zone in found:
            raise table.error(row, layout.time, f"{zone} has a price for this moment already; name the right clock")
        found[zone] = _price(table, row, layout, text)
    zones = list(layout.zones.values())
    write(
        target,
        ["ts_utc", *zones],
        ([moments.iso(at), *(prices[at].get(zone, "") for zone in zones)] for at in sorted(prices)),
    )
    return len(prices)


def _cells(table: Table, layout: Layout) -> list[tuple[int, float, str, str]]:
    """Row, moment, zone and price as text, of every cell that is asked for."""
    if layout.zone is None or layout.price is None:
        at = moments.seconds(table, layout.time, layout.clock)
        places = [(table.columns.index(column), zone) for column, zone in layout.zones.items()]
        return [(n, at[n], zone, row[place]) for n, row in enumerate(table.rows) for place, zone in places]
    zone, price = table.columns.index(layout.zone), table.columns.index(layout.price)
    cells = []
    for name, ours in layout.zones.items():  # apart, because each zone's clock is set back by itself
        rows = [n for n, row in enumerate(table.rows) if row[zone].strip() == name]
        part = Table(table.path, table.columns, [table.rows[n] for n in rows], [table.lines[n] for n in rows])
        at = moments.seconds(part, layout.time, layout.clock)
        cells += [(n, moment, ours, table.rows[n][price]) for n, moment in zip(rows, at.tolist(), strict=True)]
    return cells


def _price(table: Table, row: int, layout: Layout, text: str) -> str:
    if not text.strip():
        return ""
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise table.error(row, layout.price or layout.time, f"{text!r} is no price; leave the cell empty for a gap")
    return figure(float(f"{value * layout.usd_per_kwh:.12g}"))
