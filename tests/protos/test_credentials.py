"""Credentials on disk: whole or not there, private, and clear about what is wrong."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protos.credentials import Credentials, CredentialsError, write_private

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def now() -> float:
    return (BEGIN + timedelta(hours=1)).timestamp()


def some_credentials() -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whoever")])
    uri = x509.UniformResourceIdentifier("urn:edgeward:client:alice")
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, BEGIN, BEGIN + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials("127.0.0.1:7370", certificate, certificate, key_pem)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    some_credentials().save(tmp_path / "alice")
    return tmp_path / "alice"


def test_credentials_saved_and_loaded_are_the_same(tmp_path: Path) -> None:
    credentials = some_credentials()
    credentials.save(tmp_path / "deep" / "alice")
    loaded = Credentials.load(tmp_path / "deep" / "alice", now)
    assert loaded == credentials
    assert (loaded.role, loaded.name) == ("client", "alice")


def test_credentials_saved_are_for_their_owner_only(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in saved.iterdir()} == {0o600}


def test_credentials_repr_shows_no_key(saved: Path) -> None:
    assert "PRIVATE" not in repr(Credentials.load(saved, now))


def test_credentials_of_no_directory_say_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"no credentials at .*nowhere: ask an admin for a join string"):
        Credentials.load(tmp_path / "nowhere", now)


@pytest.mark.parametrize("file", ["authority.pem", "key.pem", "address"])
def test_credentials_with_a_file_missing_cannot_be_read(file: str, saved: Path) -> None:
    (saved / file).unlink()
    with pytest.raises(CredentialsError, match=f"cannot be read: .*{file}"):
        Credentials.load(saved, now)


@pytest.mark.parametrize("file", ["authority.pem", "certificate.pem", "key.pem", "address"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe rubbish"])
def test_credentials_with_a_damaged_file_say_so(file: str, content: bytes, saved: Path) -> None:
    (saved / file).write_bytes(content)
    with pytest.raises(CredentialsError, match="are damaged"):
        Credentials.load(saved, now)


def test_credentials_whose_save_was_cut_short_are_told_as_damaged(saved: Path) -> None:
    write_private(saved / "key.pem", some_credentials().key_pem)
    with pytest.raises(CredentialsError, match="the key is not the certificate's"):
        Credentials.load(saved, now)


def test_credentials_run_out_name_holder_and_day(saved: Path) -> None:
    after = (BEGIN + timedelta(days=1)).timestamp()
    with pytest.raises(CredentialsError, match=r"client alice\) ran out on 2030-01-02 00:00 UTC"):
        Credentials.load(saved, lambda: after)
    assert Credentials.load(saved, lambda: after - 1)


def test_credentials_saved_over_others_replace_them(saved: Path) -> None:
    other = replace(some_credentials(), address="10.0.0.1:1")
    other.save(saved)
    assert Credentials.load(saved, now) == other


def test_private_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    write_private(tmp_path / "key.pem", b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_private(tmp_path / "key.pem", b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]
