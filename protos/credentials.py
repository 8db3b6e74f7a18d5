"""Who we are to a coordinator: a directory with a certificate, its key, the authority to trust and the address.

Used by clients and nodes alike. The certificate was issued when its holder joined (`protos/join.py`); what the
coordinator allows is decided there, by the certificate's fingerprint. The name and role that are read from it here
are for display.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

COORDINATOR_NAME = "edgeward-coordinator"
"""The one DNS name in every coordinator's certificate: what is trusted is the authority, never the address."""

IDENTITY_URI = "urn:edgeward:"
"""A certificate names its holder by the URI `urn:edgeward:<role>:<name>`."""

_AUTHORITY, _CERTIFICATE, _KEY, _ADDRESS = "authority.pem", "certificate.pem", "key.pem", "address"
_REMEDY = "ask an admin for a join string (edgeward token create) and join with it"

ChannelOptions = Sequence[tuple[str, int | str]]

CHANNEL_OPTIONS: ChannelOptions = (
    ("grpc.ssl_target_name_override", COORDINATOR_NAME),
    # The default back-off grows to minutes: longer than any lease.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long one attempt to connect may take
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 64 * 2**20),
    # Else a second connection, dialled because the first fell silent, would be that very first one again.
    ("grpc.use_local_subchannel_pool", 1),
)


class CredentialsError(Exception):
    """There are no credentials to use; the sentence says why and what to do."""


@dataclass(frozen=True)
class Credentials:
    """A certificate with its key, the authority that issued it, and where the coordinator is (`host:port`)."""

    address: str
    authority_pem: bytes = field(repr=False)
    certificate_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)

    @classmethod
    def load(cls, directory: Path | str, now: Callable[[], float] = time.time) -> Self:
        """Read what `save` wrote. Raises CredentialsError if it is absent, unreadable, torn or run out at `now()`."""
        directory = Path(directory)
        if not (directory / _CERTIFICATE).exists():
            raise CredentialsError(f"There are no credentials at {directory}: {_REMEDY}.")
        try:
            credentials = cls(
                address=(directory / _ADDRESS).read_text().strip(),
                authority_pem=(directory / _AUTHORITY).read_bytes(),
                certificate_pem=(directory / _CERTIFICATE).read_bytes(),
                key_pem=(directory / _KEY).read_bytes(),
            )
            credentials._check_whole()
        except OSError as error:
            raise CredentialsError(f"The credentials at {directory} cannot be read: {error}.") from error
        except (ValueError, TypeError) as error:
            raise CredentialsError(f"The credentials at {directory} are damaged ({error}): {_REMEDY}.") from error
        if credentials.expires_at.timestamp() <= now():
            raise CredentialsError(
                f"The credentials at {directory} ({credentials.role} {credentials.name}) ran out on "
                f"{credentials.expires_at:%Y-%m-%d %H:%M} UTC: {_REMEDY}."
            )
        return credentials

    def save(self, directory: Path | str) -> None:
        """Write the files, each atomically, readable by their owner only. The certificate comes last: a directory
        without one holds no credentials yet, and one that was cut short between two of them is told as damaged."""
        directory = Path(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(directory / _AUTHORITY, self.authority_pem)
        write_private(directory / _ADDRESS, f"{self.address}\n".encode())
        write_private(directory / _KEY, self.key_pem)
        write_private(directory / _CERTIFICATE, self.certificate_pem)

    @cached_property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def expires_at(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @property
    def role(self) -> str:
        """As the certificate says it, for display."""
        return _holder(self.certificate)[0]

    @property
    def name(self) -> str:
        """As the certificate says it, for display."""
        return _holder(self.certificate)[1]

    def _check_whole(self) -> None:
        """Raises ValueError when the parts do not belong together: a save was cut short, or a file was replaced."""
        x509.load_pem_x509_certificate(self.authority_pem)
        key = load_pem_private_key(self.key_pem, None).public_key()
        of_key, of_certificate = (
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for public in (key, self.certificate.public_key())
        )
        if of_key != of_certificate:
            raise ValueError("the key is not the certificate's")
        if not self.address:
            raise ValueError("the address is empty")


def secure_channel(
    credentials: Credentials, address: str | None = None, options: ChannelOptions = ()
) -> grpc.aio.Channel:
    """A channel to the coordinator over mutual TLS, not yet connected. `address` outranks the stored one; `options`
    come after ours and so outrank them."""
    return grpc.aio.secure_channel(
        address or credentials.address,
        grpc.ssl_channel_credentials(credentials.authority_pem, credentials.key_pem, credentials.certificate_pem),
        options=[*CHANNEL_OPTIONS, *options],
    )


def write_private(path: Path, content: bytes) -> None:
    """Write `content` so that the file is whole or not there, survives a power cut, and only its owner can read it."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holder(certificate: x509.Certificate) -> tuple[str, str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith(IDENTITY_URI):
            role, _, name = uri.removeprefix(IDENTITY_URI).partition(":")
            return role, name
    return "", ""
