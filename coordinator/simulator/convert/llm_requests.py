"""Traces of language-model services -> `arrival_s,context_tokens,generated_tokens` for a scenario's [requests].

Known by their columns: Azure's LLM inference traces, BurstGPT, and what is already in our own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.table import read_table
from coordinator.simulator.convert import moments
from coordinator.simulator.convert.target import figure, write

KNOWN = (  # arrival, context, generated
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    ("Timestamp", "Request tokens", "Response tokens"),
    ("arrival_s", "context_tokens", "generated_tokens"),
)


def convert(source: Path, target: Path) -> int:
    """Arrivals count from the first request, sorted; returns how many there are. Raises InvalidConfiguration."""
    table = read_table(source)
    columns = next((known for known in KNOWN if set(known) <= set(table.columns)), None)
    if columns is None:
        wanted = " or ".join(",".join(known) for known in KNOWN)
        raise InvalidConfiguration(f"{source}, line 1: none of the traces known here; the columns must hold {wanted}")
    arrival, *tokens = columns
    at = moments.seconds(table, arrival)
    at -= at.min()
    cells = [[row[table.columns.index(name)].strip() for row in table.rows] for name in tokens]
    for name, texts in zip(tokens, cells, strict=True):
        for row, text in enumerate(texts):
            if not (text.isascii() and text.isdigit()):
                raise table.error(row, name, f"{text!r} is no number of tokens")
    order = np.argsort(at, kind="stable")
    rows = ((figure(round(float(at[i]), 6)), cells[0][i], cells[1][i]) for i in order.tolist())
    write(target, KNOWN[-1], rows)
    return len(order)
