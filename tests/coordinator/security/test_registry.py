"""One contract for every registry: what is recorded stays, and a join string is used exactly as often as it says."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.security.registry import (
    SCHEMA,
    Certificate,
    MemoryRegistry,
    Reason,
    Redeemed,
    Registry,
    SqliteRegistry,
    Token,
)
from coordinator.security.roles import Role

NOW = 1_800_000_000_000_000
LATER = NOW + 3_600_000_000


def a_token(id_: str = "t", role: Role = Role.NODE, name: str = "", uses: int = 1) -> Token:
    return Token(id_, role, name, False, b"root", uses, NOW, LATER)


def a_certificate(key: str, name: str = "", role: Role = Role.NODE, token_id: str | None = "t") -> Certificate:
    seed = f"{key}/{name}/{token_id}".encode()
    return Certificate(seed, role, name or f"name-{key}", token_id, key.encode(), b"der " + seed, NOW, LATER + NOW)


def with_tables(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        for statement in SCHEMA:
            database.execute(statement)
        database.commit()
    return path


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Registry]]:
    """Opens the same registry again and again: for SQLite over a new connection each time."""
    if request.param == "memory":
        memory = MemoryRegistry()
        yield lambda: memory
        return
    path = with_tables(tmp_path / "edgeward.db")
    connections: list[SqliteRegistry] = []

    def open_again() -> Registry:
        connections.append(SqliteRegistry(path))
        return connections[-1]

    yield open_again
    for connection in connections:
        connection.close()


def test_registry_what_was_added_is_there_when_opened_again(opened: Callable[[], Registry]) -> None:
    token, certificate = a_token(name="dam"), a_certificate("k", token_id=None)
    opened().add_token(token)
    opened().add_certificate(certificate)
    assert list(opened().tokens(NOW)) == [token]
    assert list(opened().certificates(NOW)) == [certificate]


def test_registry_what_has_run_out_is_not_told(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token())
    registry.add_certificate(replace(a_certificate("k", token_id=None), expires_us=LATER))
    assert registry.tokens(LATER) == [] and registry.certificates(LATER) == []


def test_registry_a_join_records_the_certificate_and_uses_the_token(opened: Callable[[], Registry]) -> None:
    registry, certificate = opened(), a_certificate("k")
    registry.add_token(a_token())
    assert registry.redeem("t", certificate, NOW) == Redeemed(a_token(uses=0), certificate)
    assert list(opened().certificates(NOW)) == [certificate]
    assert [token.uses_left for token in opened().tokens(NOW)] == [0]


def test_registry_the_same_key_gets_the_same_certificate_and_uses_nothing(opened: Callable[[], Registry]) -> None:
    registry, first = opened(), a_certificate("k")
    registry.add_token(a_token(uses=2))
    registry.redeem("t", first, NOW)
    again = replace(a_certificate("k"), fingerprint=b"another", der=b"another")
    assert registry.redeem("t", again, LATER) == Redeemed(a_token(uses=1), first)
    assert list(opened().certificates(NOW)) == [first]


def test_registry_another_key_with_a_used_string_is_refused(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token())
    registry.redeem("t", a_certificate("k"), NOW)
    assert registry.redeem("t", a_certificate("thief"), NOW) is Reason.USED
    assert len(registry.certificates(NOW)) == 1


def test_registry_an_expired_unknown_or_bearer_token_lets_nobody_join(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token())
    registry.add_token(replace(a_token("b", Role.CLIENT), bearer=True))
    assert registry.redeem("t", a_certificate("k"), LATER) is Reason.EXPIRED
    assert registry.redeem("x", a_certificate("k"), NOW) is Reason.UNKNOWN
    assert registry.redeem("b", a_certificate("k"), NOW) is Reason.UNKNOWN
    assert registry.certificates(NOW) == []


def test_registry_fifty_at_once_with_a_one_use_string_exactly_one_wins(opened: Callable[[], Registry]) -> None:
    opened().add_token(a_token())
    doors = [opened() for _ in range(5)]

    def attempt(number: int) -> Redeemed | Reason:
        return doors[number % 5].redeem("t", a_certificate(f"k{number}"), NOW)

    with ThreadPoolExecutor(50) as crowd:
        outcomes = list(crowd.map(attempt, range(50)))
    assert sum(isinstance(outcome, Redeemed) for outcome in outcomes) == 1
    assert outcomes.count(Reason.USED) == 49
    assert len(opened().certificates(NOW)) == 1


def test_registry_a_string_for_three_is_used_three_times(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token(uses=3))
    outcomes = [registry.redeem("t", a_certificate(f"k{number}"), NOW) for number in range(4)]
    assert [type(outcome) for outcome in outcomes] == [Redeemed, Redeemed, Redeemed, Reason]


def test_registry_a_name_in_force_is_not_given_twice_to_choosers(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token("t"))
    registry.add_token(a_token("u"))
    registry.redeem("t", a_certificate("k", "dam"), NOW)
    assert registry.redeem("u", a_certificate("l", "dam", token_id="u"), NOW) is Reason.NAME_TAKEN
    assert [token.uses_left for token in registry.tokens(NOW) if token.id == "u"] == [1]


def test_registry_a_string_made_for_a_nodes_name_replaces_the_node(opened: Callable[[], Registry]) -> None:
    registry, old, new = opened(), a_certificate("k", "dam"), a_certificate("l", "dam", token_id="u")
    registry.add_token(a_token("t"))
    registry.add_token(a_token("u", name="dam"))
    registry.redeem("t", old, NOW)
    assert registry.redeem("u", new, NOW) == Redeemed(a_token("u", name="dam", uses=0), new, (old.fingerprint,))
    assert list(opened().certificates(NOW)) == [new]
    assert registry.redeem("t", old, NOW) is Reason.USED  # the replaced one does not come back


def test_registry_a_string_made_for_a_clients_name_adds_a_machine(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_token(a_token("t", Role.CLIENT, "alice", uses=2))
    for key in ("desk", "laptop"):
        registry.redeem("t", a_certificate(key, "alice", Role.CLIENT), NOW)
    assert len(registry.certificates(NOW)) == 2


def test_registry_a_name_of_another_role_is_never_given(opened: Callable[[], Registry]) -> None:
    registry = opened()
    registry.add_certificate(a_certificate("k", "alice", Role.CLIENT, token_id=None))
    registry.add_token(a_token("u", Role.NODE, "alice"))
    assert registry.redeem("u", a_certificate("l", "alice", token_id="u"), NOW) is Reason.NAME_TAKEN


def test_sqlite_registry_a_failure_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    path = with_tables(tmp_path / "edgeward.db")
    registry = SqliteRegistry(path)
    registry.add_token(a_token())
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON security_certificates BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(sqlite3.Error, match="disk full"):
        registry.redeem("t", a_certificate("k"), NOW)
    assert [token.uses_left for token in registry.tokens(NOW)] == [1]
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER full")
    assert isinstance(registry.redeem("t", a_certificate("k"), NOW), Redeemed)
    registry.close()
