"""Making tokens: what an admin may ask for, and what of it is kept.

The secret leaves in the answer and stays nowhere. Of a join string the derived root is recorded, of a bearer token
the hash.
"""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from coordinator.security.authority import DAY_US, HOUR_US, SECOND_US, signing_root
from coordinator.security.registry import Token
from coordinator.security.roles import GRANTED, Role
from protos.credentials import COORDINATOR_NAME
from protos.join import JoinString, bootstrap_name

JOIN_TTL_S = 3_600
BEARER_TTL_S = 30 * 86_400
MAX_TTL_S = 366 * 86_400
MAX_USES = 10_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BEARER_PREFIX = "edgeward_"


class TokenInvalid(ValueError):
    """No such token can be made; the sentence says what to change."""


class TokenRequest(NamedTuple):
    """What an admin asks for; zero means the default."""

    role: str
    name: str = ""
    ttl_s: int = 0
    uses: int = 0
    bearer: bool = False


class CreatedToken(NamedTuple):
    """The answer, in which alone the secret stands: `join` or `bearer` is the line to hand over, the other is empty."""

    id: str
    join: str
    bearer: str
    expires_us: int


def valid_name(name: str) -> bool:
    """Whether a node, client, observer or admin may be called so."""
    return bool(_NAME.fullmatch(name)) and name != COORDINATOR_NAME


def check(request: TokenRequest) -> TokenRequest:
    """The request with its defaults filled in. Raises TokenInvalid."""
    if request.role not in GRANTED:
        raise TokenInvalid(f"There is no role {request.role!r}: take node, client, observer or admin.")
    if request.name and not valid_name(request.name):
        raise TokenInvalid(
            f"{request.name!r} cannot be a name: take up to 63 letters, digits, dots, dashes and underscores, "
            "the first a letter or a digit."
        )
    if request.ttl_s > MAX_TTL_S or request.ttl_s < 0:
        raise TokenInvalid(f"A token lives for 1 s to {MAX_TTL_S // 86_400} days, not for {request.ttl_s} s.")
    if request.uses > MAX_USES or request.uses < 0:
        raise TokenInvalid(f"A join string can be used 1 to {MAX_USES} times, not {request.uses} times.")
    if request.bearer and request.role == Role.NODE:
        raise TokenInvalid("A node joins with a certificate: leave out --bearer, which is for HTTP.")
    if request.bearer and request.uses > 1:
        raise TokenInvalid("A bearer token is not used up: leave out --uses, or --bearer for a join string.")
    if request.name and request.role == Role.NODE and request.uses > 1:
        raise TokenInvalid(f"Only one node can be called {request.name}: leave out --name, or --uses.")
    ttl_s = request.ttl_s or (BEARER_TTL_S if request.bearer else JOIN_TTL_S)
    return request._replace(ttl_s=ttl_s, uses=request.uses or 1)


def new_join(request: TokenRequest, address: str, authority: bytes, now_us: int) -> tuple[Token, CreatedToken]:
    """A join string for a checked request: what to record and what to hand over."""
    line = JoinString.new(address, authority)
    expires_us = now_us + request.ttl_s * SECOND_US
    # The certificate of the root outlives the token, so that a joiner whose string has just run out is told so.
    root = signing_root(line.bootstrap_key(), bootstrap_name(line.id), now_us - HOUR_US, expires_us + DAY_US)
    verifier = root.public_bytes(Encoding.DER)
    token = Token(line.id, Role(request.role), request.name, False, verifier, request.uses, now_us, expires_us)
    return token, CreatedToken(line.id, str(line), "", expires_us)


def new_bearer(request: TokenRequest, now_us: int) -> tuple[Token, CreatedToken]:
    """A bearer token for a checked request: what to record and what to hand over."""
    token_id, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    expires_us = now_us + request.ttl_s * SECOND_US
    name = request.name or f"{request.role}-{token_id}"
    token = Token(token_id, Role(request.role), name, True, _digest(secret), request.uses, now_us, expires_us)
    return token, CreatedToken(token_id, "", f"{_BEARER_PREFIX}{token_id}_{secret}", expires_us)


def split_bearer(text: str) -> tuple[str, str] | None:
    """The id and the secret of what claims to be a bearer token, or None."""
    token_id, underscore, secret = text.removeprefix(_BEARER_PREFIX).partition("_")
    return (token_id, secret) if text.startswith(_BEARER_PREFIX) and underscore else None


def matches(token: Token, secret: str) -> bool:
    """Whether this is the bearer token's secret, in a time that does not depend on where they differ."""
    return hmac.compare_digest(token.verifier, _digest(secret))


def _digest(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode(errors="replace")).digest()
