"""Rows of figures, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One measure: every round's figure, and beside a peer their ratio pair by pair (ours over the peer's)."""

    name: str
    unit: str
    rounds: list[float]
    peer: str = ""
    ratios: list[float] = field(default_factory=list)
    goal: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}


def show(rows: Sequence[Row], json_path: Path | None) -> None:
    """The table on standard output, the document beside it."""
    table = Table(title=", ".join(f"{name} {value}" for name, value in machine().items()), title_justify="left")
    for heading in ("measure", "median", "min", "max", "unit", "ratio", "to", "goal"):
        table.add_column(heading, justify="right" if heading in ("median", "min", "max", "ratio") else "left")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        figures = (row.median, min(row.rounds), max(row.rounds))
        table.add_row(row.name, *(f"{figure:,.4g}" for figure in figures), row.unit, ratio, row.peer, row.goal)
    Console(width=150).print(table)
    if json_path is not None:
        document = {
            "machine": machine(),
            "rows": [asdict(row) | {"median": row.median, "ratio": row.ratio} for row in rows],
        }
        json_path.write_text(json.dumps(document, indent=1) + "\n")
