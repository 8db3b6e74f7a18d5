"""Who may come in: every question about identity is answered here, from memory; the registry is the truth behind it.

`identify` and `verify_bearer` never touch the disk and may be called for every request. `create_token` and `enrol`
wait for the disk: from a coroutine, call them by `asyncio.to_thread`.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coordinator.security import tokens
from coordinator.security.authority import CERTIFICATE_LIFE_US, DAY_US, Authority, expires_us, fingerprint
from coordinator.security.registry import Certificate, Reason, Redeemed, Registry, Token
from coordinator.security.roles import Identity, Role
from coordinator.security.tokens import CreatedToken, TokenInvalid, TokenRequest
from protos.join import bootstrap_id

_KNOWN_AT_MOST = 10_000  # certificates remembered by their text; a holder of a join secret can make endless ones


class Enrolled(NamedTuple):
    """A certificate was issued (or found again) for a joiner."""

    certificate_pem: bytes
    role: Role
    name: str


class EnrolmentRefused(NamedTuple):
    """Why not, and a sentence for the joiner."""

    reason: Reason
    sentence: str


class _Known(NamedTuple):
    identity: Identity
    expires_us: int


class Access:
    """The working copy of tokens and certificates. `now_us` tells microseconds since 1970."""

    def __init__(
        self,
        authority: Authority,
        registry: Registry,
        now_us: Callable[[], int],
        certificate_life_us: int = CERTIFICATE_LIFE_US,
    ) -> None:
        self.authority = authority
        self.now_us = now_us
        self._registry = registry
        self._life_us = certificate_life_us
        now = now_us()
        self._tokens = {token.id: token for token in registry.tokens(now - DAY_US)}
        self._certificates = {known.fingerprint: known for known in registry.certificates(now)}
        self._known: dict[bytes, _Known] = {}
        self._memory = threading.Lock()  # held for microseconds, by anyone
        self._writing = threading.Lock()  # held over the disk, so that memory changes in the order of the registry

    # Asking: from memory, for every call.

    def identify(self, certificate_pem: bytes) -> Identity | None:
        """Whose certificate a connection has shown, or None if it counts for nothing (any more)."""
        known = self._known.get(certificate_pem)
        if known is None:
            known = self._look_up(certificate_pem)
        return known.identity if known is not None and known.expires_us > self.now_us() else None

    def verify_bearer(self, text: str) -> Identity | None:
        """Whose bearer token this is, or None."""
        parts = tokens.split_bearer(text)
        token = self._tokens.get(parts[0]) if parts else None
        if parts is None or token is None or not token.bearer or token.expires_us <= self.now_us():
            return None
        return Identity(token.name, token.role, b"") if tokens.matches(token, parts[1]) else None

    def has_admin(self) -> bool:
        """Whether any certificate of an admin is in force."""
        with self._memory:
            now = self.now_us()
            return any(c.role is Role.ADMIN and c.expires_us > now for c in self._certificates.values())

    def list_tokens(self) -> list[Token]:
        """Those that have not expired, used up or not, by name and id."""
        with self._memory:
            now = self.now_us()
            found = [token for token in self._tokens.values() if token.expires_us > now]
        return sorted(found, key=lambda token: (token.name, token.id))

    def join_roots(self) -> list[bytes]:
        """The roots, in DER, that joiners may come by now, in the order of their making.

        A used string stays among them until a day after it has expired: its holder may come back for a lost answer,
        and others are told what is wrong with it.
        """
        with self._memory:
            now = self.now_us()
            return [t.verifier for t in self._tokens.values() if not t.bearer and t.expires_us + DAY_US > now]

    # Changing: through the registry, then in memory.

    def create_token(self, request: TokenRequest, address: str) -> CreatedToken:
        """Make a token; `address` (host:port) is where the holder of a join string will look for us. Raises
        TokenInvalid."""
        request = tokens.check(request)
        now = self.now_us()
        if request.bearer:
            token, created = tokens.new_bearer(request, now)
        else:
            token, created = tokens.new_join(request, address, self.authority.fingerprint, now)
        with self._writing:
            holder = self._other_role_of(token)
            if holder is not None:
                raise TokenInvalid(f"{token.name} is the name of a {holder} already: choose another.")
            self._registry.add_token(token)
            with self._memory:
                kept = {id_: known for id_, known in self._tokens.items() if known.expires_us + DAY_US > now}
                self._tokens = {**kept, token.id: token}
        return created

    def enrol(self, token_id: str, csr_der: bytes, wished_name: str) -> Enrolled | EnrolmentRefused:
        """Give a joiner, known by its join secret, the certificate for the key in its request."""
        token = self._tokens.get(token_id)
        public_key = _requested_key(csr_der)
        if token is None:
            return _refused(Reason.UNKNOWN)
        if public_key is None:
            return _refused(Reason.REQUEST_INVALID)
        if token.name and wished_name not in ("", token.name):
            return _refused(Reason.NAME_FIXED, token.name)
        key_digest = _digest(public_key)
        name = token.name or wished_name or f"{token.role}-{key_digest.hex()[:8]}"
        if not tokens.valid_name(name):
            return _refused(Reason.NAME_INVALID, name)
        with self._writing:
            if self._reserved(name, token):
                return _refused(Reason.NAME_TAKEN, name)
            now = self.now_us()
            candidate = self._certify(public_key, token.role, name, token_id, now)
            verdict = self._registry.redeem(token_id, candidate, now)
            if isinstance(verdict, Reason):
                return _refused(verdict, name)
            self._remember(verdict)
        pem = x509.load_der_x509_certificate(verdict.certificate.der).public_bytes(Encoding.PEM)
        return Enrolled(pem, verdict.certificate.role, verdict.certificate.name)

    def prepare(self, public_key: ec.EllipticCurvePublicKey, role: Role, name: str) -> Certificate:
        """A certificate that no token asked for. It counts for nothing until `record` has it."""
        return self._certify(public_key, role, name, None, self.now_us())

    def record(self, certificate: Certificate) -> None:
        """Put a prepared certificate in force."""
        with self._writing:
            self._registry.add_certificate(certificate)
            with self._memory:
                self._certificates[certificate.fingerprint] = certificate

    def _certify(
        self, public_key: ec.EllipticCurvePublicKey, role: Role, name: str, token_id: str | None, now: int
    ) -> Certificate:
        issued = self.authority.issue(public_key, role, name, now, self._life_us)
        return Certificate(
            fingerprint(issued),
            role,
            name,
            token_id,
            _digest(public_key),
            issued.public_bytes(Encoding.DER),
            now,
            expires_us(issued),
        )

    def _remember(self, redeemed: Redeemed) -> None:
        with self._memory:
            self._tokens[redeemed.token.id] = redeemed.token
            self._certificates[redeemed.certificate.fingerprint] = redeemed.certificate
            for old in redeemed.superseded:
                self._certificates.pop(old, None)
            if redeemed.superseded:
                self._known.clear()

    def _reserved(self, name: str, own: Token) -> bool:
        """Whether an open token was made for this name, other than by the same admin's intent for the same role."""
        now = self.now_us()
        with self._memory:
            others = [t for t in self._tokens.values() if t.name == name and t.expires_us > now and t.id != own.id]
        return any(other.role is not own.role for other in others) or bool(others and not own.name)

    def _other_role_of(self, token: Token) -> Role | None:
        now = self.now_us()
        with self._memory:
            held: list[Certificate | Token] = [*self._certificates.values(), *self._tokens.values()]
        roles = (other.role for other in held if other.name == token.name != "" and other.expires_us > now)
        return next((role for role in roles if role is not token.role), None)

    def _look_up(self, certificate_pem: bytes) -> _Known | None:
        try:
            shown = x509.load_pem_x509_certificate(certificate_pem)
        except ValueError:
            return None
        digest = fingerprint(shown)
        with self._memory:
            issued = self._certificates.get(digest)
            if issued is not None:
                known = _Known(Identity(issued.name, issued.role, digest), issued.expires_us)
            else:
                token = self._bootstrapped_by(shown)
                if token is None:
                    return None
                known = _Known(Identity(token.id, Role.JOINER, digest), token.expires_us + DAY_US)
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            self._known[certificate_pem] = known
            return known

    def _bootstrapped_by(self, shown: x509.Certificate) -> Token | None:
        """The join token whose secret signed this very certificate. The connection proves only that *some* open secret
        did, and its holder can write any name into it; the signature is what counts."""
        try:
            token = self._tokens.get(bootstrap_id(shown.issuer))
            if token is None or token.bearer:
                return None
            shown.verify_directly_issued_by(x509.load_der_x509_certificate(token.verifier))
        except (ValueError, TypeError, InvalidSignature):
            return None
        return token


