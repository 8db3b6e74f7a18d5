"""The first tables: what was admitted, how it ended, and turn by turn why.

Rows are inserted and never updated, but for `meta`. A job is settled at most once because its settlement's key is
the job.
"""

from alembic import op

from coordinator.security.registry import SCHEMA as SECURITY

revision = "0001"
down_revision = None

TABLES = (
    """CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    )""",
    """CREATE TABLE submission (
        first INTEGER PRIMARY KEY,
        count INTEGER NOT NULL CHECK (count > 0),
        client TEXT NOT NULL,
        key TEXT NOT NULL,
        submitted_us INTEGER NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (client, key)
    )""",
    """CREATE TABLE settlement (
        job INTEGER PRIMARY KEY,
        turn INTEGER NOT NULL,
        state INTEGER NOT NULL CHECK (state BETWEEN 3 AND 6),
        settled_us INTEGER NOT NULL,
        energy_microjoules INTEGER NOT NULL,
        cost_picodollars INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE turn (
        number INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        first_epoch INTEGER,
        next_epoch INTEGER NOT NULL,
        record BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX turn_first_epoch ON turn (first_epoch) WHERE first_epoch IS NOT NULL",
    """CREATE TABLE keyframe (
        turn INTEGER PRIMARY KEY,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE facts (
        version INTEGER PRIMARY KEY,
        node INTEGER NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX facts_node ON facts (node, version)",
    """CREATE TABLE world (
        digest TEXT PRIMARY KEY,
        body BLOB NOT NULL
    )""",
)


def upgrade() -> None:
    for statement in (*TABLES, *SECURITY):
        op.execute(statement)
