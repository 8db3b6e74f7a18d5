"""The authority: the one key that makes certificates, kept in a directory that only the coordinator's user can read.

Ed25519 signs, and every certificate it issues holds a P-256 key, because TLS peers agree on no algorithm for Ed25519
leaves. A certificate only opens the port; what its holder may do hangs on its fingerprint in the registry.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.security.roles import Role
from protos.credentials import COORDINATOR_NAME, IDENTITY_URI, sync_directory, write_private

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
CERTIFICATE_LIFE_US = 90 * DAY_US

_AUTHORITY_LIFE_US = 20 * 365 * DAY_US
_BACKDATED_US = HOUR_US  # for a holder whose clock is behind ours
_CERTIFICATE, _KEY = "authority.pem", "key.pem"


class AuthorityError(Exception):
    """The authority in the data directory cannot be used; the sentence says why and what to do."""


class ServerCertificate(NamedTuple):
    """What the port shows: it lives in memory only, a restart makes another."""

    key_pem: bytes
    chain_pem: bytes  # with the authority, so that a joiner can see its fingerprint
    expires_us: int


class Authority:
    """Issues certificates. `certificate_pem` is what everybody trusts, `fingerprint` (SHA-256 of its DER) names it."""

    def __init__(self, certificate: x509.Certificate, key: Ed25519PrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.certificate_pem = certificate.public_bytes(Encoding.PEM)
        self.fingerprint = fingerprint(certificate)

    @classmethod
    def open(cls, directory: Path, now_us: int) -> Self:
        """The authority in `directory`, made there at the first start: whole or not at all, and one even when two
        start at once. Raises AuthorityError."""
        if not directory.exists():
            _create(directory, now_us)
        return cls._load(directory)

    @classmethod
    def _load(cls, directory: Path) -> Self:
        key_path = directory / _KEY
        try:
            if key_path.stat().st_mode & 0o077:
                raise AuthorityError(f"Others can read {key_path}, the key to this whole system: chmod 600 {key_path}.")
            certificate = x509.load_pem_x509_certificate((directory / _CERTIFICATE).read_bytes())
            key = load_pem_private_key(key_path.read_bytes(), None)
            if not isinstance(key, Ed25519PrivateKey) or key.public_key() != certificate.public_key():
                raise ValueError("the key is not the certificate's")
        except OSError as error:
            raise AuthorityError(f"The authority in {directory} cannot be read: {error}.") from error
        except (ValueError, TypeError) as error:
            raise AuthorityError(
                f"The authority in {directory} is damaged ({error}): restore it from a backup, or move the directory "
                "away to make a new one, which every node and client must then join again."
            ) from error
        return cls(certificate, key)

    def server_certificate(self, now_us: int, life_us: int = CERTIFICATE_LIFE_US) -> ServerCertificate:
        """A new key and certificate for the port. Only such a one may serve."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            key.public_key(),
            COORDINATOR_NAME,
            x509.DNSName(COORDINATOR_NAME),
            ExtendedKeyUsageOID.SERVER_AUTH,
            now_us,
            life_us,
        )
        return ServerCertificate(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            certificate.public_bytes(Encoding.PEM) + self.certificate_pem,
            expires_us(certificate),
        )

    def issue(
        self, public_key: ec.EllipticCurvePublicKey, role: Role, name: str, now_us: int, life_us: int
    ) -> x509.Certificate:
        """A certificate for a node or a person: it can call, never serve, and counts only once it is recorded."""
        holder = x509.UniformResourceIdentifier(f"{IDENTITY_URI}{role}:{name}")
        return self._sign(public_key, name, holder, ExtendedKeyUsageOID.CLIENT_AUTH, now_us, life_us)

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        alternative_name: x509.GeneralName,
        usage: x509.ObjectIdentifier,
        now_us: int,
        life_us: int,
    ) -> x509.Certificate:
        return (
            certificate_from_to(now_us - _BACKDATED_US, now_us + life_us)
            .subject_name(_name(common_name))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative_name]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self._key, None)
        )


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate in DER."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def expires_us(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * SECOND_US


def certificate_from_to(from_us: int, to_us: int) -> x509.CertificateBuilder:
    """The beginning of a certificate: its validity, in whole seconds, and a random serial number."""
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(from_us))
        .not_valid_after(_moment(to_us))
    )


def signing_root(key: Ed25519PrivateKey, name: x509.Name, from_us: int, to_us: int) -> x509.Certificate:
    """A self-signed root that may sign leaves only."""
    return (
        certificate_from_to(from_us, to_us)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, None)
    )


def _create(directory: Path, now_us: int) -> None:
    key = Ed25519PrivateKey.generate()
    # Two authorities must not share a name: a verifier picks the issuer by it.
    name = _name(f"Edgeward authority {secrets.token_hex(4)}")
    certificate = signing_root(key, name, now_us - _BACKDATED_US, now_us + _AUTHORITY_LIFE_US)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        begun = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))  # mode 0700
        write_private(begun / _KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        write_private(begun / _CERTIFICATE, certificate.public_bytes(Encoding.PEM))
        try:
            os.rename(begun, directory)
        except OSError:
            shutil.rmtree(begun)
            if not directory.exists():
                raise
            # Another process was first, and its authority is the one.
        sync_directory(directory.parent)
    except OSError as error:
        raise AuthorityError(f"No authority can be made in {directory}: {error}.") from error


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _moment(moment_us: int) -> datetime:
    return datetime.fromtimestamp(moment_us // SECOND_US, UTC)
