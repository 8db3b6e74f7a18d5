"""Series and round trips from CSV files: `ts_utc` and a column a zone; `source,destination,rtt_ms`."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from coordinator.errors import InvalidConfiguration
from coordinator.feeds.series import Floats, Series
from coordinator.feeds.table import Table, read_table

ASSUMED_STEP_S = 3600.0  # of a file with a single row: these are hourly prices


def read_series(path: Path, *, minimum: float = -np.inf) -> Series:
    """Read prices (USD per kWh, negative ones are real) or carbon (g per kWh, `minimum=0`).

    The first column is `ts_utc`, ISO 8601, UTC unless it says otherwise, rising; an empty cell is a gap. The last row
    stands as long as the one before it did. Raises InvalidConfiguration with file, line and column.
    """
    table = read_table(path)
    if table.columns[0] != "ts_utc" or len(table.columns) < 2:
        raise InvalidConfiguration(f"{path}, line 1: the columns must be ts_utc, then one for each zone")
    cells = list(zip(*table.rows, strict=True))
    times = _times(table, cells[0])
    values = {
        zone: _numbers(table, zone, texts, minimum) for zone, texts in zip(table.columns[1:], cells[1:], strict=True)
    }
    step = times[-1] - times[-2] if len(times) > 1 else ASSUMED_STEP_S
    return Series(str(path), times, float(times[-1] + step), values, np.array(table.lines))


def _times(table: Table, texts: tuple[str, ...]) -> Floats:
    times = np.empty(len(texts))
    for row, text in enumerate(texts):
        try:
            read = datetime.fromisoformat(text.strip())
        except ValueError:
            raise table.error(row, "ts_utc", f"{text!r} is no moment like 2023-01-09T00:00:00Z") from None
        times[row] = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    backward = np.flatnonzero(np.diff(times) <= 0)
    if backward.size:
        row = int(backward[0]) + 1
        raise table.error(row, "ts_utc", f"{texts[row]} does not come after {texts[row - 1]}; sort the rows by time")
    return times


def _numbers(table: Table, column: str, texts: tuple[str, ...], minimum: float) -> Floats:
    """A column as numbers, nan where a cell is empty."""
    try:
        values = np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        values = np.array([_number(table, row, column, text) for row, text in enumerate(texts)])
    # A written "nan" or "inf" is no number either, and only an empty cell may be a gap.
    for row in np.flatnonzero(~(np.isfinite(values) & (values >= minimum))):
        if texts[row].strip():
            least = f" of at least {minimum:g}" if np.isfinite(minimum) else ""
            raise table.error(int(row), column, f"{texts[row]!r} is no number{least}")
    return values


def _number(table: Table, row: int, column: str, text: str) -> float:
    try:
        return float(text) if text.strip() else float("nan")
    except ValueError:
        raise table.error(row, column, f"{text!r} is no number; leave the cell empty for a gap") from None


def read_latency(path: Path) -> dict[tuple[str, str], float]:
    """Read round trips between regions, as the file has them: (source, destination) -> ms, for `placement.network`.

    Raises InvalidConfiguration with file, line and column.
    """
    table = read_table(path)
    if table.columns != ["source", "destination", "rtt_ms"]:
        raise InvalidConfiguration(f"{path}, line 1: the columns must be source,destination,rtt_ms")
    sources, destinations, texts = (tuple(map(str.strip, column)) for column in zip(*table.rows, strict=True))
    round_trips: dict[tuple[str, str], float] = {}
    for row, value in enumerate(_numbers(table, "rtt_ms", texts, minimum=0.0)):
        pair = sources[row], destinations[row]
        for column, cell in zip(table.columns, (*pair, texts[row]), strict=True):
            if not cell:
                raise table.error(row, column, "empty; a pair needs all three")
        if pair in round_trips:
            raise table.error(row, "source", f"{pair[0]} to {pair[1]} was given before; leave one")
        round_trips[pair] = float(value)
    return round_trips
