"""A CSV file as rows that know their line, so that every complaint can name file, line and column."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

from coordinator.errors import InvalidConfiguration


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file as text, blank lines left out. `lines[i]` is where `rows[i]` stands, counted from 1."""

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def error(self, row: int, column: str, complaint: str) -> InvalidConfiguration:
        """The complaint about one cell, with its place in front."""
        return InvalidConfiguration(f"{self.path}, line {self.lines[row]}, column {column}: {complaint}")


def read_table(path: Path) -> Table:
    """Read a CSV file in UTF-8 whose first line names the columns, each once, and whose rows are all as long as it.

    Raises InvalidConfiguration for a file that cannot be read or has another shape.
    """
    (table,) = read_tables(path, at_a_time=None)
    return table


def read_tables(path: Path, at_a_time: int | None) -> Iterator[Table]:
    """The same file in pieces of so many rows, because a million rows of text are gigabytes."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            _check_columns(path, columns)
            line = reader.line_num
            piece = list(islice(reader, at_a_time))
            empty = True
            while piece:
                table = _table(path, columns, piece, line, reader.line_num)
                if table.rows:
                    empty = False
                    yield table
                line = reader.line_num
                piece = list(islice(reader, at_a_time))
            if empty:
                raise InvalidConfiguration(f"{path} has no rows below its first line: at least one is needed")
    except OSError as error:
        raise InvalidConfiguration(
            f"{path} cannot be read ({error.strerror}): correct the path or its permissions"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidConfiguration(f"{path} is not a CSV file in UTF-8 ({error}): save it as one") from error


def _check_columns(path: Path, columns: list[str]) -> None:
    if not columns:
        raise InvalidConfiguration(f"{path} has no columns: its first line names them")
    seen: set[str] = set()
    for name in columns:
        if not name or name in seen:
            raise InvalidConfiguration(
                f"{path}, line 1: column {name!r} is {'given twice' if name else 'without a name'}"
            )
        seen.add(name)


def _table(path: Path, columns: list[str], rows: list[list[str]], before: int, last: int) -> Table:
    """Rows that stand on the lines after `before` to `last`, checked and numbered."""
    if last - before == len(rows):
        lines = list(range(before + 1, last + 1))
    else:  # some cell has line breaks in it; a row stands where it ends
        lines = list(accumulate((1 + "".join(row).count("\n") for row in rows), initial=before))[1:]
    if not all(rows):
        lines = [line for line, row in zip(lines, rows, strict=True) if row]
        rows = [row for row in rows if row]
    if set(map(len, rows)) - {len(columns)}:
        line, row = next((line, row) for line, row in zip(lines, rows, strict=True) if len(row) != len(columns))
        raise InvalidConfiguration(f"{path}, line {line}: {len(row)} cells where line 1 names {len(columns)} columns")
    return Table(path, columns, rows, lines)
