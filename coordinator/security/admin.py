"""The admin credential in the data directory: made at the first start, renewed in its second half of life."""

from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coordinator.security.access import Access
from coordinator.security.authority import SECOND_US, expires_us
from coordinator.security.roles import Role
from protos.credentials import Credentials, CredentialsError

ADMIN_NAME = "admin"


def ensure_admin(access: Access, directory: Path, address: str) -> Credentials | None:
    """The admin credential in `directory`, with `address` (host:port) up to date; call it at every start.

    It is made when no admin exists, or when the directory does but holds nothing that works: so `mkdir` and a restart
    help out somebody who has lost it. None when it was taken away and an admin exists: then that was meant.
    """
    credentials = _usable(access, directory)
    if credentials is not None:
        if credentials.address != address:
            credentials = replace(credentials, address=address)
            credentials.save(directory)
        return credentials
    if not directory.exists() and access.has_admin():
        return None
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = access.prepare(key.public_key(), Role.ADMIN, ADMIN_NAME)
    credentials = Credentials(
        address,
        access.authority.certificate_pem,
        x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    # On disk before it counts: a crash in between leaves a credential that does not work, and the next start sees it.
    credentials.save(directory)
    access.record(certificate)
    return credentials


def _usable(access: Access, directory: Path) -> Credentials | None:
    try:
        credentials = Credentials.load(directory, lambda: access.now_us() / SECOND_US)
    except CredentialsError:
        return None
    holder = access.identify(credentials.certificate_pem)
    if holder is None or holder.role is not Role.ADMIN:
        return None
    begins_us = int(credentials.certificate.not_valid_before_utc.timestamp()) * SECOND_US
    half_life_us = (begins_us + expires_us(credentials.certificate)) // 2
    return credentials if access.now_us() < half_life_us else None
