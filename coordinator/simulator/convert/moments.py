"""Moments as sources write them: ISO 8601 with or without a zone, or plain seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from coordinator.feeds.table import Table
from placement.energy import Floats


def seconds(table: Table, column: str, clock: str = "UTC") -> Floats:
    """A column as unix seconds, or as the seconds that it counts itself. Raises InvalidConfiguration.

    Moments without a zone are of `clock`, such as Europe/Paris; where it is set back, the second time the same hour is
    read means the later one.
    """
    place = table.columns.index(column)
    texts = [row[place].strip() for row in table.rows]
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return _iso(table, column, texts, ZoneInfo(clock))


def _iso(table: Table, column: str, texts: Sequence[str], clock: ZoneInfo) -> Floats:
    read = np.empty(len(texts))
    before = -np.inf
    for row, text in enumerate(texts):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise table.error(row, column, f"{text!r} is no moment like 2023-01-09T00:00:00Z, nor seconds") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=clock)
            if moment.timestamp() <= before and moment.replace(fold=1).timestamp() > before:
                moment = moment.replace(fold=1)
        read[row] = before = moment.timestamp()
    return read


def iso(unix_s: float) -> str:
    """RFC 3339 in UTC, to the second or, where that loses something, to the microsecond."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(unix_s))
    return moment.isoformat().replace("+00:00", "Z")
