"""The authority: made once, kept to its owner, and every certificate says what it is for."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordinator.security.authority import DAY_US, SECOND_US, Authority, AuthorityError
from coordinator.security.roles import Role

NOW = 1_800_000_000 * SECOND_US


def usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_authority_first_start_makes_it_readable_by_its_owner_only(tmp_path: Path) -> None:
    Authority.open(tmp_path / "data" / "authority", NOW)
    made = tmp_path / "data" / "authority"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {file.name for file in made.iterdir()} == {"authority.pem", "key.pem"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in made.iterdir())
    assert [entry.name for entry in made.parent.iterdir()] == ["authority"]


def test_authority_second_start_finds_the_same(tmp_path: Path) -> None:
    first = Authority.open(tmp_path / "authority", NOW)
    assert Authority.open(tmp_path / "authority", NOW + DAY_US).fingerprint == first.fingerprint


def test_authority_many_starts_at_once_agree_on_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Authority.open(tmp_path / "authority", NOW), range(8)))
    assert len({authority.fingerprint for authority in opened}) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["authority"]


def test_authority_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Authority.open(tmp_path / "authority", NOW)
    (tmp_path / "authority" / "key.pem").chmod(0o640)
    with pytest.raises(AuthorityError, match="chmod 600"):
        Authority.open(tmp_path / "authority", NOW)


@pytest.mark.parametrize("damage", ["cut short", "of another authority", "gone"])
def test_authority_damaged_is_refused_and_not_replaced(damage: str, tmp_path: Path) -> None:
    Authority.open(tmp_path / "authority", NOW)
    key = tmp_path / "authority" / "key.pem"
    if damage == "cut short":
        key.write_bytes(key.read_bytes()[:40])
    elif damage == "of another authority":
        Authority.open(tmp_path / "other", NOW)
        key.write_bytes((tmp_path / "other" / "key.pem").read_bytes())
    else:
        key.unlink()
    with pytest.raises(AuthorityError, match="authority in"):
        Authority.open(tmp_path / "authority", NOW)


def test_authority_in_a_place_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(AuthorityError, match="No authority can be made"):
        Authority.open(tmp_path / "data" / "authority", NOW)


def test_certificates_only_the_coordinators_may_serve_and_it_may_not_call(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "authority", NOW)
    served = x509.load_pem_x509_certificate(authority.server_certificate(NOW).chain_pem)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    held = [authority.issue(key, role, "n", NOW, DAY_US) for role in Role]
    assert usages(served) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert all(usages(certificate) == [ExtendedKeyUsageOID.CLIENT_AUTH] for certificate in held)


def test_certificates_live_as_long_as_asked(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "authority", NOW)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    certificate = authority.issue(key, Role.NODE, "dam", NOW, DAY_US)
    assert certificate.not_valid_after_utc.timestamp() * SECOND_US == NOW + DAY_US
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))
