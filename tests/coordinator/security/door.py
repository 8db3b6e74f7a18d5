"""A coordinator's door in this process: a real port, the gate, and a handler for every method of the wire that tells
what it was given. Time moves only when a test moves it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from coordinator.rpc.enrolment import Enrolment
from coordinator.rpc.gate import Gate, current_identity
from coordinator.security.access import Access
from coordinator.security.authority import Authority
from coordinator.security.registry import MemoryRegistry, Registry
from coordinator.security.roles import Identity, Role
from coordinator.security.tokens import TokenRequest
from coordinator.security.transport import SERVER_OPTIONS, server_credentials
from protos import cluster_pb2, cluster_pb2_grpc, jobs_pb2, nodes_pb2
from protos.credentials import Credentials

SERVICES = {
    service.full_name: service
    for module in (jobs_pb2, nodes_pb2, cluster_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}
WIRE = {f"/{service.full_name}/{method.name}": method for service in SERVICES.values() for method in service.methods}


class HandClock:
    """Microseconds since 1970, from this very second on (TLS looks at the real clock as well)."""

    def __init__(self) -> None:
        self.now_us = time.time_ns() // 1_000

    def __call__(self) -> int:
        return self.now_us

    def pass_s(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)


def new_access(directory: Path, clock: HandClock, registry: Registry | None = None) -> Access:
    return Access(Authority.open(directory / "authority", clock()), registry or MemoryRegistry(), clock)


def issue(access: Access, role: Role, name: str, address: str = "127.0.0.1:1") -> Credentials:
    """Credentials in force, without the walk through a join string."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = access.prepare(key.public_key(), role, name)
    access.record(certificate)
    pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(address, access.authority.certificate_pem, pem, key_pem)


@dataclass
class Door:
    access: Access
    clock: HandClock
    address: str
    parsed: list[bytes] = field(default_factory=list)  # every request that met a parser
    callers: list[Identity] = field(default_factory=list)  # every call that reached a handler
    raising: Exception | None = None  # what handlers do
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def credentials(self, role: Role, name: str = "") -> Credentials:
        return replace(issue(self.access, role, name or role.value), address=self.address)

    def join_string(self, role: str = "node", **wanted: Any) -> str:
        return self.access.create_token(TokenRequest(role, **wanted), self.address).join

    def handlers(self, service: str) -> grpc.GenericRpcHandler:
        rows = {method.name: self._handler(method) for method in SERVICES[service].methods}
        return grpc.method_handlers_generic_handler(service, rows)

    def _handler(self, method: Any) -> Any:
        request_type, response_type = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

        def parse(raw: bytes) -> Message:
            self.parsed.append(raw)
            return request_type.FromString(raw)

        async def hear(requests: Any) -> None:
            self.callers.append(current_identity())
            try:
                self.began.set()
                if method.client_streaming:
                    async for _ in requests:
                        continue
                if self.raising:
                    raise self.raising
            finally:
                self.ended.set()

        async def answer(requests: Any, context: Any) -> Message:
            await hear(requests)
            return response_type()

        async def answers(requests: Any, context: Any) -> AsyncIterator[Message]:
            await hear(requests)
            yield response_type()

        shape = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}_rpc_method_handler"
        behaviour = answers if method.server_streaming else answer
        return getattr(grpc, shape)(behaviour, parse, response_type.SerializeToString)


@asynccontextmanager
async def open_door(directory: Path, translate: Any = lambda error: None) -> AsyncIterator[Door]:
    """All services behind the gate; Enrolment is the real one."""
    clock = HandClock()
    door = Door(new_access(directory, clock), clock, "")
    server = grpc.aio.server(interceptors=[Gate(door.access.identify, translate)], options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers([door.handlers(name) for name in SERVICES if not name.endswith("Enrolment")])
    cluster_pb2_grpc.add_EnrolmentServicer_to_server(Enrolment(door.access), server)
    door.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', server_credentials(door.access))}"
    await server.start()
    try:
        yield door
    finally:
        await server.stop(None)


async def call(channel: grpc.aio.Channel, path: str, request: bytes = b"", timeout_s: float = 10) -> grpc.StatusCode:
    """Make one call with one message of raw bytes, whatever the method's shape; tell how it ended."""
    method = WIRE[path]
    shape = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
    stub = getattr(channel, shape)(path)
    made = stub(iter([request]) if method.client_streaming else request, timeout=timeout_s)
    try:
        if method.server_streaming:
            async for _ in made:
                continue
        else:
            await made
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def _arity(streaming: bool) -> str:
    return "stream" if streaming else "unary"
