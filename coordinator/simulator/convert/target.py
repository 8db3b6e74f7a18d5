"""Writes a converted file whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from coordinator.errors import InvalidConfiguration


def write(target: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Raises InvalidConfiguration where the target cannot be written."""
    beside = target.with_name(target.name + ".part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        os.replace(beside, target)
    except OSError as error:
        raise InvalidConfiguration(f"{target} cannot be written ({error.strerror}): name another file") from error


def figure(value: float) -> str:
    """The shortest text that reads back as the same number, whole ones without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
