"""The admin credential: there after the first start, and never a reason to be locked out."""

from pathlib import Path

import pytest

from coordinator.security.access import Access
from coordinator.security.admin import ensure_admin
from coordinator.security.registry import MemoryRegistry
from coordinator.security.roles import Role
from protos.credentials import Credentials
from tests.coordinator.security.door import HandClock, new_access

ADDRESS = "127.0.0.1:7370"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def access(tmp_path: Path, clock: HandClock) -> Access:
    return new_access(tmp_path, clock)


def role_of(access: Access, directory: Path) -> Role | None:
    identity = access.identify(Credentials.load(directory).certificate_pem)
    return identity.role if identity else None


def test_admin_first_start_makes_a_credential_that_works(access: Access, tmp_path: Path) -> None:
    made = ensure_admin(access, tmp_path / "admin", ADDRESS)
    assert made == Credentials.load(tmp_path / "admin")
    assert made is not None and (made.name, made.role, made.address) == ("admin", "admin", ADDRESS)
    assert role_of(access, tmp_path / "admin") is Role.ADMIN


def test_admin_second_start_keeps_it_and_follows_the_address(access: Access, tmp_path: Path) -> None:
    first = ensure_admin(access, tmp_path / "admin", ADDRESS)
    ensure_admin(access, tmp_path / "admin", "127.0.0.1:9000")
    second = Credentials.load(tmp_path / "admin")
    assert first is not None and second.certificate_pem == first.certificate_pem
    assert second.address == "127.0.0.1:9000"


def test_admin_past_half_its_life_is_renewed(access: Access, clock: HandClock, tmp_path: Path) -> None:
    first = ensure_admin(access, tmp_path / "admin", ADDRESS)
    clock.pass_s(46 * 86_400)
    second = ensure_admin(access, tmp_path / "admin", ADDRESS)
    assert first is not None and second is not None and second.expires_at > first.expires_at
    assert access.identify(second.certificate_pem) and access.identify(first.certificate_pem)


def test_admin_credential_that_was_taken_away_is_not_made_again(access: Access, tmp_path: Path) -> None:
    ensure_admin(access, tmp_path / "admin", ADDRESS)
    (tmp_path / "admin").rename(tmp_path / "elsewhere")
    assert ensure_admin(access, tmp_path / "admin", ADDRESS) is None
    assert not (tmp_path / "admin").exists()


def test_admin_empty_directory_asks_for_a_new_one(access: Access, tmp_path: Path) -> None:
    ensure_admin(access, tmp_path / "admin", ADDRESS)
    (tmp_path / "admin").rename(tmp_path / "lost")
    (tmp_path / "admin").mkdir()
    assert ensure_admin(access, tmp_path / "admin", ADDRESS) is not None
    assert role_of(access, tmp_path / "admin") is Role.ADMIN


def test_admin_killed_before_it_was_recorded_is_made_again(
    access: Access, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(certificate: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(access, "record", killed)
        ensure_admin(access, tmp_path / "admin", ADDRESS)
    restarted = new_access(tmp_path, clock, MemoryRegistry())
    ensure_admin(restarted, tmp_path / "admin", ADDRESS)
    assert role_of(restarted, tmp_path / "admin") is Role.ADMIN
