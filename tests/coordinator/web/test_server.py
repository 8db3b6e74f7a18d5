"""The port itself: taken, free, plain, under TLS."""

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from coordinator.errors import PortTaken
from coordinator.security.authority import CERTIFICATE_LIFE_US
from coordinator.web.server import tls_context
from protos.credentials import COORDINATOR_NAME
from tests.coordinator.security.door import HandClock, new_access
from tests.coordinator.web.standing import standing


async def test_port_that_is_taken_is_a_sentence_that_names_the_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} on 127\.0\.0\.1 .*address already in use.*--http"):
            async with standing(tmp_path, http=f"127.0.0.1:{port}"):
                pass


async def test_port_is_closed_after_the_end(tmp_path: Path) -> None:
    async with standing(tmp_path) as here, here.stranger() as probe:
        assert (await probe.get("/healthz")).status_code == 200
        address = here.app.addresses["http"]
    async with httpx.AsyncClient(trust_env=False) as late:
        with pytest.raises(httpx.ConnectError):
            await late.get(f"http://{address}/healthz")


async def test_page_of_another_host_reaches_nothing_on_loopback(tmp_path: Path) -> None:
    async with standing(tmp_path) as here, here.stranger(headers={"Host": "evil.example"}) as page:
        assert (await page.get("/healthz")).status_code == 421


async def test_headers_without_end_are_cut_off(tmp_path: Path) -> None:
    async with standing(tmp_path) as here:
        host, _, port = here.app.addresses["http"].partition(":")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_off_loopback_the_port_speaks_tls_by_the_authority(tmp_path: Path) -> None:
    async with standing(tmp_path, http="0.0.0.0:0") as here:
        port = here.app.addresses["http"].rpartition(":")[2]
        trusting = ssl.create_default_context(cadata=here.app.access.authority.certificate_pem.decode())
        named = {"sni_hostname": COORDINATOR_NAME}
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            answer = await client.get(f"https://127.0.0.1:{port}/healthz", extensions=named)
            assert answer.status_code == 200
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://127.0.0.1:{port}/healthz")


async def test_behind_a_proxy_off_loopback_the_port_is_plain(tmp_path: Path) -> None:
    async with standing(tmp_path, http="0.0.0.0:0", http_plain=True) as here:
        port = here.app.addresses["http"].rpartition(":")[2]
        async with httpx.AsyncClient(trust_env=False) as proxy:
            answer = await proxy.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": "edgeward.example"})
        assert answer.status_code == 200


async def test_tls_certificate_past_half_its_life_is_replaced_while_the_port_is_open(tmp_path: Path) -> None:
    clock = HandClock()
    server = await asyncio.start_server(
        lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls_context(new_access(tmp_path, clock))
    )
    port = server.sockets[0].getsockname()[1]
    async with server:
        first = await shown(port)
        assert await shown(port) == first
        clock.now_us += CERTIFICATE_LIFE_US // 2
        await shown(port)  # the handshake that notices
        assert await shown(port) != first


async def shown(port: int) -> bytes | None:
    """The certificate that the port shows, in DER."""
    anything = ssl.create_default_context()
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anything)
    certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate
