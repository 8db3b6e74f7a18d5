"""The door of HTTP, before every path: who is asking, and is it a request at all that this port answers.

Only health is open. Everything else, paths that do not exist included, is 401 to strangers, without a redirect.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.security.roles import Identity

OPEN = frozenset({"/healthz", "/readyz"})
BODY_AT_MOST = 64 * 2**10  # nothing here reads one
CALLER = "edgeward.caller"  # where the request's scope tells who asks
SIGN_IN = (
    "Edgeward. This port answers to holders of a token: send the header `Authorization: Bearer TOKEN`.\n"
    "An admin makes one: edgeward token create --role observer --bearer\n"
)
ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Door:
    """Wraps the whole application. With `loopback_only` a request must name this machine as its host: a page of the
    wide web whose name was made to point here names itself."""

    def __init__(self, inner: ASGIApp, verify: Callable[[str], Identity | None], *, loopback_only: bool) -> None:
        self._inner = inner
        self._verify = verify
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ALWAYS)
            await send(message)

        headers = Headers(scope=scope)
        answer = self._not_for_us(headers) or self._stranger(scope, headers)
        await (answer or self._inner)(scope, receive, dressed)

    def _not_for_us(self, headers: Headers) -> Response | None:
        if self._loopback_only and not is_loopback(_host(headers.get("host", ""))):
            return refusal(421, "this port answers only to the names of its own machine: ask 127.0.0.1 or localhost")
        if "transfer-encoding" in headers:
            return refusal(411, "send no body: nothing here reads one", Connection="close")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_AT_MOST:
            return refusal(413, "send no body: nothing here reads one", Connection="close")
        return None

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"] in OPEN:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        caller = self._verify(token.strip()) if scheme.lower() == "bearer" else None
        if caller is not None:
            scope[CALLER] = caller
            return None
        challenge = 'Bearer realm="edgeward"' + (', error="invalid_token"' if token else "")
        if scope["path"] == "/":
            return PlainTextResponse(SIGN_IN, 401, {"WWW-Authenticate": challenge})
        told = "this token is not (or no longer) one of ours" if token else "this needs a token"
        sentence = (
            f"{told}: make one with `edgeward token create --bearer` and send it as `Authorization: Bearer TOKEN`"
        )
        return refusal(401, sentence, **{"WWW-Authenticate": challenge})


def refusal(status: int, sentence: str, **headers: str) -> Response:
    """An answer that is an error, as all of them look."""
    return JSONResponse({"error": sentence}, status, headers)


def is_loopback(host: str) -> bool:
    """Whether a host, as an address or a name, can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _host(header: str) -> str:
    """The host of a Host header, without its port and an IPv6 address's brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def caller_of(scope: Any) -> Identity:
    """Who asks. Only for requests that came in by the door, to a path that is not open."""
    caller: Identity = scope[CALLER]
    return caller
