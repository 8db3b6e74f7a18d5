"""Fresh stores of every kind, for suites that must hold for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

from coordinator.ports import Store
from coordinator.store.memory import MemoryStore
from coordinator.store.sqlite import SqliteStore

KINDS = ("memory", "sqlite")


def maker(kind: str, directory: Path) -> Callable[[], Store]:
    """A function that opens a new, empty store at each call."""
    if kind == "memory":
        return MemoryStore
    empty = directory / "empty.db"
    SqliteStore(empty).close()  # migrated once; copies of it start in a millisecond
    numbers = count()

    def fresh() -> Store:
        path = directory / f"{next(numbers)}.db"
        shutil.copy(empty, path)
        return SqliteStore(path)

    return fresh