_SENTENCES = {
    Reason.UNKNOWN: "This join string was not made here: create a new one with `edgeward token create`.",
    Reason.EXPIRED: "This join string has expired: create a new one with `edgeward token create`.",
    Reason.USED: "This join string has been used: create a new one with `edgeward token create`.",
    Reason.NAME_TAKEN: "The name {name} is taken: choose another, or, to replace its holder, join with a string made "
    "by `edgeward token create --name {name}` for the same role.",
    Reason.NAME_FIXED: "This join string is for the name {name} only.",
    Reason.NAME_INVALID: "{name!r} cannot be a name: take up to 63 letters, digits, dots, dashes and underscores, the "
    "first a letter or a digit.",
    Reason.REQUEST_INVALID: "The request to join holds no P-256 key that its sender owns: is this an Edgeward client?",
}


def _refused(reason: Reason, name: str = "") -> EnrolmentRefused:
    return EnrolmentRefused(reason, _SENTENCES[reason].format(name=name))


def _requested_key(csr_der: bytes) -> ec.EllipticCurvePublicKey | None:
    """The key that the sender of the request owns, or None."""
    try:
        request = x509.load_der_x509_csr(csr_der)
        key = request.public_key()
        owned = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature):
        return None
    return key if owned and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" else None


def _digest(key: ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
