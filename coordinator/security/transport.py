"""The port: always mutual TLS, trusting the authority and the join strings that are open at this handshake."""

import ssl
import threading
from typing import cast

import grpc

from coordinator.security.access import Access
from coordinator.security.authority import CERTIFICATE_LIFE_US

SERVER_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 16 * 2**20),  # a batch of submissions
    ("grpc.max_metadata_size", 8 * 2**10),
    ("grpc.max_concurrent_streams", 100),  # rapid resets then cost little
    ("grpc.max_connection_idle_ms", 300_000),  # idle connections are never closed by default
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),  # else our clients' pings are called abuse
    ("grpc.so_reuseport", 0),  # a second coordinator on the same port must fail, not share it
]


def server_credentials(access: Access) -> grpc.ServerCredentials:
    """What `grpc.aio.server().add_secure_port` takes. gRPC asks at every handshake, on a thread of its own, whether
    something has changed: a new join string, one that has run out, a server certificate past half its life."""
    port = _Port(access)
    return grpc.dynamic_ssl_server_credentials(port.configuration(), port, require_client_authentication=True)


class _Port:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._roots: list[bytes] = []
        self._renew_us = 0
        self._renew()

    def __call__(self) -> grpc.ServerCertificateConfiguration:
        with self._lock:
            roots = self._access.join_roots()
            if self._access.now_us() >= self._renew_us:
                self._renew()
            elif roots == self._roots:
                # gRPC keeps what it has; its stubs do not know of this answer.
                return cast(grpc.ServerCertificateConfiguration, None)
            self._roots = roots
            return self.configuration()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        joiners = "".join(map(ssl.DER_cert_to_PEM_cert, self._roots)).encode()
        return grpc.ssl_server_certificate_configuration(
            [(self._certificate.key_pem, self._certificate.chain_pem)],
            root_certificates=self._access.authority.certificate_pem + joiners,
        )

    def _renew(self) -> None:
        now = self._access.now_us()
        self._certificate = self._access.authority.server_certificate(now)
        self._renew_us = now + CERTIFICATE_LIFE_US // 2
        self._roots = self._access.join_roots()
