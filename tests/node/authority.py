"""An authority of a test's own: enough for a node and a coordinator to trust each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protos.credentials import COORDINATOR_NAME, IDENTITY_URI, Credentials


class Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        builder = self._builder(self._name, self._key)
        self._certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(
            self._key, hashes.SHA256()
        )
        self.pem = self._certificate.public_bytes(Encoding.PEM)
        self.fingerprint = sha256(self._certificate.public_bytes(Encoding.DER)).digest()

    def node(self, name: str, address: str) -> Credentials:
        certificate, key = self._issue(x509.UniformResourceIdentifier(f"{IDENTITY_URI}node:{name}"))
        return Credentials(address, self.pem, certificate, key)

    def coordinator(self) -> tuple[bytes, bytes]:
        """Key and certificate chain."""
        certificate, key = self._issue(x509.DNSName(COORDINATOR_NAME))
        return key, certificate + self.pem

    def _issue(self, holder: x509.GeneralName) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "holder")])
        names = x509.SubjectAlternativeName([holder])
        certificate = self._builder(subject, key).add_extension(names, False).sign(self._key, hashes.SHA256())
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), key_pem

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )
