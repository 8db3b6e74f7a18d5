"""The gate before every service: who is calling, may they, and only then what they say.

A request stays raw bytes until its sender's certificate has been found among those issued and the table of roles
allows the call. So no stranger's bytes meet a parser, and bytes that do not parse are told apart from our own faults.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import isasyncgenfunction
from typing import Any, Never, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from coordinator.security.roles import METHODS, Identity

log = structlog.get_logger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in the stubs only
Context = grpc.aio.ServicerContext[Any, Any]
Translate = Callable[[BaseException], tuple[grpc.StatusCode, str] | None]

_identity: ContextVar[Identity] = ContextVar("identity")


def current_identity() -> Identity:
    """Who made the call that is being answered. Only within a handler behind the gate, and what it awaits or starts."""
    return _identity.get()


@contextmanager
def acting_for(caller: Identity) -> Iterator[None]:
    """Calls of the services' methods within this are the caller's: for another door, which has done the gate's work."""
    before = _identity.set(caller)
    try:
        yield
    finally:
        _identity.reset(before)


class Gate(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server. `identify` finds whose a certificate (PEM) is; `translate` gives the status and
    sentence for an error that a handler raised, or None for a surprise, which is logged and told as INTERNAL.

    Handlers are coroutines or asynchronous generators and read a stream of requests by iterating over it.
    """

    def __init__(self, identify: Callable[[bytes], Identity | None], translate: Translate = lambda error: None) -> None:
        self._identify = identify
        self._translate = translate
        self._guarded: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        inner = await continuation(handler_call_details)
        if inner is None:
            return None  # no such method: gRPC says UNIMPLEMENTED
        method = handler_call_details.method
        kept = self._guarded.get(method)
        if kept is None or kept[0] is not inner:
            kept = self._guarded[method] = (inner, self._guard(method, inner))
        return kept[1]

    def _guard(self, method: str, inner: Handler) -> Handler:
        allowed = METHODS.get(method, frozenset())
        # The stubs know only the synchronous shapes of handlers.
        behaviour: Any = inner.unary_unary or inner.unary_stream or inner.stream_unary or inner.stream_stream
        read: Callable[[Any], Any] = partial(
            _Messages if inner.request_streaming else _parse, inner.request_deserializer or _as_it_is
        )

        def admit(context: Context) -> Identity | None:
            shown = context.auth_context().get("x509_pem_cert")
            return self._identify(next(iter(shown))) if shown else None

        async def answer(raw: Any, context: Context) -> Any:
            caller = admit(context)
            if caller is None or caller.role not in allowed:
                await _turn_away(caller, method, context)
            _identity.set(caller)
            try:
                return await behaviour(read(raw), context)
            except Exception as error:  # noqa: BLE001 - every error of a handler is answered here
                await self._fail(error, method, context)

        async def answers(raw: Any, context: Context) -> AsyncIterator[Any]:
            caller = admit(context)
            if caller is None or caller.role not in allowed:
                await _turn_away(caller, method, context)
            _identity.set(caller)
            try:
                async with aclosing(behaviour(read(raw), context)) as responses:
                    async for response in responses:
                        yield response
            except Exception as error:  # noqa: BLE001 - every error of a handler is answered here
                await self._fail(error, method, context)

        guarded = answers if isasyncgenfunction(behaviour) else answer
        return _SHAPES[inner.request_streaming, inner.response_streaming](guarded, None, inner.response_serializer)

    async def _fail(self, error: Exception, method: str, context: Context) -> Never:
        for cause in _causes(error):
            if isinstance(cause, grpc.aio.AbortError):
                raise cause  # the handler has given its answer itself
            if isinstance(cause, _Malformed):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "This request cannot be read: it is malformed.")
            known = self._translate(cause)
            if known is not None:
                await context.abort(*known)
        log.error("call failed", method=method, caller=current_identity().name, exc_info=error)
        await context.abort(
            grpc.StatusCode.INTERNAL, "The coordinator failed at this call; its log says why. Trying again may help."
        )


class _Malformed(Exception):
    """Bytes that are no message of the type expected."""


class _Messages:
    """A stream of requests, parsed one by one as they are asked for."""

    __slots__ = ("_parse", "_raw")

    def __init__(self, parse: Callable[[bytes], Any], raw: AsyncIterator[bytes]) -> None:
        self._parse = parse
        self._raw = raw.__aiter__()

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> Any:
        return _parse(self._parse, await self._raw.__anext__())


def _parse(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError as error:
        raise _Malformed from error


def _as_it_is(raw: bytes) -> bytes:
    return raw


async def _turn_away(caller: Identity | None, method: str, context: Context) -> Never:
    if caller is None:
        log.warning("stranger refused", method=method, peer=context.peer())
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            "This certificate is not (or no longer) one of ours: join again with a string from an admin.",
        )
    log.warning("call refused", method=method, caller=caller.name, role=caller.role.value)
    await context.abort(
        grpc.StatusCode.PERMISSION_DENIED,
        f"{method.rpartition('/')[2]} is not for the role {caller.role}: use credentials of another role.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, or what a task group wrapped."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error


_SHAPES: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
