"""What must survive of security: tokens and certificates. A port with two implementations and one contract suite.

No secret is in here: of a join string the root that was derived from it, of a bearer token its hash.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from coordinator.security.roles import Role


@dataclass(frozen=True)
class Token:
    """A right to join, or to call over HTTP, until a moment (microseconds since 1970)."""

    id: str
    role: Role
    name: str  # "" leaves a joiner the choice
    bearer: bool
    verifier: bytes  # join: the derived root, in DER; bearer: SHA-256 of the secret
    uses_left: int  # a bearer's stays as it is
    created_us: int
    expires_us: int


@dataclass(frozen=True)
class Certificate:
    """A certificate that was issued, known by its fingerprint."""

    fingerprint: bytes  # SHA-256 of `der`
    role: Role
    name: str
    token_id: str | None  # the join string that it came by
    public_key: bytes  # SHA-256 of the key in DER
    der: bytes
    issued_us: int
    expires_us: int
    revoked_us: int | None = None


class Reason(Enum):
    """Why a join is refused."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    USED = "used"
    NAME_TAKEN = "name_taken"
    NAME_FIXED = "name_fixed"
    NAME_INVALID = "name_invalid"
    REQUEST_INVALID = "request_invalid"


class Redeemed(NamedTuple):
    """A join that holds: the token as it is now, its certificate, and the ones that this one puts out of force."""

    token: Token
    certificate: Certificate
    superseded: tuple[bytes, ...] = ()  # fingerprints


class Registry(Protocol):
    """Durable once a method returns. Callable from any thread; may wait for the disk."""

    def tokens(self, now_us: int) -> Sequence[Token]:
        """Those that have not expired."""

    def certificates(self, now_us: int) -> Sequence[Certificate]:
        """Those in force: neither expired nor revoked."""

    def add_token(self, token: Token) -> None: ...

    def add_certificate(self, certificate: Certificate) -> None:
        """Record a certificate that came by no token."""

    def redeem(self, token_id: str, candidate: Certificate, now_us: int) -> Redeemed | Reason:
        """Use the token once and record `candidate`, in one transaction; or say why not and change nothing. The same
        public key gets the certificate that it got before and uses nothing up."""


def judge(
    token: Token | None,
    prior: Certificate | None,
    namesakes: Iterable[Certificate],
    candidate: Certificate,
    now_us: int,
) -> Redeemed | Reason:
    """What becomes of a join: `prior` is what this key got by this token before, `namesakes` are the certificates in
    force with the candidate's name.

    A name belongs to whoever has it. Only a token that was made for that very name lets another certificate bear it: a
    person may work at several machines, but a node is one machine, so there the new certificate replaces the old.
    """
    if token is None or token.bearer:
        return Reason.UNKNOWN
    if prior is not None:
        return Reason.USED if prior.revoked_us is not None else Redeemed(token, prior)
    if token.expires_us <= now_us:
        return Reason.EXPIRED
    if token.uses_left < 1:
        return Reason.USED
    namesakes = list(namesakes)
    if namesakes and (token.name != candidate.name or any(other.role is not token.role for other in namesakes)):
        return Reason.NAME_TAKEN
    superseded = tuple(other.fingerprint for other in namesakes) if token.role is Role.NODE else ()
    return Redeemed(replace(token, uses_left=token.uses_left - 1), candidate, superseded)


