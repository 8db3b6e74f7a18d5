"""Tokens, names and bearers, without a network: what an admin may make and what its holder then is."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateSigningRequestBuilder, Name

from coordinator.security.access import Access, Enrolled, EnrolmentRefused
from coordinator.security.registry import MemoryRegistry, Reason
from coordinator.security.roles import Identity, Role
from coordinator.security.tokens import TokenInvalid, TokenRequest
from protos.join import JoinString, bootstrap_certificate
from tests.coordinator.security.door import HandClock, issue, new_access

ADDRESS = "10.0.0.1:7370"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def access(tmp_path: Path, clock: HandClock, registry: MemoryRegistry) -> Access:
    return new_access(tmp_path, clock, registry)


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    return (
        CertificateSigningRequestBuilder().subject_name(Name([])).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


def reason(outcome: Enrolled | EnrolmentRefused) -> Reason | None:
    return outcome.reason if isinstance(outcome, EnrolmentRefused) else None


def join_id(access: Access, role: str = "node", **wanted: object) -> str:
    return access.create_token(TokenRequest(role, **wanted), ADDRESS).id  # type: ignore[arg-type]


def test_token_for_joining_tells_the_address_and_the_authority(access: Access, clock: HandClock) -> None:
    created = access.create_token(TokenRequest("node"), ADDRESS)
    line = JoinString.parse(created.join)
    assert (line.address, line.authority, line.id) == (ADDRESS, access.authority.fingerprint, created.id)
    assert created.bearer == "" and created.expires_us == clock() + 3_600_000_000


def test_token_secrets_are_not_kept(access: Access, registry: MemoryRegistry, clock: HandClock) -> None:
    line = JoinString.parse(access.create_token(TokenRequest("node"), ADDRESS).join)
    bearer = access.create_token(TokenRequest("client", bearer=True), ADDRESS).bearer
    kept = repr(registry.tokens(clock())).encode() + b"".join(token.verifier for token in registry.tokens(clock()))
    assert line.secret not in kept and bearer.split("_", 2)[2].encode() not in kept
    assert line.bootstrap_key().private_bytes_raw() not in kept


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (TokenRequest("joiner"), "no role 'joiner'"),
        (TokenRequest("root"), "take node, client, observer or admin"),
        (TokenRequest("node", name="a b"), "cannot be a name"),
        (TokenRequest("node", name="edgeward-coordinator"), "cannot be a name"),
        (TokenRequest("node", name="x" * 64), "cannot be a name"),
        (TokenRequest("node", ttl_s=10**9), "366 days"),
        (TokenRequest("node", uses=10**6), "10000 times"),
        (TokenRequest("node", bearer=True), "leave out --bearer"),
        (TokenRequest("client", bearer=True, uses=2), "leave out --uses"),
        (TokenRequest("node", name="dam", uses=2), "Only one node"),
    ],
)
def test_token_that_makes_no_sense_is_refused_with_a_sentence(
    request_: TokenRequest, says: str, access: Access
) -> None:
    with pytest.raises(TokenInvalid, match=says):
        access.create_token(request_, ADDRESS)
    assert access.list_tokens() == []


def test_token_for_a_name_of_another_role_is_refused(access: Access) -> None:
    issue(access, Role.CLIENT, "alice")
    with pytest.raises(TokenInvalid, match="alice is the name of a client"):
        access.create_token(TokenRequest("node", name="alice"), ADDRESS)


def test_tokens_are_listed_until_they_expire_by_name(access: Access, clock: HandClock) -> None:
    for name in ("zoo", "dam"):
        access.create_token(TokenRequest("node", name=name), ADDRESS)
    access.create_token(TokenRequest("client", name="amy", bearer=True), ADDRESS)
    assert [token.name for token in access.list_tokens()] == ["amy", "dam", "zoo"]
    clock.pass_s(3_600)
    assert [token.name for token in access.list_tokens()] == ["amy"]


def test_bearer_is_who_it_was_made_for_until_it_expires(access: Access, clock: HandClock) -> None:
    bearer = access.create_token(TokenRequest("observer", name="wall", bearer=True, ttl_s=60), ADDRESS).bearer
    assert access.verify_bearer(bearer) == Identity("wall", Role.OBSERVER, b"")
    clock.pass_s(60)
    assert access.verify_bearer(bearer) is None


def test_bearer_changed_in_any_part_is_nobody(access: Access) -> None:
    bearer = access.create_token(TokenRequest("admin", bearer=True), ADDRESS).bearer
    joinable = join_id(access, "admin")
    forged = [
        "",
        "edgeward_",
        bearer[:-1],
        bearer + "A",
        bearer.upper(),
        bearer.removeprefix("edgeward_"),
        "é" + bearer,
    ]
    forged += [
        bearer.replace(bearer.split("_")[1], joinable),
        f"edgeward_{joinable}_",
        "edgeward_\x00_",
        bearer + "\ud800",
    ]
    assert [text for text in forged if access.verify_bearer(text)] == []
    assert access.verify_bearer(bearer)


def test_restart_knows_the_same_people_and_tokens(
    access: Access, registry: MemoryRegistry, clock: HandClock, tmp_path: Path
) -> None:
    bearer = access.create_token(TokenRequest("client", bearer=True), ADDRESS).bearer
    admin = issue(access, Role.ADMIN, "admin")
    token_id = join_id(access)
    again = new_access(tmp_path, clock, registry)
    assert again.verify_bearer(bearer) == access.verify_bearer(bearer) is not None
    assert again.identify(admin.certificate_pem) == access.identify(admin.certificate_pem) is not None
    assert again.join_roots() == access.join_roots() != []
    assert reason(again.enrol(token_id, csr(), "dam")) is None


def test_join_without_a_wish_gets_a_name_of_its_own(access: Access) -> None:
    token_id = join_id(access, "client", uses=2)
    first, second = (access.enrol(token_id, csr(), "") for _ in range(2))
    assert isinstance(first, Enrolled) and isinstance(second, Enrolled)
    assert first.name.startswith("client-") and first.name != second.name


def test_join_is_known_by_the_name_that_was_recorded(access: Access) -> None:
    joined = access.enrol(join_id(access), csr(), "dam")
    assert isinstance(joined, Enrolled)
    identity = access.identify(joined.certificate_pem)
    assert identity and (identity.name, identity.role) == ("dam", Role.NODE)


@pytest.mark.parametrize("wish", ["a b", "../x", "-dam", "x" * 64, "edgeward-coordinator", "dam\n", "dàm"])
def test_join_with_a_name_that_cannot_be_is_refused_and_the_string_stays_good(wish: str, access: Access) -> None:
    token_id = join_id(access)
    assert reason(access.enrol(token_id, csr(), wish)) is Reason.NAME_INVALID
    assert reason(access.enrol(token_id, csr(), "dam")) is None


def test_join_under_another_name_than_the_strings_is_refused(access: Access) -> None:
    outcome = access.enrol(join_id(access, name="dam"), csr(), "edge")
    assert isinstance(outcome, EnrolmentRefused)
    assert outcome == (Reason.NAME_FIXED, "This join string is for the name dam only.")


def test_join_cannot_choose_a_name_that_a_string_was_made_for(access: Access) -> None:
    chooser, made_for_dam = join_id(access), join_id(access, name="dam")
    assert reason(access.enrol(chooser, csr(), "dam")) is Reason.NAME_TAKEN
    assert reason(access.enrol(made_for_dam, csr(), "")) is None


def test_join_that_replaces_a_node_shuts_the_old_one_out_at_once(access: Access) -> None:
    old = access.enrol(join_id(access), csr(), "dam")
    assert isinstance(old, Enrolled) and access.identify(old.certificate_pem)
    new = access.enrol(join_id(access, name="dam"), csr(), "dam")
    assert isinstance(new, Enrolled) and access.identify(new.certificate_pem)
    assert access.identify(old.certificate_pem) is None


def test_join_with_a_key_that_is_not_p256_or_not_owned_is_refused(access: Access) -> None:
    token_id, good = join_id(access), csr()
    bad = [b"", b"\x30", csr(ec.generate_private_key(ec.SECP384R1())), csr(rsa.generate_private_key(65537, 2048))]
    bad.append(good[:-4] + bytes(4))  # the signature is not the key's
    assert {reason(access.enrol(token_id, request, "dam")) for request in bad} == {Reason.REQUEST_INVALID}
    assert reason(access.enrol(token_id, good, "dam")) is None


def test_bootstrap_certificate_is_the_joiner_of_its_own_string_only(access: Access) -> None:
    mine = JoinString.parse(access.create_token(TokenRequest("node"), ADDRESS).join)
    other = JoinString.parse(access.create_token(TokenRequest("admin"), ADDRESS).join)
    key = ec.generate_private_key(ec.SECP256R1())
    known = access.identify(bootstrap_certificate(mine, key))
    assert known and (known.name, known.role) == (mine.id, Role.JOINER)
    # My secret, but the issuer's name is the other string's.
    assert access.identify(bootstrap_certificate(replace(mine, id=other.id), key)) is None
    assert access.identify(bootstrap_certificate(replace(mine, id=""), key)) is None


def test_names_in_a_certificate_count_for_nothing(access: Access, clock: HandClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    forged = access.authority.issue(key, Role.ADMIN, "admin", clock(), 10**12).public_bytes(Encoding.PEM)
    assert access.identify(forged) is None
    assert access.identify(b"no certificate") is None


def test_certificates_made_without_end_from_one_secret_fill_no_memory(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.security.access._KNOWN_AT_MOST", 3)
    line = JoinString.parse(access.create_token(TokenRequest("node"), ADDRESS).join)
    for _ in range(10):
        assert access.identify(bootstrap_certificate(line, ec.generate_private_key(ec.SECP256R1())))
        assert len(access._known) <= 3
