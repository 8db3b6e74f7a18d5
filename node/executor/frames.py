"""Messages between the node's process and its child, over a socket pair: length, kind, body."""

import asyncio
import enum
import struct
from collections.abc import Callable

_HEAD = struct.Struct("=IB")


class Kind(enum.IntEnum):
    """To the child: RUN, STOP, LEASE. From it: READY, ENDED, PROGRESS, LOST, FAILED. CLOSE is the end of the socket."""

    RUN = 1  # columns of tasks
    STOP = 2  # epochs
    LEASE = 3  # one integer
    READY = 10  # a Capability as JSON
    ENDED = 11  # columns
    PROGRESS = 12  # epochs, then units done
    LOST = 13  # a sentence
    FAILED = 14  # a sentence: could not start


def frame(kind: Kind, body: bytes) -> bytes:
    """A message as it travels."""
    return _HEAD.pack(len(body), kind) + body


OnFrame = Callable[[Kind, bytes], None]


class Frames(asyncio.Protocol):
    """One end. `on_gone` is called once, when the other end is."""

    def __init__(self, on_frame: OnFrame, on_gone: Callable[[], None]) -> None:
        self._on_frame, self._on_gone = on_frame, on_gone
        self._rest = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        at = 0
        while len(self._rest) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._rest, at)
            end = at + _HEAD.size + length
            if len(self._rest) < end:
                break
            body = bytes(self._rest[at + _HEAD.size : end])
            at = end
            self._on_frame(Kind(kind), body)
        del self._rest[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_gone()

    def send(self, kind: Kind, body: bytes) -> None:
        """To an end that is gone nothing is sent: `on_gone` has been, or is about to be, called."""
        if self._transport is not None:
            self._transport.write(frame(kind, body))

    def close(self) -> None:
        """What was sent still arrives."""
        if self._transport is not None:
            self._transport.close()