class MemoryRegistry:
    """For the simulator and for tests; durable as long as it is referred to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._certificates: dict[bytes, Certificate] = {}

    def tokens(self, now_us: int) -> Sequence[Token]:
        with self._lock:
            return [token for token in self._tokens.values() if token.expires_us > now_us]

    def certificates(self, now_us: int) -> Sequence[Certificate]:
        with self._lock:
            return self._in_force(now_us)

    def add_token(self, token: Token) -> None:
        with self._lock:
            self._tokens[token.id] = token

    def add_certificate(self, certificate: Certificate) -> None:
        with self._lock:
            self._certificates[certificate.fingerprint] = certificate

    def redeem(self, token_id: str, candidate: Certificate, now_us: int) -> Redeemed | Reason:
        with self._lock:
            same = (
                c for c in self._certificates.values() if (c.token_id, c.public_key) == (token_id, candidate.public_key)
            )
            namesakes = [c for c in self._in_force(now_us) if c.name == candidate.name]
            verdict = judge(self._tokens.get(token_id), next(same, None), namesakes, candidate, now_us)
            if isinstance(verdict, Redeemed) and verdict.certificate is candidate:
                self._tokens[token_id] = verdict.token
                self._certificates[candidate.fingerprint] = candidate
                for old in verdict.superseded:
                    self._certificates[old] = replace(self._certificates[old], revoked_us=now_us)
            return verdict

    def _in_force(self, now_us: int) -> list[Certificate]:
        return [c for c in self._certificates.values() if c.revoked_us is None and c.expires_us > now_us]


SCHEMA = [
    """CREATE TABLE security_tokens (
        id TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('admin', 'client', 'observer', 'node')),
        name TEXT NOT NULL,
        bearer INTEGER NOT NULL CHECK (bearer IN (0, 1)),
        verifier BLOB NOT NULL,
        uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
        created_us INTEGER NOT NULL,
        expires_us INTEGER NOT NULL
    )""",
    """CREATE TABLE security_certificates (
        fingerprint BLOB PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('admin', 'client', 'observer', 'node')),
        name TEXT NOT NULL,
        token_id TEXT REFERENCES security_tokens (id),
        public_key BLOB NOT NULL,
        der BLOB NOT NULL,
        issued_us INTEGER NOT NULL,
        expires_us INTEGER NOT NULL,
        revoked_us INTEGER,
        UNIQUE (token_id, public_key)
    )""",
    "CREATE INDEX security_certificates_name ON security_certificates (name)",
]
"""The tables of SqliteRegistry, for the migration that makes them."""

_SELECT_TOKENS = "SELECT id, role, name, bearer, verifier, uses_left, created_us, expires_us FROM security_tokens"
_SELECT_CERTIFICATES = (
    "SELECT fingerprint, role, name, token_id, public_key, der, issued_us, expires_us, revoked_us "
    "FROM security_certificates"
)


class SqliteRegistry:
    """In the coordinator's own database file, over a connection of its own; the tables are there already."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def tokens(self, now_us: int) -> Sequence[Token]:
        with self._lock:
            return [_token(row) for row in self._db.execute(f"{_SELECT_TOKENS} WHERE expires_us > ?", (now_us,))]

    def certificates(self, now_us: int) -> Sequence[Certificate]:
        with self._lock:
            rows = self._db.execute(f"{_SELECT_CERTIFICATES} WHERE revoked_us IS NULL AND expires_us > ?", (now_us,))
            return [_certificate(row) for row in rows]

    def add_token(self, token: Token) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO security_tokens (id, role, name, bearer, verifier, uses_left, created_us, expires_us) "
                "VALUES (:id, :role, :name, :bearer, :verifier, :uses_left, :created_us, :expires_us)",
                vars(token),
            )

    def add_certificate(self, certificate: Certificate) -> None:
        with self._lock:
            self._insert(certificate)

    def redeem(self, token_id: str, candidate: Certificate, now_us: int) -> Redeemed | Reason:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                verdict = self._judge(token_id, candidate, now_us)
                if isinstance(verdict, Redeemed) and verdict.certificate is candidate:
                    self._record(verdict, now_us)
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite itself has rolled back after some errors, a full disk among them.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            return verdict

    def _judge(self, token_id: str, candidate: Certificate, now_us: int) -> Redeemed | Reason:
        token = self._db.execute(f"{_SELECT_TOKENS} WHERE id = ?", (token_id,)).fetchone()
        prior = self._db.execute(
            f"{_SELECT_CERTIFICATES} WHERE token_id = ? AND public_key = ?", (token_id, candidate.public_key)
        ).fetchone()
        namesakes = self._db.execute(
            f"{_SELECT_CERTIFICATES} WHERE name = ? AND revoked_us IS NULL AND expires_us > ?", (candidate.name, now_us)
        )
        with closing(namesakes):
            return judge(
                token and _token(token), prior and _certificate(prior), map(_certificate, namesakes), candidate, now_us
            )

    def _record(self, redeemed: Redeemed, now_us: int) -> None:
        self._db.execute(
            "UPDATE security_tokens SET uses_left = ? WHERE id = ?", (redeemed.token.uses_left, redeemed.token.id)
        )
        self._db.executemany(
            "UPDATE security_certificates SET revoked_us = ? WHERE fingerprint = ?",
            [(now_us, old) for old in redeemed.superseded],
        )
        self._insert(redeemed.certificate)

    def _insert(self, certificate: Certificate) -> None:
        self._db.execute(
            "INSERT INTO security_certificates "
            "(fingerprint, role, name, token_id, public_key, der, issued_us, expires_us, revoked_us) VALUES "
            "(:fingerprint, :role, :name, :token_id, :public_key, :der, :issued_us, :expires_us, :revoked_us)",
            vars(certificate),
        )


def _token(row: tuple[str, str, str, int, bytes, int, int, int]) -> Token:
    id_, role, name, bearer, verifier, uses_left, created_us, expires_us = row
    return Token(id_, Role(role), name, bool(bearer), verifier, uses_left, created_us, expires_us)


def _certificate(row: tuple[bytes, str, str, str | None, bytes, bytes, int, int, int | None]) -> Certificate:
    fingerprint, role, name, token_id, public_key, der, issued_us, expires_us, revoked_us = row
    return Certificate(fingerprint, Role(role), name, token_id, public_key, der, issued_us, expires_us, revoked_us)
