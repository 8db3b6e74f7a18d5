"""Bringing a database file to this version's tables, and refusing one that is ahead of us."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from coordinator.errors import StoreTooNew, StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


def known_revisions() -> list[str]:
    """Every revision that this version has, oldest first."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision_of(path: Path) -> str | None:
    """The revision of a database file, or None where it is new."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with sqlite3.connect(path) as database:
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as missing:
        if "no such table" in str(missing):
            return None
        raise StoreUnavailable(f"the store {path} cannot be read: {missing}") from missing
    except sqlite3.DatabaseError as damaged:
        raise StoreUnavailable(f"{path} is not a store of Edgeward: {damaged}") from damaged
    return None if row is None else str(row[0])


def upgrade(path: Path) -> None:
    """Bring the file to the newest revision. Each step is one transaction: killed midway, it starts over.

    Raises `StoreTooNew` for a file that a newer version has written.
    """
    known = known_revisions()
    present = revision_of(path)
    if present == known[-1]:
        return
    if present is not None and present not in known:
        raise StoreTooNew(
            f"the store {path} is at revision {present} and this version knows {known[-1]}: "
            "install the version that wrote it, or a newer one"
        )
    # late: alembic brings SQLAlchemy, which nothing else here needs
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, pool

    engine = create_engine(f"sqlite:///{path}", poolclass=pool.NullPool)
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.begin() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    finally:
        engine.dispose()
