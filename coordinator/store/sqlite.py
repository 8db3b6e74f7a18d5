"""The store in one SQLite file: WAL, synchronous FULL, one writer. A commit that returned survives a loss of power."""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator import turnlog
from coordinator.convert import submission_from_bytes, submission_to_bytes
from coordinator.errors import SettledTwice, StoreUnavailable
from coordinator.ports import TURNS_A_READ, OpenState, SettledJob, Turn, TurnRow
from coordinator.store import migrate
from coordinator.store.frozen import digest, facts_from_text, facts_to_text, world_from_bytes, world_to_bytes
from coordinator.work import Submission
from placement.cost import World
from placement.model import JobState, NodeFacts
from protos import records_pb2

WAL_PAGES_BEFORE_CHECKPOINT = 4000
_SETTLED = "SELECT job, state, settled_us, body FROM settlement"


class SqliteStore:
    """Opening locks the file against a second coordinator, brings its tables up to date, and keeps it open."""

    def __init__(self, path: Path, *, strategy: str = "weighted") -> None:
        """Raises `StoreUnavailable` (in use, not a store, disk) and `StoreTooNew`."""
        path = path.resolve()  # one lock, whatever links lead here
        self.path = path
        self._lock_file = _lock(path)
        try:
            migrate.upgrade(path)
            self._writer = _connect(path)
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_BEFORE_CHECKPOINT}")
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only = ON")
        except BaseException as error:
            self._lock_file.close()
            if isinstance(error, sqlite3.Error):
                raise StoreUnavailable(f"the store {path} cannot be opened: {error}") from error
            raise
        self._reading = threading.Lock()
        self._first_start(strategy)

    def _first_start(self, strategy: str) -> None:
        defaults = {
            "salt": str(secrets.randbits(12)),
            "seed": str(secrets.randbits(31)),
            "strategy": strategy,
            "orders": "",
        }
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", defaults.items())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction; on any error nothing of it stands."""
        database = self._writer
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except BaseException as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError) and "settlement" in str(error):
                raise SettledTwice(f"the store refused a second settlement: {error}") from error
            if isinstance(error, sqlite3.Error):
                raise StoreUnavailable(f"the store {self.path} could not be written: {error}") from error
            raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the store {self.path} could not be read: {error}") from error

    # -- writing

    def commit(self, turn: Turn) -> None:
        with self._transaction() as database:
            if turn.submissions:
                database.executemany(
                    "INSERT INTO submission (first, count, client, key, submitted_us, body) VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (one.first, one.count, one.client, one.key, one.submitted_us, submission_to_bytes(one))
                        for one in turn.submissions
                    ],
                )
            if turn.settlements:
                number = turn.number
                database.executemany(
                    "INSERT INTO settlement (job, turn, state, settled_us, energy_microjoules, cost_picodollars, body)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        (job, number, int(state), settled_us, energy, cost, body)
                        for job, state, settled_us, energy, cost, body in turn.settlements
                    ],
                )
            if turn.facts:
                database.executemany(
                    "INSERT INTO facts (version, node, body) VALUES (?, ?, ?)",
                    [(version, node, facts_to_text(facts)) for version, node, facts in turn.facts],
                )
            if turn.world is not None:
                encoded = world_to_bytes(turn.world)
                database.execute("INSERT OR IGNORE INTO world (digest, body) VALUES (?, ?)", (digest(encoded), encoded))
            if turn.strategy is not None:
                database.execute("UPDATE meta SET value = ? WHERE name = 'strategy'", (turn.strategy,))
            if turn.orders is not None:
                database.execute("UPDATE meta SET value = ? WHERE name = 'orders'", (turn.orders.to_text(),))
            database.execute(
                "INSERT INTO turn (number, at_us, first_epoch, next_epoch, record) VALUES (?, ?, ?, ?, ?)",
                (
                    turn.number,
                    turn.now_us,
                    turn.first_epoch if turn.decisions else None,
                    turn.next_epoch,
                    turnlog.encode(turn),
                ),
            )
            if turn.keyframe is not None:
                database.execute("INSERT INTO keyframe (turn, body) VALUES (?, ?)", (turn.number, turn.keyframe))

    def forget_turns_before(self, moment_us: int) -> int:
        """Drop the turn log before a moment, but never what a restart needs; returns how many turns were dropped."""
        with self._transaction() as database:
            keyframe = database.execute(
                "SELECT max(k.turn) FROM keyframe k JOIN turn t ON t.number = k.turn WHERE t.at_us <= ?", (moment_us,)
            ).fetchone()[0]
            if keyframe is None:
                return 0
            database.execute("DELETE FROM keyframe WHERE turn < ?", (keyframe,))
            return database.execute("DELETE FROM turn WHERE number < ?", (keyframe,)).rowcount

    # -- reading

    def load_open(self) -> OpenState:
        meta = dict(self._rows("SELECT name, value FROM meta"))
        frames = self._rows("SELECT turn, body FROM keyframe ORDER BY turn DESC LIMIT 1")
        kept_turn, keyframe = frames[0] if frames else (-1, None)
        submissions, open_jobs = self._open(kept_turn, keyframe)
        counters = self._rows("SELECT max(number), max(next_epoch) FROM turn")[0]
        return OpenState(
            salt=int(meta["salt"]),
            seed=int(meta["seed"]),
            next_job=1 + (self._rows("SELECT max(first + count - 1) FROM submission")[0][0] or 0),
            next_epoch=counters[1] or 1,
            next_turn=1 + (counters[0] or 0),
            strategy=meta["strategy"],
            orders=meta["orders"],
            facts=[
                (version, facts_from_text(body))
                for _, version, body in self._rows(
                    "SELECT node, max(version), body FROM facts GROUP BY node ORDER BY node"
                )
            ],
            submissions=submissions,
            open_jobs=open_jobs,
            keyframe=keyframe,
            turns=[
                row[0] for row in self._rows("SELECT record FROM turn WHERE number > ? ORDER BY number", (kept_turn,))
            ],
        )

    def _open(self, kept_turn: int, keyframe: bytes | None) -> tuple[list[Submission], set[int]]:
        """What was open at the keyframe or came since, without what was settled since."""
        spans, since = [], 0
        if keyframe is not None:
            frame = records_pb2.Keyframe.FromString(keyframe)
            spans, since = [(one.first, one.first + one.count) for one in frame.open_jobs], frame.next_job
        rows: dict[int, Any] = {}
        for first, end in [*spans, (since, 1 << 62)]:
            query = (
                "SELECT first, count, submitted_us, body FROM submission WHERE first < ? AND first >= "
                "coalesce((SELECT max(first) FROM submission WHERE first <= ?), 0)"
            )
            rows.update((row[0], row) for row in self._rows(query, (end, first)))
        settled = {job for (job,) in self._rows("SELECT job FROM settlement WHERE turn > ?", (kept_turn,))}
        spans.append((since, 1 << 62))
        open_jobs: set[int] = set()
        for first, count, _, _ in rows.values():
            for start, end in spans:
                open_jobs.update(range(max(first, start), min(first + count, end)))
        open_jobs -= settled
        submissions = [
            submission_from_bytes(body, first, submitted_us)
            for first, count, submitted_us, body in sorted(rows.values())
            if not open_jobs.isdisjoint(range(first, first + count))
        ]
        return submissions, open_jobs

    def submission_of_key(self, client: str, key: str) -> Submission | None:
        rows = self._rows(
            "SELECT first, submitted_us, body FROM submission WHERE client = ? AND key = ?", (client, key)
        )
        return submission_from_bytes(rows[0][2], rows[0][0], rows[0][1]) if rows else None

    def _submission_of_job(self, job: int) -> Submission:
        query = "SELECT first, submitted_us, body FROM submission WHERE first <= ? ORDER BY first DESC LIMIT 1"
        first, submitted_us, body = self._rows(query, (job,))[0]
        return submission_from_bytes(body, first, submitted_us)

    def _with_submissions(self, rows: list[Any]) -> list[SettledJob]:
        found: list[SettledJob] = []
        submission: Submission | None = None
        for job, state, settled_us, body in rows:
            if submission is None or not submission.first <= job < submission.first + submission.count:
                submission = self._submission_of_job(job)
            found.append(SettledJob(job, JobState(state), settled_us, body, submission))
        return found

    def settled(self, jobs: Sequence[int]) -> list[SettledJob]:
        rows: list[Any] = []
        for at in range(0, len(jobs), 500):
            some = jobs[at : at + 500]
            rows.extend(self._rows(f"{_SETTLED} WHERE job IN ({','.join('?' * len(some))}) ORDER BY job", some))
        return self._with_submissions(rows)

    def history(self, state: JobState | None, client: str | None, limit: int) -> list[SettledJob]:
        conditions, values = ["1"], []
        if state is not None:
            conditions.append("state = ?")
            values.append(int(state))
        if client is not None:
            conditions.append(
                "(SELECT s.client FROM submission s WHERE s.first <= job ORDER BY s.first DESC LIMIT 1) = ?"
            )
            values.append(client)  # type: ignore[arg-type]
        query = f"{_SETTLED} WHERE {' AND '.join(conditions)} ORDER BY job DESC LIMIT ?"
        return self._with_submissions(self._rows(query, (*values, limit)))

    def turns(self, first_epoch: int, last_epoch: int) -> tuple[bytes | None, list[TurnRow]]:
        # what stood before the oldest turn is forgotten with its keyframe: nothing can be recomputed in it
        oldest = self._rows("SELECT turn FROM keyframe WHERE turn = (SELECT min(number) FROM turn)")
        after = oldest[0][0] if oldest else -1
        placing = "SELECT number FROM turn WHERE number > ? AND"
        start = self._rows(
            f"{placing} first_epoch <= ? ORDER BY first_epoch DESC LIMIT 1", (after, first_epoch)
        ) or self._rows(f"{placing} first_epoch IS NOT NULL ORDER BY first_epoch LIMIT 1", (after,))
        last = self._rows(f"{placing} first_epoch <= ? ORDER BY first_epoch DESC LIMIT 1", (after, last_epoch))
        if not start or not last:
            return None, []
        frames = self._rows("SELECT turn, body FROM keyframe WHERE turn < ? ORDER BY turn DESC LIMIT 1", start[0])
        kept_turn, keyframe = frames[0] if frames else (-1, None)
        rows = self._rows(
            "SELECT number, coalesce(first_epoch, 0), record FROM turn "
            "WHERE number > ? AND number <= ? ORDER BY number",
            (kept_turn, last[0][0]),
        )
        return keyframe, [TurnRow(*row) for row in rows]

    def turns_after(self, number: int) -> list[TurnRow]:
        query = "SELECT number, coalesce(first_epoch, 0), record FROM turn WHERE number > ? ORDER BY number LIMIT ?"
        return [TurnRow(*row) for row in self._rows(query, (number, TURNS_A_READ))]

    def last_turn(self) -> int:
        return int(self._rows("SELECT max(number) FROM turn")[0][0] or 0)

    def next_epoch(self) -> int:
        return int(self._rows("SELECT max(next_epoch) FROM turn")[0][0] or 1)

    def facts_until(self, version: int) -> list[NodeFacts]:
        query = "SELECT node, max(version), body FROM facts WHERE version <= ? GROUP BY node ORDER BY node"
        return [facts_from_text(body) for _, _, body in self._rows(query, (version,))]

    def world(self, digest_: str) -> World:
        return world_from_bytes(self._rows("SELECT body FROM world WHERE digest = ?", (digest_,))[0][0])

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
        self._lock_file.close()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0, cached_statements=64)
    database.execute("PRAGMA journal_mode = WAL")
    return database


def _lock(path: Path) -> Any:
    """An exclusive lock beside the file, held as long as the process lives."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock_file = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise StoreUnavailable(f"the store {path} cannot be opened: {error}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock_file.close()
        raise StoreUnavailable(f"the store {path} is in use: another coordinator runs on this data directory") from None
    return lock_file
