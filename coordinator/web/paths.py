"""Every path of HTTP and what answers it: `application` puts them behind the door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from coordinator.errors import StoreUnavailable, UnknownName
from coordinator.rpc.gate import acting_for
from coordinator.security.roles import PATHS, Identity
from coordinator.web.api import Answer, Api
from coordinator.web.door import Door, caller_of, refusal
from coordinator.web.metrics import CONTENT_TYPE, Metrics
from coordinator.web.parameters import BadParameter

log = structlog.get_logger(__name__)
Endpoint = Callable[[Request], Awaitable[Response]]

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (BadParameter, 400),
    (UnknownName, 404),
    (StoreUnavailable, 503),
)


class Ports(NamedTuple):
    """What the paths stand on."""

    api: Api
    metrics: Metrics
    write_error: Callable[[], str]  # why nothing can be made durable now; empty while it can
    verify: Callable[[str], Identity | None]  # whose a bearer token is


def application(ports: Ports, *, loopback_only: bool) -> Door:
    """The ASGI application."""

    async def healthy(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        wrong = ports.write_error()
        return refusal(503, wrong) if wrong else JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(ports.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def index(request: Request) -> Response:
        return JSONResponse({"paths": sorted(PATHS)})

    guarded: dict[str, Endpoint] = {"/": index, "/metrics": metrics}
    guarded |= {path: _documents(answer) for path, answer in ports.api.answers.items()}
    routes = [Route("/healthz", healthy), Route("/readyz", ready)]
    routes += [Route(path, _allowed(path, endpoint)) for path, endpoint in guarded.items()]
    inner = Starlette(routes=routes, exception_handlers={HTTPException: _no_such})
    inner.router.redirect_slashes = False
    return Door(inner, ports.verify, loopback_only=loopback_only)


def _documents(answer: Answer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(await answer(request))

    return endpoint


def _allowed(path: str, endpoint: Endpoint) -> Endpoint:
    """Lets in the roles that the table has for the path, and tells every failure in one form."""
    roles = PATHS.get(path, frozenset())

    async def answered(request: Request) -> Response:
        caller = caller_of(request.scope)
        if caller.role not in roles:
            log.warning("request refused", path=path, caller=caller.name, role=caller.role.value)
            return refusal(403, f"{path} is not for the role {caller.role}: use a token of another role")
        try:
            with acting_for(caller):
                return await endpoint(request)
        except Exception as error:  # every error of a path is answered here
            for kind, status in STATUSES:
                if isinstance(error, kind):
                    return refusal(status, str(error))
            log.error("request failed", path=path, caller=caller.name, exc_info=error)
            return refusal(500, "the coordinator failed at this request; its log says why")

    return answered


async def _no_such(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return refusal(405, "this path can only be read: use GET", **(error.headers or {}))
    return refusal(404, "there is no such path; / lists those that are")
