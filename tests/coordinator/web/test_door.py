"""Who comes in by HTTP, without a coordinator behind the door."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from coordinator.security.roles import Identity, Role
from coordinator.web.door import Door, caller_of, is_loopback

ANA = Identity("ana", Role.OBSERVER, b"")


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    open_to_all = scope["path"] in ("/healthz", "/readyz")
    await PlainTextResponse("open" if open_to_all else caller_of(scope).name)(scope, receive, send)


def asking(*, loopback_only: bool = True, host: str = "127.0.0.1:7371") -> httpx.AsyncClient:
    door = Door(inner, {"secret": ANA}.get, loopback_only=loopback_only)
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=f"http://{host}")


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/jobs", "/api/v1/nothing", "/nothing", "/healthz/"])
async def test_stranger_at_any_path_gets_401_and_no_redirect(path: str) -> None:
    answer = await asking().get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="edgeward"'
    assert "edgeward token create" in answer.json()["error"]


async def test_stranger_at_the_page_reads_how_to_sign_in() -> None:
    answer = await asking().get("/")
    assert answer.status_code == 401
    assert "Authorization: Bearer TOKEN" in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_stranger_may_ask_for_health(path: str) -> None:
    assert (await asking().get(path)).text == "open"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_holder_of_a_token_comes_in(scheme: str) -> None:
    assert (await asking().get("/api/v1/jobs", headers=bearer("secret", scheme))).text == "ana"


@pytest.mark.parametrize("headers", [bearer("guess"), bearer("secret", "Basic"), {"Authorization": "secret"}])
async def test_holder_of_anything_else_stays_outside(headers: dict[str, str]) -> None:
    assert (await asking().get("/metrics", headers=headers)).status_code == 401


async def test_wrong_token_is_named_as_such() -> None:
    answer = await asking().get("/metrics", headers=bearer("guess"))
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert "not (or no longer) one of ours" in answer.json()["error"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7371", "127.0.0.1.evil.example", "10.0.0.7"])
async def test_page_whose_name_was_rebound_to_loopback_is_turned_away_even_with_a_token(host: str) -> None:
    answer = await asking(host=host).get("/api/v1/jobs", headers=bearer("secret"))
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost:7371", "LOCALHOST", "127.0.0.1", "127.8.8.8:1", "[::1]:7371"])
async def test_this_machine_by_any_of_its_names_is_answered(host: str) -> None:
    assert (await asking(host=host).get("/healthz")).status_code == 200


async def test_off_loopback_any_host_is_answered() -> None:
    assert (await asking(loopback_only=False, host="dam.example").get("/healthz")).status_code == 200


async def test_large_body_is_refused_before_it_is_read() -> None:
    answer = await asking().post("/api/v1/jobs", content=bytes(65_537), headers=bearer("secret"))
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_body_of_unknown_length_is_refused() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    assert (await asking().post("/healthz", content=chunks())).status_code == 411


@pytest.mark.parametrize(("path", "host"), [("/healthz", "localhost"), ("/", "localhost"), ("/", "evil.example")])
async def test_every_answer_forbids_scripts_sniffing_and_caches(path: str, host: str) -> None:
    headers = (await asking(host=host).get(path)).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("dam", False)],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
