"""Strangers at the port: nobody without a certificate in force gets as far as the parser, nobody past their role."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from coordinator.security.authority import Authority
from coordinator.security.roles import GRANTED, METHODS, Role
from protos.cluster_pb2 import JoinRequest
from protos.credentials import COORDINATOR_NAME, Credentials, secure_channel
from protos.jobs_pb2 import SubmitRequest
from protos.jobs_pb2_grpc import JobsStub
from protos.join import JoinString, bootstrap_certificate
from protos.nodes_pb2 import NodeMessage
from protos.nodes_pb2_grpc import NodesStub
from tests.coordinator.security.door import WIRE, Door, call, issue, new_access, open_door

MALFORMED = b"\xff\xff\xff\xff"
SECRET_TEXT = "password of the database"
JOIN = "/edgeward.v1.Enrolment/Join"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    def translate(error: BaseException) -> tuple[grpc.StatusCode, str] | None:
        return (grpc.StatusCode.NOT_FOUND, str(error)) if isinstance(error, KeyError) else None

    async with open_door(tmp_path, translate) as opened:
        yield opened


def self_signed(door: Door) -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return with_pair(door, certificate.public_bytes(Encoding.PEM), key)


def with_pair(door: Door, certificate_pem: bytes, key: ec.EllipticCurvePrivateKey) -> Credentials:
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(door.address, door.access.authority.certificate_pem, certificate_pem, key_pem)


def signed_by(authority: Authority, door: Door, *, from_s: float, life_s: float) -> Credentials:
    """A certificate that says admin, signed but recorded nowhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin = door.clock() + int(from_s * 1e6)
    certificate = authority.issue(key.public_key(), Role.ADMIN, "admin", begin, int(life_s * 1e6))
    return with_pair(door, certificate.public_bytes(Encoding.PEM), key)


def stranger(kind: str, door: Door, directory: Path) -> Credentials:
    ours = door.access.authority
    if kind == "self-signed":
        return self_signed(door)
    if kind == "of another authority":
        other = issue(new_access(directory / "elsewhere", door.clock), Role.ADMIN, "admin")
        return replace(other, address=door.address, authority_pem=ours.certificate_pem)
    if kind == "expired":
        return signed_by(ours, door, from_s=-7200, life_s=3600)
    if kind == "not yet valid":
        return signed_by(ours, door, from_s=7200, life_s=3600)
    if kind == "made for serving":
        serving = ours.server_certificate(door.clock())
        return Credentials(door.address, ours.certificate_pem, serving.chain_pem, serving.key_pem)
    assert kind == "signed by us but never recorded"
    return signed_by(ours, door, from_s=0, life_s=3600)


STRANGERS = [
    "self-signed",
    "of another authority",
    "expired",
    "not yet valid",
    "made for serving",
    "signed by us but never recorded",
]


@pytest.mark.parametrize("kind", STRANGERS)
async def test_gate_a_strangers_certificate_is_refused_at_every_call_before_parsing(
    kind: str, door: Door, tmp_path: Path
) -> None:
    async with secure_channel(stranger(kind, door, tmp_path)) as channel:
        for path in WIRE:
            code = await call(channel, path, MALFORMED)
            assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE), path
    assert door.parsed == [] and door.callers == []


async def test_gate_no_certificate_is_refused_before_parsing(door: Door) -> None:
    trusting = grpc.ssl_channel_credentials(door.access.authority.certificate_pem)
    name = [("grpc.ssl_target_name_override", COORDINATOR_NAME)]
    async with grpc.aio.secure_channel(door.address, trusting, name) as channel:
        assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.UNAVAILABLE
    async with grpc.aio.insecure_channel(door.address) as channel:
        assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.UNAVAILABLE
    assert door.parsed == []


@pytest.mark.parametrize("role", sorted(GRANTED))
async def test_gate_every_role_gets_exactly_its_rows_of_the_table(role: Role, door: Door) -> None:
    async with secure_channel(door.credentials(role)) as channel:
        for path in WIRE:
            before = len(door.parsed)
            code = await call(channel, path)
            if role in METHODS[path]:
                assert code is grpc.StatusCode.OK, path
            else:
                assert code is grpc.StatusCode.PERMISSION_DENIED, path
                assert len(door.parsed) == before, path
    assert {caller.name for caller in door.callers} == {role.value}


async def test_gate_a_method_without_a_row_is_refused_to_an_admin(door: Door, monkeypatch: Any) -> None:
    monkeypatch.setattr("coordinator.rpc.gate.METHODS", {})
    async with secure_channel(door.credentials(Role.ADMIN)) as channel:
        assert await call(channel, "/edgeward.v1.Cluster/ListNodes") is grpc.StatusCode.PERMISSION_DENIED


