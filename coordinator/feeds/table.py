"""A CSV file as rows that know their line, so that every complaint can name file, line and column."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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
            numbered = ((reader.line_num, row) for row in reader if row)
            piece = list(islice(numbered, at_a_time))
            if not piece:
                raise InvalidConfiguration(f"{path} has no rows below its first line: at least one is needed")
            while piece:
                yield _checked(Table(path, columns, [row for _, row in piece], [line for line, _ in piece]))
                piece = list(islice(numbered, at_a_time))
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


def _checked(table: Table) -> Table:
    for line, row in zip(table.lines, table.rows, strict=True):
        if len(row) != len(table.columns):
            raise InvalidConfiguration(
                f"{table.path}, line {line}: {len(row)} cells where line 1 names {len(table.columns)} columns"
            )
    return table
