"""Joining with one pasted line.

A join string holds the coordinator's address, the fingerprint of its authority, an id and a secret. The secret never
travels: both sides derive the same signing key from it, the coordinator trusts that key as a root until the string
expires, and the joiner signs itself a one-day certificate with it. So the port asks everybody for mutual TLS, the
newcomer included, and `Enrolment.Join` is the one call that such a certificate may make.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protos.cluster_pb2 import JoinRequest, JoinResponse
from protos.cluster_pb2_grpc import EnrolmentStub
from protos.credentials import COORDINATOR_NAME, Credentials, secure_channel, write_private

_FORM = re.compile(
    r"edgeward://(?P<address>[^/@\s]+:[0-9]{1,5})/(?P<authority>[\w-]{43})/(?P<id>[0-9a-f]{10})/(?P<secret>[\w-]{43})",
    re.ASCII,
)
_PENDING_KEY = "joining-key.pem"
_CLOCK_TOLERANCE = timedelta(days=1)  # between the joiner's clock and the coordinator's


class JoinError(Exception):
    """Joining failed; the sentence says why and what to do."""


class JoinStringInvalid(JoinError):
    """What was pasted is no join string."""


class JoinRefused(JoinError):
    """The coordinator said no, or is not the one that made the join string."""


class CoordinatorUnreachable(JoinError):
    """Nobody answered at the address in the join string, or not in time. Trying again with the same string is safe."""


@dataclass(frozen=True)
class JoinString:
    """The line to paste. `str()` gives it, `repr()` keeps the secret."""

    address: str  # host:port
    authority: bytes  # SHA-256 of the authority's certificate in DER
    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, address: str, authority: bytes) -> Self:
        return cls(address, authority, secrets.token_hex(5), secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pasted line; blanks and line breaks anywhere in it do not matter. Raises JoinStringInvalid."""
        found = _FORM.fullmatch("".join(text.split()))
        if not found or not 1 <= int(found["address"].rpartition(":")[2]) <= 65535:
            raise JoinStringInvalid(
                "This is no join string: paste the whole line that `edgeward token create` printed; it begins with "
                "edgeward:// and has three slashes after the address."
            )
        return cls(found["address"], _unquote(found["authority"]), found["id"], _unquote(found["secret"]))

    def __str__(self) -> str:
        return f"edgeward://{self.address}/{_quote(self.authority)}/{self.id}/{_quote(self.secret)}"

    def bootstrap_key(self) -> Ed25519PrivateKey:
        """The signing key that both sides derive from the secret."""
        derive = HKDF(hashes.SHA256(), length=32, salt=None, info=b"edgeward join 1 " + self.id.encode())
        return Ed25519PrivateKey.from_private_bytes(derive.derive(self.secret))