async def test_gate_a_certificate_is_refused_once_its_life_is_over_on_the_same_connection(door: Door) -> None:
    async with secure_channel(door.credentials(Role.CLIENT)) as channel:
        assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.OK
        door.clock.pass_s(91 * 86_400)
        assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.UNAUTHENTICATED


async def test_gate_malformed_bytes_are_the_callers_fault_in_every_shape(door: Door) -> None:
    async with (
        secure_channel(door.credentials(Role.ADMIN)) as admin,
        secure_channel(door.credentials(Role.NODE)) as node,
    ):
        for path in WIRE:
            if path != JOIN:
                channel = node if Role.NODE in METHODS[path] else admin
                assert await call(channel, path, MALFORMED) is grpc.StatusCode.INVALID_ARGUMENT, path
    assert door.parsed


async def test_gate_a_surprise_in_a_handler_tells_the_log_and_not_the_caller(door: Door) -> None:
    door.raising = RuntimeError(SECRET_TEXT)
    async with secure_channel(door.credentials(Role.ADMIN)) as channel:
        for path in ("/edgeward.v1.Jobs/Submit", "/edgeward.v1.Jobs/Watch", "/edgeward.v1.Jobs/Session"):
            with capture_logs() as lines:
                assert await call(channel, path) is grpc.StatusCode.INTERNAL
            assert lines[-1]["exc_info"] is door.raising and lines[-1]["method"] == path
        submit = JobsStub(channel).Submit
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await submit(SubmitRequest())
    assert SECRET_TEXT not in str(told.value) and "RuntimeError" not in str(told.value)


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a task group's error"])
async def test_gate_a_known_error_gets_its_status_and_sentence(wrapped: bool, door: Door) -> None:
    known = KeyError("no such job")
    door.raising = ExceptionGroup("tasks", [known]) if wrapped else known
    async with secure_channel(door.credentials(Role.CLIENT)) as channel:
        assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.NOT_FOUND


async def test_gate_an_unknown_method_is_unimplemented(door: Door) -> None:
    async with secure_channel(door.credentials(Role.ADMIN)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            steal: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/edgeward.v1.Jobs/Steal")
            await steal(b"")
    assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_gate_a_message_over_the_limit_is_refused_without_parsing(door: Door) -> None:
    async with secure_channel(door.credentials(Role.CLIENT)) as channel:
        code = await call(channel, "/edgeward.v1.Jobs/Submit", bytes(16 * 2**20 + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert door.parsed == []


async def test_gate_a_cancelled_stream_ends_its_handler(door: Door) -> None:
    async with secure_channel(door.credentials(Role.NODE)) as channel:
        stream = NodesStub(channel).Connect()
        await stream.write(NodeMessage())
        await door.began.wait()
        assert not door.ended.is_set()
        stream.cancel()
        await asyncio.wait_for(door.ended.wait(), 10)


async def test_gate_concurrent_callers_each_see_their_own_identity(door: Door) -> None:
    names = [f"client-{number}" for number in range(8)]
    channels = [secure_channel(door.credentials(Role.CLIENT, name)) for name in names]
    codes = await asyncio.gather(*(call(channel, "/edgeward.v1.Jobs/Submit") for channel in channels for _ in range(5)))
    await asyncio.gather(*(channel.close() for channel in channels))
    assert set(codes) == {grpc.StatusCode.OK}
    assert sorted(caller.name for caller in door.callers) == sorted(names * 5)


async def test_gate_a_client_certificate_cannot_pose_as_the_coordinator(door: Door) -> None:
    """Whoever holds a node's key must not be able to serve the others, even under the coordinator's name."""
    posing = issue(door.access, Role.NODE, "mallory")
    pair = [(posing.key_pem, posing.certificate_pem + posing.authority_pem)]
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    await server.start()
    try:
        victim = door.credentials(Role.CLIENT, "victim")
        for override in (COORDINATOR_NAME, "mallory"):
            options = [("grpc.ssl_target_name_override", override)]
            async with secure_channel(victim, f"127.0.0.1:{port}", options) as channel:
                assert await call(channel, "/edgeward.v1.Jobs/Submit") is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(None)


async def test_gate_a_join_request_with_malformed_bytes_is_the_joiners_fault(door: Door, tmp_path: Path) -> None:
    line = JoinString.parse(door.join_string())
    key = ec.generate_private_key(ec.SECP256R1())
    async with secure_channel(with_pair(door, bootstrap_certificate(line, key), key)) as channel:
        assert await call(channel, JOIN, MALFORMED) is grpc.StatusCode.INVALID_ARGUMENT
        no_key = JoinRequest(csr_der=b"not a request").SerializeToString()
        assert await call(channel, JOIN, no_key) is grpc.StatusCode.INVALID_ARGUMENT
        for path in WIRE.keys() - {JOIN}:
            assert await call(channel, path, MALFORMED) is grpc.StatusCode.PERMISSION_DENIED, path
    assert door.parsed == []