def bootstrap_name(token_id: str) -> x509.Name:
    """What the root derived from a join secret is called."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"join-{token_id}")])


def bootstrap_id(name: x509.Name) -> str:
    """The id of the join string whose root is called so, "" for any other name."""
    return next((str(part.value)[5:] for part in name if str(part.value).startswith("join-")), "")


async def join(
    join_string: str | JoinString, name: str, directory: Path | str, *, timeout_s: float = 15.0
) -> Credentials:
    """Turn a join string into credentials in `directory`, asking for `name` ("" lets the coordinator choose).

    Raises JoinStringInvalid, JoinRefused or CoordinatorUnreachable. A join that was cut short, even after the
    coordinator had burnt the secret, is finished by calling again with the same string and directory: the key that
    was begun with is kept there until then, and the coordinator answers the same key with the same certificate.
    """
    line = JoinString.parse(join_string) if isinstance(join_string, str) else join_string
    directory = Path(directory)
    authority_pem = await asyncio.to_thread(_fetch_authority, line, timeout_s)
    try:
        key = await asyncio.to_thread(_pending_key, directory)
    except OSError as error:  # found out before the secret is spent
        raise JoinError(f"{directory} cannot hold credentials ({error}): choose another directory.") from error
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    bootstrap = Credentials(line.address, authority_pem, bootstrap_certificate(line, key), key_pem)
    request = JoinRequest(csr_der=_signing_request(key), name=name)
    try:
        answer = await _ask(bootstrap, request, line, timeout_s)
    except JoinRefused:
        (directory / _PENDING_KEY).unlink(missing_ok=True)
        raise
    credentials = Credentials(line.address, authority_pem, answer.certificate_pem, key_pem)
    try:
        await asyncio.to_thread(credentials.save, directory)
    except OSError as error:
        raise JoinError(
            f"The credentials cannot be written to {directory} ({error}): mend that, then join again with the same "
            "string."
        ) from error
    (directory / _PENDING_KEY).unlink(missing_ok=True)
    return credentials


async def _ask(bootstrap: Credentials, request: JoinRequest, line: JoinString, timeout_s: float) -> JoinResponse:
    async with secure_channel(bootstrap) as channel:
        try:
            return await EnrolmentStub(channel).Join(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details()
    if code is grpc.StatusCode.UNAVAILABLE:
        # The door was shut in our face, or nobody is there any more: asking once more for the authority tells which.
        await asyncio.to_thread(_fetch_authority, line, timeout_s)
        raise JoinRefused(
            f"The coordinator at {line.address} does not know this join string: it has expired, or was never made "
            "there; create a new one with `edgeward token create`."
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise CoordinatorUnreachable(
            f"The coordinator at {line.address} did not answer within {timeout_s:g} s: try again with the same string."
        )
    if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN):
        raise CoordinatorUnreachable(f"The coordinator at {line.address} could not answer ({details}): try again.")
    raise JoinRefused(details or f"The coordinator at {line.address} refused this join string ({code.name}).")


def _fetch_authority(line: JoinString, timeout_s: float) -> bytes:
    """The authority's certificate, in PEM, as the coordinator shows it: whoever answers is believed only once the
    fingerprint is the one in the join string."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = line.address.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=COORDINATOR_NAME) as secured,
        ):
            chain = _shown_chain(secured)
    except ssl.SSLError as error:
        raise CoordinatorUnreachable(
            f"What answers at {line.address} is no Edgeward coordinator ({error.reason}): check the address."
        ) from error
    except (OSError, UnicodeError) as error:
        raise CoordinatorUnreachable(
            f"No coordinator answers at {line.address} ({error}): is it running there, and can this machine reach it?"
        ) from error
    for certificate in chain:
        if hmac.compare_digest(hashlib.sha256(certificate).digest(), line.authority):
            return ssl.DER_cert_to_PEM_cert(certificate).encode()
    raise JoinRefused(
        f"What answers at {line.address} is not the coordinator that made this join string: it was set up anew, or "
        "someone stands in between; create a new join string on the coordinator you mean."
    )


def _shown_chain(secured: ssl.SSLSocket) -> list[bytes]:
    """The certificates the other side showed, in DER. Public from Python 3.13; before, one level down."""
    if hasattr(secured, "get_unverified_chain"):
        return list(secured.get_unverified_chain())
    from _ssl import ENCODING_DER  # type: ignore[attr-defined,unused-ignore]

    connection: Any = secured._sslobj  # type: ignore[attr-defined]
    return [certificate.public_bytes(ENCODING_DER) for certificate in connection.get_unverified_chain() or ()]


def _pending_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """The key of a join that was cut short here, else a new one, on disk before it is used."""
    path = directory / _PENDING_KEY
    if path.exists():
        try:
            found = load_pem_private_key(path.read_bytes(), None)
        except ValueError:
            found = None
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
    key = ec.generate_private_key(ec.SECP256R1())
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def bootstrap_certificate(line: JoinString, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The one-day certificate, in PEM, that the holder of a join string makes itself to come in with."""
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(bootstrap_name(line.id))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "joining")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + _CLOCK_TOLERANCE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(line.bootstrap_key(), None)
    )
    return certificate.public_bytes(Encoding.PEM)


def _signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)


def _quote(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _unquote(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
